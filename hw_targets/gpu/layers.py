"""One layer of the integer network in torch floats that ``proof`` has shown to be exact.

Tensors hold integers, time first: (T, B, *shape), or (1, B, *shape) where every step is the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import assert_never

import numpy as np
import torch
from torch import Tensor

from tssd.calibration.int_network import (
    Population,
    Projection,
    Reset,
)
from tssd.calibration.integer import DECAY_ONE, STATE_LIMIT, UNIT, IntArray
from tssd.calibration.neuron import parameters
from tssd.hw_targets.gpu.proof import Bounds
from tssd.train.handover.linear import linear_map

ANSWER = "answer"  # beside the last states: what is read of the membrane, the last or the largest
READ = ("keep_u", "keep_v", "threshold", "subtracted")
TORCH_TYPES = {"float32": torch.float32, "float64": torch.float64}


@dataclass(frozen=True, eq=False)
class TorchNeurons:
    """A population's parameters (``calibration.neuron.parameters``) as tensors of its carrier: what
    is kept as a fraction, levels and bias in membrane units."""

    population: Population
    bounds: Bounds
    parameters: Mapping[str, Tensor]
    bias: Tensor


@dataclass(frozen=True, eq=False)
class TorchSynapses:
    """A projection's weights as a tensor of the target's carrier."""

    projection: Projection
    weight: Tensor
    wraps: bool


def neurons(population: Population, bounds: Bounds, device: str) -> TorchNeurons:
    """Parameters ready to run."""

    def tensor(array: IntArray, divisor: int = 1) -> Tensor:
        exact = torch.from_numpy(np.ascontiguousarray(array)).double() / divisor
        return exact.to(device, TORCH_TYPES[bounds.carrier])

    return TorchNeurons(
        population,
        bounds,
        parameters={
            name: tensor(array, DECAY_ONE if name.startswith("keep_") else 1)
            for name, array in parameters(population, READ).items()
        },
        bias=tensor(population.bias),
    )


def synapses(
    projections: Sequence[Projection], bounds: Bounds, device: str
) -> tuple[TorchSynapses, ...]:
    """Weights ready to run."""
    kind = TORCH_TYPES[bounds.carrier]
    return tuple(
        TorchSynapses(j, torch.from_numpy(np.ascontiguousarray(j.weight)).to(device, kind), wraps)
        for j, wraps in zip(projections, bounds.wraps, strict=True)
    )


def deliver(synapse: TorchSynapses, sent: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Activation at the target, all steps at once: (T, B, *source) -> (T, B, *shape)."""
    projection, steps = synapse.projection, sent.shape[:2]
    x = sent.flatten(0, 1).to(synapse.weight.dtype)
    total = linear_map(projection, x, synapse.weight)
    if synapse.wraps:
        total = torch.remainder(total + STATE_LIMIT, 2 * STATE_LIMIT) - STATE_LIMIT
    if projection.weight_exp:
        total = torch.floor(total * 2.0**projection.weight_exp)
    return total.reshape(*steps, *shape)


def fire(
    layer: TorchNeurons,
    activation: Tensor,
    bias: Tensor,
    time_steps: int,
    loops: Sequence[TorchSynapses] = (),
    *,
    states: bool,
) -> tuple[Tensor, Mapping[str, Tensor], Mapping[str, Tensor]]:
    """(sent, last states and answer, states over time) of a LIF or READOUT; the last on request.

    ``bias`` is (T or 1, B or 1, *shape) in membrane units. Without synaptic memory u is just
    a << 6, which a static input makes static too. A spike comes back through one of ``loops`` a
    step later, and its ``delay`` more; then u changes every step, as it does with memory.
    """
    batch, population = activation.shape[1], layer.population
    whole = (time_steps, batch, *population.shape)
    remembers = bool(loops) or bool(np.any(population.du != DECAY_ONE))
    u = activation * UNIT
    if not remembers and layer.bounds.u_wraps:
        u = wrap_current(u)
    drive = (u if remembers else u + bias).expand(whole)
    bias, p = bias.expand(time_steps, *bias.shape[1:]), layer.parameters
    sent = torch.zeros(whole, dtype=torch.float32, device=u.device)
    kept = {name: torch.empty(whole, dtype=u.dtype) for name in population.states if states}
    state_u, v = torch.zeros_like(drive[0]), torch.zeros_like(drive[0])
    now, read = {"u": state_u, "v": v}, v
    for t in range(time_steps):
        v.mul_(p["keep_v"]).trunc_()
        if remembers:
            arrived = drive[t] + _returned(loops, sent, t) if loops else drive[t]
            state_u = wrap_current((state_u * p["keep_u"]).trunc_() + arrived)
            v.add_(state_u).add_(bias[t])
        else:
            v.add_(drive[t])
        if layer.bounds.v_clips:
            v.clamp_(1 - STATE_LIMIT, STATE_LIMIT - 1)
        if population.kind.fires:
            _spike(layer, v, sent[t])
        now = {"u": state_u if remembers else u[min(t, len(u) - 1)], "v": v}
        for name, over_time in kept.items():
            over_time[t] = now[name]
        if population.membrane_read.of_every_step:
            read = torch.maximum(read, v) if t else v.clone()
    return sent, {**now, ANSWER: read}, kept


def _returned(loops: Sequence[TorchSynapses], sent: Tensor, t: int) -> Tensor:
    """The current (B, *shape) of step *t* that the population's own spikes bring."""
    total = torch.zeros_like(sent[0], dtype=loops[0].weight.dtype)
    for loop in loops:
        fired = t - 1 - loop.projection.delay
        if fired >= 0:
            total += deliver(loop, sent[fired : fired + 1], tuple(sent.shape[2:]))[0] * UNIT
    return total


def _spike(layer: TorchNeurons, v: Tensor, sent: Tensor) -> None:
    """Write the step's spikes into ``sent`` and reset ``v`` in place."""
    torch.gt(v, layer.parameters["threshold"], out=sent)
    match layer.population.reset:
        case Reset.SOFT:
            v.addcmul_(sent, layer.parameters["subtracted"], value=-1)
        case Reset.HARD:
            v.addcmul_(v, sent, value=-1)
        case Reset.NONE:
            pass
        case _:
            assert_never(layer.population.reset)


def wrap_current(u: Tensor) -> Tensor:
    """One conditional turn of 2**24, as ``calibration.integer.wrap_current``."""
    turn = 2 * STATE_LIMIT
    return torch.where(u > STATE_LIMIT, u - turn, torch.where(u <= -STATE_LIMIT, u + turn, u))
