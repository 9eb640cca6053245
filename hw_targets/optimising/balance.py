"""The cuts that keep every core below a step time.

For a step time T, populations are cut from the last to the first: each takes, of the cuts whose
every core stays below T in every stage and within the chip's limits, the one that

    FEWEST    has the fewest cores, then the fewest messages
    CHEAPEST  takes the least energy for messages and for enabled cores over T
    STEADY    has the fewest parts of the image, then the fewest cores: a spike then goes to all
              cores of its target, so that none is flooded while others wait

The stages of a core work at the same time, so that T bounds each of them and not their sum (where a
chip has no queue between its axon-in and its synapse stage, these two are one). From the last to
the first, because what a core sends depends on how its targets are cut.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

import numpy as np

from tssd.calibration.int_network import IntNetwork, Population
from tssd.hw_targets.chip.spec import ChipSpec
from tssd.hw_targets.mapping.choices import NO_CHOICE, Choices
from tssd.hw_targets.mapping.fanout import Box, as_image
from tssd.hw_targets.mapping.memory import compartments_of, need_of_box, resident
from tssd.hw_targets.mapping.rules import overdrawn
from tssd.hw_targets.optimising.cuts import WHOLE, BlockCut, arriving, box_sums, cuts, reach
from tssd.hw_targets.optimising.workload import Workload
from tssd.train.handover.float_network import FloatArray

CLOSE = 0.01  # the shortest step time is found to one percent
NEAR, STEPS_NEAR, STEPS_OF_TIME = 2.0, 8, 12  # step times to try: up to twice the shortest, all


class Wish(StrEnum):
    """What to prefer among cuts that are fast enough."""

    FEWEST = "fewest cores"
    CHEAPEST = "least energy"
    STEADY = "steadiest traffic"


@dataclass(frozen=True, eq=False)
class PricedCut:
    """A cut, its slowest stage but for sending, and the messages of a mean step that reach it."""

    cut: BlockCut
    slowest_ns: float
    messages: float


@dataclass(frozen=True, eq=False)
class Balance:
    """Everything that does not depend on the step time; ``priced`` by population."""

    network: IntNetwork
    chip: ChipSpec
    work: Workload
    priced: Mapping[str, tuple[PricedCut, ...]]
    choices: Choices
    fits: dict[tuple[str, BlockCut], bool]  # what was asked before

    def within(self, step_ns: float, wish: Wish) -> dict[str, BlockCut] | None:
        """The cuts for a step of *step_ns*, by population; None where a population has none."""
        chosen: dict[str, BlockCut] = {}
        for population in reversed(self.choices.on_cores(self.network)):
            heard = self._heard(population, chosen)
            found = next(self._usable(population, heard, step_ns, wish), None)
            if found is None:
                return None
            chosen[population.name] = found
        return chosen

    def takes(self, chosen: Mapping[str, BlockCut]) -> tuple[float, float]:
        """(ns of the slowest stage of all cores, messages) of a mean step."""
        priced = [self._priced(name, cut) for name, cut in chosen.items()]
        sending = [
            self._sending_ns(p, chosen.get(p.name, WHOLE), self._heard(p, chosen))
            for p in self.network.populations
        ]
        slowest = max(*sending, *(p.slowest_ns for p in priced))
        return slowest, sum(p.messages for p in priced)

    def _priced(self, name: str, cut: BlockCut) -> PricedCut:
        return next(p for p in self.priced[name] if p.cut == cut)

    def _sending_ns(self, population: Population, cut: BlockCut, heard: FloatArray) -> float:
        """The busiest spike-out stage."""
        messages = box_sums(self.work.events[population.name] * heard, cut)
        return float(messages.max()) * self.chip.time_ns.message_out.value

    def _heard(self, population: Population, chosen: Mapping[str, BlockCut]) -> FloatArray:
        """(C, H, W): cores that each neuron sends to, as far as they are cut; its own too where it
        resets itself."""
        itself = float(compartments_of(population, self.chip) > 1)
        total = np.full(as_image(population.shape), itself)
        for j in self.network.outgoing(population.name):
            if j.target in chosen:
                total += reach(j, population.shape, chosen[j.target])
        return total

    def _usable(
        self, population: Population, heard: FloatArray, step_ns: float, wish: Wish
    ) -> Iterator[BlockCut]:
        """Cuts that are fast enough, by preference."""
        fast = [p for p in self.priced[population.name] if p.slowest_ns <= step_ns]
        for priced in sorted(fast, key=lambda p: self._price(p, step_ns, wish)):
            cut = priced.cut
            if self._sending_ns(population, cut, heard) > step_ns:
                continue
            if box_sums(heard, cut).max() > self.chip.limits.axons_out_per_core.value:
                continue
            if self._fits(population, cut):
                yield cut

    def _price(self, priced: PricedCut, step_ns: float, wish: Wish) -> tuple[float, float]:
        match wish:
            case Wish.FEWEST:
                return priced.cut.cores, priced.messages
            case Wish.CHEAPEST:
                enabled_pj = self.chip.power_w.static_per_core.value * step_ns * 1e3
                return (
                    priced.messages * message_pj(self.chip) + priced.cut.cores * enabled_pj,
                    priced.cut.cores,
                )
            case Wish.STEADY:
                return len(priced.cut.rows) * len(priced.cut.columns), priced.cut.cores
            case _:
                assert_never(wish)

    def _fits(self, population: Population, cut: BlockCut) -> bool:
        """Whether every box is within the limits of a core, but for what it sends."""
        key = population.name, cut
        if key not in self.fits:
            held = resident(self.network, population, self.chip, self.choices)
            self.fits[key] = not any(
                any(overdrawn(need_of_box(box, held, self.chip), self.chip)) for box in cut.boxes
            )
        return self.fits[key]


def balance(
    network: IntNetwork,
    chip: ChipSpec,
    work: Workload,
    cores: int,
    choices: Choices = NO_CHOICE,
) -> Balance:
    """Price every cut of every population that sits on cores into at most *cores* boxes."""
    held = choices.on_cores(network)
    priced = {p.name: tuple(_priced(network, p, chip, work, cores)) for p in held}
    return Balance(network, chip, work, priced, choices, {})


def shortest(
    found: Balance, cores: int, longest_ns: float
) -> tuple[float, dict[str, BlockCut]] | None:
    """The shortest step time below *longest_ns* that *cores* cores allow, by bisection."""
    best: tuple[float, dict[str, BlockCut]] | None = None
    low, high = 0.0, longest_ns
    while high - low > CLOSE * high:
        middle = (low + high) / 2
        chosen = found.within(middle, Wish.FEWEST)
        if chosen is not None and cores_of(chosen) <= cores:
            best, high = (middle, chosen), middle
        else:
            low = middle
    return best


def between(shortest_ns: float, longest_ns: float) -> list[float]:
    """Step times to try, by equal ratios: all of them, and more near the shortest."""
    near = np.geomspace(shortest_ns, min(NEAR * shortest_ns, longest_ns), STEPS_NEAR)
    every = np.geomspace(shortest_ns, longest_ns, STEPS_OF_TIME)
    return sorted({float(t) for t in np.concatenate([near, every])})


def cores_of(chosen: Mapping[str, BlockCut]) -> int:
    return sum(cut.cores for cut in chosen.values())


def boxes_of(chosen: Mapping[str, BlockCut]) -> dict[str, tuple[Box, ...]]:
    return {name: cut.boxes for name, cut in chosen.items()}


def message_pj(chip: ChipSpec) -> float:
    """Energy of one message to a core one router away."""
    table = chip.energy_pj
    return table.message_out.value + table.message_in.value + table.hop_ew.value


def _priced(
    network: IntNetwork, population: Population, chip: ChipSpec, work: Workload, most: int
) -> Iterator[PricedCut]:
    name = population.name
    load = work.synapse_ns[name] + work.neuron_ns[name]
    waits = chip.buffers.synapse.value == 0  # the next message is read when the last is done
    incoming, itself = network.incoming(name), compartments_of(population, chip) > 1
    for cut in cuts(as_image(population.shape), load, most):
        heard = box_sums(work.events[name], cut) if itself else np.zeros((1, 1, 1))
        for j in incoming:
            heard = heard + arriving(j, work.events[j.source], cut)
        taking = heard * chip.time_ns.message_in.value
        synapses = box_sums(work.synapse_ns[name], cut) + (taking if waits else 0.0)
        neurons = box_sums(work.neuron_ns[name], cut)
        slowest = max(float(stage.max()) for stage in (taking, synapses, neurons))
        everywhere = np.broadcast_to(heard, neurons.shape)
        yield PricedCut(cut, slowest, float(everywhere.sum()))
