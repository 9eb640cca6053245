"""The integer neuron over all steps, with the gradient of its float meaning.

    u[t] = trunc(u[t-1] (4096 - du) / 4096) + 64 a[t]
    v[t] = clip(trunc(v[t-1] (4096 - dv) / 4096) + u[t] + 64 bias)          at +-(2**23 - 1)
    s[t] = v[t] > 64 vth        hard: v <- 0        soft: v <- v - 64 r        none: v stays

``a`` are whole sums of weights; every number is whole and below 2**24, which float32 holds exactly,
and decays are taken in float64. Backwards rounding and truncation are passed straight through, and
ds/dv = w(x) / (64 S theta) with x = (v - 64 vth - 1) / (64 S theta): the surrogate w of
``networks.neuron`` with its width in thresholds (*ours*: users' thresholds differ). An or-gate,
which has neither memory nor weights to learn, passes a spike's gradient on where at most one came.
"""

from dataclasses import dataclass
from typing import Any, assert_never

import torch
from torch import Tensor

from tssd.train.handover.float_network import Reset
from tssd.train.networks.neuron import WINDOWS, NeuronModel
from tssd.train.quantization.kernels import LIMIT
from tssd.train.quantization.neurons import DECAY_ONE, UNIT


@dataclass(frozen=True, eq=False)
class NeuronRule:
    """What the neurons of one layer do; tensors broadcast to (*shape), whole numbers in weight
    units. ``size``: S theta; ``lone``: of an or-gate, the sum that one spike makes, else None."""

    reset: Reset
    keep_u: Tensor | None  # of 4096; None: no synaptic memory
    keep_v: Tensor
    vth: Tensor
    reset_by: Tensor
    size: Tensor
    lone: float | None
    model: NeuronModel

    def reset_of(self, v: Tensor, fired: Tensor) -> Tensor:
        """The membrane after the reset."""
        match self.reset:
            case Reset.HARD:
                return v * (1 - fired)
            case Reset.SOFT:
                return v - fired * (self.reset_by * UNIT)
            case Reset.NONE:
                return v
            case _:
                assert_never(self.reset)

    def slope(self, v: Tensor) -> Tensor:
        """ds/dv."""
        if self.lone is not None:
            one = UNIT * self.lone
            return ((v >= 0) & (v <= one)).to(v.dtype) / one
        scale = UNIT * self.size
        x = (v - self.vth * UNIT - 1) / scale
        return WINDOWS[self.model.surrogate](x, self.model.width) / scale

    def reset_slope(self, v: Tensor, fired: Tensor, slope: Tensor) -> Tensor:
        """d(membrane after the reset) / dv."""
        felt = 0 if self.model.detach_reset else slope
        match self.reset:
            case Reset.HARD:
                return 1 - fired - v * felt
            case Reset.SOFT:
                return torch.ones_like(v) - self.reset_by * UNIT * felt
            case Reset.NONE:
                return torch.ones_like(v)
            case _:
                assert_never(self.reset)


def left(state: Tensor, keep: Tensor | None) -> Tensor:
    """What a state keeps of itself, rounded toward zero; *keep* of 4096, None: nothing."""
    if keep is None:
        return torch.zeros_like(state)
    return torch.trunc(state.double() * (keep / DECAY_ONE)).to(state.dtype)


def plain_fire(
    a: Tensor,
    bias: Tensor,
    u: Tensor | None,
    v: Tensor | None,
    rule: NeuronRule,
    steps: int | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Spikes (T, B, *shape) of sums *a*, and the states after the last step, from *u* and *v*
    (None: at rest); *a* (1, B, *shape) stands for all *steps*. In torch, on any device."""
    taken, states = len(a) if steps is None else steps, (u, v)
    first = (torch.zeros_like(a[0]) if state is None else state for state in states)
    spikes, u_last, v_last = _Fire.apply(a, bias, *first, rule, taken)  # type: ignore[no-untyped-call]
    return spikes, u_last, v_last


class _Fire(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, a: Tensor, bias: Tensor, u: Tensor, v: Tensor, rule: NeuronRule, steps: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        before, spikes = (a.new_empty((steps, *a.shape[1:])) for _ in range(2))
        offset, threshold = UNIT * bias, UNIT * rule.vth
        for t in range(steps):
            u = left(u, rule.keep_u) + UNIT * a[min(t, len(a) - 1)]
            v = (left(v, rule.keep_v) + u + offset).clamp(-LIMIT, LIMIT)
            before[t] = v
            spikes[t] = v > threshold
            v = rule.reset_of(v, spikes[t])
        ctx.save_for_backward(before, spikes)
        ctx.rule, ctx.bias_shape, ctx.alike = rule, bias.shape, len(a) < steps
        return spikes, u, v

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        to_spikes, to_u, to_v = gradients
        before, spikes = ctx.saved_tensors
        rule: NeuronRule = ctx.rule
        slope = rule.slope(before)
        through = rule.reset_slope(before, spikes, slope)
        entering = torch.empty_like(before)
        total = torch.zeros_like(before[0])
        for t in range(len(before) - 1, -1, -1):
            felt = to_v * through[t] + to_spikes[t] * slope[t]
            total += felt
            current = to_u + felt
            entering[t] = UNIT * current
            to_v = felt * (rule.keep_v / DECAY_ONE)
            to_u = (
                torch.zeros_like(felt)
                if rule.keep_u is None
                else current * (rule.keep_u / DECAY_ONE)
            )
        entering = entering.sum(0, keepdim=True) if ctx.alike else entering
        return entering, summed_as(UNIT * total, ctx.bias_shape), to_u, to_v, None, None


def summed_as(gradient: Tensor, shape: torch.Size) -> Tensor:
    """(B, *full) summed to what was broadcast."""
    whole = gradient.sum(0)
    axes = [i for i, n in enumerate(shape) if n == 1 and whole.shape[i] != 1]
    return whole.sum(axes, keepdim=True) if axes else whole


class _Truncated(torch.autograd.Function):
    """What a state keeps, with the gradient of the factor."""

    @staticmethod
    def forward(ctx: Any, state: Tensor, keep: Tensor) -> Tensor:
        ctx.share = keep / DECAY_ONE
        return left(state, keep)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0] * ctx.share, None


def integrated(a: Tensor, bias: Tensor, keep_u: Tensor | None, keep_v: Tensor) -> Tensor:
    """Membranes (T, B, *shape) of a read-out, in 1/64 weight units."""
    u = v = torch.zeros_like(a[0])
    membranes = []
    for arrived in a:
        u = UNIT * arrived if keep_u is None else _kept(u, keep_u) + UNIT * arrived
        v = (_kept(v, keep_v) + u + UNIT * bias).clamp(-LIMIT, LIMIT)
        membranes.append(v)
    return torch.stack(membranes)


def _kept(state: Tensor, keep: Tensor) -> Tensor:
    result: Tensor = _Truncated.apply(state, keep)  # type: ignore[no-untyped-call]
    return result
