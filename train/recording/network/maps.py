"""A linear map between two populations as one projection: recognised by what it does.

Plain layers are taken as they are. Anything else that is linear, however many operations long, is
asked: the rows of one output position are its kernel, two neighbours give the stride, and the
convolution found must then equal the whole map on random values (which two different linear maps
never do). A map whose transpose is a convolution is a transposed convolution. What is neither
becomes a dense matrix, found by unit vectors, if it is small.

Exact in real arithmetic; a chain of maps becomes one, with weights multiplied in float64.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from tssd.train.handover.float_network import FloatArray, ProjectionKind
from tssd.train.handover.geometry import turned
from tssd.train.recording.tape.values import Op, Shape

Chain = tuple[Op, ...]

DENSE_WEIGHTS_MAX = 1 << 24  # 128 MiB of float64: larger matrices are not made from other layers
PROBES = 3
AT_ONCE = 256  # unit vectors of one batch
ROUNDING = 1e-9  # of float64 sums, relative to the largest value


@dataclass(frozen=True, eq=False)
class Linear:
    """The weights of one projection, without source and target."""

    kind: ProjectionKind
    weight: FloatArray
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    def scaled(self, rows: FloatArray) -> "Linear":
        """Each output (channel) times its factor."""
        size = (-1,) + (1,) * (self.weight.ndim - 1)
        return Linear(
            self.kind,
            self.weight * rows.reshape(size),
            self.stride,
            self.padding,
            self.dilation,
            self.groups,
        )


def image(shape: Shape) -> Shape | None:
    """(C, H, W) of an image or a line (C, L); None of anything else."""
    if len(shape) == 2:
        return (shape[0], 1, shape[1])
    return shape if len(shape) == 3 else None


def applied(chains: Sequence[Chain], x: Tensor, out: Shape) -> Tensor:
    """The sum of the chains: (n, *in) -> (n, *out)."""
    total = x.new_zeros((len(x), *out))
    for chain in chains:
        y = x
        for op in chain:
            y = op.apply(y)
        total = total + y.reshape(len(x), *out)
    return total


def as_convolution(
    chains: Sequence[Chain], feat: Shape, source: Shape, target: Shape
) -> Linear | None:
    """The convolution of (C, H, W) *source* to *target* that the chains are, or the transposed
    one, if they are one.

    ``feat`` is the shape that the chains take.
    """
    if len(chains) == 1:
        plain = _plain_convolution(chains[0], source, target)
        if plain is not None:
            return plain
    return _found(chains, feat, source, target) or _transposed(chains, feat, source, target)


def as_matrix(chains: Sequence[Chain], feat: Shape, outputs: int) -> Linear | None:
    """The dense matrix (outputs, inputs); None where it would be too large."""
    if len(chains) == 1:
        plain = _plain_matrix(chains[0], feat)
        if plain is not None:
            return plain
    inputs = prod(feat)
    if inputs * outputs > DENSE_WEIGHTS_MAX:
        return None
    made = _by_rows if outputs < inputs else _by_columns
    return Linear(ProjectionKind.DENSE, made(chains, feat, inputs, outputs))


def _by_columns(chains: Sequence[Chain], feat: Shape, inputs: int, outputs: int) -> FloatArray:
    weight = np.zeros((outputs, inputs))
    for first in range(0, inputs, AT_ONCE):
        units = torch.eye(inputs, dtype=torch.float64)[first : first + AT_ONCE]
        with torch.no_grad():
            columns = applied(chains, units.reshape(-1, *feat), (outputs,))
        weight[:, first : first + AT_ONCE] = columns.T.numpy()
    return weight


def _by_rows(chains: Sequence[Chain], feat: Shape, inputs: int, outputs: int) -> FloatArray:
    """The map backwards: what each output reads."""
    weight = np.zeros((outputs, inputs))
    for first in range(0, outputs, AT_ONCE):
        some = torch.arange(first, min(first + AT_ONCE, outputs))
        x = torch.zeros((len(some), *feat), dtype=torch.float64, requires_grad=True)
        with torch.enable_grad():
            y = applied(chains, x, (outputs,))
            (rows,) = torch.autograd.grad(y[torch.arange(len(some)), some].sum(), x)
        weight[first : first + AT_ONCE] = rows.reshape(len(some), -1).numpy()
    return weight


def diagonal(factors: FloatArray, shape: Shape) -> Linear | None:
    """Each neuron to its like, times a factor (*shape): per channel in an image."""
    if len(shape) == 1:
        return Linear(ProjectionKind.DENSE, np.diag(np.broadcast_to(factors, shape)))
    full = np.broadcast_to(factors, shape).reshape(shape[0], -1)
    if np.any(full != full[:, :1]):
        return None
    weight = full[:, :1].reshape(-1, 1, 1, 1).copy()
    return Linear(ProjectionKind.CONV2D, weight, groups=shape[0])


# ---------------------------------------------------------------- plain layers


def _moving(chain: Chain) -> list[Op]:
    return [op for op in chain if op.kind != "reshape"]


def _plain_matrix(chain: Chain, feat: Shape) -> Linear | None:
    """Factors, one dense layer, factors."""
    ops = _moving(chain)
    dense = [op for op in ops if op.kind == "dense"]
    if len(dense) != 1 or any(op.kind not in ("dense", "scale") for op in ops):
        return None
    weight: FloatArray = dense[0].constants[0].numpy()
    place, here = ops.index(dense[0]), feat
    for op in chain[: chain.index(dense[0])]:
        if op.kind == "scale":
            weight = weight * np.broadcast_to(op.constants[0].numpy(), here).reshape(1, -1)
        here = op.out
    if prod(here) != weight.shape[1] or len(here) != 1:
        return None
    for op in ops[place + 1 :]:
        weight = weight * np.broadcast_to(op.constants[0].numpy(), op.out).reshape(-1, 1)
    return Linear(ProjectionKind.DENSE, weight)


def _plain_convolution(chain: Chain, source: Shape, target: Shape) -> Linear | None:
    """One convolution and factors per channel, or factors alone."""
    ops = _moving(chain)
    if any(op.kind not in ("convolution", "scale") for op in ops):
        return None
    layers = [op for op in ops if op.kind == "convolution"]
    if not layers:
        return _scales_alone(ops, source, target)
    if len(layers) != 1 or ops[0] is not layers[0]:
        return None
    made = _layer(layers[0])
    if made is None or _sizes(made, source) != target[1:] or len(made.weight) != target[0]:
        return None
    for op in ops[1:]:
        rows = _per_channel(op)
        if rows is None:
            return None
        made = made.scaled(rows)
    return made


def _scales_alone(ops: Sequence[Op], source: Shape, target: Shape) -> Linear | None:
    if source != target:
        return None
    factors = np.ones(source)
    for op in ops:
        factors = factors * np.broadcast_to(op.constants[0].numpy(), op.out).reshape(source)
    return diagonal(factors, source)


def _per_channel(op: Op) -> FloatArray | None:
    full = np.broadcast_to(op.constants[0].numpy(), op.out)
    if len(op.out) not in (2, 3):
        return None
    flat: FloatArray = full.reshape(op.out[0], -1)
    return None if np.any(flat != flat[:, :1]) else flat[:, 0].copy()


def _layer(op: Op) -> Linear | None:
    stride, padding, dilation, transposed, _, groups = op.settings
    weight: FloatArray = op.constants[0].numpy()
    if transposed or weight.ndim not in (3, 4):
        return None
    line = weight.ndim == 3
    return Linear(
        ProjectionKind.CONV2D,
        weight[:, :, None, :] if line else weight,
        _pair(stride, line, 1),
        _pair(padding, line, 0),
        _pair(dilation, line, 1),
        int(groups),  # type: ignore[call-overload]
    )


def _pair(values: object, line: bool, along: int) -> tuple[int, int]:
    numbers = [int(v) for v in values]  # type: ignore[attr-defined]
    return (along, numbers[0]) if line else (numbers[0], numbers[-1])


def _sizes(made: Linear, source: Shape) -> tuple[int, ...]:
    parts = zip(
        source[1:], made.weight.shape[2:], made.stride, made.padding, made.dilation, strict=True
    )
    return tuple((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in parts)


# ---------------------------------------------------------------- a convolution, found


def _found(chains: Sequence[Chain], feat: Shape, source: Shape, target: Shape) -> Linear | None:
    middle = (target[1] // 2, target[2] // 2)
    rows = _rows_at(chains, feat, source, target, middle)
    geometry = [_axis(chains, feat, source, target, middle, rows, axis) for axis in range(2)]
    if any(g is None for g in geometry):
        return None
    (top, height, *down), (left, width, *across) = (g for g in geometry if g is not None)
    kernel = _window(rows, (top, left), (height, width))
    made = Linear(
        ProjectionKind.CONV2D,
        kernel,
        (down[0], across[0]),
        (down[1], across[1]),
        groups=1,
    )
    if _sizes(made, source) != target[1:] or not _equal(made, chains, feat, source, target):
        return None
    return _grouped(made, source[0])


def _rows_at(
    chains: Sequence[Chain], feat: Shape, source: Shape, target: Shape, at: tuple[int, int]
) -> Tensor:
    """What the output channels at one position read of the source: (C_out, C_in, H, W)."""
    channels = target[0]
    x = torch.zeros((channels, *feat), dtype=torch.float64, requires_grad=True)
    with torch.enable_grad():
        y = applied(chains, x, target)
        picked = y[torch.arange(channels), torch.arange(channels), at[0], at[1]].sum()
        (rows,) = torch.autograd.grad(picked, x)
    return rows.reshape(channels, *source)


def _axis(
    chains: Sequence[Chain],
    feat: Shape,
    source: Shape,
    target: Shape,
    middle: tuple[int, int],
    rows: Tensor,
    axis: int,
) -> tuple[int, int, int, int] | None:
    """(first tap, taps, stride, padding) along an axis."""
    inputs, outputs = source[1 + axis], target[1 + axis]
    if outputs == 1:
        return (0, inputs, 1, 0)
    first, last = _extent(rows, axis)
    step = middle[axis] + 1 if middle[axis] + 1 < outputs else middle[axis] - 1
    other = (step, middle[1]) if axis == 0 else (middle[0], step)
    moved, _ = _extent(_rows_at(chains, feat, source, target, other), axis)
    stride = (moved - first) * (step - middle[axis])
    if stride < 1:
        return None
    padding = stride * middle[axis] - first
    taps = last - first + 1
    more = max(-padding, 0)  # taps that are zero, in front of the kernel
    first, padding, taps = first - more, padding + more, taps + more
    while (inputs + 2 * padding - taps) // stride + 1 > outputs:
        taps += 1
    if (inputs + 2 * padding - taps) // stride + 1 < outputs:
        lacking = stride * (outputs - 1) + taps - inputs - 2 * padding
        grown = -(-lacking // 1)
        first, padding, taps = first - grown, padding + grown, taps + grown
    return first, taps, stride, padding


def _extent(rows: Tensor, axis: int) -> tuple[int, int]:
    used = rows.abs().amax(dim=(0, 1, 3 - axis)).nonzero().flatten()
    return (int(used[0]), int(used[-1])) if len(used) else (0, 0)


def _window(rows: Tensor, first: tuple[int, int], taps: tuple[int, int]) -> FloatArray:
    """Taps of the rows, zeros where the window reaches over the border."""
    kernel = np.zeros((*rows.shape[:2], *taps))
    spans = [
        (max(f, 0), min(f + n, size))
        for f, n, size in zip(first, taps, rows.shape[2:], strict=True)
    ]
    (top, bottom), (left, right) = spans
    kernel[:, :, top - first[0] : bottom - first[0], left - first[1] : right - first[1]] = rows[
        :, :, top:bottom, left:right
    ].numpy()
    return kernel


def _equal(
    made: Linear, chains: Sequence[Chain], feat: Shape, source: Shape, target: Shape
) -> bool:
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((PROBES, *source)))
    wanted = applied(chains, x.reshape(PROBES, *feat), target)
    weight = torch.from_numpy(made.weight)
    found = functional.conv2d(x, weight, None, made.stride, made.padding)
    return bool((found - wanted).abs().max() <= ROUNDING * wanted.abs().max().clamp_min(1e-300))


def _transposed(
    chains: Sequence[Chain], feat: Shape, source: Shape, target: Shape
) -> Linear | None:
    """A^T is a convolution of *target* to *source*: then A is the transposed one."""
    back = Op("map", source, (), lambda y: _adjoint(chains, feat, y).reshape(len(y), *source))
    made = _found([(back,)], target, target, source)
    if made is None:
        return None
    over = [
        (n + 2 * p - k) % s
        for n, k, s, p in zip(
            target[1:], made.weight.shape[2:], made.stride, made.padding, strict=True
        )
    ]  # outputs behind the last window: taps that are zero
    kernel = np.pad(made.weight, ((0, 0), (0, 0), (0, over[0]), (0, over[1])))
    weight: FloatArray = turned(kernel, made.groups)
    kind = ProjectionKind.CONV2D_TRANSPOSED
    return Linear(kind, weight, made.stride, made.padding, groups=made.groups)


def _adjoint(chains: Sequence[Chain], feat: Shape, y: Tensor) -> Tensor:
    """A^T y of the map A that the chains are, by its derivative."""
    with torch.enable_grad():
        x = torch.zeros((len(y), *feat), dtype=torch.float64, requires_grad=True)
        out = applied(chains, x, tuple(y.shape[1:]))
        (found,) = torch.autograd.grad(out, x, y, create_graph=True)
    return found


def _grouped(made: Linear, channels: int) -> Linear:
    """With as many groups as there are blocks of weights."""
    outputs = len(made.weight)
    for groups in range(min(channels, outputs), 1, -1):
        if channels % groups or outputs % groups:
            continue
        blocks = made.weight.reshape(groups, outputs // groups, groups, channels // groups, -1)
        apart = [np.any(blocks[g, :, h]) for g in range(groups) for h in range(groups) if g != h]
        if not any(apart):
            own = np.concatenate(
                [
                    made.weight.reshape(groups, -1, *made.weight.shape[1:])[
                        g, :, g * (channels // groups) : (g + 1) * (channels // groups)
                    ]
                    for g in range(groups)
                ]
            )
            return Linear(made.kind, own, made.stride, made.padding, groups=groups)
    return made
