"""Each core stores a matrix as takes fewer bytes there, and everything counts by what it stores."""

import json
from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import mlp, random_tally

from tssd.calibration.int_network import IntNetwork
from tssd.calibration.integer import IntArray
from tssd.hw_targets.chip.chips import load_chip
from tssd.hw_targets.costs.bound import mean_load
from tssd.hw_targets.costs.counters import count
from tssd.hw_targets.costs.energy import price
from tssd.hw_targets.mapping.choices import Choices, SynapseFormat
from tssd.hw_targets.mapping.fit import fit, told_of_fit, told_of_placement
from tssd.hw_targets.mapping.manual import manual_placement
from tssd.hw_targets.mapping.partition import partition, tiled
from tssd.hw_targets.mapping.placement import Placement, place, streams
from tssd.hw_targets.sim.plan import make_plan, synapse_cycles

CHIP = load_chip("loihi2")
SEVEN = CHIP.with_value("limits.neurons_per_core", 7)
WORD = CHIP.bits.memory_word.count // 8
DENSE, SPARSE = SynapseFormat.DENSE, SynapseFormat.SPARSE
NAME = "input -> fc0"


def with_weight(network: IntNetwork, weight: IntArray) -> IntNetwork:
    only = replace(network.projections[0], weight=weight)
    return replace(network, projections=(only, *network.projections[1:]))


def half_full() -> IntNetwork:
    """6 sources, 14 targets: all reach the first seven, two alone the others."""
    weight = np.ones((14, 6), np.int64)
    weight[7:, 2:] = 0
    return with_weight(mlp(6, 14), weight)


def placed(asked: SynapseFormat | None = None) -> Placement:
    formats = {} if asked is None else {NAME: asked}
    return place(half_full(), SEVEN, choices=Choices(formats))


def memory(placement: Placement) -> list[int]:
    return [placement.needs[core].memory_bytes // WORD for core in placement.cores_of("fc0")]


def test_a_row_is_dense_on_one_core_and_sparse_on_the_next() -> None:
    """Seven targets: a dense row takes 7 x 16 + 10 = 122 bits, two words, for each of six sources;
    a sparse one 7 x 21 + 10 = 157, three, for those that have any. In the mean of the layer the
    zeros make sparse look better (56 x 21 bits against 84 x 16)."""
    assert memory(placed()) == [12, 6]
    assert memory(placed(DENSE)) == [12, 12]
    assert memory(placed(SPARSE)) == [18, 6]
    assert placed().stored == ({}, {NAME: DENSE}, {NAME: SPARSE})
    assert placed(DENSE).stored == ({}, {NAME: DENSE}, {NAME: DENSE})


def test_operations_count_as_the_core_stores_them() -> None:
    network, placement = half_full(), placed()
    tally = random_tally(network, 2)
    counted = count(network, tally, placement, SEVEN)
    events = tally.events["input"]
    full, thin = 7 * int(events.sum()), 7 * int(events[:2].sum())
    assert counted.columns["synop_dense"].tolist() == [0, full, 0]
    assert counted.columns["synop_sparse"].tolist() == [0, 0, thin]
    assert [(p.name, p.kind, p.synops) for p in counted.projections] == [
        (NAME, DENSE, full),
        (NAME, SPARSE, thin),
    ]
    whole = count(network, tally, placed(SPARSE), SEVEN)
    for column in ("message_in", "message_out", "hop_ew", "hop_ns"):
        assert counted.total(column) == whole.total(column)
    table = SEVEN.energy_pj
    wanted = full * table.synop_dense.value + thin * table.synop_sparse.value
    assert np.isclose(price(counted, SEVEN).part("synapse").nominal, wanted, rtol=1e-12)
    load = mean_load(network, counted)
    assert load["synop_sparse"].argmax() == 2


def test_the_clocked_machine_takes_each_message_at_its_core_s_price() -> None:
    chip = SEVEN.with_value("time_ns.synop_sparse", 50.0)
    network, placement = half_full(), placed()
    wires = make_plan(network, placement, chip).wires
    cost = dict(zip(wires.fan[:, 0].tolist(), wires.fan[:, 2].tolist(), strict=True))
    seven = np.array([7])
    wanted = [np.maximum(*synapse_cycles(seven, stored, chip)).item() for stored in (DENSE, SPARSE)]
    assert sorted(cost.values()) == wanted
    assert wanted[0] < wanted[1]


def test_the_file_says_what_was_taken() -> None:
    table = json.loads(placed().to_json())
    assert [entry.get("stored") for entry in table["slices"]] == [
        None,
        {NAME: "dense"},
        {NAME: "sparse"},
    ]
    again = manual_placement(table, half_full(), SEVEN)
    assert again.stored == placed().stored
    assert again.to_json() == placed().to_json()


def test_a_format_asked_for_is_compared_with_what_cores_would_take() -> None:
    network = half_full()
    for asked, told in (
        (DENSE, f" in {24 * WORD:,} bytes; as takes least on each core {18 * WORD:,}"),
        (SPARSE, f" in {24 * WORD:,} bytes; as takes least on each core {18 * WORD:,}"),
    ):
        wanted = (f"{NAME} is stored {asked}, as asked{told}",)
        assert told_of_placement(network, SEVEN, placed(asked)) == wanted
        choices = Choices({NAME: asked})
        assert told_of_fit(network, SEVEN, choices, fit(network, SEVEN, choices)) == wanted


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 20),
    st.integers(1, 40),
    st.integers(1, 12),
    st.sampled_from(["loihi2", "loihi1", "open-core"]),
)
def test_never_more_than_either_format_for_the_whole_layer(
    seed: int, sources: int, targets: int, per_core: int, name: str
) -> None:
    """On the same cut; every synapse is met once, whatever it is stored as."""
    rng = np.random.default_rng(seed)
    share = rng.uniform(0, 1, (targets, 1))  # of zeros: some targets are fuller than others
    weight = np.where(rng.random((targets, sources)) < share, 0, rng.integers(1, 99, 1))
    weight[0, 0] = 1
    network = with_weight(mlp(sources, targets), weight.astype(np.int64))
    chip = load_chip(name).with_value("limits.neurons_per_core", max(per_core, sources))
    free = partition(network, chip)
    boxes = {
        p.name: tuple(((int(s.neurons[0]), int(s.neurons[-1]) + 1), (0, 1), (0, 1))
                      for s in free.slices if s.population == p.name)
        for p in network.populations
    }  # fmt: skip
    mine = sum(need.memory_bytes for need in free.needs)
    for asked in (DENSE, SPARSE):
        choices = Choices({NAME: asked})
        other = tiled(network, chip, boxes, choices)
        assert mine <= sum(need.memory_bytes for need in other.needs)
        assert free.cores <= partition(network, chip, choices).cores
    placement = place(network, chip)
    met = sum(int(x.table.synapses.sum()) for x in streams(network, placement, chip)
              if x.name == NAME)  # fmt: skip
    assert met == np.count_nonzero(weight)
