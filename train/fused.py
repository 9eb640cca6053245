"""A whole layer's spikes over all steps in one call: normalisation, neurons and pooling.

On the CPU numba kernels work on the tensors' memory; elsewhere the plain recurrence of
``tssd.train.neuron`` runs. Both give the same spikes, and gradients equal to rounding.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from tssd.train.float_network import Reset
from tssd.train.lif_kernels import (
    Array,
    channel_sums,
    gradient_of_input,
    gradient_sums,
    lif_backward,
    lif_forward,
)
from tssd.train.neuron import NeuronModel, lif_sequence

BatchNorm: TypeAlias = nn.BatchNorm1d | nn.BatchNorm2d


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
) -> tuple[Tensor, Tensor]:
    """Spikes of *steps* steps, averaged over ``pool x pool`` windows, and the last membrane.

    *current* is (steps * batch, C, H, W) or (steps * batch, N), time-major, or (batch, ...) when
    it is the same at every step. Returns (steps * batch, C, H // pool, W // pool) and
    (batch, C, H, W), or the same without the image axes.
    """
    start = _start(current, steps, batch, membrane)
    if current.device.type != "cpu":
        return _plain(current, start, steps, model, pool)
    unit = current.new_ones(current.shape[1])
    statistics = Statistics(torch.zeros_like(unit), unit)
    return _apply(current, None, None, start, statistics, False, steps, model, pool)


def fused_norm_lif(
    x: Tensor,
    norm: BatchNorm,
    steps: int,
    batch: int,
    model: NeuronModel,
    pool: int = 1,
    membrane: Tensor | None = None,
    statistics: Statistics | None = None,
) -> tuple[Tensor, Tensor, Statistics]:
    """``fused_lif`` of batch-normalised *x*, and the statistics that were used.

    Without *statistics* they are those of *x* in training (the running ones are updated), the
    running ones in evaluation. Given statistics count as constants.
    """
    start = _start(x, steps, batch, membrane)
    from_batch = statistics is None and norm.training
    if x.device.type != "cpu":
        current, used = normalise(norm, x, statistics)
        return *_plain(current, start, steps, model, pool), used
    used = statistics or (batch_statistics(norm, x, batch) if from_batch else running(norm))
    spikes, last = _apply(x, norm.weight, norm.bias, start, used, from_batch, steps, model, pool)
    return spikes, last, used


def normalise(
    norm: BatchNorm, x: Tensor, statistics: Statistics | None = None
) -> tuple[Tensor, Statistics]:
    """Batch normalisation by torch, and its statistics; given ones count as constants."""
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


def running(norm: BatchNorm) -> Statistics:
    """The statistics of evaluation mode."""
    if norm.running_mean is None or norm.running_var is None:
        raise ValueError("batch normalisation without running statistics")
    return Statistics(norm.running_mean.clone(), (norm.running_var + norm.eps).rsqrt())


@torch.no_grad()
def batch_statistics(norm: BatchNorm, x: Tensor, batch: int) -> Statistics:
    """The statistics of *x*; the running ones move towards them by the norm's momentum."""
    count = x.numel() // x.shape[1]
    sums = np.empty((2, batch, x.shape[1]))
    _share(channel_sums, batch, _steps_view(_dense(x), batch), sums)
    mean, square = torch.from_numpy(sums.sum(1) / count)
    variance = (square - mean * mean).clamp_min_(0)
    if norm.running_mean is not None and norm.running_var is not None:
        momentum = norm.momentum if norm.momentum is not None else 0.1
        unbiased = variance * (count / max(count - 1, 1))
        norm.running_mean.lerp_(mean.to(x.dtype), momentum)
        norm.running_var.lerp_(unbiased.to(x.dtype), momentum)
    return Statistics(mean.to(x.dtype), (variance + norm.eps).rsqrt().to(x.dtype))


def _start(x: Tensor, steps: int, batch: int, membrane: Tensor | None) -> Tensor:
    if x.shape[0] not in (batch, steps * batch):
        raise ValueError(f"{x.shape[0]} rows: neither {batch} nor {steps} x {batch}")
    return x.new_zeros((batch, *x.shape[1:])) if membrane is None else membrane


def _plain(
    current: Tensor, start: Tensor, steps: int, model: NeuronModel, pool: int
) -> tuple[Tensor, Tensor]:
    spikes, last = lif_sequence(current.view(-1, *start.shape), steps, model, start)
    flat = spikes.flatten(0, 1)
    return (functional.avg_pool2d(flat, pool) if pool > 1 else flat), last


def _apply(*arguments: Any) -> tuple[Tensor, Tensor]:
    spikes, last = FusedLayer.apply(*arguments)  # type: ignore[no-untyped-call]
    return spikes, last


class FusedLayer(torch.autograd.Function):
    """The kernels as one differentiable operation.

    With g the gradient of the current, x^ = (x - mean) scale and n the values per channel, batch
    normalisation has d/dbias = sum g, d/dweight = sum g x^, and, if the statistics are those of
    x itself, d/dx = gain (g - (sum g + x^ sum g x^) / n).
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        start: Tensor,
        statistics: Statistics,
        from_batch: bool,
        steps: int,
        model: NeuronModel,
        pool: int,
    ) -> tuple[Tensor, Tensor]:
        batch, trailing = start.shape[0], x.shape[1:]
        x = _dense(x)
        gain = statistics.scale if weight is None else weight.detach() * statistics.scale
        shift = -statistics.mean * gain if bias is None else bias - statistics.mean * gain
        membrane = _dense(start).clone()
        integrated = _empty(x, steps * batch if any(ctx.needs_input_grad) else 0, trailing)
        pooled = (trailing[0], *(n // pool for n in trailing[1:]))
        spikes = _empty(x, steps * batch, pooled)
        kind = _scalar(x)
        _share(
            lif_forward,
            batch,
            _steps_view(x, batch),
            gain.detach().numpy(),
            shift.detach().numpy(),
            _steps_view(membrane, batch)[0],
            kind(model.decay),
            kind(model.threshold),
            model.reset is Reset.HARD,
            pool,
            _steps_view(integrated, batch),
            _steps_view(spikes, batch),
        )
        ctx.save_for_backward(integrated, x if weight is not None else None, gain)
        ctx.statistics, ctx.from_batch = statistics, from_batch
        ctx.model, ctx.pool, ctx.batch, ctx.rows = model, pool, batch, x.shape[0]
        ctx.set_materialize_grads(False)
        return spikes, membrane

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        integrated, x, gain = ctx.saved_tensors
        model, pool, batch = ctx.model, ctx.pool, ctx.batch
        trailing = integrated.shape[1:]
        spike_gradient, last_gradient = gradients
        if spike_gradient is None:
            pooled = (trailing[0], *(n // pool for n in trailing[1:]))
            spike_gradient = _empty(integrated, integrated.shape[0], pooled).zero_()
        carry = _empty(integrated, batch, trailing)
        carry.zero_() if last_gradient is None else carry.copy_(last_gradient)
        gradient = _empty(integrated, ctx.rows, trailing)
        kind = _scalar(integrated)
        _share(
            lif_backward,
            batch,
            _steps_view(_dense(spike_gradient), batch),
            _steps_view(integrated, batch),
            _steps_view(carry, batch)[0],
            kind(model.decay),
            kind(model.threshold),
            kind(model.width),
            model.reset is Reset.HARD,
            model.detach_reset,
            pool,
            _steps_view(gradient, batch),
        )
        to_weight = to_bias = None
        if x is not None:
            to_weight, to_bias = _through_norm(ctx, gradient, x, gain)
        return gradient, to_weight, to_bias, carry, None, None, None, None, None


def _through_norm(ctx: Any, gradient: Tensor, x: Tensor, gain: Tensor) -> tuple[Tensor, Tensor]:
    """Turn the current's gradient into that of x, in place; returns those of weight and bias."""
    batch, statistics = ctx.batch, ctx.statistics
    mean, scale = statistics.mean.double(), statistics.scale.double()
    views = _steps_view(gradient, batch), _steps_view(x, batch)
    sums = np.empty((2, batch, x.shape[1]))
    _share(gradient_sums, batch, *views, sums)
    to_bias, with_x = torch.from_numpy(sums.sum(1))
    to_weight = (with_x - mean * to_bias) * scale
    slope, offset = torch.zeros_like(gain), torch.zeros_like(gain)
    if ctx.from_batch:
        share = gain.double() / (x.numel() // x.shape[1])
        slope = -share * scale * to_weight
        offset = -share * to_bias - slope * mean
    channels = (gain, slope.to(x.dtype), offset.to(x.dtype))
    _share(gradient_of_input, batch, *views, *(channel.numpy() for channel in channels))
    return to_weight.to(x.dtype), to_bias.to(x.dtype)


def _dense(tensor: Tensor) -> Tensor:
    """*tensor* with channels last in memory (an image) or contiguous (a vector)."""
    if tensor.dim() == 4:
        return tensor.contiguous(memory_format=torch.channels_last)
    return tensor.contiguous()


def _empty(like: Tensor, rows: int, trailing: tuple[int, ...]) -> Tensor:
    form = torch.channels_last if len(trailing) == 3 else torch.contiguous_format
    return torch.empty((rows, *trailing), dtype=like.dtype, memory_format=form)


def _steps_view(tensor: Tensor, batch: int) -> Array:
    """The memory of *tensor* as (T, B, H, W, C)."""
    data = tensor.detach()
    if data.dim() == 4:
        rows, channels, height, width = data.shape
        view = data.permute(0, 2, 3, 1)
        return view.reshape(rows // batch, batch, height, width, channels).numpy()
    return data.reshape(data.shape[0] // batch, batch, 1, 1, data.shape[1]).numpy()


def _scalar(tensor: Tensor) -> Any:
    return tensor.detach().new_empty(0).numpy().dtype.type


def _share(kernel: Callable[..., None], batch: int, *arguments: Any) -> None:
    """Run *kernel* on the samples 0..batch, split over as many threads as torch uses."""
    threads = min(torch.get_num_threads(), batch)
    if threads == 1:
        kernel(0, batch, *arguments)
        return
    cuts = [batch * i // threads for i in range(threads + 1)]
    calls = [_pool().submit(kernel, *cut, *arguments) for cut in pairwise(cuts)]
    for call in calls:
        call.result()


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(thread_name_prefix="lif")
