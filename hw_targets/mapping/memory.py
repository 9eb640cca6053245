"""What a block of neurons takes of its core: state, synaptic memory, input axons.

Synapses lie in rows, one row for each input axon (dense, sparse) or for each kernel tap of each
input channel (convolution, whose weights all positions of a core share), in whole memory words:

    dense   source neurons x ceil((n (weight + row_index) + header) / word)
    sparse  sum over source neurons of ceil((synapses (weight + sparse_index) + header) / word)
    conv    input channels x taps x ceil(n_channels kernel weight / word)

Weights of a kernel are packed as narrow as its largest one allows, if the chip's file says so:

    kernel weight = min(weight, ceil(log2(largest |w|)) + kernel_extra)

A matrix is stored dense (with its zeros) or sparse (without, a wider index with each synapse):
on each core whichever takes fewer bytes there, headers and the ends of rows counted. A kernel is
stored as one. ``choices`` may say otherwise; a convolution stored dense or sparse is a matrix with
a row for each source neuron.

A core may keep few different thresholds (Loihi 1: eight configurations), which its neurons share.

A neuron takes a compartment, where the chip's circuit has no soft reset more (Loihi 1: two), and
then a synapse onto itself: a row of one synapse, an input and an output axon.

Checked against the per-core units that Intel's compiler printed for PilotNet (``docs/targets.md``).
"""

import math
from dataclasses import dataclass

import numpy as np

from tssd.arrays import IntArray
from tssd.calibration.int_network import IntNetwork, Population, Projection
from tssd.hw_targets.chip.spec import ChipSpec
from tssd.hw_targets.mapping.choices import Choices, SynapseFormat
from tssd.hw_targets.mapping.fanout import Box, as_image, fanout, neurons_in
from tssd.train.handover.geometry import axes

STATE_WORDS = 2  # a compartment's current and membrane


@dataclass(frozen=True)
class Need:
    """What some neurons ask of the core that holds them."""

    neurons: int
    state_words: int
    memory_bytes: int
    axons_in: int
    axons_out: int = 0
    groups: int = 1
    compartments: int = 0
    thresholds: int = 0  # different ones; of slices added up at most so many

    def __add__(self, other: "Need") -> "Need":
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return Need(*(a + b for a, b in pairs))


NOTHING = Need(0, 0, 0, 0, groups=0)


@dataclass(frozen=True, eq=False)
class StoredProjection:
    """A projection as the cores of its target hold it: as ``asked``, else each as takes least."""

    projection: Projection
    source_shape: tuple[int, ...]
    asked: SynapseFormat | None = None

    @property
    def offered(self) -> tuple[SynapseFormat, ...]:
        """The formats that a core may choose from; the first on a tie."""
        if self.asked is not None:
            return (self.asked,)
        if self.projection.kind.spatial:
            return (SynapseFormat.CONV,)
        return SynapseFormat.DENSE, SynapseFormat.SPARSE


@dataclass(frozen=True, eq=False)
class Resident:
    """A population as its cores hold it; ``compartments`` of one neuron, ``thresholds`` over its
    shape as an image (None: all alike)."""

    shape: tuple[int, ...]
    incoming: tuple[StoredProjection, ...]
    compartments: int = 1
    thresholds: IntArray | None = None

    @property
    def resets_itself(self) -> bool:
        """Whether each neuron has a synapse onto itself, for the reset."""
        return self.compartments > 1


def resident(
    network: IntNetwork, population: Population, chip: ChipSpec, choices: Choices
) -> Resident:
    """*population* as cores of *chip* hold it."""
    incoming = tuple(
        StoredProjection(j, network.population(j.source).shape, choices.asked(j))
        for j in network.incoming(population.name)
    )
    return Resident(
        population.shape, incoming, compartments_of(population, chip), thresholds_of(population)
    )


