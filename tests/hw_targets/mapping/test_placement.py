"""Partition and placement: every neuron once, no limit broken, Intel's own partition found."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import conv, dense, lif, mlp, pilotnet, random_tally
from strategies import random_conv_network, residual_network

from tssd.calibration.int_network import (
    InputCoding,
    IntNetwork,
    PopulationKind,
    Projection,
    ProjectionKind,
    Reset,
    plain_population,
)
from tssd.calibration.integer import IntArray
from tssd.errors import TargetError
from tssd.hw_targets.chip.chips import load_chip
from tssd.hw_targets.chip.spec import ChipSpec
from tssd.hw_targets.mapping.manual import manual_placement
from tssd.hw_targets.mapping.memory import kernel_weight_bits
from tssd.hw_targets.mapping.mesh import distance, hop_cost, improve, in_order, sites
from tssd.hw_targets.mapping.partition import Slice, _halvings, partition
from tssd.hw_targets.mapping.placement import (
    place,
    streams,
    traffic,
    traffic_table,
)
from tssd.hw_targets.mapping.rules import core_findings

CHIP = load_chip("loihi2")


def small_chip(**limits: float) -> ChipSpec:
    """Loihi 2 with some limits lowered."""
    chip = CHIP
    for name, value in limits.items():
        chip = chip.with_value(f"limits.{name}", value)
    return chip


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    neurons=st.integers(3, 200),
    axons=st.integers(60, 400),
    residual=st.booleans(),
)
def test_every_neuron_sits_on_exactly_one_core_within_all_limits(
    seed: int, neurons: int, axons: int, residual: bool
) -> None:
    make = residual_network if residual else random_conv_network
    network = make(seed, Reset.HARD)
    chip = small_chip(neurons_per_core=neurons, axons_out_per_core=axons)
    parts = partition(network, chip)
    for population in network.populations:
        held = [s.neurons for s in parts.slices if s.population == population.name]
        assert np.array_equal(np.sort(np.concatenate(held)), np.arange(population.neurons))
    if not parts.findings:
        for need in parts.needs:
            assert not core_findings("layer", need, chip)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), neurons=st.integers(3, 60))
def test_axons_are_the_neurons_that_are_really_heard(seed: int, neurons: int) -> None:
    """Without zero weights: input axons bound the sources of each core (a stride longer than the
    kernel skips some), output axons are the pairs of neuron and core."""
    network = random_conv_network(seed, Reset.HARD)
    full = [replace(j, weight=np.abs(j.weight) + 1) for j in network.projections]
    network = replace(network, projections=tuple(full))
    parts = partition(network, small_chip(neurons_per_core=neurons))
    heard, sent = np.zeros(parts.cores, np.int64), np.zeros(parts.cores, np.int64)
    home = {p.name: np.zeros(p.neurons, np.int64) for p in network.populations}
    for s in parts.slices:
        home[s.population][s.neurons] = s.core
    exact = np.ones(parts.cores, np.bool_)
    for projection, table in zip(network.projections, parts.fanouts, strict=True):
        heard += np.bincount(table.core, minlength=parts.cores)
        sent += np.bincount(home[projection.source][table.source], minlength=parts.cores)
        if projection.weight.ndim == 4:
            kernel = projection.weight.shape[2:]
            skips = any(s > k for s, k in zip(projection.stride, kernel, strict=True))
            exact[np.unique(table.core)] &= not skips
    needed = np.array([need.axons_in for need in parts.needs])
    assert (heard <= needed).all()
    assert np.array_equal(heard[exact], needed[exact])
    assert sent.tolist() == [need.axons_out for need in parts.needs]


def test_intels_partition_of_pilotnet_is_found_again() -> None:
    """Cores and neurons per core of the table in lava-dl's PilotNet LIF benchmark notebook.

    The convolutions agree. Intel's compiler used 12 cores for dense1, the memory rule allows 7.
    """
    parts = partition(pilotnet(), CHIP)
    found = {}
    for population in pilotnet().populations:
        held = [len(s.neurons) for s in parts.slices if s.population == population.name]
        found[population.name] = (len(held), max(held))
    assert found["input"] == (13, 3168)
    assert found["conv1"] == (25, 3072)
    assert found["conv2"] == (13, 2160)
    assert found["conv3"] == (3, 2688)
    assert found["conv4"] == (3, 2048)
    assert found["conv5"] == (2, 2048)
    assert found["dense1"] == (7, 15)
    assert [found[f"dense{k}"] for k in (2, 3, 4)] == [(1, 50), (1, 10), (1, 1)]
    assert parts.cores == 69  # 74 in the notebook


def with_largest(network: IntNetwork, largest: dict[str, int]) -> IntNetwork:
    """*network*, the largest magnitude of weights into some populations as given."""
    joins = []
    for j in network.projections:
        most = largest.get(j.target, 127)
        weight = np.clip(j.weight, -most, most)
        weight.flat[0] = -most
        joins.append(replace(j, weight=weight))
    return replace(network, projections=tuple(joins))


PRINTED = {"conv1": 81, "conv2": 864, "conv3": 1620, "conv4": 2160, "conv5": 2880}
UNPACKED = {"conv1": 81, "conv2": 1080, "conv3": 1944, "conv4": 3456, "conv5": 4608}
LARGEST = {"conv1": 20, "conv2": 12, "conv3": 10, "conv4": 8, "conv5": 8}  # of the trained weights


def test_pilotnets_synapse_words_are_the_printed_ones() -> None:
    """Words of synaptic memory per core, as Intel's compiler printed them: kernels packed by their
    largest weight. Weights of the whole 8 bits, or a chip that packs none, take more."""
    unpacked = CHIP.with_value("bits.kernel_extra", 8)
    for network, chip, wanted in (
        (with_largest(pilotnet(), LARGEST), CHIP, PRINTED),
        (with_largest(pilotnet(), LARGEST), unpacked, UNPACKED),
        (pilotnet(), CHIP, UNPACKED),
    ):
        parts = partition(network, chip)
        words = {
            s.population: need.memory_bytes // 8
            for s, need in zip(parts.slices, parts.needs, strict=True)
        }
        assert {name: words[name] for name in wanted} == wanted
        assert (words["dense2"], words["dense3"], words["dense4"]) == (1300, 150, 10)


@pytest.mark.parametrize(
    ("values", "bits"),
    [([0, 0], 2), ([1, -1], 2), ([2, 0], 3), ([-8, 7], 5), ([9, 0], 6), ([64, 0], 8), ([65, 0], 8)],
)
def test_a_kernel_weight_takes_the_bits_of_the_largest(values: list[int], bits: int) -> None:
    network = random_conv_network(0, Reset.HARD)
    kernel = next(j for j in network.projections if j.kind.spatial)
    weight = np.zeros_like(kernel.weight)
    weight.flat[: len(values)] = values
    assert kernel_weight_bits(replace(kernel, weight=weight), CHIP) == bits


def test_fewer_bits_take_fewer_cores() -> None:
    """A layer whose 8-bit kernels fill two cores fits one at 4 bits."""
    first = plain_population("input", (256, 6, 6), PopulationKind.INPUT)
    last = lif("last", (64, 6, 6))
    joined = conv(first, last, np.random.default_rng(0))
    cores = []
    for most in (127, 7):
        weight = np.clip(joined.weight, -most, most)
        network = IntNetwork((first, last), (replace(joined, weight=weight),), 2)
        cores.append(len([s for s in partition(network, CHIP).slices if s.population == "last"]))
    assert cores == [2, 1]


def test_placing_twice_gives_the_same_bytes_and_reads_back() -> None:
    network = random_conv_network(5, Reset.HARD)
    tally = random_tally(network, 1)
    chip = small_chip(neurons_per_core=20)
    first, second = place(network, chip, tally, seed=3), place(network, chip, tally, seed=3)
    assert first.to_json() == second.to_json()
    again = manual_placement(json.loads(first.to_json()), network, chip, tally)
    assert again.to_json() == first.to_json()
    for population in network.populations:
        assert np.array_equal(again.core_of(population.name), first.core_of(population.name))
    assert len(np.unique(first.sites, axis=0)) == first.cores


def test_scattered_neurons_survive_the_file() -> None:
    network = mlp(30, 8)
    placement = place(network, CHIP)
    scattered = np.array([0, 1, 2, 7, 8, 29])
    others = np.setdiff1d(np.arange(30), scattered)
    first = placement.slices[0]
    moved = Slice(first.population, placement.cores, others)
    changed = replace(
        placement,
        slices=(replace(first, neurons=scattered), moved, *placement.slices[1:]),
        stored=({}, *placement.stored),
        sites=np.concatenate([placement.sites, [[0, 7, 3, 3]]]),
        needs=(*placement.needs, placement.needs[0]),
    )
    assert '"runs": [[0, 3], [7, 9], [29, 30]]' in changed.to_json()
    again = manual_placement(json.loads(changed.to_json()), network, CHIP)
    assert np.array_equal(again.slices[0].neurons, scattered)
    assert np.array_equal(again.slices[1].neurons, others)


def test_local_search_never_loses_to_the_plain_order() -> None:
    network = pilotnet()
    placement = place(network, CHIP)
    flow = traffic(streams(network, placement, CHIP), placement)
    plain = hop_cost(CHIP, flow, in_order(sites(CHIP, 1))[: placement.cores])
    assert placement.hop_cost == pytest.approx(hop_cost(CHIP, flow, placement.sites))
    assert placement.hop_cost < 0.5 * plain


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), cores=st.integers(2, 12))
def test_exchanges_only_ever_shorten_and_keep_places_apart(seed: int, cores: int) -> None:
    rng = np.random.default_rng(seed)
    flow = rng.integers(0, 9, (cores, cores)).astype(np.float64)
    flow += flow.T
    np.fill_diagonal(flow, 0)
    where = sites(CHIP, 1)[: cores + 3]
    lengths = distance(CHIP, where[:, None], where[None])
    start = rng.permutation(len(where))[:cores]
    pull = rng.integers(0, 9, (cores, len(where))).astype(np.float64)
    better = improve(flow, lengths, start, seed, pull)

    def cost(place: IntArray) -> float:
        held = pull[np.arange(cores), place].sum()
        return float((flow * lengths[np.ix_(place, place)]).sum() / 2 + held)

    assert len(set(better.tolist())) == cores
    assert cost(better) <= cost(start)
    for a in range(cores):  # a local optimum: no exchange of one core helps
        for spot in range(len(where)):
            other = better.copy()
            other[other == spot] = better[a]
            other[a] = spot
            assert cost(other) >= cost(better) - 1e-6


def test_the_traffic_table_adds_up() -> None:
    network = residual_network(2, Reset.HARD)
    placement = place(network, small_chip(neurons_per_core=20))
    flow = traffic(streams(network, placement, CHIP), placement)
    table = traffic_table(placement, flow, CHIP)
    assert set(table) == {(j.source, j.target) for j in network.projections}
    assert sum(f.messages for f in table.values()) == flow.messages.sum()
    assert all(f.chip_hops == 0 for f in table.values())
    lengths = [f.messages * f.mean_hops for f in table.values()]
    unit = CHIP.with_value("time_ns.hop_ns", 4.1)
    assert sum(lengths) == pytest.approx(hop_cost(unit, flow, placement.sites))


def test_distances_follow_the_chip_file() -> None:
    a, near, far = np.array([0, 1, 1, 0]), np.array([0, 1, 1, 3]), np.array([0, 3, 2, 0])
    assert distance(CHIP, a, near) == 0
    assert distance(CHIP, a, far) == pytest.approx(2 + 6.5 / 4.1)
    across = np.array([1, 0, 1, 0])  # first column of the next chip to the east
    assert distance(CHIP, np.array([0, 7, 1, 0]), across) == pytest.approx(1 + 31 / 4.1)


def test_networks_take_as_many_chips_as_they_need() -> None:
    chip = small_chip(neurons_per_core=4, cores_per_chip=3)
    placement = place(mlp(20, 30, 10), chip)
    assert placement.cores == 5 + 8 + 3
    assert placement.chips == 6
    assert np.bincount(placement.sites[:, 0]).max() <= 3


def test_everything_that_does_not_fit_is_said_at_once() -> None:
    network = mlp(9000, 40, 12)
    wide = replace(network.projections[1], weight=network.projections[1].weight * 3, delay=99)
    network = replace(network, projections=(network.projections[0], wide))
    chip = small_chip(axons_in_per_core=5000, synaptic_memory_per_core=500, chips=1)
    with pytest.raises(TargetError, match="broken rule") as caught:
        place(network, chip)
    for text in (
        "fc0, one neuron alone: a core listens to only so many source neurons: found 9,000",
        "fc0, one neuron alone: the synapses of a core fit its synaptic memory: found 72,000",
        "fc0 -> fc1: weights fit the stored bits",
        "fc0 -> fc1: delays are not longer than the longest: found 99 steps; limit 62 steps",
    ):
        assert text in str(caught.value)


@pytest.mark.parametrize("padding", [0, 1])
def test_one_neuron_of_an_image_alone_sees_its_own_window(padding: int) -> None:
    """Three rows of two columns in each of two channels, wherever it stands."""
    source = plain_population("input", (2, 9, 9), PopulationKind.INPUT)
    target = lif("a", (4, 7 + 2 * padding, 8 + 2 * padding))
    kernel = np.ones((4, 2, 3, 2), np.int64)
    way = Projection("input", "a", ProjectionKind.CONV2D, kernel, padding=(padding, padding))
    readout = lif("out", (2,), Reset.NONE)
    last = dense(target, readout, np.random.default_rng(0))
    network = IntNetwork((source, target, readout), (way, last), 4, InputCoding.SPIKES, 1)
    found = [str(f) for f in partition(network, small_chip(axons_in_per_core=5)).findings]
    words = "a, one neuron alone: a core listens to only so many source neurons: found 12;"
    assert [text for text in found if text.startswith(words)]


def test_a_box_across_two_groups_is_looked_at_too() -> None:
    """Ten channels in two groups, by twos: the third box listens to both groups, the second, which
    is measured first, to one."""
    source = plain_population("input", (12, 1, 1), PopulationKind.INPUT)
    target, readout = lif("a", (10, 1, 1)), lif("out", (2,), Reset.NONE)
    kernel = np.ones((10, 6, 1, 1), np.int64)
    way = Projection("input", "a", ProjectionKind.CONV2D, kernel, groups=2)
    last = dense(target, readout, np.random.default_rng(0))
    network = IntNetwork((source, target, readout), (way, last), 4, InputCoding.SPIKES, 1)
    wide, narrow = (
        partition(network, small_chip(neurons_per_core=2, axons_in_per_core=axons))
        for axons in (12, 10)
    )
    held = [[s for s in parts.slices if s.population == "a"] for parts in (wide, narrow)]
    assert [len(slices) for slices in held] == [5, 10]
    assert not narrow.findings


@pytest.mark.parametrize("size", range(1, 70))
def test_a_side_is_cut_whole_or_by_powers_of_two_below_it(size: int) -> None:
    powers = [1 << k for k in range(10) if 1 << k < size]
    assert _halvings(size) == [size, *reversed(powers)]


def test_too_few_cores_are_counted() -> None:
    with pytest.raises(TargetError, match=r"the cores suffice: found 9 cores; limit 2"):
        place(mlp(40, 4), small_chip(neurons_per_core=4 + 1, cores_per_chip=2, chips=1))
