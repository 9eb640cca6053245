"""Weights on a grid: n = clip(round(W / q)), one step q per output channel.

    first      the q of least  sum (W - q n)**2  among 29 shares of max |W| / largest
    then       q <- sum W n / sum n n        at every update: the least squares for the n at hand
    binary     n = sign(W), q = mean |W|     (0 counts as positive)
    gradient   that of W / q: rounding is passed straight through

A step that follows its weights costs three passes over them; a search at every update would cost
thirty. ``first`` and ``then`` are *ours*, after Lloyd.
"""

from typing import Any

import torch
from torch import Tensor

from tssd.train.quantization.widths import WeightBits

SHARES = torch.linspace(0.3, 1.0, 29)


def rows(weight: Tensor) -> Tensor:
    """(channels, all weights into one)."""
    return weight.detach().flatten(1)


class StraightThrough(torch.autograd.Function):
    """n = clip(round(W / q)) forward, W / q backward."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, step: Tensor, bits: WeightBits) -> Tensor:
        ctx.step = _like(step, weight)
        return _whole(weight / ctx.step, bits)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return gradients[0] / ctx.step, None, None


def rounded(weight: Tensor, step: Tensor, bits: WeightBits) -> Tensor:
    """n, with the gradient of W / q; *step* (channels,) or (1,) for all."""
    n: Tensor = StraightThrough.apply(weight, step, bits)  # type: ignore[no-untyped-call]
    return n


def _like(step: Tensor, weight: Tensor) -> Tensor:
    return step.to(weight.dtype).view((-1,) + (1,) * (weight.dim() - 1))


def _whole(exact: Tensor, bits: WeightBits) -> Tensor:
    if bits.binary:
        return torch.where(exact >= 0, 1.0, -1.0).to(exact.dtype)
    return (exact + 0.5).floor().clamp(-bits.largest, bits.largest)


def first_step(weight: Tensor, bits: WeightBits, single: bool) -> Tensor:
    """The step of least squared error of each channel, in float64; of all together if *single*."""
    flat = rows(weight).double()
    flat = flat.flatten()[None] if single else flat
    if bits.binary:
        return _positive(flat.abs().mean(1))
    tried = SHARES.to(flat)[:, None] * _positive(flat.abs().amax(1)) / bits.largest
    errors = torch.stack([_error(flat, step, bits) for step in tried])
    return tried.gather(0, errors.argmin(0)[None])[0]


def _error(flat: Tensor, step: Tensor, bits: WeightBits) -> Tensor:
    made = _whole(flat / step[:, None], bits) * step[:, None]
    return (made - flat).square().sum(1)


def next_step(weight: Tensor, step: Tensor, bits: WeightBits) -> Tensor:
    """The least squares for the integers at hand; a channel of zeros keeps its step."""
    flat = rows(weight)
    flat = flat.flatten()[None] if step.numel() == 1 else flat
    if bits.binary:
        return _positive(flat.abs().mean(1).double())
    n = _whole(flat / step.to(flat.dtype)[:, None], bits)
    squares, products = (n * n).sum(1).double(), (n * flat).sum(1).double()
    return torch.where(squares > 0, products / squares.clamp_min(1), step)


def _positive(step: Tensor) -> Tensor:
    """A channel of zeros has the step 1: any would do."""
    return torch.where(step > 0, step, torch.ones_like(step))
