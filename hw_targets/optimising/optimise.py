"""A placement for the shortest steps or the least energy, on the chips that the smallest takes.

The cuts of ``balance`` are tried for a row of step times; the best by an estimate are laid out by
traffic and run on the simulated chip in cycle mode, which sees what the estimate cannot: messages
that wait for each other. The best there are run on a few samples more; what then beats the smallest
placement is taken, and if nothing does, the smallest is. What a network computes does not depend on
where it sits.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, assert_never

from tssd.calibration.encode import Inputs, as_inputs
from tssd.calibration.int_network import IntNetwork
from tssd.calibration.integer import IntArray
from tssd.calibration.tally import Tally
from tssd.errors import TargetError
from tssd.hw_targets.chip.spec import ChipSpec
from tssd.hw_targets.costs.bound import us_per_step
from tssd.hw_targets.costs.counters import count
from tssd.hw_targets.costs.energy import price, running_pj, static_pj
from tssd.hw_targets.mapping.choices import NO_CHOICE, Choices
from tssd.hw_targets.mapping.partition import tiled
from tssd.hw_targets.mapping.placement import Placement, lay_out, place, placed_fanouts
from tssd.hw_targets.optimising.balance import (
    Balance,
    Wish,
    balance,
    between,
    boxes_of,
    cores_of,
    message_pj,
    shortest,
)
from tssd.hw_targets.optimising.cuts import BlockCut
from tssd.hw_targets.optimising.goal import Goal
from tssd.hw_targets.optimising.workload import workload
from tssd.hw_targets.sim.engine import active_of, active_updates, time_record
from tssd.hw_targets.sim.functional import tally_of
from tssd.hw_targets.sim.plan import make_plan
from tssd.hw_targets.sim.program import prepare
from tssd.hw_targets.sim.record import SpikeRecord
from tssd.hw_targets.sim.streaming import Ring

SCREENED = 36  # candidates, the best by the estimate, that are laid out and run on one sample
FINALISTS = 3  # the best of these, which are run on more
PROVED_ON = 4  # samples at most
MESSAGES = 4e6  # that one screening or proof may send, about: seconds, not minutes


@dataclass(frozen=True)
class Figures:
    """What a placement takes, simulated in the steady state; energy dynamic and static, None where
    the chip file tells none."""

    cores: int
    chips: int
    us_per_step: float
    uj_per_inference: float | None

    def of(self, goal: Goal) -> float:
        """The figure that *goal* is about."""
        match goal:
            case Goal.CORES:
                return self.cores
            case Goal.TIME:
                return self.us_per_step
            case Goal.ENERGY:
                assert self.uj_per_inference is not None  # ``optimise`` has looked
                return self.uj_per_inference
            case _:
                assert_never(goal)


@dataclass(frozen=True, eq=False)
class Optimised:
    """The placement taken, and what it takes beside the smallest."""

    goal: Goal
    placement: Placement
    taken: Figures
    smallest: Figures
    samples: int
    cores_there: int

    def told(self) -> str:
        """One line for a report."""
        new, old = self.taken, self.smallest
        if new.of(self.goal) >= old.of(self.goal):
            return (
                f"placed for {self.goal}: nothing beats the smallest placement, {old.cores} of"
                f" {self.cores_there} cores, {old.us_per_step:.3g} us a step"
            )
        return (
            f"placed for {self.goal}: {new.cores} of {self.cores_there} cores,"
            f" {new.us_per_step:.3g} us a step instead of {old.us_per_step:.3g},"
            f"{_energies(new, old)}"
            f" on the {old.cores} cores of the smallest placement (simulated, {self.samples}"
            " samples)"
        )

    def to_table(self) -> dict[str, Any]:
        """What a manifest keeps."""
        figures = {"taken": asdict(self.taken), "smallest": asdict(self.smallest)}
        return {"for": str(self.goal), "samples": self.samples, **figures}


def _energies(new: Figures, old: Figures) -> str:
    """Both energies in words, or that there are none."""
    if new.uj_per_inference is None or old.uj_per_inference is None:
        return " energy unknown,"
    return f" {new.uj_per_inference:.3g} uJ an inference instead of {old.uj_per_inference:.3g}"


def optimise(
    network: IntNetwork,
    chip: ChipSpec,
    tally: Tally,
    inputs: IntArray | Inputs,
    goal: Goal,
    seed: int = 0,
    choices: Choices = NO_CHOICE,
) -> Optimised:
    """The placement of *network* for *goal*, cut by the activity that *tally* counted and proved on
    the first of *inputs* (T, B, *input shape)."""
    if goal is Goal.ENERGY and chip.untold:
        raise TargetError(
            f"target {chip.name}",
            found="no energies in its chip file",
            allowed="one with [energy_pj] and [power_w] to place for energy",
            hint="place for time",
        )
    smallest = place(network, chip, tally, seed, choices)
    counted = count(network, tally, smallest, chip)
    messages = counted.total("message_out") / tally.samples
    shown = as_inputs(inputs)
    proof = proof_on(network, chip, shown, min(PROVED_ON, int(MESSAGES / max(messages, 1.0))))
    before = proof.figures(smallest)
    best, there = (smallest, before), smallest.chips * chip.cores
    if goal is not Goal.CORES and there > smallest.cores:
        longest_ns = 1e3 * us_per_step(network, tally, counted, smallest, chip)
        work = workload(network, tally, chip, choices)
        found = balance(network, chip, work, there, choices)
        tried = laid_out(found, candidates(found, there, longest_ns, goal, messages), tally, seed)
        screen = proof_on(network, chip, shown, 1)
        tried.sort(key=lambda placement: screen.figures(placement).of(goal))
        for placement in tried[:FINALISTS]:
            after = proof.figures(placement)
            if after.of(goal) < best[1].of(goal):
                best = placement, after
    return Optimised(goal, *best, before, proof.tally.samples, there)


def laid_out(
    found: Balance, tried: Iterable[Mapping[str, BlockCut]], tally: Tally, seed: int
) -> list[Placement]:
    """Candidates on the mesh, by traffic; without those that break a limit after all."""
    parts = [tiled(found.network, found.chip, boxes_of(chosen), found.choices) for chosen in tried]
    return [
        lay_out(found.network, found.chip, part, tally, seed) for part in parts if not part.findings
    ]


def candidates(
    found: Balance, there: int, longest_ns: float, goal: Goal, messages: float
) -> list[dict[str, BlockCut]]:
    """Cuts on up to *there* cores for a row of step times, the best for *goal* first; fewer where
    one sample sends many *messages*."""
    least = shortest(found, there, longest_ns)
    if least is None:
        return []
    tried: dict[tuple[tuple[str, BlockCut], ...], tuple[float, float]] = {}
    for step_ns in between(least[0], longest_ns):
        for wish in Wish:
            chosen = found.within(step_ns, wish)
            if chosen is not None and cores_of(chosen) <= there:
                tried[tuple(chosen.items())] = estimate(found, chosen, goal)
    most = max(FINALISTS, min(SCREENED, int(SCREENED * MESSAGES / 4 / max(messages, 1.0))))
    return [dict(chosen) for chosen in sorted(tried, key=lambda chosen: tried[chosen])][:most]


def estimate(found: Balance, chosen: Mapping[str, BlockCut], goal: Goal) -> tuple[float, float]:
    """What *chosen* takes a step, as far as cuts decide: (figure of the goal, the other)."""
    step_ns, messages = found.takes(chosen)
    power, cores = found.chip.power_w, cores_of(chosen)
    chips = -(-cores // found.chip.cores)
    watts = (power.static_per_chip.value + power.running_per_chip.value) * chips
    watts += power.static_per_core.value * cores
    energy_pj = messages * message_pj(found.chip) + watts * step_ns * 1e3
    return (step_ns, energy_pj) if goal is Goal.TIME else (energy_pj, step_ns)


@dataclass(frozen=True, eq=False)
class Proof:
    """Some samples in the steady state: the spikes are simulated once, for all placements."""

    network: IntNetwork
    chip: ChipSpec
    record: SpikeRecord
    tally: Tally

    def figures(self, placement: Placement) -> Figures:
        """What the simulated chip takes under *placement*, in cycle mode."""
        network, chip = self.network, self.chip
        fanouts = placed_fanouts(network, placement)
        timing = time_record(make_plan(network, placement, chip, fanouts), self.record)
        active = active_updates(network, active_of(self.record), self.record.steps)
        counted = count(network, self.tally, placement, chip, active, fanouts)
        samples = self.tally.samples
        us = timing.us_per_step * self.record.steps / samples
        energy = price(counted, chip).total().scaled(1 / samples)
        energy += running_pj(chip, placement.chips, us)
        energy += static_pj(chip, placement.chips, us, placement.cores)
        uj = None if chip.untold else energy.nominal / 1e6
        return Figures(placement.cores, placement.chips, timing.us_per_step, uj)


def proof_on(network: IntNetwork, chip: ChipSpec, inputs: Inputs, samples: int) -> Proof:
    """The first *samples* of *inputs*, at least one, run again and again."""
    ring = Ring(prepare(network), inputs.first(max(1, min(inputs.samples, samples))))
    ((ran, record),) = ring.parts()
    return Proof(network, chip, record, tally_of(network, ran))
