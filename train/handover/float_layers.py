"""The recurrence of ``train.float_network`` in torch, layer by layer.

All T steps of a layer go through its linear map at once; a static image's first current is computed
once. A projection whose path is shorter than its target's depth (an unaligned skip) is read in the
same local step, as training does; a longer one arrives late by the difference.
"""

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import assert_never

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from tssd.errors import NetworkError
from tssd.train.handover.float_network import (
    FloatArray,
    FloatNetwork,
    FloatPopulation,
    FloatProjection,
    PopulationKind,
    Reset,
    depths,
)
from tssd.train.handover.linear import linear_map


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
            incoming.append(arriving(network, projection, sent, depth))
            remaining.remove(projection.source)
            if projection.source not in remaining:
                del sent[projection.source]  # nothing reads it again
        total = current(population, incoming, network.time_steps)
        membrane, out = integrate(population, total, network.time_steps, loops=loops)
        sent[population.name] = out
        yield population.name, total, membrane, out


def arriving(
    network: FloatNetwork,
    projection: FloatProjection,
    sent: Mapping[str, Tensor],
    depth: Mapping[str, int],
) -> Tensor:
    """What *projection* brings of what its source *sent*, late where its path is longer than its
    target's *depth*: (T or 1, B, *target shape)."""
    target = network.population(projection.target)
    late = depth[projection.source] + 1 + projection.delay - depth[projection.target]
    arrived = project(projection, sent[projection.source], target.shape)
    return delayed(arrived, max(late, 0), network.time_steps)


def read_of(readout: FloatPopulation, membranes: Tensor) -> Tensor:
    """What is read of a readout's membranes (T, ...): of the last step, or the largest."""
    return membranes.amax(0) if readout.membrane_read.of_every_step else membranes[-1]


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
        return linear_map(projection, x, weight, bias)
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
    full = current.expand(time_steps, current.shape[1], *population.shape)
    match population.kind:
        case PopulationKind.RELAY | PopulationKind.INPUT:
            return current, current
        case PopulationKind.READOUT:
            return _sum(population, full, limit)
        case PopulationKind.LIF:
            return _fire(population, full, limit, loops)
        case _:
            assert_never(population.kind)


def _sum(population: FloatPopulation, full: Tensor, limit: float | None) -> tuple[Tensor, Tensor]:
    plain = bool(np.all(population.decay == 1))
    membrane = full.cumsum(0) if plain else leaky_sum(full, _like(population.decay, full))
    if limit is not None:
        membrane = membrane.clamp(-limit, limit)
    return membrane, torch.zeros_like(membrane[:1])


def _fire(
    population: FloatPopulation,
    current: Tensor,
    limit: float | None,
    loops: Sequence[FloatProjection],
) -> tuple[Tensor, Tensor]:
    decay, threshold = _like(population.decay, current), _like(population.threshold, current)
    subtracted = _like(population.subtracted, current)
    membrane, sent = torch.empty_like(current), torch.empty_like(current)
    h = torch.zeros_like(current[0])
    returned = _Returned(population, loops, sent) if loops else None
    for t in range(len(current)):
        entering = current[t] if returned is None else current[t] + returned.step(t)
        h = torch.add(entering, h * decay, out=membrane[t])
        if limit is not None:
            h.clamp_(-limit, limit)
        spikes = torch.ge(h, threshold, out=sent[t])
        match population.reset:
            case Reset.SOFT:
                h = h - spikes * subtracted
            case Reset.HARD:
                h = h * (1 - spikes)
            case Reset.NONE:
                pass
            case _:
                assert_never(population.reset)
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
