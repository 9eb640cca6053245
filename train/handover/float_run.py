"""Run a FloatNetwork in torch: the float reference of every later comparison."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tssd.arrays import ByteArray, IntArray
from tssd.errors import DataError, NetworkError
from tssd.train.handover.float_layers import layers
from tssd.train.handover.float_network import FloatArray, FloatNetwork

ImageArray = ByteArray
Number = TypeVar("Number", bound=np.generic)
Dtype = Literal["float32", "float64"]

PIXEL_MAX = 255
QUANTILES = (0.5, 0.9, 0.99, 0.999, 0.9999)
KEPT_VALUES = 200_000  # values kept per population and batch for the quantiles


@dataclass(frozen=True, eq=False)
class ValueRange:
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
    ranges: Mapping[str, ValueRange] = field(default_factory=dict)
    spikes: Mapping[str, FloatArray] = field(default_factory=dict)
    membranes: Mapping[str, FloatArray] = field(default_factory=dict)

    def spike_total(self, name: str) -> int:
        """Events of one population, summed over neurons, samples and steps."""
        return int(self.events[name].sum())

    def classes(self) -> IntArray:
        """The class of each sample: the largest logit, the first on a tie."""
        best: IntArray = self.logits.argmax(axis=1)
        return best

    def accuracy(self, labels: npt.ArrayLike) -> float:
        """Share of right classes, in percent."""
        return float(100 * np.mean(self.classes() == np.asarray(labels)))


def run(
    network: FloatNetwork,
    images: ImageArray | FloatArray,
    *,
    dtype: Dtype = "float32",
    batch: int = 128,
    device: str = "cpu",
    keep_spikes: bool = False,
    keep_ranges: bool = False,
) -> FloatActivity:
    """Present ``images`` (N, C, H, W), or frames (N, T, C, H, W), for all time steps: uint8 levels,
    or numbers as the network takes them."""
    check_images(network, images)
    kind = torch.float64 if dtype == "float64" else torch.float32
    record = _Record(network, keep_spikes, keep_ranges)
    for first in range(0, len(images), batch):
        chunk = torch.tensor(presented(network, images[first : first + batch]), device=device)
        with torch.inference_mode():
            levels = chunk.to(kind) / (PIXEL_MAX if images.dtype == np.uint8 else 1)
            for name, current, membrane, sent in layers(network, levels):
                record.add(name, current, membrane, sent)
    return record.result(len(images))


def check_images(network: FloatNetwork, images: ImageArray | FloatArray) -> None:
    """Images are uint8 or float (N, *input shape), or frames (N, T, *input shape) with a frame for
    every step; at least one. The network has at least one step."""
    shape = network.populations[0].shape
    middle = images.shape[1 : images.ndim - len(shape)]  # () or (T,)
    fits = images.shape[images.ndim - len(shape) :] == shape and len(middle) <= 1
    enough = not middle or middle[0] >= network.time_steps
    known = images.dtype == np.uint8 or images.dtype.kind == "f"
    if not known or not fits or not enough or len(images) == 0:
        size = ", ".join(map(str, shape))
        raise DataError(
            "images",
            found=f"{images.dtype} array of shape {images.shape}",
            allowed=f"uint8 or float, (samples >= 1, {size}), or frames (samples, "
            f"T >= {network.time_steps}, {size})",
        )
    if network.time_steps < 1:
        raise NetworkError("network", found=f"{network.time_steps} time steps", allowed=">= 1")


def presented(network: FloatNetwork, images: npt.NDArray[Number]) -> npt.NDArray[Number]:
    """Time first: still images (1, N, *shape), or the first frames (T, N, *shape)."""
    return over_steps(images, network.populations[0].shape, network.time_steps)


def over_steps(
    images: npt.NDArray[Number], shape: tuple[int, ...], time_steps: int
) -> npt.NDArray[Number]:
    """Samples first -> time first; a time axis of 1 stands for the same image at every step."""
    if images.ndim <= len(shape) + 1:
        return images[None]
    return np.ascontiguousarray(images.swapaxes(0, 1)[:time_steps])


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
        binary = self.network.population(name).kind.fires
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


def _range(parts: list[tuple[FloatArray, FloatArray]]) -> ValueRange:
    current, membrane = (np.concatenate(values) for values in zip(*parts, strict=True))
    return ValueRange(
        float(current.max()),
        float(membrane.max()),
        tuple(float(q) for q in np.quantile(current, QUANTILES)),
        tuple(float(q) for q in np.quantile(membrane, QUANTILES)),
    )
