"""A network into blocks of neurons that each fit one core.

A population (C, H, W) is cut into equal boxes: a block of channels (whose kernels a core must
store), a block of rows and a block of columns. Blocks of rows and columns are powers of two, as in
the partitions that Intel's compiler prints. Columns are cut first, then rows, channels only where
kernels do not fit otherwise, because each spike goes to every channel block; so the cut has the
fewest channel blocks, then the fewest row blocks, then the fewest cores.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tssd.calibration.int_network import IntNetwork, Population
from tssd.calibration.integer import IntArray
from tssd.hw_targets.chip.spec import ChipSpec
from tssd.hw_targets.mapping.choices import NO_CHOICE, Choices, check_choices
from tssd.hw_targets.mapping.fanout import Box, Fanout, as_image, fanout, neurons_in
from tssd.hw_targets.mapping.memory import (
    Need,
    Resident,
    compartments_of,
    need_of_box,
    resident,
)
from tssd.hw_targets.mapping.rules import Finding, core_findings, overdrawn


@dataclass(frozen=True, eq=False)
class Slice:
    """The neurons of one population on one core: flat indices in C, H, W order, rising."""

    population: str
    core: int
    neurons: IntArray


@dataclass(frozen=True, eq=False)
class Partition:
    """One slice per core, numbered in network order, and the fan-out of each projection."""

    slices: tuple[Slice, ...]
    needs: tuple[Need, ...]  # of each slice
    fanouts: tuple[Fanout, ...]  # of each projection
    findings: tuple[Finding, ...]
    choices: Choices

    @property
    def cores(self) -> int:
        return len(self.slices)


@dataclass(frozen=True)
class Tiling:
    """Equal boxes over one population, and what even the smallest box would break."""

    boxes: tuple[Box, ...]
    findings: tuple[Finding, ...] = ()


def partition(network: IntNetwork, chip: ChipSpec, choices: Choices = NO_CHOICE) -> Partition:
    """Cut every population that sits on cores, from the last to the first: output axons depend on
    the cuts ahead. ConfigError for *choices* that this network does not have."""
    check_choices(network, choices)
    cuts: dict[str, Tiling] = {}
    local: dict[int, Fanout] = {}  # by projection, cores counted within the target
    for population in reversed(choices.on_cores(network)):
        held = resident(network, population, chip, choices)
        # cores that each neuron sends to
        reached = np.full(population.neurons, int(held.resets_itself), np.int64)
        for index, projection in enumerate(network.projections):
            if projection.source == population.name and index in local:
                reached += local[index].cores_per_neuron()
        plan = cut(population.name, held, chip, reached.reshape(as_image(population.shape)))
        cuts[population.name] = plan
        local |= _fanouts_into(network, population, plan.boxes)
    return _assemble(network, chip, choices, cuts, local)


def tiled(
    network: IntNetwork,
    chip: ChipSpec,
    boxes: Mapping[str, tuple[Box, ...]],
    choices: Choices = NO_CHOICE,
) -> Partition:
    """The partition into given *boxes* of each population; findings say what breaks a limit."""
    local: dict[int, Fanout] = {}
    for population in choices.on_cores(network):
        local |= _fanouts_into(network, population, boxes[population.name])
    cuts = {name: Tiling(held) for name, held in boxes.items()}
    return _assemble(network, chip, choices, cuts, local)


def _fanouts_into(
    network: IntNetwork, population: Population, boxes: tuple[Box, ...]
) -> dict[int, Fanout]:
    """The fan-out of each projection into *population*, by number; cores are numbered by box."""
    parts = [(k, neurons_in(box, population.shape)) for k, box in enumerate(boxes)]
    return {
        k: fanout(j, network.population(j.source).shape, population.shape, parts)
        for k, j in enumerate(network.projections)
        if j.target == population.name
    }


def cut(name: str, held: Resident, chip: ChipSpec, reached: IntArray) -> Tiling:
    """The first block size, in the order of preference, that breaks no limit.

    ``reached`` (C, H, W): destination cores of each neuron of the population *name*.
    """
    shape = as_image(held.shape)
    for block in _blocks(shape):  # cheap checks first: one box, output axons, every box
        need = need_of_box(_inner_box(block, shape), held, chip)
        if any(overdrawn(need, chip)):
            continue
        if any(overdrawn(replace(need, axons_out=_largest_sum(reached, block)), chip)):
            continue
        boxes = tuple(_tiles(shape, block))
        if not any(any(overdrawn(need_of_box(box, held, chip), chip)) for box in boxes):
            return Tiling(boxes)
    alone = need_of_box(_inner_box((1, 1, 1), shape), held, chip)
    alone = replace(alone, axons_out=int(reached.max()))
    findings = core_findings(f"{name}, one neuron alone", alone, chip)
    return Tiling(tuple(_tiles(shape, shape)), tuple(findings))


def network_fanouts(network: IntNetwork, slices: Sequence[Slice]) -> tuple[Fanout, ...]:
    """The fan-out of every projection onto the cores of *slices*."""
    return tuple(
        fanout(
            j,
            network.population(j.source).shape,
            network.population(j.target).shape,
            [(s.core, s.neurons) for s in slices if s.population == j.target],
        )
        for j in network.projections
    )


def axons_out(
    network: IntNetwork, slices: Sequence[Slice], fanouts: Sequence[Fanout], chip: ChipSpec
) -> list[int]:
    """Output axons of each slice: (neuron, destination core) pairs over all its projections, and
    one for a neuron's synapse onto itself."""
    pairs = {
        p.name: np.full(p.neurons, int(compartments_of(p, chip) > 1), np.int64)
        for p in network.populations
    }
    for projection, table in zip(network.projections, fanouts, strict=True):
        pairs[projection.source] += table.cores_per_neuron()
    return [int(pairs[s.population][s.neurons].sum()) for s in slices]