def thresholds_of(population: Population) -> IntArray:
    """(C, H, W): the threshold of each neuron; what never fires has one too."""
    every = np.broadcast_to(population.vth, population.shape)
    return every.reshape(as_image(population.shape))


def compartments_of(population: Population, chip: ChipSpec) -> int:
    """Compartments that a neuron takes: as many as the chip needs for its reset."""
    subtracts = population.kind.fires and population.reset.subtracts
    return chip.limits.soft_reset_compartments.count if subtracts else 1


def need_of_box(box: Box, held: Resident, chip: ChipSpec, neurons: int | None = None) -> Need:
    """The need of the neurons in *box*, or of so many *neurons* of it, who need the box's synapses
    all the same; output axons depend on others and stay 0."""
    neurons = math.prod(b - a for a, b in box) if neurons is None else neurons
    compartments = neurons * held.compartments
    itself = neurons if held.resets_itself else 0
    memory = sum(stored_bytes(one, box, held.shape, chip) for one in held.incoming)
    axons = sum(axons_into(one, box) for one in held.incoming)
    return Need(
        neurons,
        STATE_WORDS * compartments,
        memory + itself * dense_bytes(1, 1, chip),
        axons + itself,
        compartments=compartments,
        thresholds=_different(held.thresholds, box),
    )


def _different(thresholds: IntArray | None, box: Box) -> int:
    """How many thresholds the neurons of *box* have."""
    if thresholds is None:
        return 1
    return len(np.unique(thresholds[tuple(slice(a, b) for a, b in box)]))


def stored_bytes(one: StoredProjection, box: Box, shape: tuple[int, ...], chip: ChipSpec) -> int:
    """Bytes of the synapses into *box* of a population of *shape*."""
    return min(bytes_as(stored, one, box, shape, chip) for stored in one.offered)


def format_in(
    one: StoredProjection, box: Box, shape: tuple[int, ...], chip: ChipSpec
) -> SynapseFormat:
    """The format in which a core holds the synapses into *box* of a population of *shape*."""
    if len(one.offered) == 1:
        return one.offered[0]
    return min(one.offered, key=lambda stored: bytes_as(stored, one, box, shape, chip))


def bytes_as(
    stored: SynapseFormat,
    one: StoredProjection,
    box: Box,
    shape: tuple[int, ...],
    chip: ChipSpec,
) -> int:
    """Bytes of the synapses into *box* of a population of *shape* in one format."""
    match stored:
        case SynapseFormat.CONV:
            return conv_bytes(one.projection, box, chip)
        case SynapseFormat.DENSE:
            return dense_bytes(axons_into(one, box), math.prod(b - a for a, b in box), chip)
        case SynapseFormat.SPARSE:
            return sparse_bytes(one, neurons_in(box, shape), shape, chip)


def axons_into(one: StoredProjection, box: Box) -> int:
    """Source neurons that *box* listens to."""
    if one.projection.kind.spatial:
        return conv_axons(one.projection, box, one.source_shape)
    return math.prod(one.source_shape)


def dense_bytes(sources: int, neurons: int, chip: ChipSpec) -> int:
    """Bytes of the rows of a dense block."""
    bits = chip.bits
    row = neurons * (bits.weight.count + bits.row_index.count) + bits.row_header.count
    return sources * _words(row, chip) * bits.memory_word.count // 8


def sparse_bytes(
    one: StoredProjection, neurons: IntArray, shape: tuple[int, ...], chip: ChipSpec
) -> int:
    """Bytes of the rows of a sparse block into some *neurons*; a source without synapses there has
    no row."""
    bits = chip.bits
    if one.projection.kind.spatial:
        held = fanout(one.projection, one.source_shape, shape, [(0, neurons)]).synapses
    else:
        held = np.count_nonzero(one.projection.weight[neurons], axis=0)
    each = bits.weight.count + bits.sparse_index.count
    rows = held[held > 0] * each + bits.row_header.count
    words = -(-rows // bits.memory_word.count)
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
