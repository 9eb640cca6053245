"""``fused_lif``: spikes of a whole layer over all steps, with its average pooling, in one call.

On the CPU numba kernels work on the tensors' memory; elsewhere the plain recurrence of
``tssd.train.neuron`` runs. Both give the same spikes, and gradients equal to rounding.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as functional
from torch import Tensor

from tssd.train.float_network import Reset
from tssd.train.lif_kernels import Array, lif_backward, lif_forward
from tssd.train.neuron import NeuronModel, lif_sequence


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
    if current.shape[0] not in (batch, steps * batch):
        raise ValueError(f"{current.shape[0]} rows: neither {batch} nor {steps} x {batch}")
    start = current.new_zeros((batch, *current.shape[1:])) if membrane is None else membrane
    if current.device.type == "cpu":
        spikes, last = FusedLif.apply(current, start, steps, model, pool)  # type: ignore[no-untyped-call]
        return spikes, last
    return _plain(current, start, steps, model, pool)


def _plain(
    current: Tensor, start: Tensor, steps: int, model: NeuronModel, pool: int
) -> tuple[Tensor, Tensor]:
    spikes, last = lif_sequence(current.view(-1, *start.shape), steps, model, start)
    flat = spikes.flatten(0, 1)
    return (functional.avg_pool2d(flat, pool) if pool > 1 else flat), last


class FusedLif(torch.autograd.Function):
    """The kernels as one differentiable operation."""

    @staticmethod
    def forward(
        ctx: Any, current: Tensor, start: Tensor, steps: int, model: NeuronModel, pool: int
    ) -> tuple[Tensor, Tensor]:
        batch, trailing = start.shape[0], current.shape[1:]
        needed = ctx.needs_input_grad[0] or ctx.needs_input_grad[1]
        membrane = _dense(start).clone()
        integrated = _empty(current, steps * batch if needed else 0, trailing)
        pooled = (trailing[0], *(n // pool for n in trailing[1:]))
        spikes = _empty(current, steps * batch, pooled)
        kind = _scalar(current)
        _share(
            lif_forward,
            batch,
            _steps_view(_dense(current), batch),
            _steps_view(membrane, batch)[0],
            kind(model.decay),
            kind(model.threshold),
            model.reset is Reset.HARD,
            pool,
            _steps_view(integrated, batch),
            _steps_view(spikes, batch),
        )
        ctx.save_for_backward(integrated)
        ctx.model, ctx.pool, ctx.batch, ctx.rows = model, pool, batch, current.shape[0]
        ctx.set_materialize_grads(False)
        return spikes, membrane

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor, Tensor, None, None, None]:
        (integrated,) = ctx.saved_tensors
        model, pool, batch = ctx.model, ctx.pool, ctx.batch
        trailing = integrated.shape[1:]
        spike_gradient, last_gradient = gradients
        if spike_gradient is None:
            pooled = (trailing[0], *(n // pool for n in trailing[1:]))
            spike_gradient = _empty(integrated, integrated.shape[0], pooled).zero_()
        carry = _empty(integrated, batch, trailing)
        carry.zero_() if last_gradient is None else carry.copy_(last_gradient)
        gradient = _empty(integrated, ctx.rows, trailing).zero_()
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
        return gradient, carry, None, None, None


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
