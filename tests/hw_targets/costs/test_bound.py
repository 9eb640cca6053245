"""The bound and what a core holds, in closed form: each term by itself, on two unlike cores."""

from dataclasses import replace

import numpy as np
import pytest
from networks import dense, lif, mlp, random_tally

from tssd.calibration.int_network import (
    InputCoding,
    PopulationKind,
    Projection,
    ProjectionKind,
    Reset,
    plain_population,
)
from tssd.hw_targets.chip.chips import load_chip
from tssd.hw_targets.chip.spec import Curve
from tssd.hw_targets.costs.bound import (
    barrier_ns,
    gate_bits,
    mean_bound,
    message_bits,
    runs_microcode,
    step_bound,
)
from tssd.hw_targets.costs.counters import count
from tssd.hw_targets.mapping.choices import SynapseFormat
from tssd.hw_targets.mapping.fanout import Box
from tssd.hw_targets.mapping.memory import (
    Resident,
    StoredProjection,
    conv_axons,
    conv_bytes,
    dense_bytes,
    need_of_box,
    sparse_bytes,
)
from tssd.hw_targets.mapping.partition import _inner_box, _largest_sum, _tiles
from tssd.hw_targets.mapping.placement import place

CHIP = load_chip("loihi2")
WORD = CHIP.bits.memory_word.count
WEIGHT, INDEX = CHIP.bits.weight.count, CHIP.bits.row_index.count


def test_the_busiest_cores_are_named_each_for_its_own_term() -> None:
    """Core 2 updates most, core 1 has most synapses."""
    load = {
        "neuron_active": np.array([5.0, 1.0, 9.0]),
        "synop_dense": np.array([1.0, 30.0, 2.0]),
    }
    bound = step_bound(load, 0.0, 0.0, CHIP)
    assert (int(bound.busiest_neuron_core), int(bound.busiest_synapse_core)) == (2, 1)


def test_memory_is_the_reads_of_the_core_that_reads_most() -> None:
    """A shared weight takes its bits, an indexed one those of the index too."""
    read = CHIP.time_ns.memory_read.value / WORD
    none = {"neuron_active": np.zeros(2)}
    apart = {"synop_conv": np.array([100.0, 0.0]), "synop_dense": np.array([0.0, 300.0])}
    found = step_bound(none | apart, 0.0, 0.0, CHIP).terms_ns["memory"]
    assert found == pytest.approx(300 * (WEIGHT + INDEX) * read)
    both = {"synop_sparse": np.array([10.0, 0.0]), "synop_conv": np.array([10.0, 5.0])}
    found = step_bound(none | both, 0.0, 0.0, CHIP).terms_ns["memory"]
    assert found == pytest.approx(10 * (2 * WEIGHT + CHIP.bits.sparse_index.count) * read)


@pytest.mark.parametrize("term", ["neuron", "synapse", "memory", "link", "barrier"])
def test_every_term_can_be_the_bottleneck(term: str) -> None:
    chip = CHIP.with_value("time_ns.memory_read", 1e4) if term == "memory" else CHIP
    spikes, synops = (1e6 * (term == name) for name in ("neuron", "synapse"))
    load = {
        "spike": np.array([spikes, 0.0]),
        "synop_conv": np.array([0.0, synops + 1e3 * (term == "memory")]),
    }
    link, barrier = (1e5 if term == name else 1.0 for name in ("link", "barrier"))
    bound = step_bound(load, link, barrier, chip)
    assert bound.bottleneck == term
    assert float(bound.step_ns) == max(float(x) for x in bound.terms_ns.values())
    assert bound.us_per_step == pytest.approx(float(bound.step_ns) / 1e3)


