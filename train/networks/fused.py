"""A whole layer's spikes over all steps in one call: normalisation, neurons and pooling.

On the CPU numba kernels work on the tensors' memory; elsewhere the plain recurrence of
``tssd.train.networks.neuron`` runs. Both give the same spikes, and gradients equal to rounding.
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from tssd.train.config import Surrogate
from tssd.train.networks.distributed import all_sum, summed, world
from tssd.train.networks.lif_kernels import (
    channel_sums,
    gradient_of_input,
    lif_backward,
    lif_forward,
    pool_backward,
    pool_forward,
)
from tssd.train.networks.neuron import NeuronModel, lif_sequence
from tssd.train.networks.rows import dense, empty, pooled_sides, scalar, share_batch, steps_view

BatchNorm: TypeAlias = nn.BatchNorm1d | nn.BatchNorm2d
CODES = {surrogate: code for code, surrogate in enumerate(Surrogate)}  # of lif_kernels


@dataclass(frozen=True)
class Statistics:
    """Mean and 1 / sqrt(variance + eps) of each channel, taken as constants."""

    mean: Tensor
    scale: Tensor


def fused_lif(
    current: Tensor,
    steps: int,
    batch: int,
    model: NeuronModel,
    pool: int = 1,
    membrane: Tensor | None = None,
    decay: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Spikes of *steps* steps, averaged over ``pool x pool`` windows, and the last membrane.

    *current* is (steps * batch, C, H, W) or (steps * batch, N), time-major, or (batch, ...) when
    it is the same at every step. *decay* is a learned leak, in place of the model's. Returns
    (steps * batch, C, H // pool, W // pool) and (batch, C, H, W), or both without image axes.
    """
    _check_rows(current, steps, batch)
    if current.device.type != "cpu":
        return _plain(current, batch, membrane, steps, model, pool, decay)
    unit = current.new_ones(current.shape[1])
    statistics = Statistics(torch.zeros_like(unit), unit)
    settings = (statistics, False, steps, batch, model, pool)
    return _apply(current, None, None, membrane, decay, *settings)


def fused_norm_lif(
    x: Tensor,
    norm: BatchNorm,
    steps: int,
    batch: int,
    model: NeuronModel,
    pool: int = 1,
    membrane: Tensor | None = None,
    statistics: Statistics | None = None,
    decay: Tensor | None = None,
) -> tuple[Tensor, Tensor, Statistics]:
    """``fused_lif`` of batch-normalised *x*, and the statistics that were used.

    Without *statistics* they are those of *x* in training (the running ones are updated), the
    running ones in evaluation. Given statistics count as constants.
    """
    _check_rows(x, steps, batch)
    from_batch = statistics is None and norm.training
    if x.device.type != "cpu":
        current, used = normalise(norm, x, statistics)
        return *_plain(current, batch, membrane, steps, model, pool, decay), used
    used = statistics or (batch_statistics(norm, x, batch) if from_batch else running(norm))
    settings = (used, from_batch, steps, batch, model, pool)
    spikes, last = _apply(x, norm.weight, norm.bias, membrane, decay, *settings)
    return spikes, last, used


def normalise(
    norm: BatchNorm, x: Tensor, statistics: Statistics | None = None
) -> tuple[Tensor, Statistics]:
    """Batch normalisation by torch, and its statistics; given ones count as constants."""
    if statistics is None and norm.training and world() > 1:
        return _normalise_together(norm, x)
    if statistics is None and norm.training:
        momentum = norm.momentum if norm.momentum is not None else 0.1
        buffers = norm.running_mean, norm.running_var
        result, mean, scale = torch.native_batch_norm(
            x, norm.weight, norm.bias, *buffers, True, momentum, norm.eps
        )
        return result, Statistics(mean, scale)
    used = statistics or running(norm)
    gain = norm.weight * used.scale.detach()
    shift = norm.bias - used.mean.detach() * gain
    shape = (1, -1, 1, 1) if x.dim() == 4 else (1, -1)
    return torch.addcmul(shift.view(shape), x, gain.view(shape)), used


def _normalise_together(norm: BatchNorm, x: Tensor) -> tuple[Tensor, Statistics]:
    """Batch normalisation with the statistics of all processes' shares."""
    axes, shape = ([0, 2, 3], (1, -1, 1, 1)) if x.dim() == 4 else ([0], (1, -1))
    count = world() * x.numel() // x.shape[1]
    wide = x.double()
    sums = summed(torch.stack([wide.sum(axes), wide.square().sum(axes)]))
    mean = sums[0] / count
    variance = (sums[1] / count - mean.square()).clamp_min(0)
    move_running(norm, mean.detach(), variance.detach(), count)
    mean, scale = mean.to(x.dtype), (variance + norm.eps).rsqrt().to(x.dtype)
    gain = norm.weight * scale
    result = (x - mean.view(shape)) * gain.view(shape) + norm.bias.view(shape)
    return result, Statistics(mean.detach(), scale.detach())


