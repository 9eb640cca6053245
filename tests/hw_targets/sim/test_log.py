"""The log of a traced step: all the work of the machine, and never written beyond its last row."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks import booksim
from tssd.calibration.integer import IntArray
from tssd.hw_targets.sim.kernels import kernel
from tssd.hw_targets.sim.machine import Machine, wire
from tssd.hw_targets.sim.timing import EVENTS_PER_MESSAGE, Traffic, message_rows, time_steps

SMALL = replace(
    booksim.MACHINE, width=2, height=2, cores_per_router=1, axon_in_cycles=4, axon_out_cycles=6,
    local_cycles=3, hop_x_cycles=5, hop_y_cycles=7, flit_cycles=2,
)  # fmt: skip


def traffic_of(machine: Machine, number: int, seed: int) -> Traffic:
    """One step of *number* messages between random cores."""
    rng = np.random.default_rng(seed)
    source = np.sort(rng.integers(0, machine.cores, number))
    first = np.searchsorted(source, np.arange(machine.cores + 1))[None]
    work, service = rng.integers(0, 9, (2, number))
    tail = rng.integers(1, 30, (1, machine.cores))
    flits = rng.integers(1, 3, number)
    return Traffic(first, rng.integers(0, machine.cores, number), flits, work, service, tail)


def log_of(machine: Machine, traffic: Traffic, rows: int = 1000) -> IntArray:
    """(intervals, 4): kind, place, start, cycles of the traffic's only step."""
    messages, log = message_rows(len(traffic.target)), np.zeros((rows, 4), np.int64)
    for column, name in enumerate(("target", "flits", "work", "service")):
        messages[:, column] = getattr(traffic, name)
    chip, first, tail = wire(machine), traffic.first[0], traffic.tail[0]
    status, _, _ = kernel.run_step(chip, messages, first, tail, log, EVENTS_PER_MESSAGE)
    assert status == kernel.OK
    return log[1 : 1 + log[0, 0]]


def test_a_lone_message_is_logged_stage_by_stage() -> None:
    """From core 0 to core 3, one router to the right and one down; two flits of two cycles."""
    one = np.array([1])
    tail = np.array([[0, 0, 0, 8]])
    traffic = Traffic(np.array([[0, 1, 1, 1, 1]]), 3 * one, 2 * one, 20 * one, 50 * one, tail)
    sent = 20 + 6
    arrived = sent + 3 + 5 + 7 + 3 + 2
    found = sorted(log_of(SMALL, traffic).tolist(), key=lambda row: row[2])
    assert [(kind, start, cycles) for kind, _, start, cycles in found] == [
        (kernel.LOG_NEURON, 0, 20),
        (kernel.LOG_NEURON, 0, 8),
        *((kernel.LOG_LINK, sent + way, 2 * 2) for way in (0, 3, 3 + 5, 3 + 5 + 7)),
        (kernel.LOG_AXON_IN, arrived, 4),
        (kernel.LOG_SYNAPSE, arrived + 4, 50),
    ]
    names = [SMALL.channel_name(place) for kind, place, _, _ in found if kind == kernel.LOG_LINK]
    assert names[0] == "core 0 -> router (0,0)"
    assert names[-1] == "router (1,1) -> core 3"


@pytest.mark.parametrize("seed", range(4))
def test_the_log_holds_every_busy_cycle_of_every_stage_and_link_once(seed: int) -> None:
    traffic = traffic_of(SMALL, 40, seed)
    times, log = time_steps(SMALL, traffic), log_of(SMALL, traffic)
    busy = {
        kernel.LOG_NEURON: times.counter("neuron_busy")[0],
        kernel.LOG_AXON_IN: times.counter("in_busy")[0],
        kernel.LOG_SYNAPSE: times.counter("synapse_busy")[0],
        kernel.LOG_LINK: times.links[0],
    }
    for kind, expected in busy.items():
        _, place, _, cycles = log[log[:, 0] == kind].T
        summed = np.bincount(place, cycles, len(expected))
        np.testing.assert_array_equal(summed, expected)
        for one in np.unique(place):
            mine = log[(log[:, 0] == kind) & (log[:, 1] == one)]
            start, length = mine[np.argsort(mine[:, 2], kind="stable"), 2:].T
            assert (start[1:] >= (start + length)[:-1]).all()  # one thing at a time
            assert 0 <= start[0] < start[-1] + length[-1] <= times.cycles[0]


def test_a_full_log_counts_on_and_is_not_written_beyond_its_end() -> None:
    """As plain Python, where a row too many is an error and not a word of other memory."""
    note = getattr(kernel._note, "py_func", kernel._note)
    log = np.zeros((3, 4), np.int64)
    for row in range(1, 5):
        note(log, kernel.LOG_LINK, row, 10 * row, 100 * row)
        assert log[0, 0] == row
    assert log[1:].tolist() == [[kernel.LOG_LINK, row, 10 * row, 100 * row] for row in (1, 2)]
