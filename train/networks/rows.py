"""The memory of a layer's tensors as kernels see it: rows, channels last, shared by threads; and
the linear maps that torch's own calls do slowly, or wrongly, in this order."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from tssd.arrays import Array


def pooled_sides(trailing: tuple[int, ...], pool: int) -> tuple[int, ...]:
    """(C, H, W) -> (C, H // pool, W // pool)."""
    return (trailing[0], *(n // pool for n in trailing[1:]))


def dense(tensor: Tensor) -> Tensor:
    """*tensor* with channels last in memory (an image) or contiguous (a vector)."""
    if tensor.dim() == 4:
        return tensor.contiguous(memory_format=torch.channels_last)
    return tensor.contiguous()


def empty(
    like: Tensor, rows: int, trailing: tuple[int, ...], dtype: torch.dtype | None = None
) -> Tensor:
    form = torch.channels_last if len(trailing) == 3 else torch.contiguous_format
    return torch.empty((rows, *trailing), dtype=dtype or like.dtype, memory_format=form)


def steps_view(tensor: Tensor, batch: int) -> Array:
    """The memory of *tensor* as (T, B, H, W * C)."""
    data = tensor.detach()
    rows, channels, height, width = (*data.shape, 1, 1)[:4]
    last = data.permute(0, 2, 3, 1) if data.dim() == 4 else data
    return last.reshape(rows // batch, batch, height, width * channels).numpy()


def dense_map(weight: Tensor, bias: Tensor | None, data: Tensor) -> Tensor:
    """A linear map of (rows, C, H, W): the weights change their order, not the larger data."""
    if data.dim() == 2:
        return functional.linear(data, weight, bias)
    rows, *shape = data.shape
    ordered = weight.view(-1, *shape).permute(0, 2, 3, 1).reshape(len(weight), -1)
    return functional.linear(data.permute(0, 2, 3, 1).reshape(rows, -1), ordered, bias)


def image_map(
    weight: Tensor,
    bias: Tensor | None,
    data: Tensor,
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    groups: int = 1,
) -> Tensor:
    """A convolution without dilation; a 1 x 1 kernel gets only the pixels that it meets.

    Torch 2.13 on one thread writes outside of the weights' gradient if such a convolution has a
    stride and few channels, channels last: the process dies, or learns from what it overwrote.
    """
    if weight.shape[2:] != (1, 1):
        return functional.conv2d(data, weight, bias, stride, padding, groups=groups)
    high, wide = padding
    padded = functional.pad(data, (wide, wide, high, high)) if any(padding) else data
    met = padded[..., :: stride[0], :: stride[1]]
    return functional.conv2d(met, weight, bias, groups=groups)


def scalar(tensor: Tensor) -> Any:
    return tensor.detach().new_empty(0).numpy().dtype.type


def share_batch(kernel: Callable[..., None], batch: int, *arguments: Any) -> None:
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
