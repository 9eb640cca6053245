"""Run a FloatNetwork in torch, layer by layer: the float reference of every later comparison.

The recurrence is the one of ``train.float_network``. All T steps of a layer go through its linear
map at once; a static image's first current is computed once. A projection whose path is shorter
than its target's depth (an unaligned skip) is read in the same local step, as training does; a
longer one arrives late by the difference.
"""

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from tssd.errors import DataError, NetworkError
from tssd.train.float_network import (
    FloatArray,
    FloatNetwork,
    FloatPopulation,
    FloatProjection,
    PopulationKind,
    ProjectionKind,
    Reset,
)

ImageArray = npt.NDArray[np.uint8]
Dtype = Literal["float32", "float64"]

PIXEL_MAX = 255
QUANTILES = (0.5, 0.9, 0.99, 0.999, 0.9999)
KEPT_VALUES = 200_000  # values kept per population and batch for the quantiles


@dataclass(frozen=True, eq=False)
class Range:
    """Largest value and ``QUANTILES`` of |current| and |membrane before the reset|."""

    current_max: float
    membrane_max: float
    current: tuple[float, ...]
    membrane: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class FloatActivity:
    """What N samples over T steps did.

    ``logits`` (N, classes) is the readout's membrane / T. ``events[name]`` has the population's
    shape: spikes (non-zero payloads) sent per neuron, summed over samples and steps. ``ranges``
    and ``spikes`` (T, N, *shape) are filled on request, ``membranes`` (before the reset, of the
    populations that have one) with the spikes.
    """

    samples: int
    time_steps: int
    logits: FloatArray
    events: Mapping[str, FloatArray]
    ranges: Mapping[str, Range] = field(default_factory=dict)
    spikes: Mapping[str, FloatArray] = field(default_factory=dict)
    membranes: Mapping[str, FloatArray] = field(default_factory=dict)

    def spike_total(self, name: str) -> int:
        """Events of one population, summed over neurons, samples and steps."""
        return int(self.events[name].sum())

    def classes(self) -> npt.NDArray[np.int64]:
        """The class of each sample: the largest logit, the first on a tie."""
        best: npt.NDArray[np.int64] = self.logits.argmax(axis=1)
        return best

    def accuracy(self, labels: npt.ArrayLike) -> float:
        """Share of right classes, in percent."""
        return float(100 * np.mean(self.classes() == np.asarray(labels)))


def run(
    network: FloatNetwork,
    images: ImageArray,
    *,
    dtype: Dtype = "float32",
    batch: int = 128,
    device: str = "cpu",
    keep_spikes: bool = False,
    keep_ranges: bool = False,
) -> FloatActivity:
    """Present uint8 ``images`` (N, C, H, W), or frames (N, T, C, H, W), for all time steps."""
    check_images(network, images)
    kind = torch.float64 if dtype == "float64" else torch.float32
    record = _Record(network, keep_spikes, keep_ranges)
    for first in range(0, len(images), batch):
        chunk = torch.tensor(presented(network, images[first : first + batch]), device=device)
        with torch.inference_mode():
            for name, current, membrane, sent in layers(network, chunk.to(kind) / PIXEL_MAX):
                record.add(name, current, membrane, sent)
    return record.result(len(images))


def check_images(network: FloatNetwork, images: ImageArray) -> None:
    """Images are uint8 (N, *input shape), or frames (N, T, *input shape) with a frame for every
    step; at least one. The network has at least one step."""
    shape = network.populations[0].shape
    middle = images.shape[1 : images.ndim - len(shape)]  # () or (T,)
    fits = images.shape[images.ndim - len(shape) :] == shape and len(middle) <= 1
    enough = not middle or middle[0] >= network.time_steps
    if images.dtype != np.uint8 or not fits or not enough or len(images) == 0:
        size = ", ".join(map(str, shape))
        raise DataError(
            "images",
            found=f"{images.dtype} array of shape {images.shape}",
            allowed=f"uint8, (samples >= 1, {size}), or frames (samples, "
            f"T >= {network.time_steps}, {size})",
        )
    if network.time_steps < 1:
        raise NetworkError("network", found=f"{network.time_steps} time steps", allowed=">= 1")


