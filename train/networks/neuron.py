"""The float neuron: one leaky integrate-and-fire recurrence, plain torch, on any device.

    H[t] = (1 - 1/tau) H[t-1] + I[t]
    S[t] = 1 if H[t] >= threshold                          inclusive (arXiv 2406.07862)
    soft reset: H[t] <- H[t] - S[t] threshold   hard reset: H[t] <- 0 where S[t] = 1, same step

With x = H - threshold and width a, dS/dH is one of these, each of height 1/a and area 1:

    rectangular   1/a where |x| < a/2            triangular    (1 - |x|/a) / a where |x| < a
    sigmoid       (4/a) s (1 - s), s = 1 / (1 + exp(-4x/a))
    atan          (1/a) / (1 + (pi x / a)^2)     fast-sigmoid  (1/a) / (1 + 2|x|/a)^2

The rectangular one is the paper's; the widths of the others are scaled so (*ours*) that one width
means the same for all. Whether the gradient flows through the reset is an option
(``detach_reset``); the paper does not say. snnTorch's own resets are neither of these two: its
``subtract`` comes one step late.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tssd.train.config import Surrogate
from tssd.train.handover.float_network import Reset


@dataclass(frozen=True)
class NeuronModel:
    """The parameters that all neurons of a network share; *decay* is 1 - 1/tau."""

    decay: float = 0.5
    threshold: float = 1.0
    width: float = 1.0
    reset: Reset = Reset.SOFT
    detach_reset: bool = True
    surrogate: Surrogate = Surrogate.RECTANGULAR


def _sigmoid(x: Tensor, a: float) -> Tensor:
    s = torch.sigmoid(4 * x / a)
    return 4 / a * s * (1 - s)


WINDOWS: dict[Surrogate, Callable[[Tensor, float], Tensor]] = {
    Surrogate.RECTANGULAR: lambda x, a: (x.abs() < a / 2).to(x.dtype) / a,
    Surrogate.TRIANGULAR: lambda x, a: (1 - x.abs() / a).clamp_min(0) / a,
    Surrogate.SIGMOID: _sigmoid,
    Surrogate.ATAN: lambda x, a: 1 / (a * (1 + (math.pi * x / a).square())),
    Surrogate.FAST_SIGMOID: lambda x, a: 1 / (a * (1 + 2 * x.abs() / a).square()),
}


class SurrogateSpike(torch.autograd.Function):
    """Heaviside step of x = H - threshold, inclusive at 0, with a surrogate derivative."""

    @staticmethod
    def forward(ctx: Any, distance: Tensor, width: float, surrogate: Surrogate) -> Tensor:
        ctx.save_for_backward(distance)
        ctx.width, ctx.surrogate = width, surrogate
        return (distance >= 0).to(distance.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (distance,) = ctx.saved_tensors
        return gradients[0] * WINDOWS[ctx.surrogate](distance, ctx.width), None, None


def spike(distance: Tensor, model: NeuronModel) -> Tensor:
    """1 where *distance* = H - threshold is not negative."""
    result: Tensor = SurrogateSpike.apply(distance, model.width, model.surrogate)  # type: ignore[no-untyped-call]
    return result


def reset_membrane(membrane: Tensor, spikes: Tensor, model: NeuronModel) -> Tensor:
    """The membrane after the reset of the same step."""
    fired = spikes.detach() if model.detach_reset else spikes
    return membrane - fired * (membrane if model.reset.zeroes else model.threshold)


def lif_step(
    current: Tensor, membrane: Tensor, model: NeuronModel, decay: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """One step: (spikes, membrane after reset), shapes of *current*; *decay* if it is learned."""
    integrated = (model.decay if decay is None else decay) * membrane + current
    spikes = spike(integrated - model.threshold, model)
    return spikes, reset_membrane(integrated, spikes, model)


def lif_sequence(
    current: Tensor,
    steps: int,
    model: NeuronModel,
    membrane: Tensor | None = None,
    decay: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The recurrence over *steps*; *current* is (T or 1, B, ...), one slice repeated if static.

    Returns the spikes (T, B, ...) and the last membrane (B, ...).
    """
    state = torch.zeros_like(current[0]) if membrane is None else membrane
    spikes = []
    for t in range(steps):
        fired, state = lif_step(current[min(t, current.shape[0] - 1)], state, model, decay)
        spikes.append(fired)
    return torch.stack(spikes), state
