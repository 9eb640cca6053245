"""What a run says in figures: per layer, per step, per router; for reports, tables and CSV."""

import csv
import io
from dataclasses import dataclass

import numpy as np

from tssd.calibration.integer import IntArray
from tssd.hw_targets.chip.spec import ChipSpec
from tssd.hw_targets.costs.energy import Energy, EnergyRange, price, running_pj, static_pj
from tssd.hw_targets.costs.host import WITH_IO, WITHOUT_IO, host_pj
from tssd.hw_targets.costs.interval import Promised, promised
from tssd.hw_targets.sim.engine import Run
from tssd.hw_targets.sim.kernels import layout
from tssd.hw_targets.sim.timing import LATE, TERMS, WORDS


@dataclass(frozen=True)
class StepRow:
    """One chip step: its time, what limits it in words, and where."""

    step: int
    us: float
    bottleneck: str
    core: str | None


@dataclass(frozen=True)
class MeshRow:
    """One router: the share of the run for which its busiest outgoing link was busy."""

    x: int
    y: int
    value: float
    unit: str


@dataclass(frozen=True)
class LayerSummary:
    """One population: counts and dynamic energy per inference, and its share of the busy time."""

    name: str
    cores: int
    spikes: float
    synops: float
    updates: float
    messages: float
    energy_pj: EnergyRange | None  # None: the chip file does not tell, here and below
    time_share: float


@dataclass(frozen=True)
class RunTotals:
    """A run in a few figures; energies per inference.

    ``latency_us``: one sample alone, from its first input to its answer (None for a given record).
    ``us_per_step`` and ``inferences_per_s``: the steady state, samples back to back; the static
    energy is that of one inference at this pace. ``io``: what these times say of the host;
    ``host_pj``: what its processors take, None where they are left out. The ranges of the energies
    are those of the constants; ``promised``: prediction intervals, None without a fit.
    """

    latency_us: float | None
    us_per_step: float
    inferences_per_s: float
    bottleneck: str
    cores: int
    chips: int
    messages_per_step: float
    synops_per_step: float
    dynamic_pj: EnergyRange | None
    static_pj: EnergyRange | None
    io: str
    host_pj: EnergyRange | None
    stepping_pj: EnergyRange | None  # within the dynamic energy: chips that step, whatever happens
    promised: Promised | None


def steps(run: Run) -> list[StepRow]:
    """The time line."""
    timing, step_us, rows = run.timing, run.timing.step_us, []
    for step, limit in enumerate(timing.limits()):
        rows.append(StepRow(step, float(step_us[step]), WORDS[limit], _where(run, step, limit)))
    return rows


def _where(run: Run, step: int, limit: str) -> str | None:
    """The core (with its layer) or the link that limits a step."""
    if limit in ("barrier", "host"):
        return None
    if limit in LATE:
        return run.place_name(int(run.timing.late[step, 1]))
    where = int(run.timing.where[step, TERMS.index(limit)])
    if limit == "link":
        return run.channel_name(where)
    return run.place_name(where)


