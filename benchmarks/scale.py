"""Scale: a ResNet-18 on eight chips in cycle mode, and what a message costs as the grid grows.

    python -m benchmarks.scale            (also: make bench-scale)

ResNet-18 for 40 x 40 images (11.2 M random weights, pooled before the last layer) on eight chips of
120 cores. The spikes are synthetic: every neuron of every layer fires at random in the given share
of steps, in all layers at once, as in the middle of a stream of samples.
"""

import resource
import sys
import time
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "support"))

import numpy as np
from networks import resnet18

from benchmarks.booksim import CORES, MACHINE
from benchmarks.harness import Row, at_least, at_most, cpu_seconds, report, write
from tssd.calibration.int_network import IntNetwork
from tssd.calibration.integer import IntArray
from tssd.hw_targets.chip.chips import load_chip
from tssd.hw_targets.mapping.placement import place, placed_fanouts
from tssd.hw_targets.sim.engine import time_record
from tssd.hw_targets.sim.machine import Machine
from tssd.hw_targets.sim.plan import Plan, make_plan
from tssd.hw_targets.sim.record import SpikeRecord
from tssd.hw_targets.sim.timing import StepTiming, Traffic, time_steps

COMMAND = "python -m benchmarks.scale"
RATES = (0.02, 0.05, 0.1)
STEPS, CORES_OF_THE_GOAL = 8, 2
PER_CORE, REACH = 40, 2  # messages of a core, routers to go at most in x and in y
GRIDS = ((1, 1), (2, 1), (2, 2), (4, 2))  # chips
STEPS_OF_ONE_CHIP = 32  # with the same traffic; on n chips n-th as many
ROUNDS = 9


def main() -> None:
    network = resnet18(size=40, pooled=True)
    found: list[Plan] = []
    chip = load_chip("loihi2").with_value("limits.cores_per_chip", 120)
    placement = place(network, chip)
    fanouts = placed_fanouts(network, placement)
    seconds = cpu_seconds(lambda: found.append(make_plan(network, placement, chip, fanouts)))
    neurons = sum(p.neurons for p in network.populations)
    size = f"{neurons:,} neurons on {placement.cores} cores, fan-outs known"
    rows = [
        report("ResNet-18: chips", placement.chips, "chips", size),
        report("ResNet-18: lay out for timing", seconds, "cpu s", size),
    ]
    for rate in RATES:
        rows += timed(found[0], record(network, rate), rate)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    rows.append(at_most("ResNet-18: peak memory", peak, 4, "GB", "resident set, all of the above"))
    write("scale", COMMAND, [*rows, *grid_rows()])


def record(network: IntNetwork, rate: float) -> SpikeRecord:
    """Every neuron fires with probability *rate* in every step."""
    rng, spikes = np.random.default_rng(0), {}
    for p in network.populations:
        spikes[p.name] = np.argwhere(rng.random((STEPS, p.neurons)) < rate)
    return SpikeRecord(STEPS, spikes, {})


def timed(plan: Plan, spikes: SpikeRecord, rate: float) -> list[Row]:
    """Steps per second at one rate of firing."""
    found: list[StepTiming] = []
    time_record(plan, replace(spikes, steps=1, spikes=first_step(spikes)))  # compiles
    wall = time.perf_counter()
    cpu = cpu_seconds(lambda: found.append(time_record(plan, spikes)))
    wall = time.perf_counter() - wall
    label, messages = f"ResNet-18, {100 * rate:g} % fire", found[0].messages / STEPS
    how = f"cycle mode; {messages:,.0f} messages a step; {cpu / STEPS:.2f} CPU s a step"
    return [
        at_least(f"{label}: on two cores", CORES_OF_THE_GOAL * STEPS / cpu, 1, "steps/s", how),
        report(f"{label}: wall, machine as busy as it was", STEPS / wall, "steps/s", how),
        report(f"{label}: messages", found[0].messages / cpu, "1/s per core", how),
    ]


def first_step(spikes: SpikeRecord) -> dict[str, IntArray]:
    return {name: events[events[:, 0] == 0] for name, events in spikes.spikes.items()}


def grid_rows() -> list[Row]:
    """The same load per core on ever larger grids, as many messages on each, by turns."""
    cases = []
    for chips_x, chips_y in GRIDS:
        machine = replace(MACHINE, chips_x=chips_x, chips_y=chips_y, axon_in_flits=8)
        cases.append((machine, near_traffic(machine, STEPS_OF_ONE_CHIP // (chips_x * chips_y))))
    number = PER_CORE * CORES * STEPS_OF_ONE_CHIP
    crossed = [int(time_steps(m, t).events.sum()) / number for m, t in cases]  # compiles, too
    costs = [float("inf")] * len(cases)
    for _ in range(ROUNDS):
        for i, (machine, traffic) in enumerate(cases):
            spent = cpu_seconds(lambda m=machine, t=traffic: time_steps(m, t))  # type: ignore[misc]
            costs[i] = min(costs[i], spent / number * 1e6)
    how = f"{number:,} messages to cores at most {REACH} routers away; best of {ROUNDS}, by turns"
    rows = [
        report(f"{machine.cores} cores: CPU per message", cost, "us", how)
        for (machine, _), cost in zip(cases, costs, strict=True)
    ]
    how = f"{GRIDS[-1][0] * GRIDS[-1][1]} chips against one, each core with the same load"
    longer = f"{how}; beyond one chip a message goes farther: feeder, link and entry for one hop"
    more, dearer = crossed[-1] / crossed[0], costs[-1] / costs[0]
    return [
        *rows,
        report("1 chip: events per message", crossed[0], "events", "channels out of routers"),
        at_most("events per message as the grid grows", more, 1.25, "ratio", longer),
        at_most("CPU per message as the grid grows", dearer, 1.25, "x", longer),
        at_most("CPU per event as the grid grows", dearer / more, 1.25, "x", how),
    ]


def near_traffic(machine: Machine, steps: int) -> Traffic:
    """Each core sends to random cores nearby, one message every 40 cycles on average."""
    rng, width = np.random.default_rng(0), machine.columns
    height, per = machine.height * machine.chips_y, machine.cores_per_router
    source = np.repeat(np.arange(machine.cores), PER_CORE)
    y, x = np.divmod(source // per, width)
    dx, dy = rng.integers(-REACH, REACH + 1, (2, len(source)))
    x, y = np.clip(x + dx, 0, width - 1), np.clip(y + dy, 0, height - 1)
    target = (y * width + x) * per + rng.integers(0, per, len(source))
    first = np.tile(np.arange(machine.cores + 1) * PER_CORE, (steps, 1))
    one, none = np.ones(len(source), np.int64), np.zeros(len(source), np.int64)
    tail = np.zeros((steps, machine.cores), np.int64)
    return Traffic(first, target, one, rng.integers(20, 61, len(source)), none, tail)


if __name__ == "__main__":
    main()