def move_running(norm: BatchNorm, mean: Tensor, variance: Tensor, count: int) -> None:
    """The running statistics move towards these by the norm's momentum."""
    if norm.running_mean is not None and norm.running_var is not None:
        momentum = norm.momentum if norm.momentum is not None else 0.1
        unbiased = variance * (count / max(count - 1, 1))
        norm.running_mean.lerp_(mean.to(norm.running_mean.dtype), momentum)
        norm.running_var.lerp_(unbiased.to(norm.running_var.dtype), momentum)


def running(norm: BatchNorm) -> Statistics:
    """The statistics of evaluation mode."""
    if norm.running_mean is None or norm.running_var is None:
        raise ValueError("batch normalisation without running statistics")
    return Statistics(norm.running_mean.clone(), (norm.running_var + norm.eps).rsqrt())


@torch.no_grad()
def batch_statistics(norm: BatchNorm, x: Tensor, batch: int) -> Statistics:
    """The statistics of *x*; the running ones move towards them by the norm's momentum."""
    mean, variance, count = moments(x, batch)
    move_running(norm, mean, variance, count)
    return Statistics(mean.to(x.dtype), (variance + norm.eps).rsqrt().to(x.dtype))


@torch.no_grad()
def moments(x: Tensor, batch: int) -> tuple[Tensor, Tensor, int]:
    """Mean and variance of each channel of *x* over all processes, in float64, and of how many."""
    count = world() * x.numel() // x.shape[1]
    if x.device.type == "cpu":
        sums = np.empty((2, batch, x.shape[1]))
        share_batch(channel_sums, batch, steps_view(dense(x), batch), sums)
        mean, square = all_sum(torch.from_numpy(sums.sum(1))) / count
    else:
        wide = x.double().transpose(0, 1).flatten(1)
        mean, square = all_sum(torch.stack([wide.sum(1), wide.square().sum(1)])) / count
    return mean, (square - mean * mean).clamp_min(0), count


def _check_rows(x: Tensor, steps: int, batch: int) -> None:
    if x.shape[0] not in (batch, steps * batch):
        raise ValueError(f"{x.shape[0]} rows: neither {batch} nor {steps} x {batch}")


def _plain(
    current: Tensor,
    batch: int,
    membrane: Tensor | None,
    steps: int,
    model: NeuronModel,
    pool: int,
    decay: Tensor | None,
) -> tuple[Tensor, Tensor]:
    start = current.new_zeros((batch, *current.shape[1:])) if membrane is None else membrane
    spikes, last = lif_sequence(current.view(-1, *start.shape), steps, model, start, decay)
    flat = spikes.flatten(0, 1)
    return (functional.avg_pool2d(flat, pool) if pool > 1 else flat), last


def _apply(*arguments: Any) -> tuple[Tensor, Tensor]:
    spikes, last = FusedLayer.apply(*arguments)  # type: ignore[no-untyped-call]
    return spikes, last