def presented(network: FloatNetwork, images: ImageArray) -> ImageArray:
    """Time first: still images (1, N, *shape), or the first frames (T, N, *shape)."""
    return over_steps(images, network.populations[0].shape, network.time_steps)


def over_steps(images: ImageArray, shape: tuple[int, ...], time_steps: int) -> ImageArray:
    """Samples first -> time first; a time axis of 1 stands for the same image at every step."""
    if images.ndim <= len(shape) + 1:
        return images[None]
    return np.ascontiguousarray(images.swapaxes(0, 1)[:time_steps])


def depths(network: FloatNetwork) -> dict[str, int]:
    """Longest path from the input, in projections."""
    depth = {network.populations[0].name: 0}
    for population in network.populations[1:]:
        sources = [j.source for j in network.incoming(population.name) if not j.is_loop]
        late = [name for name in sources if name not in depth]
        if late:
            raise NetworkError(
                f"projection {late[0]} -> {population.name}",
                found="a projection to an earlier or the same population",
                allowed="feed-forward projections, populations in topological order",
            )
        depth[population.name] = 1 + max((depth[name] for name in sources), default=0)
    return depth


def layers(
    network: FloatNetwork, pixels: Tensor
) -> Iterator[tuple[str, Tensor | None, Tensor | None, Tensor]]:
    """(name, current, membrane before the reset, sent) of each population, time first.

    ``pixels`` are (T, B, *input shape), or (1, B, ...) where every step sees the same.
    A tensor that is the same at every step has a time axis of 1.
    """
    depth, sent = depths(network), {network.populations[0].name: pixels}
    remaining = [j.source for j in network.projections]
    yield network.populations[0].name, None, None, pixels
    for population in network.populations[1:]:
        incoming: list[Tensor] = []
        loops = [j for j in network.incoming(population.name) if j.is_loop]
        for projection in network.incoming(population.name):
            if projection.is_loop:
                remaining.remove(projection.source)
                continue
            late = depth[projection.source] + 1 + projection.delay - depth[population.name]
            arrived = project(projection, sent[projection.source], population.shape)
            incoming.append(delayed(arrived, max(late, 0), network.time_steps))
            remaining.remove(projection.source)
            if projection.source not in remaining:
                del sent[projection.source]  # nothing reads it again
        total = current(population, incoming, network.time_steps)
        membrane, out = integrate(population, total, network.time_steps, loops=loops)
        sent[population.name] = out
        yield population.name, total, membrane, out


def current(population: FloatPopulation, arrived: Sequence[Tensor], time_steps: int) -> Tensor:
    """What enters the membrane: the sum of what arrived, remembered by the synapse, and the bias.

    (T or 1, B, *shape), with a time axis of 1 where it is the same at every step.
    """
    bias = bias_current(population, arrived[0])
    if population.synapse_decay is None:
        return functools.reduce(torch.add, arrived, bias)
    total = functools.reduce(torch.add, arrived)
    full = total.expand(time_steps, *total.shape[1:])
    return leaky_sum(full, _like(population.synapse_decay, full)) + bias


def leaky_sum(values: Tensor, decay: Tensor) -> Tensor:
    """h[t] = decay * h[t-1] + values[t] from zero, over the first axis."""
    out = torch.empty_like(values)
    h = torch.zeros_like(values[0])
    for t in range(len(values)):
        h = torch.add(values[t], h * decay, out=out[t])
    return out


def bias_current(population: FloatPopulation, like: Tensor) -> Tensor:
    """The population's bias as a current, (1, 1, *broadcasting shape)."""
    return torch.as_tensor(population.bias, dtype=like.dtype, device=like.device)[None, None]


