"""The float neuron: one leaky integrate-and-fire recurrence, plain torch, on any device.

    H[t] = (1 - 1/tau) H[t-1] + I[t]
    S[t] = 1 if H[t] >= threshold                          inclusive (arXiv 2406.07862)
    soft reset: H[t] <- H[t] - S[t] threshold   hard reset: H[t] <- 0 where S[t] = 1, same step
    dS/dH = 1/a where |H - threshold| < a/2, else 0        rectangular surrogate of width a

Whether the gradient flows through the reset is an option (``detach_reset``); the paper does not
say. snnTorch's own resets are neither of these two: its ``subtract`` comes one step late.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tssd.train.float_network import Reset


@dataclass(frozen=True)
class NeuronModel:
    """The parameters that all neurons of a network share."""

    decay: float = 0.5
    threshold: float = 1.0
    width: float = 1.0
    reset: Reset = Reset.SOFT
    detach_reset: bool = True


class RectangularSpike(torch.autograd.Function):
    """Heaviside step of H - threshold, inclusive at 0, with a rectangular derivative."""

    @staticmethod
    def forward(ctx: Any, distance: Tensor, width: float) -> Tensor:
        ctx.save_for_backward(distance)
        ctx.width = width
        return (distance >= 0).to(distance.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (distance,) = ctx.saved_tensors
        window = (distance.abs() < ctx.width / 2).to(distance.dtype) / ctx.width
        return gradients[0] * window, None


def spike(distance: Tensor, width: float) -> Tensor:
    """1 where *distance* = H - threshold is not negative."""
    result: Tensor = RectangularSpike.apply(distance, width)  # type: ignore[no-untyped-call]
    return result


def reset_membrane(membrane: Tensor, spikes: Tensor, model: NeuronModel) -> Tensor:
    """The membrane after the reset of the same step."""
    fired = spikes.detach() if model.detach_reset else spikes
    return membrane - fired * (membrane if model.reset is Reset.HARD else model.threshold)


def lif_step(current: Tensor, membrane: Tensor, model: NeuronModel) -> tuple[Tensor, Tensor]:
    """One step: (spikes, membrane after reset), shapes of *current*."""
    integrated = model.decay * membrane + current
    spikes = spike(integrated - model.threshold, model.width)
    return spikes, reset_membrane(integrated, spikes, model)


def lif_sequence(
    current: Tensor, steps: int, model: NeuronModel, membrane: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The recurrence over *steps*; *current* is (T or 1, B, ...), one slice repeated if static.

    Returns the spikes (T, B, ...) and the last membrane (B, ...).
    """
    state = torch.zeros_like(current[0]) if membrane is None else membrane
    spikes = []
    for t in range(steps):
        fired, state = lif_step(current[min(t, current.shape[0] - 1)], state, model)
        spikes.append(fired)
    return torch.stack(spikes), state
