"""How weights become whole: each to the nearest, or so that their errors cancel in the currents.

    nearest      n = clip(round(S w))
    compensated  least  sum over x of ((S w - n) x)**2  greedily, weight after weight: with
                 H = mean of x x^T over what really arrives and U the upper Cholesky factor of H^-1

                     n_i = clip(round(S w_i))      w_k <- w_k - (w_i - n_i / S) U_ik / U_ii,  k > i

The second is the one-shot second-order rounding of Optimal Brain Compression (Frantar and
Alistarh, arXiv 2208.11580) in the form of GPTQ (arXiv 2210.17323), as OSBC does for spiking nets.
Blocks of at most ``BLOCK`` inputs, each compensated on its own, are *ours*: they bound the work.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from tssd.arrays import Array
from tssd.train.handover.float_network import FloatArray, FloatProjection
from tssd.train.handover.geometry import axes

DAMPING = 0.01  # of the mean square of an input: GPTQ's
BLOCK = 2048  # inputs whose weights compensate each other
SEEN = 30_000  # places (sample, step, target) that H is a mean over


@dataclass(frozen=True, eq=False)
class InputBlock:
    """Inputs whose weights compensate each other: those that carry most come first in ``order``,
    ``factor`` is U. It depends on what arrives alone, on no width."""

    order: Tensor
    factor: Tensor


def input_blocks(projection: FloatProjection, sent: Tensor) -> tuple[tuple[InputBlock, ...], ...]:
    """The blocks of each group of *projection*; *sent* (T or 1, N, *source shape) is what
    arrives."""
    return tuple(
        tuple(_block(inputs) for inputs in torch.split(seen, BLOCK))
        for seen in _seen(projection, sent)
    )


def compensated(
    projection: FloatProjection,
    groups: Sequence[Sequence[InputBlock]],
    scales: FloatArray,
    largest: int,
) -> Array:
    """Whole weights of *projection*, like its own in shape; *groups*: its ``input_blocks``,
    *scales* (outputs or output channels,) S of each row, *largest* the clip."""
    outputs = len(projection.weight)
    rows = torch.tensor(projection.weight.reshape(outputs, -1), dtype=torch.float64)
    steps = torch.tensor(scales, dtype=torch.float64)
    parts = torch.arange(outputs).chunk(projection.groups)
    found = [
        _whole_rows(rows[part], steps[part], blocks, largest)
        for part, blocks in zip(parts, groups, strict=True)
    ]
    return torch.cat(found).numpy().reshape(projection.weight.shape)


def _seen(projection: FloatProjection, sent: Tensor) -> list[Tensor]:
    """(inputs of one target, places) of each group: what targets see, at random places."""
    chosen = torch.Generator().manual_seed(0)
    samples = sent.flatten(0, 1)
    samples = samples[torch.randperm(len(samples), generator=chosen)]
    if not projection.kind.spatial:
        return [samples[:SEEN].flatten(1).T.double()]
    places = max(1, samples[0, 0].numel() // (projection.stride[0] * projection.stride[1]))
    samples = _spread(projection, samples[: -(-SEEN // places)])
    high, wide = axes(projection)
    parts = samples.chunk(projection.groups, dim=1)
    return [
        functional.unfold(
            part,
            (high.taps, wide.taps),
            dilation=(high.dilation, wide.dilation),
            padding=(high.padding, wide.padding),
            stride=(high.stride, wide.stride),
        )
        .transpose(0, 1)
        .flatten(1)
        .double()
        for part in parts
    ]


def _spread(projection: FloatProjection, samples: Tensor) -> Tensor:
    """The source with the zeros between its places that a transposed convolution puts there."""
    high, wide = axes(projection)
    if high.spread == wide.spread == 1:
        return samples
    rows, columns = samples.shape[2:]
    size = ((rows - 1) * high.spread + 1, (columns - 1) * wide.spread + 1)
    whole = samples.new_zeros((*samples.shape[:2], *size))
    whole[:, :, :: high.spread, :: wide.spread] = samples
    return whole


def _whole_rows(rows: Tensor, scales: Tensor, blocks: Sequence[InputBlock], largest: int) -> Tensor:
    pairs = zip(torch.split(rows, BLOCK, dim=1), blocks, strict=True)
    return torch.cat([_whole_block(part, scales, b, largest) for part, b in pairs], dim=1)


def _whole_block(rows: Tensor, scales: Tensor, block: InputBlock, largest: int) -> Tensor:
    """The inputs that carry most come first: those behind them make up for their errors."""
    order, factor = block.order, block.factor
    rest, whole = rows[:, order].clone(), torch.empty_like(rows)
    for i in range(rows.shape[1]):
        n = (scales * rest[:, i] + 0.5).floor().clamp(-largest, largest)
        error = (rest[:, i] - n / scales) / factor[i, i]
        rest[:, i + 1 :] -= error[:, None] * factor[i, i + 1 :]
        whole[:, order[i]] = n
    return whole


def _block(seen: Tensor) -> InputBlock:
    products = seen @ seen.T / seen.shape[1]
    order = torch.argsort(products.diagonal(), descending=True)
    return InputBlock(order, _factor(products[order][:, order]))


def _factor(products: Tensor) -> Tensor:
    """U of the damped H: upper triangular, U^T U = H^-1."""
    mean = float(products.diagonal().mean())
    damped = products + (DAMPING * mean or 1.0) * torch.eye(len(products), dtype=products.dtype)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(damped))
    factor: Tensor = torch.linalg.cholesky(inverse, upper=True)
    return factor
