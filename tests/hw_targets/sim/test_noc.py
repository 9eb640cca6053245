"""The network between the cores: what goes in comes out, once, by the shortest way, in order."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import booksim
from benchmarks.harness import RESULTS
from tssd.calibration.integer import IntArray
from tssd.hw_targets.sim.machine import Machine
from tssd.hw_targets.sim.timing import Traffic, time_steps

SMALL = replace(
    booksim.MACHINE, width=3, height=2, cores_per_router=2, chips_y=2, chip_hop_cycles=9,
    chip_message_cycles=7, chip_payload_cycles=3,
)  # fmt: skip


def random_traffic(machine: Machine, seed: int, steps: int) -> tuple[Traffic, IntArray]:
    """Bursts between random cores, one to three flits; and the source core of each message."""
    rng = np.random.default_rng(seed)
    number = int(rng.integers(1, 80)) * steps
    step, source = rng.integers(0, steps, number), rng.integers(0, machine.cores, number)
    order = np.lexsort((source, step))
    key = (step * (machine.cores + 1) + source)[order]
    keys = np.arange(steps)[:, None] * (machine.cores + 1) + np.arange(machine.cores + 1)
    few = rng.integers(0, machine.cores, int(rng.integers(1, machine.cores)))
    target, flits = rng.choice(few, number), rng.integers(1, 4, number)
    work, service = rng.integers(0, 6, (2, number))
    tail = np.zeros((steps, machine.cores), np.int64)
    traffic = Traffic(np.searchsorted(key, keys), target, flits, work, service, tail)
    return traffic, source[order]


def cycles_by_route(machine: Machine, source: IntArray, traffic: Traffic) -> dict[str, int]:
    """Cycles for which each channel is busy if every message goes once, along x, then along y."""
    found: dict[str, int] = {}
    for a, b, flits in zip(source, traffic.target, traffic.flits.tolist(), strict=True):
        (y, x), (to_y, to_x) = (
            divmod(int(c) // machine.cores_per_router, machine.columns) for c in (a, b)
        )
        plain, link = flits * machine.flit_cycles, machine.chip_message_cycles
        link += (flits - 1) * machine.chip_payload_cycles
        taken = [(f"core {a} -> router ({x},{y})", plain)]
        while (x, y) != (to_x, to_y):
            ahead = (
                (x + (1 if to_x > x else -1), y) if x != to_x else (x, y + (1 if to_y > y else -1))
            )
            here, there = f"router ({x},{y})", f"router ({ahead[0]},{ahead[1]})"
            chips = [r // machine.height for r in (y, ahead[1])]
            gate = f"link chip (0,{chips[0]}) -> chip (0,{chips[1]})"
            if chips[0] == chips[1]:
                taken.append((f"{here} -> ({ahead[0]},{ahead[1]})", plain))
            else:
                taken += [(f"{here} -> {gate}", plain), (gate, link), (f"{gate} -> {there}", plain)]
            x, y = ahead
        taken.append((f"router ({x},{y}) -> core {b}", plain))
        for name, cycles in taken:
            found[name] = found.get(name, 0) + cycles
    return found


@given(st.integers(0, 2**32 - 1), st.integers(1, 3))
@settings(max_examples=60, deadline=None)
def test_every_flit_passes_each_channel_of_its_route_once_and_no_other(
    seed: int, steps: int
) -> None:
    traffic, source = random_traffic(SMALL, seed, steps)
    times = time_steps(SMALL, traffic)
    expected = cycles_by_route(SMALL, source, traffic)
    for channel, cycles in enumerate(times.links.sum(axis=0).tolist()):
        name = re.sub(r" \((east|west|north|south)\)", "", SMALL.channel_name(channel))
        assert cycles == expected.pop(name, 0)
    assert not expected  # every channel of every route is one of the machine's


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_a_step_does_not_know_the_steps_before_it(seed: int) -> None:
    traffic, _ = random_traffic(SMALL, seed, 3)
    together = time_steps(SMALL, traffic)
    for step in range(3):
        alone = replace(traffic, first=traffic.first[step : step + 1], tail=traffic.tail[:1])
        by_itself = time_steps(SMALL, alone)
        assert by_itself.cycles[0] == together.cycles[step]
        rows = slice(traffic.first[step, 0], traffic.first[step, -1])
        np.testing.assert_array_equal(by_itself.messages[rows], together.messages[rows])


@pytest.mark.parametrize("pattern", ["uniform", "transpose", "hotspot"])
def test_latency_under_load_is_booksims(pattern: str) -> None:
    """The figure that BookSim gave for the same messages stands in the committed results."""
    table = json.loads((RESULTS / "booksim.json").read_text(encoding="utf-8"))
    name = f"{pattern}, load 0.03: mean latency"
    theirs, ours = next(r["value"] for r in table["rows"] if r["name"] == name).split(", ")
    found = booksim.mean_latency(pattern, 0.03, booksim.ours)
    assert found == pytest.approx(float(ours), abs=0.006)
    assert found == pytest.approx(float(theirs), rel=0.05)
