"""Early exit: a sample is done as soon as its answer leads by enough.

    margin[t] = largest - second largest membrane of the read-out after step t
    exit      = the first t with margin[t] >= M, else T

The chip works on all layers at once: when the read-out (depth D) has done e steps, a layer at depth
k has done min(T, e + D - k), so that a deep network has done most of its work when its first answer
is there. ``Exits.sent`` counts that, spikes on their way included; ``at_once`` is what a
machine saves that takes every step through all layers before the next begins, as a CPU or GPU may.
Samples are alone on the chip: back to back, the next one's steps would be waiting for the slowest.
Which M is taken is said in ``margins``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from tssd.arrays import FloatArray
from tssd.calibration.encode import Inputs
from tssd.calibration.int_network import IntNetwork, depths
from tssd.calibration.integer import IntArray
from tssd.calibration.tally import Tally, merge
from tssd.errors import ConfigError
from tssd.hw_targets.chip.spec import ChipSpec
from tssd.hw_targets.costs.bound import us_per_step
from tssd.hw_targets.costs.counters import count
from tssd.hw_targets.costs.energy import price, running_pj, static_pj
from tssd.hw_targets.gpu.engine import watch
from tssd.hw_targets.mapping.fanout import fanout
from tssd.hw_targets.mapping.placement import Placement


@dataclass(frozen=True, eq=False)
class Stepwise:
    """What a network answers after every step, and what that takes.

    ``answers`` and ``margins`` (T, B), margins in membrane units; ``synops`` (T, B, P): synaptic
    operations that the spikes of population p in its local step t cause; ``depth`` (P,).
    """

    answers: IntArray
    margins: IntArray
    synops: IntArray
    depth: IntArray

    @property
    def steps(self) -> int:
        return len(self.answers)

    @cached_property
    def spent(self) -> IntArray:
        """(T + 1, B, P): operations of the first t steps."""
        none = np.zeros_like(self.synops[:1])
        return np.concatenate([none, self.synops.cumsum(axis=0)])

    def exits(self, margin: float) -> IntArray:
        """(B,): the step after which each sample is done, from 1."""
        reached = self.margins >= margin
        reached[-1] = True
        first: IntArray = 1 + reached.argmax(axis=0)
        return first

    def answered(self, exits: IntArray) -> IntArray:
        """(B,): the class at the exit."""
        found: IntArray = self.answers[exits - 1, np.arange(len(exits))]
        return found

    def operations(self, exits: IntArray, *, at_once: bool = False) -> float:
        """Mean synaptic operations of a sample until its exit."""
        done = steps_done(self.steps, self.depth, exits, at_once)
        rows = np.arange(len(exits))[:, None]
        found = self.spent[done, rows, np.arange(len(self.depth))]
        return float(found.sum(axis=1).mean())


def steps_done(steps: int, depth: IntArray, exits: IntArray, at_once: bool = False) -> IntArray:
    """(B, P): local steps of each population until each sample's exit."""
    ahead = np.zeros_like(depth) if at_once else depth.max() - depth
    done: IntArray = np.minimum(steps, exits[:, None] + ahead)
    return done


def stepwise(network: IntNetwork, inputs: Inputs, device: str = "cpu") -> Stepwise:
    """Run *inputs* and look at the read-out after every step."""
    _check_exits(network)
    fan = synapses_out(network)
    names = [p.name for p in network.populations]
    depth = depths(network)
    parts: list[tuple[IntArray, IntArray, IntArray]] = []
    for sent, membranes in watch(network, inputs, device):
        caused = [
            _per_step(sent[name].ne(0).double().flatten(2).matmul(fan[name]).numpy(), network)
            for name in names
        ]
        parts.append((*led(network, membranes), np.stack(caused, axis=2)))
    answers, margins, synops = (np.concatenate(x, axis=1) for x in zip(*parts, strict=True))
    return Stepwise(answers, margins, synops, np.array([depth[name] for name in names]))


