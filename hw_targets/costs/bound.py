"""A lower bound of the step time: the largest of five terms (Timcheck et al., arXiv:2601.10035).

    t_step >= max( neuron updates of the busiest core x their time,
                   synaptic operations of the busiest core x their time,
                   synaptic memory words read by the busiest core x read time,
                   bits over the heaviest directed link, on a chip or between two, / its bandwidth,
                   barrier )

A maximum, not a sum. Loads are given per core and step, as means (from a tally) or step by step
(from a simulator): every array may have leading axes for steps. Ours: spikes add their time to the
neuron term, and a word read holds as many synapses as its bits allow.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tssd.calibration.int_network import (
    IntNetwork,
    Population,
)
from tssd.calibration.integer import IntArray
from tssd.calibration.tally import Tally
from tssd.hw_targets.chip.spec import ChipSpec, Level, Quantity
from tssd.hw_targets.costs.counters import Counters
from tssd.hw_targets.mapping.choices import SynapseFormat
from tssd.hw_targets.mapping.placement import Placement, streams, traffic
from tssd.hw_targets.mapping.routes import heaviest_link_ns, routes
from tssd.train.handover.float_network import FloatArray

TERMS = ("neuron", "synapse", "memory", "link", "barrier")


@dataclass(frozen=True, eq=False)
class Bound:
    """The five terms in ns, each of the steps' shape, and where the first two come from."""

    terms_ns: Mapping[str, FloatArray]
    busiest_neuron_core: IntArray
    busiest_synapse_core: IntArray

    @property
    def step_ns(self) -> FloatArray:
        longest: FloatArray = np.max([self.terms_ns[name] for name in TERMS], axis=0)
        return longest

    @property
    def us_per_step(self) -> float:
        """The mean over all steps."""
        return float(self.step_ns.mean()) / 1e3

    @property
    def bottleneck(self) -> str:
        """The term that decides most of the time."""
        winner = np.argmax([self.terms_ns[name] for name in TERMS], axis=0)
        weight = np.bincount(winner.ravel(), self.step_ns.ravel(), len(TERMS))
        return TERMS[int(weight.argmax())]


def step_bound(
    load: Mapping[str, npt.NDArray[np.generic]],
    heaviest_link_ns: FloatArray | float,
    barrier_ns: float,
    chip: ChipSpec,
    level: Level = Level.NOMINAL,
) -> Bound:
    """The bound of steps: *load* maps a column of Counters to (.., cores) per step.

    ``microcode`` counts updates of neurons without a fixed-function model (see ``runs_microcode``);
    they are not in ``neuron_active`` then.
    """
    time = chip.time_ns

    def spent(*terms: tuple[str, Quantity]) -> FloatArray:
        parts = [np.asarray(load[c], np.float64) * t.at(level) for c, t in terms if c in load]
        total: FloatArray = np.sum(parts, axis=0)
        return total

    neuron = spent(
        ("neuron_idle", time.neuron_idle),
        ("neuron_active", time.neuron_active),
        ("microcode", time.neuron_microcode),
        ("spike", time.spike),
    )
    synapse = spent(
        ("synop_dense", time.synop_dense),
        ("synop_sparse", time.synop_sparse),
        ("synop_conv", time.synop_conv),
    )
    words = _words_read(load, chip) * time.memory_read.at(level)
    shape = neuron.shape[:-1]
    terms = {
        "neuron": neuron.max(axis=-1),
        "synapse": synapse.max(axis=-1),
        "memory": words.max(axis=-1),
        "link": np.broadcast_to(np.asarray(heaviest_link_ns, np.float64), shape),
        "barrier": np.broadcast_to(np.float64(barrier_ns), shape),
    }
    return Bound(terms, neuron.argmax(axis=-1), synapse.argmax(axis=-1))


def _words_read(load: Mapping[str, npt.NDArray[np.generic]], chip: ChipSpec) -> FloatArray:
    read = [
        np.asarray(load[f"synop_{stored}"], np.float64) * synapse_bits(stored, chip)
        for stored in SynapseFormat
        if f"synop_{stored}" in load
    ]
    total: FloatArray = np.sum(read, axis=0) / chip.bits.memory_word.value
    return total


