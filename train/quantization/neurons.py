"""A layer's integer neurons over all steps: whole numbers forward, the float gradient back.

With S the layer's scale (weight units in a float membrane of 1) the integers mean

    current  a / S + bias / S        threshold  (vth + 1/64) / S        membrane  v / (64 S)

and backwards the recurrence is that of ``networks.neuron`` in those terms: the gradient of a spike
is the surrogate's at H, rounding and truncation are passed straight through.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as functional
from torch import Tensor

from tssd.train.networks.fused import FusedLayer, Statistics, first_membrane, take_room
from tssd.train.networks.neuron import NeuronModel, reset_membrane, spike
from tssd.train.networks.rows import dense, scalar, share_batch, steps_view
from tssd.train.quantization.kernels import LIMIT, integer_forward

DECAY_ONE = 4096
UNIT = 64  # membrane units in a weight unit


@dataclass(frozen=True, eq=False)
class NeuronIntegers:
    """What the neurons of one layer hold; tensors (channels,), whole numbers in float64.

    ``many``: weight units that one unit of the layer's sum stands for, with the sign of a negative
    gain; ``scale``: S; ``dv``: what is forgotten in a step, of 4096.
    """

    many: Tensor
    vth: Tensor
    bias: Tensor
    scale: Tensor
    dv: int

    @property
    def keep(self) -> float:
        return (DECAY_ONE - self.dv) / DECAY_ONE

    def like(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """many, threshold and bias in membrane units, membrane units of 1: as the kernels take
        them, in the type of *x*."""
        scaled = (self.many, self.vth * UNIT, self.bias * UNIT, self.scale * UNIT)
        many, vth, bias, unit = (value.to(x) for value in scaled)
        return many, vth, bias, unit


def integer_neurons(
    x: Tensor,
    affine: tuple[Tensor | None, Tensor | None],
    statistics: Statistics,
    from_batch: bool,
    integers: NeuronIntegers,
    steps: int,
    batch: int,
    model: NeuronModel,
    pool: int = 1,
    membrane: Tensor | None = None,
    decay: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Spikes of *steps* steps, averaged over ``pool x pool`` windows, and the last membrane (whole
    numbers of 1/64 weight units).

    *x* are sums of whole weights, (steps * batch, C, ...) or (batch, ...) where they are the same
    at every step; *affine* and *statistics* are the gain, shift and moments of what they mean in
    float, for the gradient.
    """
    weight, bias = affine
    settings = (statistics, from_batch, steps, batch, model, pool)
    if x.device.type != "cpu":
        return _plain(x, weight, bias, membrane, decay, *settings, integers)
    spikes, last = FusedIntegers.apply(  # type: ignore[no-untyped-call]
        x, weight, bias, membrane, decay, *settings, integers
    )
    return spikes, last


class FusedIntegers(torch.autograd.Function):
    """``FusedLayer`` with another forward pass, whose backward pass it shares."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        start: Tensor | None,
        decay: Tensor | None,
        statistics: Statistics,
        from_batch: bool,
        steps: int,
        batch: int,
        model: NeuronModel,
        pool: int,
        integers: NeuronIntegers,
    ) -> tuple[Tensor, Tensor]:
        x = dense(x)
        gain = statistics.scale if weight is None else weight.detach() * statistics.scale
        many, vth, offset, unit = integers.like(x)
        ctx.decay = integers.keep
        ctx.unit = unit.view(-1, *[1] * (x.dim() - 2))
        membrane, kept, spikes = take_room(ctx, x, start, decay, steps, batch, model, pool)
        kind = scalar(x)
        share_batch(
            integer_forward,
            batch,
            steps_view(x, batch),
            *(value.numpy() for value in (many, vth, offset, unit)),
            steps_view(membrane, batch)[0],
            integers.keep,
            kind(model.threshold),
            kind(model.width),
            model.reset.zeroes,
            pool,
            ctx.compact,
            steps_view(kept, batch),
            steps_view(spikes, batch),
        )
        first = first_membrane(x, start, decay, batch)
        felt = None if first is None else first / ctx.unit
        ctx.save_for_backward(kept, x if weight is not None else None, gain, felt)
        ctx.statistics, ctx.from_batch = statistics, from_batch
        return spikes, membrane

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        """The gradients of membranes are those of whole numbers: ``unit`` of them are a float 1."""
        to_spikes, to_last = gradients
        last = None if to_last is None else to_last * ctx.unit
        found = list(FusedLayer.backward(ctx, to_spikes, last))
        found[3] = None if found[3] is None else found[3] / ctx.unit
        return *found, None


def _plain(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    membrane: Tensor | None,
    decay: Tensor | None,
    statistics: Statistics,
    from_batch: bool,
    steps: int,
    batch: int,
    model: NeuronModel,
    pool: int,
    integers: NeuronIntegers,
) -> tuple[Tensor, Tensor]:
    """The same in torch, on any device: the float recurrence whose values are the integers'."""
    size = (-1,) + (1,) * (x.dim() - 2)
    many, vth, offset, unit = (value.view(size) for value in integers.like(x))
    current = _current(x, weight, bias, statistics, from_batch).view(-1, batch, *x.shape[1:])
    sums = x.detach().view(-1, batch, *x.shape[1:])
    start = torch.zeros_like(sums[0]) if membrane is None else membrane
    h_after, whole = start / unit, start.detach()
    kept = integers.keep if decay is None else decay + (integers.keep - decay.detach())
    spikes = []
    for t in range(steps):
        at = min(t, len(sums) - 1)
        a = torch.round(sums[at] * many) * UNIT
        left = torch.trunc(whole.double() * integers.keep).to(x.dtype)
        v = (left + (a + offset)).clamp(-LIMIT, LIMIT)
        felt = kept * h_after + current[at]
        above = (v - vth - 1) / unit + (felt - felt.detach())  # its sign is that of whole numbers
        fired = spike(above, model)
        h_after = reset_membrane(above + model.threshold, fired, model)
        whole = v - fired.detach() * (v if model.reset.zeroes else vth)
        spikes.append(fired)
    flat, felt = torch.cat(spikes), h_after * unit
    last = whole + (felt - felt.detach())
    return (functional.avg_pool2d(flat, pool) if pool > 1 else flat), last


def _current(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    statistics: Statistics,
    from_batch: bool,
) -> Tensor:
    """What the sums mean in float; moments of the batch take part in the gradient."""
    size = (1, -1) + (1,) * (x.dim() - 2)
    mean, scale = statistics.mean, statistics.scale
    if from_batch:
        axes = [0, *range(2, x.dim())]
        spread = x - x.mean(axes, keepdim=True)
        variance = spread.square().mean(axes)
        rest = (scale.double() ** -2 - variance.detach().double()).clamp_min(0).to(x.dtype)
        mean, scale = x.mean(axes), (variance + rest).rsqrt()
    gain = scale if weight is None else weight * scale
    shift = -mean * gain if bias is None else bias - mean * gain
    return x * gain.view(size) + shift.view(size)
