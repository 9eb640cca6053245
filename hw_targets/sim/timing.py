"""Time the steps of some traffic on a machine: plain arrays in, cycles and counters out.

``StepTiming`` holds what a run finds: what each step took, what limited it and where, and whom it
is charged to.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from tssd.arrays import FloatArray
from tssd.calibration.integer import IntArray
from tssd.errors import DataError, TargetError
from tssd.hw_targets.sim.kernels import kernel, layout
from tssd.hw_targets.sim.machine import Machine, aligned, wire

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


def message_rows(messages: int) -> IntArray:
    """(messages, 8): room for what one call times, each row a line of the processor's cache.

    TargetError beyond what the kernel can number.
    """
    if messages > layout.ROWS + 1:
        raise TargetError(
            "messages at once",
            found=f"{messages:,}",
            allowed=f"at most {layout.ROWS + 1:,}",
            hint="time fewer steps, or a smaller network",
        )
    return aligned(messages * layout.MESSAGE_COLUMNS).reshape(messages, layout.MESSAGE_COLUMNS)


def _table(traffic: Traffic) -> IntArray:
    table = message_rows(len(traffic.target))
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
    full = np.flatnonzero(rows[:, layout.C_LAST] >= layout.BLOCKED)
    stuck = [machine.channel_name(i) for i in full.tolist()]
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


Mode = Literal["cycle", "bound"]
TERMS = ("neuron", "synapse", "memory", "link", "barrier")
WORDS = {
    "neuron": "compute (neurons)",
    "synapse": "compute (synapses)",
    "memory": "memory",
    "link": "traffic",
    "barrier": "barrier",
    "host": "input from the host",
    "late neuron": "waiting for neurons",
    "late synapse": "waiting for synapses",
    "late traffic": "traffic (waiting)",
}
LATE = ("late neuron", "late synapse", "late traffic")  # in the kernel's order
WAITING = 1.25  # a step longer than its largest term by this factor is limited by waiting


@dataclass(frozen=True, eq=False)
class StepTiming:
    """Times of all steps. ``cycles`` (steps,); ``terms`` and ``where`` (steps, 5): the terms of the
    bound in cycles, and the machine core or channel at which each is largest; ``charged``
    (populations,) the cycles of the steps that are charged to each; ``per_core`` (steps, cores, 8)
    counters named by ``layout.COUNTER_NAMES``, of the machine cores ``cores``: those that hold
    neurons, the others do nothing; None if they were not to be kept. ``links`` (channels,) busy
    cycles in all steps. ``late`` (steps, 2): what the step's last work waited for (``LATE``), and
    at which core; of no meaning in a bound. ``host_us`` (steps,): how long a host injects input,
    which hides the chip's work; 0 where it is left out. ``port``: the machine core through which
    input comes from outside, -1 without one."""

    mode: Mode
    cycle_ns: float
    cycles: IntArray
    terms: IntArray
    where: IntArray
    charged: IntArray
    cores: IntArray
    per_core: IntArray | None
    links: IntArray
    messages: int
    events: int
    late: IntArray
    host_us: FloatArray
    port: int = -1

    @property
    def core(self) -> IntArray:
        """(steps, cores, 8): what every core did in every step, of a run that keeps it."""
        assert self.per_core is not None, "a run with every_core=False"
        return self.per_core

    @property
    def us_per_step(self) -> float:
        """The mean step time."""
        return float(self.step_us.mean())

    @property
    def step_us(self) -> FloatArray:
        """(steps,) in us."""
        chip = self.cycles.astype(np.float64) * (self.cycle_ns / 1e3)
        longest: FloatArray = np.maximum(chip, self.host_us)
        return longest

    def limits(self) -> list[str]:
        """What limits each step: a term of the bound, or what its last work waited for; what a port
        does is the host's."""
        largest = self.terms.argmax(axis=1)
        waits = self.cycles > WAITING * self.terms.max(axis=1)
        hosts = self.step_us > self.cycles * (self.cycle_ns / 1e3)
        at_port = np.where(waits, self.late[:, 1], self.where[:, 0]) == self.port
        sends = np.where(waits, self.late[:, 0] == LATE.index("late neuron"), largest == 0)
        return [
            "host" if host else LATE[late] if wait else TERMS[term]
            for term, wait, late, host in zip(
                largest, waits, self.late[:, 0], hosts | (at_port & sends), strict=True
            )
        ]

    def bottleneck(self) -> str:
        """What limits most of the time."""
        spent: dict[str, float] = {}
        for name, us in zip(self.limits(), self.step_us.tolist(), strict=True):
            spent[name] = spent.get(name, 0.0) + us
        return max(spent, key=lambda name: spent[name])


def joined(parts: Sequence[StepTiming]) -> StepTiming:
    """Stretches of steps of one machine as one: a step does not depend on the others."""

    def over(label: str) -> IntArray:
        return np.concatenate([getattr(part, label) for part in parts])

    kept = [part.per_core for part in parts if part.per_core is not None]

    return replace(
        parts[0],
        cycles=over("cycles"),
        terms=over("terms"),
        where=over("where"),
        charged=np.sum([part.charged for part in parts], axis=0),
        per_core=np.concatenate(kept) if kept else None,
        late=over("late"),
        host_us=np.concatenate([part.host_us for part in parts]),
        links=np.sum([part.links for part in parts], axis=0),
        messages=sum(part.messages for part in parts),
        events=sum(part.events for part in parts),
    )