def _blocks(shape: tuple[int, int, int]) -> Iterator[tuple[int, int, int]]:
    """Block sizes by preference: balanced channel blocks; all or powers of two along H and W."""
    channels, height, width = shape
    for c in sorted({-(-channels // k) for k in range(1, channels + 1)}, reverse=True):
        for h in _halvings(height):
            for w in _halvings(width):
                yield c, h, w


def _halvings(size: int) -> list[int]:
    """*size* and the powers of two below it, falling."""
    return [size, *(1 << k for k in range((size - 1).bit_length() - 1, -1, -1))]


def _inner_box(block: tuple[int, int, int], shape: tuple[int, int, int]) -> Box:
    """A box of *block* that sees much: the second along each axis, where nothing is cut off."""
    spans = [
        (b, 2 * b) if 2 * b < size else (0, min(b, size))
        for b, size in zip(block, shape, strict=True)
    ]
    return (spans[0], spans[1], spans[2])


def _largest_sum(values: IntArray, block: tuple[int, int, int]) -> int:
    """The largest sum of *values* over one tile."""
    for axis, size in enumerate(block):
        values = np.add.reduceat(values, np.arange(0, values.shape[axis], size), axis=axis)
    return int(values.max())


def _tiles(shape: tuple[int, int, int], block: tuple[int, int, int]) -> Iterator[Box]:
    """Boxes that cover *shape*: channels outermost, columns innermost."""
    channels, rows, columns = (
        [(a, min(a + b, size)) for a in range(0, size, b)]
        for size, b in zip(shape, block, strict=True)
    )
    for c in channels:
        for y in rows:
            for x in columns:
                yield c, y, x


def _assemble(
    network: IntNetwork,
    chip: ChipSpec,
    choices: Choices,
    cuts: Mapping[str, Tiling],
    local: Mapping[int, Fanout],
) -> Partition:
    """Number the cores in network order and check what was not known while cutting."""
    slices: list[Slice] = []
    needs: list[Need] = []
    first: dict[str, int] = {}  # core of each population
    findings = [finding for plan in cuts.values() for finding in plan.findings]
    for population in choices.on_cores(network):
        first[population.name] = len(slices)
        held = resident(network, population, chip, choices)
        for box in cuts[population.name].boxes:
            neurons = neurons_in(box, population.shape)
            slices.append(Slice(population.name, len(slices), neurons))
            needs.append(need_of_box(box, held, chip))
    fanouts = tuple(
        replace(local[k], core=local[k].core + first[j.target])
        for k, j in enumerate(network.projections)
    )
    axons = axons_out(network, slices, fanouts, chip)
    needs = [replace(n, axons_out=a) for n, a in zip(needs, axons, strict=True)]
    if not findings:  # only recurrent projections can bring more
        pairs = zip(slices, needs, strict=True)
        findings = [f for s, need in pairs for f in core_findings(s.population, need, chip)]
    return Partition(tuple(slices), tuple(needs), fanouts, tuple(dict.fromkeys(findings)), choices)