def project(projection: FloatProjection, sent: Tensor, shape: tuple[int, ...]) -> Tensor:
    """norm(weight * pool(sent) + bias): (T, B, *source shape) -> (T, B, *shape)."""
    steps, batch = sent.shape[:2]
    x = sent.flatten(0, 1)
    if projection.pool is not None:
        x = functional.avg_pool2d(x, projection.pool.kernel, projection.pool.stride)
    x = _linear(projection, x)
    if projection.norm is not None:
        x = _normalise(projection, x)
    if tuple(x.shape[1:]) != shape:
        raise NetworkError(
            f"projection {projection.source} -> {projection.target}",
            found=f"an output of shape {tuple(x.shape[1:])}",
            allowed=f"the target's shape {shape}",
        )
    return x.reshape(steps, batch, *shape)


def _linear(projection: FloatProjection, x: Tensor) -> Tensor:
    weight = torch.as_tensor(projection.weight, dtype=x.dtype, device=x.device)
    bias = (
        None
        if projection.bias is None
        else torch.as_tensor(projection.bias, dtype=x.dtype, device=x.device)
    )
    try:
        if projection.kind is ProjectionKind.DENSE:
            return functional.linear(x.flatten(1), weight, bias)
        return functional.conv2d(
            x,
            weight,
            bias,
            projection.stride,
            projection.padding,
            projection.dilation,
            projection.groups,
        )
    except RuntimeError as error:
        raise NetworkError(
            f"projection {projection.source} -> {projection.target}",
            found=f"weight {tuple(weight.shape)} on a source of shape {tuple(x.shape[1:])}",
            allowed="shapes that fit",
            hint=str(error).splitlines()[0],
        ) from None


def _normalise(projection: FloatProjection, x: Tensor) -> Tensor:
    assert projection.norm is not None
    norm, size = projection.norm, (-1,) + (1,) * (x.dim() - 2)
    gain = norm.gain / np.sqrt(norm.variance + norm.eps)
    shift = norm.shift - norm.mean * gain
    return x * _like(gain, x).reshape(size) + _like(shift, x).reshape(size)


def _like(array: FloatArray, x: Tensor) -> Tensor:
    return torch.as_tensor(array, dtype=x.dtype, device=x.device)


def delayed(arrived: Tensor, late: int, time_steps: int) -> Tensor:
    """Shift (T or 1, B, ...) by ``late`` steps; nothing arrives before."""
    if late == 0:
        return arrived
    full = arrived.expand(time_steps, *arrived.shape[1:])
    return torch.cat([torch.zeros_like(full[:late]), full[: max(time_steps - late, 0)]])[
        :time_steps
    ]


def integrate(
    population: FloatPopulation,
    current: Tensor,
    time_steps: int,
    limit: float | None = None,
    loops: Sequence[FloatProjection] = (),
) -> tuple[Tensor, Tensor]:
    """(membrane before the reset, sent), each (T, B, *shape); a RELAY sends its current.

    ``limit`` clips the membrane of a LIF or READOUT at +-limit, as a saturating state does.
    ``loops`` are the population's projections to itself.
    """
    if population.kind is PopulationKind.RELAY:
        return current, current
    full = current.expand(time_steps, current.shape[1], *population.shape)
    if population.kind is PopulationKind.READOUT:
        plain = bool(np.all(population.decay == 1))
        membrane = full.cumsum(0) if plain else leaky_sum(full, _like(population.decay, full))
        if limit is not None:
            membrane = membrane.clamp(-limit, limit)
        return membrane, torch.zeros_like(membrane[:1])
    return _fire(population, full, limit, loops)


def _fire(
    population: FloatPopulation,
    current: Tensor,
    limit: float | None,
    loops: Sequence[FloatProjection],
) -> tuple[Tensor, Tensor]:
    decay, threshold = _like(population.decay, current), _like(population.threshold, current)
    membrane, sent = torch.empty_like(current), torch.empty_like(current)
    h = torch.zeros_like(current[0])
    returned = _Returned(population, loops, sent) if loops else None
    for t in range(len(current)):
        entering = current[t] if returned is None else current[t] + returned.step(t)
        h = torch.add(entering, h * decay, out=membrane[t])
        if limit is not None:
            h.clamp_(-limit, limit)
        spikes = torch.ge(h, threshold, out=sent[t])
        if population.reset is Reset.SOFT:
            h = h - spikes * threshold
        elif population.reset is Reset.HARD:
            h = h * (1 - spikes)
    return membrane, sent


