"""Time the steps of some traffic on a machine: plain arrays in, cycles and counters out."""

from dataclasses import dataclass

import numpy as np

from tssd.calibration.integer import IntArray
from tssd.errors import DataError, TargetError
from tssd.hw_targets.sim.kernels import kernel, layout
from tssd.hw_targets.sim.machine import Machine, wire

NOTHING = np.zeros((0, 4), np.int64)
EVENTS_PER_MESSAGE = 10_000  # beyond this a message is going in circles


@dataclass(frozen=True, eq=False)
class Traffic:
    """Messages of several steps, sorted by step, then source core, then emission.

    ``first`` (steps, cores + 1): the messages of core c in step s are rows
    ``first[s, c] : first[s, c + 1]``. Per message: ``target`` core, ``flits``, ``work`` (cycles of
    the source's neuron stage since its last message) and ``service`` (cycles of the target's
    synapse stage). ``tail`` (steps, cores): neuron-stage cycles after a core's last message.
    """

    first: IntArray
    target: IntArray
    flits: IntArray
    work: IntArray
    service: IntArray
    tail: IntArray

    @property
    def steps(self) -> int:
        return len(self.first)


@dataclass(frozen=True, eq=False)
class StepTimes:
    """``cycles`` (steps,); ``events`` (steps,) handled by the kernel; ``counters`` (steps, cores,
    8) named by ``layout.COUNTER_NAMES``; ``links`` (steps, channels) busy cycles; all int64.
    ``messages`` (messages, 4): cycle of emission, injection, arrival, completion."""

    cycles: IntArray
    events: IntArray
    counters: IntArray
    links: IntArray
    messages: IntArray

    def counter(self, name: str) -> IntArray:
        """(steps, cores) of one counter."""
        column: IntArray = self.counters[..., layout.COUNTER_NAMES.index(name)]
        return column


def time_steps(
    machine: Machine, traffic: Traffic, events_per_message: int = EVENTS_PER_MESSAGE
) -> StepTimes:
    """Every message of *traffic* through every queue of *machine*.

    Raises DataError for traffic that does not fit the machine, TargetError for a step in which
    messages wait for each other (deadlock) or travel without end (livelock).
    """
    check_traffic(machine, traffic)
    chip, table = wire(machine), _table(traffic)
    results = np.zeros((traffic.steps, 3), np.int64)
    counters = np.zeros((traffic.steps, machine.cores, len(layout.COUNTER_NAMES)), np.int64)
    links = np.zeros((traffic.steps, machine.channels), np.int64)
    for step in range(traffic.steps):
        results[step] = kernel.run_step(
            chip, table, traffic.first[step], traffic.tail[step], NOTHING, events_per_message
        )
        raise_if_stuck(machine, chip, step, int(results[step, 0]), events_per_message)
        kernel.copy_counters(chip, counters[step])
        kernel.copy_links(chip, links[step])
    return StepTimes(results[:, 2], results[:, 1], counters, links, table[:, layout.M_EMITTED :])


def _table(traffic: Traffic) -> IntArray:
    table = np.zeros((len(traffic.target), layout.MESSAGE_COLUMNS), np.int64)
    table[:, layout.M_TARGET], table[:, layout.M_FLITS] = traffic.target, traffic.flits
    table[:, layout.M_WORK], table[:, layout.M_SERVICE] = traffic.work, traffic.service
    return table


def raise_if_stuck(
    machine: Machine, chip: IntArray, step: int, status: int, limit: int = EVENTS_PER_MESSAGE
) -> None:
    """Name a channel whose buffer is full and whose first message cannot go on."""
    if status == kernel.OK:
        return
    size = chip[layout.CHANNEL_SIZE]
    start = chip[layout.CHANNEL_AT]
    rows = chip[start : start + machine.channels * size].reshape(machine.channels, size)
    stuck = [machine.channel_name(i) for i in np.flatnonzero(rows[:, layout.C_BLOCKED]).tolist()]
    what = f"livelock: more than {limit} events per message"
    if status == kernel.DEADLOCK:
        what = "deadlock: messages wait for each other"
    raise TargetError(
        f"step {step}",
        found=f"{what}; no room on {'; '.join(stuck[:4]) or 'no channel'}",
        allowed="every message arrives",
        hint="route X then Y everywhere, or deepen the buffers",
    )


def check_traffic(machine: Machine, traffic: Traffic) -> None:
    """Refuse traffic that this machine cannot carry."""
    room = min(machine.buffer_flits, machine.axon_in_flits)
    for name, least, most in (
        ("target", 0, machine.cores - 1),
        ("flits", 1, room),
        ("work", 0, None),
        ("service", 0, None),
    ):
        values = getattr(traffic, name)
        bad = values.size and (values.min() < least or (most is not None and values.max() > most))
        if bad:
            raise DataError(
                f"traffic: {name}",
                found=f"{values.min()} .. {values.max()}",
                allowed=f">= {least}" if most is None else f"{least} .. {most}",
                hint="a message must fit into every buffer" if name == "flits" else None,
            )
    if traffic.first.shape[1] != machine.cores + 1 or traffic.tail.shape[1] != machine.cores:
        raise DataError(
            "traffic",
            found=f"{traffic.tail.shape[1]} cores",
            allowed=f"{machine.cores} cores",
        )
