"""Run a placed network on the simulated chip: what it does, when, and what it costs.

First the spikes (functional engine, or any spike record), then their timing: ``cycle`` sends every
message through every queue, ``bound`` takes the largest of five terms. Steps are separated by a
barrier, hence independent: they run in threads, and the result does not depend on how many.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np

from tssd.arrays import FloatArray
from tssd.calibration.encode import Inputs, as_inputs
from tssd.calibration.int_network import IntNetwork, interval
from tssd.calibration.integer import IntArray
from tssd.calibration.tally import Tally, merge
from tssd.errors import ConfigError
from tssd.hw_targets.chip.spec import ChipSpec
from tssd.hw_targets.costs.counters import Counters, count
from tssd.hw_targets.mapping.placement import Placement, placed_fanouts
from tssd.hw_targets.sim import functional
from tssd.hw_targets.sim.functional import Progress, SampleEvents
from tssd.hw_targets.sim.kernels import layout
from tssd.hw_targets.sim.kernels import steps_kernel as sk
from tssd.hw_targets.sim.kernels.threads import available_cores
from tssd.hw_targets.sim.machine import wire
from tssd.hw_targets.sim.plan import Plan, make_plan
from tssd.hw_targets.sim.program import prepare
from tssd.hw_targets.sim.record import SpikeRecord, cut, length_alone, one_at_a_time
from tssd.hw_targets.sim.streaming import Ring
from tssd.hw_targets.sim.timing import (
    EVENTS_PER_MESSAGE,
    NOTHING,
    Mode,
    StepTiming,
    joined,
    message_rows,
    raise_if_stuck,
)
from tssd.hw_targets.sim.updates import assumed, in_order, update_cycles, with_active

STAGES = [layout.COUNTER_NAMES.index(n) for n in ("neuron_busy", "in_busy", "synapse_busy")]
BLOCK, BLOCK_SPIKES = 64, 20_000  # most steps and spikes that one thread takes at a time


@dataclass(frozen=True, eq=False)
class Run:
    """A finished run: the tally of its spikes, event counters per slice, and times.

    ``timing`` is of the steady state of the samples (``streaming.Ring``), or of a record that
    somebody gave; ``spikes_of`` gives some of its ``steps`` again. ``alone_us`` (samples,): how
    long each sample takes alone on the chip, from its first input to its answer; None for a given
    record, which does not say where a sample begins. ``assumed_active``: populations of which that
    record does not tell which updates were active, so that all count as such.
    """

    network: IntNetwork
    placement: Placement
    chip: ChipSpec
    plan: Plan
    steps: int
    spikes_of: Callable[[range], SpikeRecord]
    tally: Tally
    counters: Counters
    timing: StepTiming
    alone_us: FloatArray | None = None
    assumed_active: tuple[str, ...] = ()
    host: bool = False  # whether times have what the host adds

    @property
    def record(self) -> SpikeRecord:
        """The spikes of all steps, in memory."""
        return self.spikes_of(range(self.steps))

    @property
    def latency_us(self) -> float | None:
        """One sample alone, from its first input to its answer: the mean over the samples."""
        return None if self.alone_us is None else float(self.alone_us.mean()) + self._read_out_us

    @property
    def us_per_inference(self) -> float:
        """The pace: from one answer to the next in the steady state; all of a given record."""
        steps_us = self.timing.us_per_step * self.steps / self.tally.samples
        return steps_us + self._read_out_us

    @property
    def _read_out_us(self) -> float:
        return self.chip.host.read_out.value / 1e3 if self.host else 0.0

    def place_name(self, core: int) -> str:
        """A machine core, or the port that stands in its numbers, with its populations."""
        kind = "port" if core == self.plan.port else f"core {core}"
        return f"{kind} ({self.layer_of_core(core)})"

    def channel_name(self, channel: int) -> str:
        """A link in words."""
        name = self.plan.machine.channel_name(channel)
        return name if self.plan.port < 0 else name.replace(f"core {self.plan.port} ->", "port ->")

    def layer_of_core(self, core: int) -> str:
        """The populations on a machine core."""
        names = [
            name
            for name, c in zip(self.plan.slice_population, self.plan.slice_core, strict=True)
            if c == core
        ]
        return ", ".join(names) or "no population"


def run(
    network: IntNetwork,
    inputs: IntArray | Inputs,
    placement: Placement,
    chip: ChipSpec,
    mode: Mode = "cycle",
    progress: Progress | None = None,
    *,
    every_core: bool = True,
    host: bool = False,
) -> Run:
    """Simulate ``inputs`` (T, B, *input shape) on one chip: each sample alone, and all of them in
    the steady state. Without *every_core*, what is held of a step is a row of a hundred bytes.
    ``host``: with what the processors add that inject the input and read the answers."""
    ring = Ring(prepare(network), as_inputs(inputs))
    fanouts = placed_fanouts(network, placement)
    plan = make_plan(network, placement, chip, fanouts, host)
    times: list[StepTiming] = []
    alone: list[FloatArray] = []
    tallies: list[Tally] = []  # one, of all parts so far
    active: list[Mapping[str, IntArray]] = []  # the same
    for samples, record in ring.parts(progress):
        times.append(time_record(plan, record, mode, progress, every_core=every_core))
        tallies = [merge([*tallies, functional.tally_of(network, samples)])]
        active = [_summed([*active, active_of(record)])]
        alone.append(latencies_us(network, plan, samples, mode, progress))
    updates = active_updates(network, active[0], ring.steps)
    counted = count(network, tallies[0], placement, chip, updates, fanouts, interval(network))
    return Run(
        network, placement, chip, plan, ring.steps, ring.record, tallies[0], counted,
        joined(times), np.concatenate(alone), host=host,
    )  # fmt: skip


def active_of(record: SpikeRecord) -> dict[str, IntArray]:
    """Active updates of each neuron in all steps, where the record knows them."""
    return {name: flags.sum(axis=0) for name, flags in record.active.items()}


def _summed(parts: Sequence[Mapping[str, IntArray]]) -> dict[str, IntArray]:
    return {name: np.sum([part[name] for part in parts], axis=0) for name in parts[0]}


def latencies_us(
    network: IntNetwork,
    plan: Plan,
    samples: list[dict[str, SampleEvents]],
    mode: Mode,
    progress: Progress | None = None,
) -> FloatArray:
    """(samples,): how long each takes alone on the chip, in us."""
    record = one_at_a_time(network, samples)
    step_us = time_record(plan, record, mode, progress, every_core=False).step_us
    found: FloatArray = step_us.reshape(-1, length_alone(network)).sum(axis=1)
    return found


def run_record(
    network: IntNetwork,
    record: SpikeRecord,
    placement: Placement,
    chip: ChipSpec,
    mode: Mode = "cycle",
    tally: Tally | None = None,
    progress: Progress | None = None,
    *,
    every_core: bool = True,
    host: bool = False,
) -> Run:
    """Time and count a spike record, whoever made it; without a tally it is one long sample. Which
    updates were active is found where the record does not say it."""
    record = with_active(network, record)
    fanouts = placed_fanouts(network, placement)
    plan = make_plan(network, placement, chip, fanouts, host)
    timing = time_record(plan, record, mode, progress, every_core=every_core)
    apart = record.steps if tally is None else interval(network)
    if tally is None:
        tally = tally_of(network, record)
    active = active_updates(network, active_of(record), tally.samples * apart)
    counted = count(network, tally, placement, chip, active, fanouts, apart)
    return Run(
        network, placement, chip, plan, record.steps, partial(cut, record), tally, counted, timing,
        assumed_active=assumed(network, record), host=host,
    )  # fmt: skip


def tally_of(network: IntNetwork, record: SpikeRecord) -> Tally:
    """A record as one sample of as many time steps as it has chip steps."""
    events = {
        p.name: np.bincount(record.spikes[p.name][:, 1], minlength=p.neurons).reshape(p.shape)
        for p in network.populations
    }
    readout = np.zeros((1, *network.readout.shape), np.int64)
    return Tally(1, record.steps, events, readout)


def active_updates(
    network: IntNetwork, active: Mapping[str, IntArray], everything: int
) -> dict[str, IntArray] | None:
    """Active updates of each neuron over the run from those *active* (neurons,) that a record
    knows; *everything*: all updates of a neuron."""
    if not active:
        return None
    return {
        p.name: active[p.name].reshape(p.shape)
        if p.name in active
        else np.full(p.shape, everything)
        for p in network.populations
    }


def time_record(
    plan: Plan,
    record: SpikeRecord,
    mode: Mode = "cycle",
    progress: Progress | None = None,
    *,
    every_core: bool = True,
) -> StepTiming:
    """Time every step of *record*; *every_core*: keep the counters of each core in each step."""
    if mode not in ("cycle", "bound"):
        raise ConfigError("timing mode", found=repr(mode), allowed="cycle or bound")
    job = _Job(plan, record, mode, every_core)
    threads = available_cores()
    blocks = blocks_of(record.steps, sum(len(s) for s in record.spikes.values()), threads)
    links = np.zeros(plan.machine.channels, np.int64)
    charged = np.zeros(len(plan.populations), np.int64)
    with ThreadPoolExecutor(threads) as pool:
        for block, found in zip(blocks, pool.map(job.run_block, blocks), strict=True):
            links += found[0]
            charged += found[1]
            if progress:
                progress(len(block))
    r = job.results
    terms, where = r[:, sk.R_TERMS : sk.R_WHERE], r[:, sk.R_WHERE : sk.R_LATE]
    events, messages = int(r[:, sk.R_EVENTS].sum()), int(r[:, sk.R_MESSAGES].sum())
    cycle_ns = plan.machine.cycle_ns
    late = r[:, sk.R_LATE :]
    return StepTiming(
        mode,
        cycle_ns,
        r[:, sk.R_CYCLES],
        terms,
        where,
        charged,
        job.used,
        job.per_core,
        links,
        messages,
        events,
        late,
        plan.host_us(record.spikes[plan.populations[0]], record.steps),
        plan.port,
    )


def blocks_of(steps: int, spikes: int, threads: int) -> list[range]:
    """Steps as threads take them: many at once where a step is little work, so that what a block
    costs by itself does not show, and never so many that a thread has none."""
    size = min(BLOCK, BLOCK_SPIKES * steps // max(1, spikes), -(-steps // threads))
    return [range(a, min(a + max(1, size), steps)) for a in range(0, steps, max(1, size))]


class _Job:
    """One timing run: shared inputs, and the arrays that blocks of steps fill.

    Whatever can be is done block by block: the blocks run in threads.
    """

    def __init__(self, plan: Plan, record: SpikeRecord, mode: Mode, every_core: bool) -> None:
        self.plan, self.record, self.mode, machine = plan, record, mode, plan.machine
        self.spikes = {name: in_order(record.spikes[name]) for name in plan.populations}
        self.results = np.zeros((record.steps, sk.RESULT_COLUMNS), np.int64)
        self.used = np.unique(plan.slice_core)
        kept = (record.steps, len(self.used), len(layout.COUNTER_NAMES))
        self.per_core = np.zeros(kept, np.int64) if every_core else None
        self.idle_chip = wire(machine)

    def run_block(self, steps: range, log: IntArray = NOTHING) -> tuple[IntArray, IntArray]:
        """Time some steps on a machine of their own: their link loads, the cycles charged to each
        population."""
        machine, chip = self.plan.machine, self.idle_chip.copy()
        links, inside = np.zeros(machine.channels, np.int64), slice(steps.start, steps.stop)
        first, ranks = self.ranks(steps)
        update = update_cycles(self.plan, self.record, steps)
        core = np.zeros((len(steps), machine.cores, len(layout.COUNTER_NAMES)), np.int64)
        found = sk.Found(self.results[inside], core, links)
        sk.run_steps(
            chip, sk.Spikes(first, ranks, update, self.plan.spike, *self.plan.wires),
            self._loads(first, ranks), log, found, self.mode == "cycle", EVENTS_PER_MESSAGE,
        )  # fmt: skip
        for step in steps:
            raise_if_stuck(machine, chip, step, int(self.results[step, sk.R_STATUS]))
        if self.per_core is not None:
            self.per_core[inside] = core[:, self.used]
        return links, charged_cycles(self.plan, core, self.results[inside, sk.R_CYCLES])

    def ranks(self, steps: range) -> tuple[IntArray, IntArray]:
        """(steps + 1,) bounds, and the ranks of the neurons that fire, by step and core order."""
        neurons = len(self.plan.wires.fan_first) - 1
        keys = []
        for name, spikes in self.spikes.items():
            begin, end = np.searchsorted(spikes[:, 0], (steps.start, steps.stop))
            step, neuron = spikes[begin:end].T
            keys.append((step - steps.start) * neurons + self.plan.rank[name][neuron])
        order = np.sort(np.concatenate(keys))  # much faster than sorting by two keys
        first = np.searchsorted(order, np.arange(len(steps) + 1) * neurons)
        return first, order - np.repeat(np.arange(len(steps)) * neurons, np.diff(first))

    def _loads(self, first: IntArray, ranks: IntArray) -> sk.Loads:
        """Room for the traffic of any of some steps."""
        cores = self.plan.machine.cores
        sent = np.concatenate([[0], np.cumsum(np.diff(self.plan.wires.fan_first)[ranks])])
        most = int(np.diff(sent[first]).max(initial=0))
        message = message_rows(most)
        starts, tail, reads = (np.zeros(cores + 1, np.int64) for _ in range(3))
        return sk.Loads(message, starts, tail, reads[:cores])


def trace_step(plan: Plan, record: SpikeRecord, step: int) -> IntArray:
    """One step again, as intervals (rows, 4): kind (``kernel.LOG_*``), place, start, cycles."""
    job, machine = _Job(plan, record, "cycle", every_core=False), plan.machine
    _, ranks = job.ranks(range(step, step + 1))
    messages = int(np.diff(plan.wires.fan_first)[ranks].sum())
    hops = machine.columns + machine.height * machine.chips_y + 6
    hops += 2 * (machine.chips_x + machine.chips_y)  # through gates
    log = np.zeros((messages * hops + machine.cores + 2, 4), np.int64)
    job.run_block(range(step, step + 1), log)
    return log[1 : log[0, 0] + 1]


def charged_cycles(plan: Plan, core: IntArray, cycles: IntArray) -> IntArray:
    """(populations,): each step's *cycles* go to the population whose busiest core's slowest stage
    is busy longest; ``core`` (steps, machine cores, 8)."""
    busy = core[..., STAGES].max(axis=2)
    longest = np.zeros((len(busy), len(plan.populations)), np.int64)
    for name, at in zip(plan.slice_population, plan.slice_core, strict=True):
        i = plan.populations.index(name)
        longest[:, i] = np.maximum(longest[:, i], busy[:, at])
    charged = np.zeros(len(plan.populations), np.int64)
    np.add.at(charged, longest.argmax(axis=1), cycles)
    return charged