def led(network: IntNetwork, membranes: IntArray) -> tuple[IntArray, IntArray]:
    """(T, B) class and margin after each step of the read-out's membranes (T, B, *shape)."""
    values = membranes.reshape(*membranes.shape[:2], -1)
    if network.readout.membrane_read.of_every_step:
        values = np.maximum.accumulate(values, axis=0)
    highest = np.sort(values, axis=2)
    margin: IntArray = highest[..., -1] - highest[..., -2]
    return values.argmax(axis=2), margin


def synapses_out(network: IntNetwork) -> dict[str, torch.Tensor]:
    """(neurons,) of each population: synapses that one spike meets."""
    found = {p.name: np.zeros(p.neurons) for p in network.populations}
    for j in network.projections:
        source, target = network.population(j.source), network.population(j.target)
        everything = [(0, np.arange(target.neurons))]
        met = fanout(j, source.shape, target.shape, everything).synapses_per_neuron()
        found[j.source] += met
    return {name: torch.from_numpy(synapses) for name, synapses in found.items()}


def _per_step(caused: FloatArray, network: IntNetwork) -> IntArray:
    """(T, B) whole numbers; one step that stands for all is repeated."""
    whole = np.rint(caused).astype(np.int64)
    return np.broadcast_to(whole, (network.time_steps, whole.shape[1]))


def _check_exits(network: IntNetwork) -> None:
    if network.time_steps < 2:
        raise ConfigError(
            "early exit",
            found="a network of 1 time step",
            allowed="2 steps or more: what is left out are steps",
        )
    if network.readout.neurons < 2:
        raise ConfigError(
            "early exit",
            found="a read-out of 1 neuron",
            allowed="2 classes or more: the margin is between the first two",
        )


# ---------------------------------------------------------------- what it saves


@dataclass(frozen=True)
class ExitCost:
    """One inference alone on the chip, in the mean; ``energy_uj`` None where no energies are
    told."""

    synops: float
    energy_uj: float | None
    latency_us: float


def exit_tallies(
    network: IntNetwork, inputs: Inputs, exits: IntArray, device: str = "cpu"
) -> dict[int, Tally]:
    """What was sent until the exit, by step of the exit; ``time_steps`` of each are the chip's,
    until the answer is there."""
    depth = depths(network)
    deepest = max(depth.values())
    parts: dict[int, list[Tally]] = {}
    first = 0
    for sent, membranes in watch(network, inputs, device):
        own = exits[first : first + membranes.shape[1]]
        first += len(own)
        for step in np.unique(own).tolist():
            mine = np.flatnonzero(own == step)
            events = {
                name: _events(spikes.numpy()[:, mine], network.time_steps,
                              min(network.time_steps, step + deepest - depth[name]))
                for name, spikes in sent.items()
            }  # fmt: skip
            read = membranes[step - 1, mine]
            parts.setdefault(step, []).append(Tally(len(mine), step + deepest, events, read))
    return {step: merge(tallies) for step, tallies in sorted(parts.items())}


def _events(sent: FloatArray, steps: int, until: int) -> IntArray:
    """Events of each neuron in its first *until* steps; one step that stands for all counts so
    often."""
    alike = len(sent) == 1 and steps > 1
    found: IntArray = np.count_nonzero(sent if alike else sent[:until], axis=(0, 1))
    return found * until if alike else found


def exit_cost(
    network: IntNetwork, tallies: Mapping[int, Tally], placement: Placement, chip: ChipSpec
) -> ExitCost:
    """What the samples of ``exit_tallies`` take, each alone on the chip: the counters of each group
    of samples, priced, and its steps at the lower bound of their time."""
    samples = sum(tally.samples for tally in tallies.values())
    synops, energy_pj, time_us = 0.0, 0.0, 0.0
    for tally in tallies.values():
        counters = count(network, tally, placement, chip, apart=tally.time_steps)
        us = us_per_step(network, tally, counters, placement, chip) * tally.time_steps
        synops += sum(counters.synops().values())
        time_us += us * tally.samples
        if not chip.untold:
            drawn = running_pj(chip, placement.chips, us)
            drawn += static_pj(chip, placement.chips, us, placement.cores)
            energy_pj += price(counters, chip).total().nominal + drawn.nominal * tally.samples
    energy_uj = None if chip.untold else energy_pj / samples / 1e6
    return ExitCost(synops / samples, energy_uj, time_us / samples)