class _Returned:
    """The current that a population's own spikes send back, through its synaptic memory.

    The memory is linear, so what came from elsewhere may pass it on its own.
    """

    def __init__(
        self, population: FloatPopulation, loops: Sequence[FloatProjection], sent: Tensor
    ) -> None:
        self.shape, self.loops, self.sent = population.shape, loops, sent
        memory = population.synapse_decay
        self.decay = _like(np.zeros(()) if memory is None else memory, sent)
        self.u = torch.zeros_like(sent[0])

    def step(self, t: int) -> Tensor:
        """U[t] = decay * U[t-1] + what the spikes of step t - 1 - delay bring."""
        self.u = self.u * self.decay
        for loop in self.loops:
            at = t - 1 - loop.delay
            past = self.sent[at : at + 1] if at >= 0 else torch.zeros_like(self.sent[:1])
            self.u = self.u + project(loop, past, self.shape)[0]
        return self.u


class _Record:
    """Sums over batches; the only mutable thing of a run."""

    def __init__(self, network: FloatNetwork, keep_spikes: bool, keep_ranges: bool) -> None:
        self.network, self.keep_spikes, self.keep_ranges = network, keep_spikes, keep_ranges
        self.events = {p.name: np.zeros(p.shape) for p in network.populations}
        self.spikes: dict[str, list[FloatArray]] = {p.name: [] for p in network.populations}
        self.membranes: dict[str, list[FloatArray]] = {p.name: [] for p in network.populations}
        self.values: dict[str, list[tuple[FloatArray, FloatArray]]] = {
            p.name: [] for p in network.populations[1:]
        }
        self.logits: list[FloatArray] = []

    def add(self, name: str, current: Tensor | None, membrane: Tensor | None, sent: Tensor) -> None:
        steps = self.network.time_steps
        repeats = steps // len(sent)  # a static tensor stands for every step
        binary = self.network.population(name).kind is PopulationKind.LIF
        events = sent.sum((0, 1)) if binary else torch.count_nonzero(sent, (0, 1))
        self.events[name] += _numpy(events) * repeats
        if self.keep_spikes:
            self.spikes[name].append(_numpy(sent.expand(steps, *sent.shape[1:])))
            if membrane is not None:
                self.membranes[name].append(_numpy(membrane.expand(steps, *membrane.shape[1:])))
        if self.keep_ranges and current is not None and membrane is not None:
            self.values[name].append((_sorted_sample(current), _sorted_sample(membrane)))
        if name == self.network.populations[-1].name and membrane is not None:
            self.logits.append(_numpy(membrane[-1].flatten(1)) / steps)

    def result(self, samples: int) -> FloatActivity:
        return FloatActivity(
            samples,
            self.network.time_steps,
            np.concatenate(self.logits),
            self.events,
            {name: _range(parts) for name, parts in self.values.items() if parts},
            *(
                {name: np.concatenate(p, axis=1) for name, p in kept.items() if p}
                for kept in (self.spikes, self.membranes)
            ),
        )


def _numpy(x: Tensor) -> FloatArray:
    return x.double().cpu().numpy()


def _sorted_sample(x: Tensor) -> FloatArray:
    """|x| thinned evenly to about KEPT_VALUES, with the exact maximum as the last value."""
    flat = x.abs().flatten()
    thinned = flat[:: max(1, flat.numel() // KEPT_VALUES)]
    return np.append(np.sort(_numpy(thinned)), float(flat.max()))


def _range(parts: list[tuple[FloatArray, FloatArray]]) -> Range:
    current, membrane = (np.concatenate(values) for values in zip(*parts, strict=True))
    return Range(
        float(current.max()),
        float(membrane.max()),
        tuple(float(q) for q in np.quantile(current, QUANTILES)),
        tuple(float(q) for q in np.quantile(membrane, QUANTILES)),
    )
