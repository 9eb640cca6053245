"""Engine: spikes, counters and times of placed networks."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from spike_records import write_record
from strategies import Case, cases, random_conv_network, random_inputs

from tssd.calibration.int_network import InputCoding, Reset
from tssd.calibration.simulate import layerwise
from tssd.errors import ConfigError, FileFormatError, TargetError
from tssd.hw_targets.chip.chips import load_chip
from tssd.hw_targets.mapping.placement import place
from tssd.hw_targets.sim import engine
from tssd.hw_targets.sim.engine import Run, run, run_record, time_record
from tssd.hw_targets.sim.functional import simulate
from tssd.hw_targets.sim.plan import machine_of
from tssd.hw_targets.sim.program import prepare
from tssd.hw_targets.sim.record import from_activity, from_samples, read_record
from tssd.hw_targets.sim.timing import Traffic, time_steps

CHIP = load_chip("loihi2")


def some_run(seed: int = 1, chip_name: str = "loihi2") -> Run:
    chip = load_chip(chip_name)
    graded = chip.bits.payload.count > 0
    coding = InputCoding.GRADED if graded else InputCoding.SPIKES
    network = random_conv_network(seed, Reset.HARD, coding=coding)
    return run(network, random_inputs(network, seed, 2), place(network, chip), chip)


@given(cases())
@settings(max_examples=15, deadline=None)
def test_cycle_is_never_faster_than_bound_and_counts_are_the_reference_s(case: Case) -> None:
    placement = place(case.network, CHIP)
    slow = run(case.network, case.inputs, placement, CHIP)
    fast = time_record(slow.plan, slow.record, "bound")
    assert (slow.timing.cycles >= fast.cycles).all()
    np.testing.assert_array_equal(slow.timing.terms, fast.terms)
    np.testing.assert_array_equal(slow.timing.where, fast.where)
    np.testing.assert_array_equal(slow.timing.links, fast.links)
    expected = layerwise(case.network, case.inputs)
    for name, spikes in expected.spikes.items():
        assert slow.tally.spikes(name) == np.count_nonzero(spikes)
    np.testing.assert_array_equal(slow.tally.readout, expected.readout)
    assert slow.timing.messages == slow.counters.total("message_out")
    busy = slow.timing.core[..., 4].sum()
    assert busy == slow.counters.total("message_in") * slow.plan.machine.axon_in_cycles


def test_the_number_of_threads_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    first = some_run()
    monkeypatch.setattr(engine, "available_cores", lambda: 1)
    monkeypatch.setattr(engine, "BLOCK", 1)
    alone = some_run()
    np.testing.assert_array_equal(first.timing.cycles, alone.timing.cycles)
    np.testing.assert_array_equal(first.timing.core, alone.timing.core)
    np.testing.assert_array_equal(first.timing.links, alone.timing.links)


@pytest.mark.parametrize(
    ("steps", "spikes", "threads", "sizes"),
    [
        (0, 0, 2, []),
        (5, 0, 2, [3, 2]),
        (3, 10, 8, [1, 1, 1]),
        (130, 1000, 2, [64, 64, 2]),
        (4, 1_000_000, 2, [1, 1, 1, 1]),
        (40, 80_000, 2, [10, 10, 10, 10]),
    ],
)
def test_blocks_of_steps_leave_no_thread_idle_and_none_out(
    steps: int, spikes: int, threads: int, sizes: list[int]
) -> None:
    blocks = engine.blocks_of(steps, spikes, threads)
    assert [len(block) for block in blocks] == sizes
    assert [step for block in blocks for step in block] == list(range(steps))


def test_a_record_from_another_engine_gives_the_same_times(tmp_path: Path) -> None:
    ours = some_run()
    network = ours.network
    inputs = random_inputs(network, 1, 2)
    record = from_activity(network, layerwise(network, inputs))
    same = from_samples(network, simulate(prepare(network), inputs))
    assert record.steps == same.steps
    first, second = time_record(ours.plan, record), time_record(ours.plan, same)
    np.testing.assert_array_equal(first.cycles, second.cycles)  # idle and active cost the same here
    write_record(tmp_path / "r.npz", ours.record)
    again = run_record(network, read_record(tmp_path / "r.npz", network), ours.placement, CHIP)
    np.testing.assert_array_equal(again.timing.cycles, ours.timing.cycles)
    assert again.counters.total("spike") == ours.counters.total("spike")


def test_a_record_of_another_network_is_refused(tmp_path: Path) -> None:
    ours = some_run()
    bad = {**ours.record.spikes, "readout": np.array([[0, 99]])}
    write_record(tmp_path / "r.npz", replace(ours.record, spikes=bad))
    with pytest.raises(
        FileFormatError, match=r"spikes/readout: found step or neuron up to \[0, 99"
    ):
        read_record(tmp_path / "r.npz", ours.network)
    (tmp_path / "no.npz").write_text("no")
    with pytest.raises(FileFormatError, match="no spike record"):
        read_record(tmp_path / "no.npz", ours.network)


def test_barrier_follows_or_hides() -> None:
    hides, follows = some_run(), some_run(chip_name="loihi1-nahuku")
    quiet = hides.timing.core[..., 7].max(axis=1)
    floor = hides.plan.machine.floor_cycles
    np.testing.assert_array_equal(hides.timing.cycles, np.maximum(quiet, floor))
    last = follows.timing.core[..., 7].max(axis=1)
    after = follows.plan.machine.barrier_cycles
    np.testing.assert_array_equal(follows.timing.cycles, last + after)
    assert after > 0


@pytest.mark.parametrize(("flits", "script_us"), [(1, 41), (2, 61)])
def test_4096_messages_from_chip_to_chip_take_as_long_as_the_vendors_script_says(
    flits: int, script_us: float
) -> None:
    """Every core of one chip sends 32 spikes to its twin on the next, over the one link."""
    network = random_conv_network(1, Reset.HARD)
    few = CHIP.with_value("limits.cores_per_chip", 1)
    machine = machine_of(CHIP, place(network, few), 2)
    assert machine.chips_x > 1
    cores = [machine.core_at(0, router, slot) for router in range(32) for slot in range(4)]
    source = np.repeat(np.sort(cores), 32)
    target = source + 8 * 4
    first = np.searchsorted(source, np.arange(machine.cores + 1))[None]
    one, none = np.ones(4096, np.int64), np.zeros(4096, np.int64)
    traffic = Traffic(
        first, target, flits * one, none, none, np.zeros((1, machine.cores), np.int64)
    )
    times = time_steps(machine, traffic)
    us = times.cycles[0] * machine.cycle_ns / 1e3
    assert script_us <= us < script_us + 1


def test_bad_requests_are_refused() -> None:
    ours = some_run()
    with pytest.raises(ConfigError, match="timing mode: found 'fast'; allowed: cycle or bound"):
        time_record(ours.plan, ours.record, "fast")  # type: ignore[arg-type]
    other = load_chip("loihi1-nahuku")
    with pytest.raises(TargetError, match=r"placement: found one of .* on loihi2"):
        run_record(ours.network, ours.record, ours.placement, other)