def mesh(run: Run) -> list[MeshRow]:
    """How busy each router's busiest outgoing link was; edge routers share the link that leaves the
    chip."""
    machine, links = run.plan.machine, run.timing.links
    whole = max(1, int(run.timing.cycles.sum()))
    source = outgoing_router(run)
    busiest = np.zeros(machine.routers, np.int64)
    inside = source >= 0
    np.maximum.at(busiest, source[inside], links[inside])
    shared = links[machine.first_link + machine.gates.link]
    np.maximum.at(busiest, machine.gates.router, shared)
    return [
        MeshRow(r % machine.columns, r // machine.columns, float(load) / whole * 100, "% busy")
        for r, load in enumerate(busiest)
    ]


def outgoing_router(run: Run) -> IntArray:
    """(channels,): the router that drives each channel, -1 for a core's own and for those that a
    gate drives."""
    machine = run.plan.machine
    number = np.arange(machine.first_link)
    router, port = np.divmod(number, machine.ports)
    direction = np.clip(port - machine.cores_per_router, 0, 3)
    behind = np.array(machine.plane.ahead())[direction]
    x, y = router % machine.columns, router // machine.columns
    rows = machine.routers // machine.columns
    ends = np.array([x == 0, x == machine.columns - 1, y == 0, y == rows - 1])
    off_the_edge = ends[direction, number]  # no router there: an unused number
    out_of_mesh = number >= machine.routers * machine.ports
    to_core = (number - machine.routers * machine.ports) // machine.cores_per_router
    found = np.where(out_of_mesh, to_core, router - behind)
    own = ~out_of_mesh & ((port < machine.cores_per_router) | off_the_edge)
    gates = machine.gates
    own[gates.across * machine.ports + machine.cores_per_router + gates.direction[gates.link]] = (
        True
    )
    none = np.full(gates.links, -1)
    return np.concatenate([np.where(own, -1, found), none, gates.router])


def layers(run: Run, energy: Energy | None = None) -> list[LayerSummary]:
    """One row per population; ``time_share`` is its part of all stages' busy cycles."""
    energy = price(run.counters, run.chip) if energy is None else energy
    counters, samples = run.counters, run.tally.samples
    synops, updates = counters.synops(), counters.neuron_updates()
    spikes, messages = counters.by_population("spike"), counters.by_population("message_out")
    shares = time_shares(run)
    return [
        LayerSummary(
            name,
            len(run.placement.cores_of(name)),
            spikes[name] / samples,
            synops[name] / samples,
            updates[name] / samples,
            messages[name] / samples,
            energy.layer(name).scaled(1 / samples) if run.chip.energy_known else None,
            shares[name],
        )
        for name in run.plan.populations
    ]


def time_shares(run: Run) -> dict[str, float]:
    """How the step time divides among populations (``engine.charged_cycles``)."""
    spent = run.timing.charged
    return dict(zip(run.plan.populations, (spent / max(1, int(spent.sum()))).tolist(), strict=True))


def totals(run: Run, chip: ChipSpec | None = None) -> RunTotals:
    """The run in a few figures, priced with *chip* (its own by default)."""
    chip = run.chip if chip is None else chip
    samples, recorded = run.tally.samples, run.steps
    us, chips, on_board = run.us_per_inference, run.placement.chips, chip.board is not None
    static = static_pj(chip, chips, us, run.placement.cores, on_board)
    stepping = running_pj(chip, chips, us)
    return RunTotals(
        run.latency_us,
        run.timing.us_per_step,
        1e6 / run.us_per_inference,
        WORDS[run.timing.bottleneck()],
        run.placement.cores,
        run.placement.chips,
        run.timing.messages / recorded,
        sum(run.counters.synops().values()) / recorded,
        price(run.counters, chip).total().scaled(1 / samples) + stepping
        if chip.energy_known
        else None,
        static if chip.power_known else None,
        WITH_IO if run.host else WITHOUT_IO,
        host_pj(chip, chips, us) if run.host else None,
        stepping if chip.power_known else None,
        promised(run.counters, chip, chips, run.placement.cores, us),
    )


def counters_csv(run: Run) -> str:
    """Counters of every used core in every step, in ns: ``--counters core.csv``."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    names = [f"{name}_ns" for name in layout.COUNTER_NAMES]
    writer.writerow(["step", "step_ns", "core", "x", "y", "layer", *names])
    machine, cycle, step_us = run.plan.machine, run.timing.cycle_ns, run.timing.step_us
    for i, core in enumerate(run.timing.cores.tolist()):
        router = core // machine.cores_per_router
        place = [core, router % machine.columns, router // machine.columns, run.layer_of_core(core)]
        for step in range(run.steps):
            spent = [round(c * cycle, 4) for c in run.timing.core[step, i].tolist()]
            whole = round(float(step_us[step]) * 1e3, 4)
            writer.writerow([step, whole, *place, *spent])
    return out.getvalue()
