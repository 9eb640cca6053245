"""Whom each neuron reaches: destination cores (messages) and synapses there (synaptic operations).

A synapse is a non-zero weight between two neurons that both exist: kernel taps that fall on the
padding and weights of zero cost nothing on the chip and are not counted. (On Intel's PilotNet this
reproduces the measured counts; counting every tap would give 30 % more.)
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tssd.arrays import BoolArray
from tssd.calibration.int_network import Projection
from tssd.calibration.integer import IntArray
from tssd.train.handover.geometry import axes

Box = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]


@dataclass(frozen=True, eq=False)
class Fanout:
    """One projection as (source neuron, destination core, synapses) triples.

    Sorted by source neuron, then core; each pair occurs once and has at least one synapse.
    """

    sources: int  # neurons of the source population
    source: IntArray
    core: IntArray
    synapses: IntArray

    def synapses_per_neuron(self) -> IntArray:
        """(sources,): synaptic operations that one spike of each neuron causes."""
        return sum_at(self.source, self.synapses, self.sources)

    def cores_per_neuron(self) -> IntArray:
        """(sources,): messages that one spike of each neuron needs."""
        return np.bincount(self.source, minlength=self.sources)

    def starts(self) -> IntArray:
        """(sources + 1,): the triples of neuron i are starts[i] : starts[i + 1]."""
        return np.concatenate([[0], np.cumsum(self.cores_per_neuron())])


def as_image(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """(C, H, W) of a population's shape; N neurons in a row are N channels of one pixel."""
    return (shape[0], shape[1], shape[2]) if len(shape) == 3 else (int(np.prod(shape)), 1, 1)


def whole_box(shape: tuple[int, ...]) -> Box:
    """All places of a population of *shape*."""
    channels, height, width = as_image(shape)
    return (0, channels), (0, height), (0, width)


def fanout(
    projection: Projection,
    source_shape: tuple[int, ...],
    target_shape: tuple[int, ...],
    parts: Iterable[tuple[int, IntArray]],
) -> Fanout:
    """The fan-out of *projection* when core k holds the flat target neurons of (k, neurons)."""
    rows: list[tuple[IntArray, IntArray, IntArray]] = []
    nonzero = projection.weight != 0
    for core, neurons in sorted(parts, key=lambda part: part[0]):
        if projection.kind.spatial:
            counts = _conv_counts(projection, nonzero, source_shape, target_shape, neurons)
        else:
            counts = nonzero[neurons].sum(axis=0)
        reached = np.flatnonzero(counts)
        rows.append((reached, np.full(len(reached), core), counts.ravel()[reached]))
    source, target, synapses = (np.concatenate(column) for column in zip(*rows, strict=True))
    order = np.argsort(source, kind="stable")  # cores are rising already
    sources = int(np.prod(source_shape))
    return Fanout(sources, source[order], target[order], synapses[order])


def synapses_per_neuron(
    projection: Projection, source_shape: tuple[int, ...], target_shape: tuple[int, ...]
) -> IntArray:
    """(source neurons,): non-zero synapses of each, wherever the target sits."""
    everything = np.arange(int(np.prod(target_shape)))
    return fanout(projection, source_shape, target_shape, [(0, everything)]).synapses_per_neuron()


def neurons_in(box: Box, shape: tuple[int, ...]) -> IntArray:
    """Flat indices of *box* in a population of *shape*, rising."""
    _, height, width = as_image(shape)
    (c0, c1), (y0, y1), (x0, x1) = box
    c, y, x = np.ogrid[c0:c1, y0:y1, x0:x1]
    return ((c * height + y) * width + x).ravel()


def box_of(neurons: IntArray, shape: tuple[int, ...]) -> tuple[Box, BoolArray]:
    """The smallest box of (C, H, W) around flat *neurons*, and which of its places they take."""
    places = np.unravel_index(neurons, as_image(shape))
    box = tuple((int(axis.min()), int(axis.max()) + 1) for axis in places)
    taken = np.zeros([b - a for a, b in box], np.bool_)
    taken[tuple(axis - a for axis, (a, _) in zip(places, box, strict=True))] = True
    return (box[0], box[1], box[2]), taken


def _conv_counts(
    projection: Projection,
    nonzero: BoolArray,
    source_shape: tuple[int, ...],
    target_shape: tuple[int, ...],
    neurons: IntArray,
) -> IntArray:
    """(C, H, W) of the source: synapses of each source neuron into the given target neurons.

    Which places meet in a tap is said in ``train.handover.geometry``.
    """
    channels, *size = as_image(source_shape)
    ((first, last), *spans), taken = box_of(neurons, target_shape)
    counts = np.zeros((channels, *size), np.int64)
    box_is_full = bool(taken.all())
    total = _by_source_channel(projection, nonzero[first:last], first, channels)
    high, wide = axes(projection)
    for i, j in np.ndindex(*projection.weight.shape[2:]):
        y, x = high.seen(i, spans[0], size[0]), wide.seen(j, spans[1], size[1])
        if y is None or x is None:
            continue
        if box_is_full:
            added = total[:, i, j, None, None]
        else:
            here = taken[:, y[1], x[1]].astype(np.float32)  # exact: sums stay below 2**24
            matrix = _taps(projection, nonzero[first:last, :, i, j], first, channels)
            added = np.rint(np.tensordot(matrix, here, 1)).astype(np.int64)
        counts[:, y[0], x[0]] += added
    return counts


def _by_source_channel(
    projection: Projection, block: BoolArray, first: int, channels: int
) -> IntArray:
    """(source channels, k_h, k_w): non-zero weights into a block of target channels."""
    if projection.groups == 1:
        total: IntArray = block.sum(axis=0)
        return total
    per_group = projection.weight.shape[0] // projection.groups
    total = np.zeros((projection.groups, *block.shape[1:]), np.int64)
    np.add.at(total, (first + np.arange(len(block))) // per_group, block)
    return total.reshape(channels, *block.shape[2:])


def _taps(
    projection: Projection, block: BoolArray, first: int, channels: int
) -> npt.NDArray[np.float32]:
    """(source channels, target channels of the block): ones where one tap has a weight."""
    per_group, inputs = projection.weight.shape[0] // projection.groups, block.shape[1]
    matrix = np.zeros((channels, len(block)), np.float32)
    for k, row in enumerate(block):
        group = (first + k) // per_group
        matrix[group * inputs : (group + 1) * inputs, k] = row
    return matrix


def sum_at(index: IntArray, values: IntArray, size: int) -> IntArray:
    """Integer sums of *values* by *index* (in float64: exact below 2**53)."""
    return np.rint(np.bincount(index, weights=values, minlength=size)).astype(np.int64)
