"""How weights become whole: each to the nearest, or so that their errors cancel in the currents.

    nearest      n = clip(round(S w))
    compensated  least  sum over x of ((S w - n) x)**2  greedily, weight after weight: with
                 H = mean of x x^T over what really arrives and U the upper Cholesky factor of H^-1

                     n_i = clip(round(S w_i))      w_k <- w_k - (w_i - n_i / S) U_ik / U_ii,  k > i

The second is the one-shot second-order rounding of Optimal Brain Compression (Frantar and
Alistarh, arXiv 2208.11580) in the form of GPTQ (arXiv 2210.17323), as OSBC does for spiking nets.
Blocks of at most ``BLOCK`` inputs, each compensated on its own, are *ours*: they bound the work.
"""

import torch
from torch import Tensor
from torch.nn import functional

from tssd.arrays import Array
from tssd.train.handover.float_network import FloatArray, FloatProjection
from tssd.train.handover.geometry import axes

DAMPING = 0.01  # of the mean square of an input: GPTQ's
BLOCK = 2048  # inputs whose weights compensate each other
SEEN = 30_000  # places (sample, step, target) that H is a mean over


def compensated(
    projection: FloatProjection, sent: Tensor, scales: FloatArray, largest: int
) -> Array:
    """Whole weights of *projection*, like its own in shape; *sent* (T or 1, N, *source shape) is
    what arrives, *scales* (outputs or output channels,) S of each row, *largest* the clip."""
    outputs, groups = len(projection.weight), projection.groups
    rows = torch.tensor(projection.weight.reshape(outputs, -1), dtype=torch.float64)
    steps = torch.tensor(scales, dtype=torch.float64)
    found = [
        _whole_rows(rows[part], steps[part], inputs, largest)
        for part, inputs in zip(
            torch.arange(outputs).chunk(groups), _seen(projection, sent), strict=True
        )
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


def _whole_rows(rows: Tensor, scales: Tensor, seen: Tensor, largest: int) -> Tensor:
    blocks = zip(torch.split(rows, BLOCK, dim=1), torch.split(seen, BLOCK), strict=True)
    made = [_whole_block(block, scales, inputs, largest) for block, inputs in blocks]
    return torch.cat(made, dim=1)


def _whole_block(rows: Tensor, scales: Tensor, seen: Tensor, largest: int) -> Tensor:
    """The inputs that carry most come first: those behind them make up for their errors."""
    products = seen @ seen.T / seen.shape[1]
    order = torch.argsort(products.diagonal(), descending=True)
    factor = _factor(products[order][:, order])
    rest, whole = rows[:, order].clone(), torch.empty_like(rows)
    for i in range(rows.shape[1]):
        n = (scales * rest[:, i] + 0.5).floor().clamp(-largest, largest)
        error = (rest[:, i] - n / scales) / factor[i, i]
        rest[:, i + 1 :] -= error[:, None] * factor[i, i + 1 :]
        whole[:, order[i]] = n
    return whole


def _factor(products: Tensor) -> Tensor:
    """U of the damped H: upper triangular, U^T U = H^-1."""
    mean = float(products.diagonal().mean())
    damped = products + (DAMPING * mean or 1.0) * torch.eye(len(products), dtype=products.dtype)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(damped))
    factor: Tensor = torch.linalg.cholesky(inverse, upper=True)
    return factor