def synapse_bits(stored: SynapseFormat, chip: ChipSpec) -> int:
    """Bits read for one synapse: kernels are shared, rows hold an index with each weight."""
    match stored:
        case SynapseFormat.CONV:
            index = 0
        case SynapseFormat.DENSE:
            index = chip.bits.row_index.count
        case SynapseFormat.SPARSE:
            index = chip.bits.sparse_index.count
    return chip.bits.weight.count + index


def runs_microcode(population: Population) -> bool:
    """True for neurons without a fixed-function model: the chip's own LIF resets to zero."""
    return population.kind.fires and population.reset.subtracts


def is_graded(network: IntNetwork, population: Population) -> bool:
    """True for a population whose spikes carry a payload."""
    return population.kind.relays or (population.kind.enters and network.input_coding.graded)


def message_bits(network: IntNetwork, population: Population, chip: ChipSpec) -> int:
    """Bits of a spike message of *population* on a chip; payloads ride on those that are graded."""
    payload = chip.link.payload.count if is_graded(network, population) else 0
    return chip.link.message.count + payload


def gate_bits(network: IntNetwork, population: Population, chip: ChipSpec) -> int:
    """Bits of the same message between chips."""
    payload = chip.link.chip_payload.count if is_graded(network, population) else 0
    return chip.link.chip_message.count + payload


def barrier_ns(chip: ChipSpec, placement: Placement, level: Level = Level.NOMINAL) -> float:
    """Synchronisation of one step: by routers in use on the fullest chip, and by array of chips."""
    routers = np.unique(placement.core_sites[:, :3], axis=0)[:, 0]
    fullest = int(np.bincount(routers).max())
    last, columns = int(placement.sites[:, 0].max()), chip.mesh.chip_columns.count
    sides = min(last, columns - 1) + last // columns
    return chip.time_ns.barrier.at(fullest, level) + sides * chip.time_ns.barrier_chip_hop.at(level)


def mean_load(network: IntNetwork, counters: Counters) -> dict[str, FloatArray]:
    """Columns per core, averaged over all steps, with microcode neurons apart; a port's spikes are
    the host's."""
    load = {name: counters.by_core(name) / counters.steps for name in counters.columns}
    load["spike"][counters.enabled :] = 0
    coded = {p.name for p in network.populations if runs_microcode(p)}
    mine = np.array([name in coded for name in counters.slice_population])
    updates = np.where(mine, counters.columns["neuron_active"], 0)
    load["microcode"] = np.bincount(counters.slice_core, updates, counters.cores) / counters.steps
    load["neuron_active"] = load["neuron_active"] - load["microcode"]
    return load


def mean_bound(
    network: IntNetwork,
    tally: Tally,
    counters: Counters,
    placement: Placement,
    chip: ChipSpec,
    level: Level = Level.NOMINAL,
) -> Bound:
    """The bound for the mean step of the run that *tally* and *counters* sum up."""
    return step_bound(
        mean_load(network, counters),
        mean_link_ns(network, tally, counters.steps, placement, chip, level),
        barrier_ns(chip, placement, level),
        chip,
        level,
    )


def mean_link_ns(
    network: IntNetwork,
    tally: Tally,
    steps: int,
    placement: Placement,
    chip: ChipSpec,
    level: Level = Level.NOMINAL,
) -> float:
    """How long the heaviest link is busy in the mean of *steps* steps."""
    sent = streams(network, placement, chip)
    widths = (
        {p.name: bits(network, p, chip) for p in network.populations}
        for bits in (message_bits, gate_bits)
    )
    on_chip, between = (traffic(sent, placement, tally, w) for w in widths)
    paths = routes(chip, placement.sites, on_chip.source, on_chip.target)
    return heaviest_link_ns(chip, paths, on_chip.messages / steps, between.messages / steps, level)


def us_per_step(
    network: IntNetwork,
    tally: Tally,
    counters: Counters,
    placement: Placement,
    chip: ChipSpec,
    level: Level = Level.NOMINAL,
) -> float:
    """A first estimate of the step time, from means: see ``mean_bound``."""
    return mean_bound(network, tally, counters, placement, chip, level).us_per_step
