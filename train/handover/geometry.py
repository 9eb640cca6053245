"""The geometry of a linear map, once: its output's shape, who reaches whom, what meets in a target.

Along each axis of an image, source place x and target place y meet in kernel tap t where

    y * stride + t * dilation - padding = x * spread

with ``spread`` 1 for a convolution. A transposed one is a convolution, of stride 1, over the source
spread out by its stride s with zeros between: of a kernel of k taps and dilation d and torch's
padding p, padding = d (k - 1) - p. Its weights are kept in the orientation of that convolution,
(C_out, C_in / groups, k_h, k_w); ``turned`` leads to torch's and back.

Everything else follows from that equation: the shape of the output, the targets of a source
(``Axis.reached``), the sources of a target, and which weights can add up in one target (``rows``).
It serves float and integer projections alike.
"""

import math
from dataclasses import dataclass
from typing import Any, Protocol, assert_never

import numpy as np

from tssd.arrays import Array, BoolArray, IntArray
from tssd.errors import NetworkError
from tssd.train.handover.float_network import AveragePool, ProjectionKind

Shape = tuple[int, ...]
Pair = tuple[int, int]


class LinearMap(Protocol):
    """What float and integer projections have in common: ``FloatProjection``, ``Projection``."""

    @property
    def source(self) -> str: ...
    @property
    def target(self) -> str: ...
    @property
    def kind(self) -> ProjectionKind: ...
    @property
    def weight(self) -> Array: ...
    @property
    def stride(self) -> Pair: ...
    @property
    def padding(self) -> Pair: ...
    @property
    def dilation(self) -> Pair: ...
    @property
    def groups(self) -> int: ...