class FusedLayer(torch.autograd.Function):
    """The kernels as one differentiable operation.

    With g the gradient of the current, x^ = (x - mean) scale and n the values per channel, batch
    normalisation has d/dbias = sum g, d/dweight = sum g x^, and, if the statistics are those of
    x itself, d/dx = gain (g - (sum g + x^ sum g x^) / n). A leak that is learned has
    d/ddecay = sum over t of dL/dH[t] V[t-1], V the membrane after the reset.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        start: Tensor | None,  # None: at rest
        decay: Tensor | None,
        statistics: Statistics,
        from_batch: bool,
        steps: int,
        batch: int,
        model: NeuronModel,
        pool: int,
    ) -> tuple[Tensor, Tensor]:
        x = dense(x)
        gain = statistics.scale if weight is None else weight.detach() * statistics.scale
        shift = -statistics.mean * gain if bias is None else bias - statistics.mean * gain
        ctx.decay = model.decay if decay is None else float(decay)
        membrane, kept, spikes = take_room(ctx, x, start, decay, steps, batch, model, pool)
        kind = scalar(x)
        share_batch(
            lif_forward,
            batch,
            steps_view(x, batch),
            gain.detach().numpy(),
            shift.detach().numpy(),
            steps_view(membrane, batch)[0],
            kind(ctx.decay),
            kind(model.threshold),
            kind(model.width),
            model.reset.zeroes,
            pool,
            ctx.compact,
            steps_view(kept, batch),
            steps_view(spikes, batch),
        )
        ctx.save_for_backward(
            kept, x if weight is not None else None, gain, first_membrane(x, start, decay, batch)
        )
        ctx.statistics, ctx.from_batch = statistics, from_batch
        return spikes, membrane

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        kept, x, gain, start = ctx.saved_tensors
        model, pool, batch = ctx.model, ctx.pool, ctx.batch
        trailing = kept.shape[1:]
        spike_gradient, last_gradient = gradients
        if spike_gradient is None:
            spike_gradient = empty(gain, kept.shape[0], pooled_sides(trailing, pool)).zero_()
        carry = empty(gain, batch, trailing)
        carry.zero_() if last_gradient is None else carry.copy_(last_gradient)
        gradient = empty(gain, ctx.rows, trailing)
        values = empty(gain, 0, trailing) if x is None else x
        first = empty(gain, 0, trailing) if start is None else start
        sums, leak = np.empty((2, batch, trailing[0])), np.empty(batch)
        kind = scalar(gain)
        share_batch(
            lif_backward,
            batch,
            steps_view(dense(spike_gradient), batch),
            steps_view(kept, batch),
            steps_view(carry, batch)[0],
            kind(ctx.decay),
            kind(model.threshold),
            kind(model.width),
            model.reset.zeroes,
            model.detach_reset,
            pool,
            CODES[model.surrogate],
            ctx.compact,
            steps_view(gradient, batch),
            steps_view(values, batch),
            sums,
            steps_view(first, batch).reshape(-1, *steps_view(carry, batch).shape[2:]),
            leak,
        )
        to_weight = to_bias = None
        if x is not None:
            to_weight, to_bias = _through_norm(
                ctx, gradient, x, gain, torch.from_numpy(sums.sum(1))
            )
        to_decay = None if start is None else gain.new_tensor(leak.sum())
        to_start = None if ctx.at_rest else carry
        return gradient, to_weight, to_bias, to_start, to_decay, *[None] * 6


def take_room(
    ctx: Any,
    x: Tensor,
    start: Tensor | None,
    decay: Tensor | None,
    steps: int,
    batch: int,
    model: NeuronModel,
    pool: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Membranes at their start, and room for what the backward pass needs and for the spikes; *ctx*
    is told what ``FusedLayer.backward`` asks of any forward pass."""
    trailing, rectangular = x.shape[1:], model.surrogate is Surrogate.RECTANGULAR
    ctx.compact = rectangular and model.detach_reset and decay is None
    ctx.model, ctx.pool, ctx.batch, ctx.rows = model, pool, batch, x.shape[0]
    ctx.at_rest = start is None
    ctx.set_materialize_grads(False)
    membrane = empty(x, batch, trailing)
    membrane.zero_() if start is None else membrane.copy_(start)
    rows = steps * batch if any(ctx.needs_input_grad) else 0
    kept = empty(x, rows, trailing, torch.int8 if ctx.compact else None)
    return membrane, kept, empty(x, steps * batch, pooled_sides(trailing, pool))


def first_membrane(
    x: Tensor, start: Tensor | None, decay: Tensor | None, batch: int
) -> Tensor | None:
    """The membranes before the first step, where the gradient of a learned leak needs them."""
    if decay is None or not decay.requires_grad:
        return None
    return empty(x, batch, x.shape[1:]).zero_() if start is None else dense(start)


def _through_norm(
    ctx: Any, gradient: Tensor, x: Tensor, gain: Tensor, sums: Tensor
) -> tuple[Tensor, Tensor]:
    """Turn the current's gradient into that of x, in place; returns those of weight and bias.

    *sums* (2, C) are those of g and g x over this process's share.
    """
    mean, scale = ctx.statistics.mean.double(), ctx.statistics.scale.double()
    to_bias, to_weight = sums[0], (sums[1] - mean * sums[0]) * scale
    slope, offset = torch.zeros_like(gain), torch.zeros_like(gain)
    if ctx.from_batch:
        whole = all_sum(torch.stack([to_bias, to_weight]))
        share = gain.double() / (world() * x.numel() // x.shape[1])
        slope = -share * scale * whole[1]
        offset = -share * whole[0] - slope * mean
    channels = (gain, slope.to(x.dtype), offset.to(x.dtype))
    views = steps_view(gradient, ctx.batch), steps_view(x, ctx.batch)
    share_batch(gradient_of_input, ctx.batch, *views, *(channel.numpy() for channel in channels))
    return to_weight.to(x.dtype), to_bias.to(x.dtype)


def average_pool(x: Tensor, pool: int) -> Tensor:
    """Means over ``pool x pool`` windows of (rows, C, H, W); incomplete ones are dropped."""
    if x.device.type != "cpu" or x.dtype not in (torch.float32, torch.float64):
        return functional.avg_pool2d(x, pool)
    pooled: Tensor = AveragePooling.apply(x, pool)  # type: ignore[no-untyped-call]
    return pooled


class AveragePooling(torch.autograd.Function):
    """torch's own is a scalar loop for channels-last tensors."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, pool: int) -> Tensor:
        ctx.pool, ctx.trailing, rows = pool, x.shape[1:], x.shape[0]
        result = empty(x, rows, pooled_sides(x.shape[1:], pool))
        views = steps_view(dense(x), rows), x.shape[1], pool, steps_view(result, rows)
        share_batch(pool_forward, rows, *views)
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        rows = gradients[0].shape[0]
        result = empty(gradients[0], rows, ctx.trailing)
        pooled = steps_view(dense(gradients[0]), rows)
        views = pooled, ctx.trailing[0], ctx.pool, steps_view(result, rows)
        share_batch(pool_backward, rows, *views)
        return result, None