def test_barriers_grow_with_routers_and_with_the_sides_of_an_array_of_chips() -> None:
    """Cores of one router count once, of the fullest chip alone; a chip more is one hop more."""
    unit = CHIP.time_ns.barrier.points[0]
    rising = Curve((1, 10), (unit, replace(unit, low=2e3, value=3e3, high=4e3)))
    chip = replace(CHIP, time_ns=replace(CHIP.time_ns, barrier=rising))
    chip = chip.with_value("mesh.chip_columns", 2)
    routers = [(0, 0, 0), (0, 0, 0), (0, 1, 0), (0, 1, 1)]

    def barrier(*more: tuple[int, int, int]) -> float:
        sites = np.array([[*at, slot] for slot, at in enumerate([*routers, *more])])
        return barrier_ns(chip, replace(place(mlp(6, 5), CHIP), sites=sites))

    alone, hop = chip.time_ns.barrier.at(3), chip.time_ns.barrier_chip_hop.value
    assert barrier() == pytest.approx(alone)
    assert barrier((1, 0, 0)) == pytest.approx(alone + hop)
    assert barrier((1, 0, 0), (2, 0, 0)) == pytest.approx(alone + 2 * hop)
    assert barrier((5, 0, 0)) == pytest.approx(alone + 3 * hop)


def test_soft_resets_run_microcode_and_graded_inputs_carry_payloads() -> None:
    assert runs_microcode(lif("a", (3,), Reset.SOFT))
    assert not runs_microcode(lif("a", (3,), Reset.HARD))
    network = mlp(6, 5)
    plain, payload = CHIP.link.message.count, CHIP.link.payload.count
    graded = replace(network, input_coding=InputCoding.GRADED)
    spikes = replace(network, input_coding=InputCoding.SPIKES, input_max=1)
    assert message_bits(graded, graded.source, CHIP) == plain + payload
    assert message_bits(spikes, spikes.source, CHIP) == plain
    assert message_bits(graded, graded.populations[1], CHIP) == plain
    between = CHIP.with_value("link.chip_message", 70).with_value("link.chip_payload", 9)
    assert gate_bits(graded, graded.source, between) == 70 + 9
    assert gate_bits(spikes, spikes.source, between) == 70


def grouped() -> Projection:
    """Eight channels in four groups, each fed by two channels; weights of the whole width."""
    wide = np.full((8, 2, 3, 3), 127)
    return Projection("input", "a", ProjectionKind.CONV2D, wide, padding=(1, 1), groups=4)


