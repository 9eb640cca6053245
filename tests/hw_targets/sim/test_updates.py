"""Idle and active updates of a given spike record, found where the record does not tell them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import mlp
from spike_records import write_record
from strategies import Case, cases, recurrent_case

from tssd.calibration.int_network import InputCoding, IntNetwork, PopulationKind, depths
from tssd.errors import FileFormatError
from tssd.hw_targets.chip.chips import load_chip
from tssd.hw_targets.costs.energy import price
from tssd.hw_targets.mapping.placement import place
from tssd.hw_targets.sim.engine import run_record
from tssd.hw_targets.sim.functional import simulate
from tssd.hw_targets.sim.program import prepare
from tssd.hw_targets.sim.record import SpikeRecord, from_samples, read_record
from tssd.hw_targets.sim.updates import assumed, with_active

CHIP = load_chip("loihi1-nahuku")


def one_sample(case: Case) -> tuple[SpikeRecord, SpikeRecord]:
    """A sample as our engine records it, and the same without its active updates."""
    samples = simulate(prepare(case.network), case.inputs[:, :1])
    known = from_samples(case.network, samples)
    graded = case.network.input_coding is InputCoding.GRADED
    events = samples[0][case.network.source.name].spikes
    return known, replace(known, active={}, payload=events[:, 2] if graded else None)


@given(st.one_of(cases(), st.builds(recurrent_case, st.integers(0, 2**32 - 1))))
@settings(max_examples=25, deadline=None)
def test_what_is_found_is_what_the_engine_knew(case: Case) -> None:
    """In the steps of the sample, of every population but one that a bias-coded input drives; with
    skips, relays and loops."""
    known, bare = one_sample(case)
    found = with_active(case.network, bare)
    driven = case.network.input_coding is InputCoding.BIAS
    assert assumed(case.network, found) == ((case.network.source.name,) if driven else ())
    for name, depth in depths(case.network).items():
        biased = case.network.population(name).bias.any()
        for_sure = not biased or depth == 0  # a bias acts before the sample reaches a population
        if name in found.active and for_sure:
            mine = slice(depth, depth + case.network.time_steps)
            np.testing.assert_array_equal(found.active[name][mine], known.active[name][mine])


def graded() -> tuple[IntNetwork, SpikeRecord]:
    network = mlp(6, 5, 4)
    network = replace(network, input_coding=InputCoding.GRADED, input_max=7)
    spikes = {p.name: np.zeros((0, 2), np.int64) for p in network.populations}
    spikes["input"] = np.array([[1, 0], [2, 3]])
    return network, SpikeRecord(5, spikes, {})


def test_graded_input_without_payloads_leaves_its_targets_open(tmp_path: Path) -> None:
    network, record = graded()
    first = next(p.name for p in network.populations if p.kind is PopulationKind.LIF)
    found = with_active(network, record)
    assert assumed(network, found) == (first,)
    told = replace(record, payload=np.array([7, 1]))
    assert assumed(network, with_active(network, told)) == ()
    write_record(tmp_path / "r.npz", told)
    read = read_record(tmp_path / "r.npz", network)
    np.testing.assert_array_equal(read.payload, told.payload)


@pytest.mark.parametrize(
    ("name", "payload", "message"),
    [
        (
            "input",
            [7, 8],
            r"payload/input: found int64 array of shape \(2,\), 7 .. 8; allowed: \(2",
        ),
        ("input", [7], r"payload/input: found int64 array of shape \(1,\); allowed"),
        ("fc0", [], "found payload/fc0; allowed: payload/input alone"),
    ],
)
def test_payloads_that_do_not_fit_are_refused(
    name: str, payload: list[int], message: str, tmp_path: Path
) -> None:
    network, record = graded()
    write_record(tmp_path / "r.npz", record, **{f"payload/{name}": np.array(payload, np.int64)})
    with pytest.raises(FileFormatError, match=message):
        read_record(tmp_path / "r.npz", network)


def test_a_silent_record_is_idle_and_cheaper() -> None:
    """Of neurons without bias that nothing reaches, none is active."""
    network, record = graded()
    network = replace(network, input_coding=InputCoding.SPIKES, input_max=1)
    silent = {name: events[:0] for name, events in record.spikes.items()}
    placement = place(network, CHIP)
    idle = run_record(network, replace(record, spikes=silent), placement, CHIP)
    neurons = sum(p.neurons for p in network.populations)
    assert idle.counters.total("neuron_idle") == 5 * neurons
    assert idle.counters.total("neuron_active") == 0
    everything = {p.name: np.ones((5, p.neurons), np.bool_) for p in network.populations}
    busy = run_record(network, SpikeRecord(5, silent, everything), placement, CHIP)
    assert price(busy.counters, CHIP).total().nominal > price(idle.counters, CHIP).total().nominal
    assert busy.timing.cycles.sum() >= idle.timing.cycles.sum()
