"""What a block of neurons takes of its core: state, synaptic memory, input axons.

Synapses lie in rows, one row for each input axon (dense, sparse) or for each kernel tap of each
input channel (convolution, whose weights all positions of a core share), in whole memory words:

    dense   source neurons x ceil((n (weight + row_index) + header) / word)
    sparse  sum over source neurons of ceil((synapses (weight + sparse_index) + header) / word)
    conv    input channels x taps x ceil(n_channels kernel weight / word)

Weights of a kernel are packed as narrow as its largest one allows, if the chip's file says so:

    kernel weight = min(weight, ceil(log2(largest |w|)) + kernel_extra)

A matrix is stored dense (with its zeros) or sparse (without, a wider index with each synapse):
whichever takes less memory, as a compiler chooses. A kernel is stored as one.

Checked against the per-core units that Intel's compiler printed for PilotNet (``docs/targets.md``).
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from tssd.calibration.int_network import Projection
from tssd.calibration.integer import IntArray
from tssd.hw_targets.chip.spec import ChipSpec
from tssd.hw_targets.mapping.fanout import Box, as_image, neurons_in
from tssd.train.handover.geometry import axes

STATE_WORDS = 2  # a neuron's current and membrane


@dataclass(frozen=True)
class Need:
    """What some neurons ask of the core that holds them."""

    neurons: int
    state_words: int
    memory_bytes: int
    axons_in: int
    axons_out: int = 0
    groups: int = 1

    def __add__(self, other: "Need") -> "Need":
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return Need(*(a + b for a, b in pairs))


Incoming = Iterable[tuple[Projection, tuple[int, ...]]]  # projections with their source's shape


class SynapseFormat(StrEnum):
    """How the synapses of a projection lie in memory."""

    DENSE = "dense"
    SPARSE = "sparse"
    CONV = "conv"


def stored_as(projection: Projection, chip: ChipSpec) -> SynapseFormat:
    """The format that takes the fewest bits, but for headers and the ends of rows; dense on a
    tie."""
    if projection.kind.spatial:
        return SynapseFormat.CONV
    bits, weight = chip.bits, projection.weight
    dense = weight.size * (bits.weight.count + bits.row_index.count)
    sparse = np.count_nonzero(weight) * (bits.weight.count + bits.sparse_index.count)
    return SynapseFormat.SPARSE if sparse < dense else SynapseFormat.DENSE


def need_of_box(box: Box, shape: tuple[int, ...], incoming: Incoming, chip: ChipSpec) -> Need:
    """The need of the neurons in *box* of a population of *shape*; output axons depend on others
    and stay 0."""
    neurons = math.prod(b - a for a, b in box)
    memory = axons = 0
    for projection, source_shape in incoming:
        match stored_as(projection, chip):
            case SynapseFormat.CONV:
                memory += conv_bytes(projection, box, chip)
                axons += conv_axons(projection, box, source_shape)
                continue
            case SynapseFormat.DENSE:
                memory += dense_bytes(math.prod(source_shape), neurons, chip)
            case SynapseFormat.SPARSE:
                memory += sparse_bytes(projection, neurons_in(box, shape), chip)
        axons += math.prod(source_shape)
    return Need(neurons, STATE_WORDS * neurons, memory, axons)


def dense_bytes(sources: int, neurons: int, chip: ChipSpec) -> int:
    """Bytes of the rows of a dense block."""
    bits = chip.bits
    row = neurons * (bits.weight.count + bits.row_index.count) + bits.row_header.count
    return sources * _words(row, chip) * bits.memory_word.count // 8


def sparse_bytes(projection: Projection, neurons: IntArray, chip: ChipSpec) -> int:
    """Bytes of the rows of a sparse block into some *neurons*; a source without synapses there has
    no row."""
    bits = chip.bits
    synapses = np.count_nonzero(projection.weight[neurons], axis=0)
    rows = synapses * (bits.weight.count + bits.sparse_index.count) + bits.row_header.count
    words = -(-rows[synapses > 0] // bits.memory_word.count)
    return int(words.sum()) * bits.memory_word.count // 8


def conv_bytes(projection: Projection, box: Box, chip: ChipSpec) -> int:
    """Bytes of the kernels that the channels of *box* need."""
    out_channels, inputs, height, width = projection.weight.shape
    per_group = out_channels // projection.groups
    first, last = box[0]
    groups = (last - 1) // per_group - first // per_group + 1
    row = min(last - first, per_group) * kernel_weight_bits(projection, chip)
    words: int = groups * inputs * height * width * _words(row, chip)
    return words * chip.bits.memory_word.count // 8


def kernel_weight_bits(projection: Projection, chip: ChipSpec) -> int:
    """Bits of one stored weight of a kernel."""
    largest = max(1, int(np.abs(projection.weight).max()))
    magnitude = (largest - 1).bit_length()  # a power of two shares the bits of those below it
    return min(chip.bits.weight.count, magnitude + chip.bits.kernel_extra.count)


def conv_axons(projection: Projection, box: Box, source_shape: tuple[int, ...]) -> int:
    """Source neurons in the receptive field of *box*."""
    out_channels, inputs = projection.weight.shape[:2]
    per_group = out_channels // projection.groups
    first, last = box[0]
    total: int = ((last - 1) // per_group - first // per_group + 1) * inputs
    sides = zip(axes(projection), box[1:], as_image(source_shape)[1:], strict=True)
    for start, stop in (axis.field(span, size) for axis, span, size in sides):
        total *= max(0, stop - start)
    return total


def _words(bits: int, chip: ChipSpec) -> int:
    return -(-bits // chip.bits.memory_word.count)
