"""The mesh against the timing kernel: every step, every core, every message, clock by clock."""

from dataclasses import dataclass

import numpy as np

from tssd.calibration.int_network import Activity
from tssd.calibration.integer import IntArray
from tssd.hw_targets.rtl.image import Image
from tssd.hw_targets.rtl.machine import Step
from tssd.hw_targets.rtl.units.widths import NEURON_CLOCKS
from tssd.hw_targets.sim.engine import time_record
from tssd.hw_targets.sim.kernels.layout import COUNTER_NAMES
from tssd.hw_targets.sim.record import SpikeRecord, from_activity
from tssd.hw_targets.sim.timing import Traffic, time_steps

FINISH = COUNTER_NAMES.index("finish")


@dataclass(frozen=True, eq=False)
class StepClocks:
    """``clocks`` (steps,), ``finished`` (steps, cores); ``arrivals`` (messages, 4): step, core,
    axon, clock, sorted."""

    clocks: IntArray
    finished: IntArray
    arrivals: IntArray


def found_times(steps: list[Step]) -> StepClocks:
    """What the mesh took."""
    rows = [np.column_stack([np.full(len(s.arrivals), t), s.arrivals]) for t, s in enumerate(steps)]
    return StepClocks(
        np.array([s.clocks for s in steps]),
        np.stack([s.finished for s in steps]),
        _sorted(np.concatenate(rows)),
    )


def kernel_times(image: Image, activity: Activity) -> StepClocks:
    """What the kernel says that one sample takes, from the spikes of *activity*."""
    record = from_activity(image.network, activity)
    timing, plan = time_record(image.plan, record), image.plan
    finished = np.zeros((record.steps, plan.machine.cores), np.int64)
    finished[:, timing.cores] = timing.core[..., FINISH]
    traffic, rows = traffic_of(image, record)
    arrived = time_steps(plan.machine, traffic).messages[:, 2]
    return StepClocks(timing.cycles, finished, _sorted(np.column_stack([rows, arrived])))


def traffic_of(image: Image, record: SpikeRecord) -> tuple[Traffic, IntArray]:
    """The messages of a record, and the step, core and axon of each."""
    plan, wires = image.plan, image.plan.wires
    fired = np.concatenate(
        [
            np.column_stack([spikes[:, 0], plan.rank[name][spikes[:, 1]]])
            for name, spikes in record.spikes.items()
        ]
    )
    step, rank = fired[np.lexsort(fired.T[::-1])].T
    each = np.diff(wires.fan_first)[rank]
    row = np.repeat(wires.fan_first[rank] - np.cumsum(each) + each, each) + np.arange(each.sum())
    step, rank = np.repeat(step, each), np.repeat(rank, each)
    sender = np.searchsorted(wires.core_first, rank, "right") - 1
    done = NEURON_CLOCKS * (rank - wires.core_first[sender] + 1)
    cores = plan.machine.cores
    bounds = np.searchsorted(step * cores + sender, np.arange(record.steps * cores + 1))
    first = np.column_stack(
        [bounds[:-1].reshape(-1, cores), bounds[cores::cores].reshape(record.steps)]
    )
    work = done - np.where(np.isin(np.arange(len(done)), bounds[:-1]), 0, np.roll(done, 1))
    ends = np.concatenate([[0], done])[bounds[1:]]
    all_done = NEURON_CLOCKS * np.diff(wires.core_first)
    last = np.where(np.diff(bounds) > 0, ends, 0).reshape(-1, cores)
    target, flits, service, _ = wires.fan[row].T
    traffic = Traffic(first, target, flits, work, service, all_done - last)
    return traffic, np.column_stack([step, target, image.axon_of[row]])


def _sorted(rows: IntArray) -> IntArray:
    return rows[np.lexsort(rows.T[::-1])]