@dataclass(frozen=True)
class Axis:
    """One axis of a map between images: see the equation above."""

    taps: int
    stride: int = 1
    padding: int = 0
    dilation: int = 1
    spread: int = 1

    @property
    def span(self) -> int:
        """Places from the first tap to the last."""
        return (self.taps - 1) * self.dilation

    @property
    def period(self) -> int:
        """How many targets in a row see different sets of taps: 1 unless the source is spread."""
        return self.spread // math.gcd(self.spread, self.stride)

    def outputs(self, inputs: int) -> int:
        """How many target places *inputs* source places give; below 1: none."""
        return ((inputs - 1) * self.spread + 2 * self.padding - self.span) // self.stride + 1

    def reached(self, inputs: int, outputs: int) -> IntArray:
        """(inputs, taps): the target that each source place reaches through each tap, or -1."""
        place, tap = np.indices((inputs, self.taps))
        ahead = place * self.spread + self.padding - tap * self.dilation
        target, rest = np.divmod(ahead, self.stride)
        inside = (rest == 0) & (target >= 0) & (target < outputs)
        found: IntArray = np.where(inside, target, -1)
        return found

    def seen(self, tap: int, targets: Pair, inputs: int) -> tuple[slice, slice] | None:
        """Source places that targets first .. last - 1 see through *tap*, and those targets,
        counted from the first; None where every one falls on the padding or between sources."""
        shift = tap * self.dilation - self.padding
        first = next((y for y in range(self.period) if self._between(y, shift) == 0), None)
        if first is None:
            return None
        step = self.period
        lowest = max(targets[0], -(shift // self.stride))  # the first with a source place >= 0
        highest = ((inputs - 1) * self.spread - shift) // self.stride
        low = lowest + (first - lowest) % step
        high = min(targets[1] - 1, highest)
        if low > high:
            return None
        count = (high - low) // step + 1
        start, pace = (low * self.stride + shift) // self.spread, step * self.stride // self.spread
        return _every(start, pace, count), _every(low - targets[0], step, count)

    def field(self, targets: Pair, inputs: int) -> Pair:
        """The source places from first to last (exclusive) that these targets can see."""
        low = -(-(targets[0] * self.stride - self.padding) // self.spread)
        high = ((targets[1] - 1) * self.stride - self.padding + self.span) // self.spread
        return max(low, 0), min(high + 1, inputs)

    def phases(self) -> BoolArray:
        """(period, taps): which taps meet in the same target, for each kind of target."""
        target, tap = np.indices((self.period, self.taps))
        met: BoolArray = self._between(target, tap * self.dilation - self.padding) == 0
        return met

    def _between(self, target: Any, shift: Any) -> Any:
        """How far from a source place a target's tap falls."""
        return (target * self.stride + shift) % self.spread


def _every(first: int, step: int, count: int) -> slice:
    """Positions first, first + step, ...: ``count`` of them."""
    return slice(first, first + (count - 1) * step + 1, step)


def axes(projection: LinearMap) -> tuple[Axis, Axis]:
    """Height and width of a map between images."""
    groups = projection.groups
    if projection.weight.ndim != 4 or groups < 1 or projection.weight.shape[0] % groups:
        raise NetworkError(
            where(projection),
            found=f"weights {projection.weight.shape} in {projection.groups} group(s)",
            allowed="(C_out, C_in / groups, height, width), C_out a multiple of groups",
        )
    return _axis(projection, 0), _axis(projection, 1)


def _axis(projection: LinearMap, side: int) -> Axis:
    taps, stride = projection.weight.shape[2 + side], projection.stride[side]
    padding, dilation = projection.padding[side], projection.dilation[side]
    match projection.kind:
        case ProjectionKind.CONV2D | ProjectionKind.SUM_POOL:
            return Axis(taps, stride, padding, dilation)
        case ProjectionKind.CONV2D_TRANSPOSED:
            return Axis(taps, 1, dilation * (taps - 1) - padding, dilation, spread=stride)
        case ProjectionKind.DENSE:
            raise TypeError("a dense map has no axes")
        case _:
            assert_never(projection.kind)


def turned(weight: Any, groups: int) -> Any:
    """A transposed convolution's weights (an array or a tensor) from torch's orientation,
    (C_in, C_out / groups, k_h, k_w), to ours or back: channels exchanged, kernels turned about."""
    high, wide = (list(range(k - 1, -1, -1)) for k in weight.shape[2:])
    exchanged = weight.reshape(groups, -1, *weight.shape[1:]).swapaxes(1, 2)
    return exchanged.reshape(-1, *exchanged.shape[2:])[:, :, high][:, :, :, wide]


def where(projection: LinearMap) -> str:
    """The projection's name in messages."""
    return f"projection {projection.source} -> {projection.target}"


def output_shape(projection: LinearMap, source: Shape) -> Shape:
    """The shape that *projection* makes of *source*; NetworkError where they do not fit. A dense
    map gives (N,), whatever image its target is."""
    if not projection.kind.spatial:
        return _dense_outputs(projection, source)
    sides, channels = axes(projection), projection.weight.shape[1] * projection.groups
    if len(source) != 3 or source[0] != channels:
        raise NetworkError(
            where(projection),
            found=f"a source of shape {source}",
            allowed=f"({channels}, height, width)",
        )
    size = [axis.outputs(n) for axis, n in zip(sides, source[1:], strict=True)]
    if min(size) < 1:
        raise NetworkError(
            where(projection),
            found=f"a kernel {projection.weight.shape[2:]} on a source of shape {source}",
            allowed="a kernel that fits the padded image",
        )
    return (projection.weight.shape[0], *size)


def _dense_outputs(projection: LinearMap, source: Shape) -> Shape:
    inputs = math.prod(source)
    if projection.weight.ndim != 2 or projection.weight.shape[1] != inputs:
        raise NetworkError(
            where(projection),
            found=f"weights {projection.weight.shape} on a source of shape {source}",
            allowed=f"(out, {inputs})",
        )
    return (projection.weight.shape[0],)


def check_shapes(projection: LinearMap, source: Shape, target: Shape) -> None:
    """NetworkError unless *projection* leads from *source* to *target*."""
    found = output_shape(projection, source)
    wanted = target if projection.kind.spatial else (math.prod(target),)
    if found != wanted:
        raise NetworkError(where(projection), found=f"shape {found}", allowed=str(wanted))


def rows(projection: LinearMap, values: Array | None = None) -> Array:
    """(phases, outputs or output channels, taps): what can add up in one target, apart from the
    image's border. *values* stand for the weights if given."""
    values = projection.weight if values is None else values
    if not projection.kind.spatial:
        return values[None]
    high, wide = (axis.phases() for axis in axes(projection))
    met = (high[:, None, :, None] & wide[None, :, None, :]).reshape(-1, 1, 1, *values.shape[2:])
    return np.where(met, values, values.dtype.type(0)).reshape(len(met), len(values), -1)


def pooled(shape: Shape, pool: AveragePool) -> tuple[int, int, int]:
    """(C, H, W) after the pool; incomplete windows are dropped."""
    sides = zip(shape[1:], pool.kernel, pool.stride, strict=True)
    height, width = (Axis(k, s).outputs(n) for n, k, s in sides)
    return shape[0], height, width


def matrix(projection: LinearMap, source: Shape, target: Shape) -> Array:
    """(target neurons, source neurons): the weights as a dense map has them."""
    if not projection.kind.spatial:
        return projection.weight
    weight, (high, wide) = projection.weight, axes(projection)
    tall, broad = high.reached(source[1], target[1]), wide.reached(source[2], target[2])
    per_group, inputs = len(weight) // projection.groups, weight.shape[1]
    whole = np.zeros((*target, *source), weight.dtype)
    for i, j in np.ndindex(*weight.shape[2:]):
        (x0, y0), (x1, y1) = _pairs(tall[:, i]), _pairs(broad[:, j])
        for out, block in enumerate(weight[:, :, i, j]):
            channels = out // per_group * inputs + np.arange(inputs)[:, None, None]
            whole[out, y0[:, None], y1, channels, x0[:, None], x1] = block[:, None, None]
    return whole.reshape(math.prod(target), math.prod(source))


def _pairs(reached: IntArray) -> tuple[IntArray, IntArray]:
    """Source places that reach any target through one tap, and the targets."""
    found = np.flatnonzero(reached >= 0)
    return found, reached[found]


def largest(signed: Array, payload: int = 1) -> int:
    """The largest magnitude of a sum over ``rows``, every source sending up to +-*payload*."""
    return int(np.abs(signed).sum(axis=-1).max(initial=0)) * payload
