"""FloatNetwork -> layers to train: what enters each population, and which of it is learned.

A projection whose weights have one value beside zero is *wiring*: a skip, a count of spikes, a
maximum pool's or-gate. Nothing is learned there; it keeps that one value, in the chip's full
width. So do the weights from a neuron that fires every step: they are biases behind a synapse.
A population of wiring alone is wired: it has no bias and no step that follow from a training.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from tssd.errors import NetworkError
from tssd.train.handover.compose import fold_norm, lateness, move_biases, with_lateness
from tssd.train.handover.float_network import (
    FloatArray,
    FloatNetwork,
    FloatPopulation,
    FloatProjection,
    depths,
)
from tssd.train.quantization.widths import ChipWidths, WeightBits

DECAY_ONE = 4096


@dataclass(frozen=True, eq=False)
class GraphLink:
    """One projection without normalisation and bias; its weights have the number ``index``.

    ``wiring`` and ``constant`` (from a neuron that fires every step): see the module; ``enters``:
    from the input; ``late``: steps beyond its layer's own place; ``bits``: of its weights.
    """

    index: int
    projection: FloatProjection
    wiring: bool
    constant: bool
    enters: bool
    late: int
    bits: WeightBits

    @property
    def learned(self) -> bool:
        """Whether its weights have the layer's bits, and its step follows them."""
        return not self.wiring and not self.constant

    @property
    def windows(self) -> int:
        """Spikes that one mean of its pool stands for."""
        pool = self.projection.pool
        return 1 if pool is None else pool.kernel[0] * pool.kernel[1]

    def reach(self, levels: int) -> int:
        """How many payload units one full mean of its source is: the float value 1."""
        return self.windows * (levels if self.enters else 1)


@dataclass(frozen=True, eq=False)
class GraphLayer:
    """A population with state and what enters it; ``loops`` are its projections to itself.

    ``early``: steps before its window in which no bias may let it fire, because its spikes come
    back to it, or late to others; else 0.
    """

    number: int
    population: FloatPopulation
    links: tuple[GraphLink, ...]
    loops: tuple[GraphLink, ...]
    chip: ChipWidths
    time_steps: int
    early: int

    @property
    def name(self) -> str:
        return self.population.name

    @property
    def channels(self) -> int:
        return self.population.shape[0]

    @property
    def all_links(self) -> tuple[GraphLink, ...]:
        return (*self.links, *self.loops)

    @property
    def wired(self) -> bool:
        return not any(link.learned for link in self.all_links)

    @property
    def bits(self) -> WeightBits:
        """Of the weights that are learned."""
        return next(link.bits for link in self.all_links if link.learned)

    @property
    def single(self) -> bool:
        """Whether all its neurons share one step: their membranes are compared with each other."""
        return self.population.kind.reads_out

    @property
    def learns_bias(self) -> bool:
        """A layer without any bias stays one."""
        return bool(np.any(self.population.bias != 0)) and not self.wired

    @property
    def dv(self) -> FloatArray:
        """What the membrane forgets in a step, of 4096."""
        return forgotten(self.population.decay, self.chip)

    @property
    def du(self) -> FloatArray:
        """What the synaptic current forgets; 4096 without synaptic memory."""
        memory = self.population.synapse_decay
        return forgotten(np.zeros(()) if memory is None else memory, self.chip)


def forgotten(decay: FloatArray, chip: ChipWidths) -> FloatArray:
    """1 - decay as the chip's field holds it, of 4096."""
    field = DECAY_ONE >> chip.decay_bits
    found: FloatArray = np.floor(DECAY_ONE / field * (1 - decay) + 0.5) * field
    return found


def prepared(network: FloatNetwork) -> FloatNetwork:
    """*network* with its normalisation and the biases of its projections folded away."""
    late = lateness(network)
    plain = replace(network, projections=tuple(fold_norm(j) for j in network.projections))
    return with_lateness(move_biases(plain), late)


def graph_layers(
    network: FloatNetwork, bits: Mapping[str, WeightBits], chip: ChipWidths
) -> tuple[GraphLayer, ...]:
    """The populations with state of a *prepared* network, in order."""
    _check_kinds(network)
    links, depth = _links(network, bits, chip), depths(network)
    heard = {x.projection.source for x in links if x.late or x.projection.is_loop}
    return tuple(
        GraphLayer(
            number,
            population,
            tuple(x for x in links if x.projection.target == population.name and not _loops(x)),
            tuple(x for x in links if x.projection.target == population.name and _loops(x)),
            chip,
            network.time_steps,
            depth[population.name] if population.name in heard else 0,
        )
        for number, population in enumerate(network.populations)
        if population.kind.has_state
    )


def trained_populations(network: FloatNetwork) -> tuple[str, ...]:
    """The populations of a *prepared* network that have weights to learn: those with bits."""
    always = _always(network)
    learned = [j for j in network.projections if not is_wiring(j.weight) and j.source not in always]
    names = {j.target for j in learned}
    return tuple(p.name for p in network.populations if p.name in names)


def is_wiring(weight: FloatArray) -> bool:
    """Whether all weights that are not zero are equal."""
    there = weight[weight != 0]
    return bool(there.size) and bool(np.all(there == there[0]))


def _loops(link: GraphLink) -> bool:
    return link.projection.is_loop


def _links(
    network: FloatNetwork, bits: Mapping[str, WeightBits], chip: ChipWidths
) -> list[GraphLink]:
    depth, always = depths(network), _always(network)
    full = WeightBits((1 << (chip.weight_bits - 1)) - 1)
    found = []
    for index, j in enumerate(network.projections):
        wiring, constant = is_wiring(j.weight), j.source in always
        own = full if wiring or constant else bits[j.target]
        late = 0 if j.is_loop else max(depth[j.source] + 1 + j.delay - depth[j.target], 0)
        enters = network.population(j.source).kind.enters
        found.append(GraphLink(index, j, wiring, constant, enters, late, own))
    return found


def _always(network: FloatNetwork) -> set[str]:
    """Populations that fire in every step, whatever comes: a bias of at least the threshold, no
    memory, nothing that inhibits."""
    return {
        p.name
        for p in network.populations
        if p.kind.fires
        and np.all(p.bias >= p.threshold)
        and not np.any(p.decay)
        and all(np.all(j.weight >= 0) for j in network.incoming(p.name))
    }


def _check_kinds(network: FloatNetwork) -> None:
    *others, last = (p for p in network.populations if p.kind.has_state)
    wrong = [p.name for p in others if not p.kind.fires] + [last.name] * last.kind.fires
    if wrong:
        raise NetworkError(
            f"population {wrong[0]}",
            found="a read-out between neurons, or neurons at the end",
            allowed="neurons, and one read-out as the last population",
        )
    for population in network.populations:
        if population.kind.relays:
            raise NetworkError(
                f"population {population.name}",
                found="a relay, which passes sums on",
                allowed="neurons, to train with few bits",
                hint="a population of neurons there, or rounding after training: "
                "tssd export --weight-bits 4",
            )
