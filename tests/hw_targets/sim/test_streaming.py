"""Samples taken a few at a time: the same figures, bit for bit, and no memory that grows."""

import tracemalloc
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import mlp
from strategies import Case, cases, random_inputs

from tssd.calibration.encode import Inputs, as_inputs
from tssd.calibration.int_network import interval
from tssd.hw_targets.chip.chips import load_chip
from tssd.hw_targets.mapping.placement import place
from tssd.hw_targets.sim import streaming, summary
from tssd.hw_targets.sim.engine import Run, run, run_record
from tssd.hw_targets.sim.record import length_alone, reach
from tssd.hw_targets.sim.timing import StepTiming
from tssd.hw_targets.sim.trace import chrome_trace

CHIP = load_chip("loihi2")


def in_parts_of(size: int, case: Case) -> Run:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streaming, "SAMPLES", size)
        return run(case.network, case.inputs, place(case.network, CHIP), CHIP)


@given(cases(), st.integers(1, 3))
@settings(max_examples=15, deadline=None)
def test_the_size_of_the_parts_changes_no_figure(case: Case, size: int) -> None:
    inputs = np.concatenate([case.inputs, case.inputs[:, ::-1], case.inputs], axis=1)
    whole, parts = (in_parts_of(n, replace(case, inputs=inputs)) for n in (inputs.shape[1], size))
    for field in fields(StepTiming):
        one, other = (getattr(r.timing, field.name) for r in (whole, parts))
        np.testing.assert_array_equal(one, other, err_msg=field.name)
    np.testing.assert_array_equal(whole.alone_us, parts.alone_us)
    np.testing.assert_array_equal(whole.tally.readout, parts.tally.readout)
    for name, events in whole.tally.events.items():
        np.testing.assert_array_equal(events, parts.tally.events[name])
    for name, column in whole.counters.columns.items():
        np.testing.assert_array_equal(column, parts.counters.columns[name])


@pytest.mark.parametrize("time_steps", range(1, 9))
def test_all_samples_that_are_still_in_the_chip_are_reached(time_steps: int) -> None:
    """The k-th sample before began k intervals ago, and is alone in the chip for so many steps."""
    network = mlp(4, 4, 4, 4, 3).with_time_steps(time_steps)
    apart, alone = interval(network), length_alone(network)
    assert reach(network) == max(k for k in range(100) if k * apart < alone)


@given(cases(), st.data())
@settings(max_examples=10, deadline=None)
def test_steps_of_the_ring_asked_for_again_are_the_same(case: Case, data: st.DataObject) -> None:
    done = in_parts_of(2, case)
    first = data.draw(st.integers(0, done.steps - 1))
    last = data.draw(st.integers(first + 1, done.steps))
    some = run_record(case.network, done.spikes_of(range(first, last)), done.placement, CHIP).timing
    np.testing.assert_array_equal(some.cycles, done.timing.cycles[first:last])
    np.testing.assert_array_equal(some.core, done.timing.core[first:last])
    again = run_record(case.network, done.record, done.placement, CHIP)
    assert chrome_trace(again, first, last - first) == chrome_trace(done, first, last - first)


def test_memory_does_not_grow_with_the_samples() -> None:
    """Many times as many: one part at a time is coded, and a row of each step is held.

    Enough of them that their rows outweigh by what an allocator's peak differs between two runs.
    """
    network = mlp(400, 300, 10)
    shown = random_inputs(network, 0, 1)
    placement = place(network, CHIP)

    def most(samples: int) -> int:
        asked: list[int] = []

        def part(first: int, last: int) -> np.ndarray:
            asked.append(last - first)
            return np.repeat(shown, last - first, axis=1)

        tracemalloc.start()
        run(network, Inputs(samples, part), placement, CHIP, "bound", every_core=False)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert max(asked) <= streaming.SAMPLES
        return peak

    most(streaming.SAMPLES)  # what is compiled and kept
    few, many = 2 * streaming.SAMPLES, 34 * streaming.SAMPLES
    grown = most(many) - most(few)
    row = (1 + 5 + 5 + 2) * 8  # cycles, terms, where, late
    joining = 2  # the parts, and the whole that they become
    per_sample = (network.time_steps * row + 8 * (10 + 1)) * joining  # its answer, its latency
    assert grown < (many - few) * per_sample * 1.5


@given(cases())
@settings(max_examples=10, deadline=None)
def test_what_is_not_kept_of_every_core_changes_no_figure(case: Case) -> None:
    placement = place(case.network, CHIP)
    whole, lean = (
        run(case.network, case.inputs, placement, CHIP, every_core=kept) for kept in (True, False)
    )
    assert summary.totals(whole) == summary.totals(lean)
    assert summary.steps(whole) == summary.steps(lean)
    assert summary.mesh(whole) == summary.mesh(lean)
    assert summary.layers(whole) == summary.layers(lean)
    assert lean.timing.per_core is None


def test_held_inputs_are_given_as_they_are() -> None:
    network = mlp(5, 3)
    inputs = random_inputs(network, 0, 5)
    parts = list(as_inputs(inputs).batches(2))
    assert [first for first, _ in parts] == [0, 2, 4]
    np.testing.assert_array_equal(np.concatenate([part for _, part in parts], axis=1), inputs)
    np.testing.assert_array_equal(as_inputs(inputs).whole(), inputs)
