"""Data-parallel training: what the processes that torchrun started exchange.

Every process holds the whole network and an equal share of each batch. Logits are gathered, so all
of them compute the loss of the whole batch; a process's gradients are those that flow through its
own share, and their sum over the processes is the gradient. Sums for batch normalisation are added
up over the processes too. One process of the whole batch computes the same, up to rounding.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


def active() -> bool:
    return dist.is_available() and dist.is_initialized()


def world() -> int:
    """The number of processes."""
    return dist.get_world_size() if active() else 1


def rank() -> int:
    """This process's number; 0 writes files and reports."""
    return dist.get_rank() if active() else int(os.environ["RANK"]) if launched() else 0


def launched() -> bool:
    """Whether torchrun started this process beside others."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


@contextmanager
def group(device: str) -> Iterator[str]:
    """Join the processes that torchrun started, if it did; yields this one's device."""
    if not launched() or active():
        yield device
        return
    on_gpu = device.startswith("cuda")
    dist.init_process_group("nccl" if on_gpu else "gloo")
    try:
        yield f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if on_gpu else device
    finally:
        dist.destroy_process_group()


def all_sum(tensor: Tensor) -> Tensor:
    """The sum over the processes, in place, without gradient."""
    if active():
        dist.all_reduce(tensor)
    return tensor


class _Sum(torch.autograd.Function):
    """The sum over the processes; every process's gradient of it counts."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        return all_sum(tensor.detach().clone())

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return all_sum(gradients[0].clone())


class _Gather(torch.autograd.Function):
    """All processes' tensors, joined; the loss behind it is the same everywhere."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, dim: int) -> Tensor:
        ctx.dim, ctx.size = dim, tensor.shape[dim]
        parts = [torch.empty_like(tensor) for _ in range(world())]
        dist.all_gather(parts, tensor.contiguous())
        return torch.cat(parts, dim)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0].narrow(ctx.dim, rank() * ctx.size, ctx.size), None


def summed(tensor: Tensor) -> Tensor:
    """The differentiable sum over the processes."""
    if not active():
        return tensor
    result: Tensor = _Sum.apply(tensor)  # type: ignore[no-untyped-call]
    return result


def gathered(tensor: Tensor, dim: int) -> Tensor:
    """The shares of all processes, joined along *dim*, in the order of the processes."""
    if not active():
        return tensor
    result: Tensor = _Gather.apply(tensor, dim)  # type: ignore[no-untyped-call]
    return result


def mean_over_processes(tensor: Tensor) -> Tensor:
    """The mean of a replicated penalty's input, whose gradient stays each process's own.

    The penalty behind it is computed by every process and their gradients are summed, so the
    gradient that flows back is this process's share alone.
    """
    if not active():
        return tensor
    others = all_sum(tensor.detach().clone()) - tensor.detach()
    return (tensor + others) / world()


def sum_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Add up the gradients over the processes, in one message."""
    if not active():
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = all_sum(torch.cat([gradient.flatten() for gradient in gradients]))
    offset = 0
    for gradient in gradients:
        gradient.copy_(flat[offset : offset + gradient.numel()].view_as(gradient))
        offset += gradient.numel()


def largest(number: int, device: torch.device) -> int:
    """The largest *number* of any process."""
    if not active():
        return number
    told = torch.tensor(number, device=device)
    dist.all_reduce(told, dist.ReduceOp.MAX)
    return int(told)


def wait() -> None:
    """Until every process is here."""
    if active():
        dist.barrier()