@pytest.mark.parametrize(
    ("first", "last", "groups", "row"),
    [(0, 2, 1, 2), (0, 1, 1, 1), (1, 3, 2, 2), (0, 8, 4, 2), (1, 8, 4, 2), (3, 4, 1, 1)],
)
@pytest.mark.parametrize("word", [8, WORD])
def test_memory_of_a_split_group(first: int, last: int, groups: int, row: int, word: int) -> None:
    """A core stores the kernels of every group that its channels cut into, two in a row each; no
    weight is packed."""
    box: Box = ((first, last), (0, 4), (0, 4))
    words = groups * 2 * 3 * 3 * -(-row * WEIGHT // word)
    chip = CHIP.with_value("bits.memory_word", word).with_value("bits.kernel_extra", WEIGHT)
    assert conv_bytes(grouped(), box, chip) == words * word // 8
    assert conv_axons(grouped(), box, (8, 4, 4)) == groups * 2 * 16


def test_rows_of_a_dense_block_are_rounded_up_to_words() -> None:
    header = CHIP.bits.row_header.count
    for neurons in (1, 4, 5, 100):
        words = -(-(neurons * (WEIGHT + INDEX) + header) // WORD)
        assert dense_bytes(7, neurons, CHIP) == 7 * words * WORD // 8


def test_sparse_rows_hold_only_synapses() -> None:
    """8 weight and 13 index bits a synapse, 10 a header: 31, 52 and 73 bits take 1, 1 and 2 words;
    a source without synapses into these neurons has no row."""
    network = mlp(4, 5)
    weight = np.zeros((5, 4), np.int64)
    weight[:3, 0] = weight[:2, 1] = weight[0, 2] = weight[4, 3] = 1
    thin = replace(network.projections[0], weight=weight)
    one = StoredProjection(thin, (4,), SynapseFormat.SPARSE)
    assert sparse_bytes(one, np.arange(4), (5,), CHIP) == (2 + 1 + 1) * WORD // 8
    assert sparse_bytes(one, np.array([3]), (5,), CHIP) == 0
    need = need_of_box(((0, 4), (0, 1), (0, 1)), Resident((5,), (one,)), CHIP)
    assert (need.memory_bytes, need.axons_in) == (4 * WORD // 8, 4)


def test_what_lies_in_the_padding_alone_listens_to_none() -> None:
    """A kernel of one behind two pixels of padding: the first two rows read no pixel."""
    kernel = np.ones((3, 4, 1, 1), np.int64)
    way = Projection("input", "a", ProjectionKind.CONV2D, kernel, padding=(2, 2))
    assert conv_axons(way, ((0, 3), (0, 2), (0, 9)), (4, 5, 5)) == 0
    assert conv_axons(way, ((0, 3), (0, 9), (0, 1)), (4, 5, 5)) == 0
    assert conv_axons(way, ((0, 3), (0, 3), (0, 9)), (4, 5, 5)) == 4 * 1 * 5


def test_a_thin_matrix_takes_fewer_cores() -> None:
    network = mlp(2000, 200)
    weight = network.projections[0].weight.copy()
    weight[:, ::2] = weight[::2] = 0
    thin = replace(network, projections=(replace(network.projections[0], weight=weight),))
    assert place(thin, CHIP).cores < 0.5 * place(network, CHIP).cores


def test_the_need_of_a_box_adds_up_over_its_projections() -> None:
    source, target = plain_population("input", (8, 4, 4), PopulationKind.INPUT), lif("a", (8, 4, 4))
    box: Box = ((0, 2), (0, 4), (0, 4))
    flat = dense(source, target, np.random.default_rng(0))
    kernels = StoredProjection(grouped(), (8, 4, 4), SynapseFormat.CONV)
    rows = StoredProjection(flat, (8, 4, 4), SynapseFormat.DENSE)
    need = need_of_box(box, Resident((8, 4, 4), (kernels, rows)), CHIP)
    assert (need.neurons, need.state_words, need.axons_in) == (32, 64, 2 * 16 + 128)
    assert need.memory_bytes == conv_bytes(grouped(), box, CHIP) + dense_bytes(128, 32, CHIP)


@pytest.mark.parametrize(
    ("block", "size", "span"),
    [(3, 10, (3, 6)), (5, 10, (0, 5)), (4, 10, (4, 8)), (10, 10, (0, 10)), (1, 2, (0, 1))],
)
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_box_that_is_measured_is_the_second_unless_that_ends_at_the_edge(
    block: int, size: int, span: tuple[int, int], axis: int
) -> None:
    """Behind the second tile there must be another, or padding may cut its field."""
    blocks, sizes = [1, 1, 1], [1, 1, 1]
    blocks[axis], sizes[axis] = block, size
    found = _inner_box((blocks[0], blocks[1], blocks[2]), (sizes[0], sizes[1], sizes[2]))
    assert found[axis] == span


def test_the_largest_sum_is_that_of_the_fullest_tile() -> None:
    values = np.random.default_rng(2).integers(0, 50, (2, 3, 5))
    for block in ((1, 2, 2), (2, 3, 5), (1, 1, 1), (2, 1, 3)):
        tiles = [tuple(slice(*span) for span in box) for box in _tiles((2, 3, 5), block)]
        assert _largest_sum(values, block) == max(values[tile].sum() for tile in tiles)
        assert sum(values[tile].size for tile in tiles) == values.size


def test_the_link_term_is_the_heaviest_link_and_nothing_where_nothing_is_sent() -> None:
    """Every message of a step over one link at most; of unused links there are many."""
    network = mlp(12, 9, 4)
    chip = CHIP.with_value("limits.neurons_per_core", 3)
    placement, tally = place(network, chip), random_tally(network, 0)
    silent = replace(tally, events={name: 0 * events for name, events in tally.events.items()})
    found = []
    for seen in (tally, silent):
        bound = mean_bound(network, seen, count(network, seen, placement, chip), placement, chip)
        found.append(float(bound.terms_ns["link"]))
    assert found[0] > 0
    assert found[1] == 0
