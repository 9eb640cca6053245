"""Ways to cut a population into boxes, one core each, and what the stages of these cores take.

A cut is a product: spans of channels x spans of rows x spans of columns. Spans are of equal size or
of equal load. All sums over boxes are by axis, so that a cut costs microseconds.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise, product

import numpy as np

from tssd.calibration.int_network import Projection
from tssd.hw_targets.mapping.fanout import Box, as_image
from tssd.train.handover.float_network import FloatArray
from tssd.train.handover.geometry import axes

Spans = tuple[tuple[int, int], ...]
Image = tuple[int, int, int]


@dataclass(frozen=True)
class BlockCut:
    """Boxes over one population: every combination of a span of each axis."""

    channels: Spans
    rows: Spans
    columns: Spans

    @property
    def spans(self) -> tuple[Spans, Spans, Spans]:
        return self.channels, self.rows, self.columns

    @property
    def cores(self) -> int:
        return len(self.channels) * len(self.rows) * len(self.columns)

    @cached_property
    def boxes(self) -> tuple[Box, ...]:
        """Channels outermost, columns innermost."""
        return tuple(product(self.channels, self.rows, self.columns))


WHOLE = BlockCut(((0, -1),), ((0, -1),), ((0, -1),))  # one box, whatever the size


def cuts(shape: Image, load: FloatArray, most: int) -> Iterator[BlockCut]:
    """Every cut of *shape* into at most *most* boxes, with spans of equal size, and with rows and
    columns of equal *load*; fewer boxes along an axis first."""
    channels, rows, columns = (_counts(size) for size in shape)
    of_rows, of_columns = load.sum(axis=(0, 2)), load.sum(axis=(0, 1))
    for c, h, w in product(channels, rows, columns):
        if c * h * w > most:
            continue
        plain = BlockCut(_even(shape[0], c), _even(shape[1], h), _even(shape[2], w))
        yield plain
        evened = BlockCut(plain.channels, _balanced(of_rows, h), _balanced(of_columns, w))
        if evened != plain:
            yield evened


def box_sums(values: FloatArray, cut: BlockCut) -> FloatArray:
    """(spans of channels, of rows, of columns): *values* (C, H, W) summed over each box."""
    for axis, spans in enumerate(cut.spans):
        values = np.add.reduceat(values, [start for start, _ in spans], axis=axis)
    return values


def arriving(projection: Projection, events: FloatArray, cut: BlockCut) -> FloatArray:
    """Messages that the boxes of the target hear: *events* (C, H, W) of the source within the field
    of each, broadcasting to the boxes. An upper bound: a weight of zero is not looked for."""
    if not projection.kind.spatial:
        return np.full((1, 1, 1), events.sum())
    for axis, spans in enumerate(fields(projection, events.shape, cut)):
        total = np.insert(np.cumsum(events, axis=axis), 0, 0.0, axis=axis)
        ends = np.array(spans).T
        events = np.take(total, ends[1], axis) - np.take(total, ends[0], axis)
    return events


def reach(projection: Projection, shape: tuple[int, ...], cut: BlockCut) -> FloatArray:
    """How many boxes of the target each neuron of a source of *shape* sends to; broadcasts to its
    (C, H, W). An upper bound as ``arriving``."""
    if not projection.kind.spatial:
        return np.full((1, 1, 1), float(cut.cores))
    image, counts = as_image(shape), []
    for size, spans in zip(image, fields(projection, image, cut), strict=True):
        counted = np.zeros(size)
        for start, stop in spans:
            counted[start:stop] += 1
        counts.append(counted)
    return counts[0][:, None, None] * counts[1][:, None] * counts[2]


def fields(
    projection: Projection, shape: tuple[int, ...], cut: BlockCut
) -> tuple[Spans, Spans, Spans]:
    """What the spans of the target can see of a source of *shape* (C, H, W), axis by axis."""
    per_group, inputs = len(projection.weight) // projection.groups, projection.weight.shape[1]
    channels = tuple(
        (first // per_group * inputs, ((last - 1) // per_group + 1) * inputs)
        for first, last in cut.channels
    )
    rows, columns = (
        tuple(_ordered(axis.field(span, size)) for span in spans)
        for axis, spans, size in zip(
            axes(projection), (cut.rows, cut.columns), shape[1:], strict=True
        )
    )
    return channels, rows, columns


def _ordered(span: tuple[int, int]) -> tuple[int, int]:
    """Targets that see only padding have an empty field."""
    return span[0], max(span)


def _counts(size: int) -> list[int]:
    """Numbers of spans worth trying: the fewest for each size of the largest span."""
    return sorted({-(-size // part) for part in range(1, size + 1)})


def _even(size: int, count: int) -> Spans:
    """*count* spans over *size* whose sizes differ by at most one."""
    return tuple(pairwise(int(k * size / count) for k in range(count + 1)))


def _balanced(load: FloatArray, count: int) -> Spans:
    """*count* spans of about equal *load*, none of them empty."""
    size, total = len(load), np.cumsum(load)
    if not total[-1] > 0:
        return _even(size, count)
    share = total[-1] * np.arange(1, count) / count
    middle = np.searchsorted(total - load / 2, share)  # to the nearest edge
    at = np.arange(1, count)
    rising = np.maximum.accumulate(middle - at) + at  # each at least one beyond the last
    ends = np.clip(rising, at, size - count + at)
    return tuple(pairwise([0, *ends.tolist(), size]))
