"""IntNetwork -> nir.NIRGraph: plain NIR that makes sense without any of our metadata.

Units are weight units: weights are the integers themselves, v_threshold = vth, bias = bias / 64
(a LIF is scale invariant). Discretisation: Euler at ``dt_seconds``, read backwards so that the
input gain is one:

    decay beta = 1 - dt / tau    ->  tau = dt / (1 - beta) = dt * 4096 / dv,  r = tau / dt
    no leak (dv = 0)             ->  IF or I with r = 1 / dt

Two modes. COMPATIBLE: a LIF or IF node per population, which other tools read today; whether its
reset is to zero or by subtraction is metadata only. EXACT: a soft reset by r is spelled out as
LI -> Threshold -> Scale(-beta * r) -> LI (a feedback edge takes one step), the identity of the
same-step subtraction, so that any correct reader fires the same spikes up to decay rounding.

Groups are written as block-diagonal kernels and non-square kernels are embedded in square ones of
zeros where the parity allows it, because nir 1.0.8 infers the shapes of both wrongly.
"""

from enum import StrEnum
from typing import Any, assert_never

import nir
import numpy as np

from tssd.calibration.int_network import (
    IntNetwork,
    Population,
    PopulationKind,
    depths,
    lag,
)
from tssd.calibration.integer import WEIGHT_SHIFT
from tssd.calibration.neuron import parameters
from tssd.errors import NetworkError
from tssd.export.nir.integers.metadata import graph_metadata, neuron_metadata
from tssd.export.nir.integers.nodes import (
    DT_SECONDS,
    bias_carrier,
    bias_node,
    float_exact,
    in_weight_units,
    membrane_decay,
    membrane_node,
    synapse_node,
    weight_nodes,
)
from tssd.train.handover.float_network import FloatArray

__all__ = ["DT_SECONDS", "NirMode", "to_nir"]


SPELLED = ("keep_u", "keep_v", "threshold", "subtracted")  # what plain nodes say


class NirMode(StrEnum):
    """COMPATIBLE: LIF nodes as other tools read them; EXACT: soft reset in plain primitives."""

    COMPATIBLE = "compatible"
    EXACT = "exact"


def to_nir(
    network: IntNetwork,
    mode: NirMode = NirMode.COMPATIBLE,
    dt_seconds: float = DT_SECONDS,
) -> nir.NIRGraph:
    """The graph of *network*; NetworkError names what NIR has no node for."""
    if not (np.isfinite(dt_seconds) and dt_seconds > 0):
        raise NetworkError("dt_seconds", found=str(dt_seconds), allowed="a positive number")
    return _GraphBuilder(network, mode, dt_seconds).build()


class _GraphBuilder:
    """Collects nodes and edges; ``entry`` and ``exit`` are a population's first and last node."""

    def __init__(self, network: IntNetwork, mode: NirMode, dt_seconds: float) -> None:
        self.network, self.mode, self.dt = network, mode, dt_seconds
        self.nodes: dict[str, Any] = {}
        self.edges: list[tuple[str, str]] = []
        self.depth = depths(network)
        self.exit = {p.name: _plain_name(p.name) for p in network.populations}
        self.entry = dict(self.exit)
        if len(set(self.exit.values())) < len(self.exit):
            raise NetworkError(
                "populations",
                found="names that differ only in '.' or '/'",
                allowed="names that stay different when both become '_'",
            )
        self.taken = set(self.exit.values())

    def build(self) -> nir.NIRGraph:
        for population in self.network.populations:
            self._population(population)
        for index in range(len(self.network.projections)):
            self._projection(index)
        readout = self.network.readout
        self._chain(
            [self.exit[readout.name], self._add("output", nir.Output(np.array(readout.shape)))]
        )
        metadata = graph_metadata(self.network, str(self.mode), self.dt, self.nodes)
        graph = nir.NIRGraph(self.nodes, self.edges, metadata, type_check=False)
        graph.check_types()
        return graph

    def _add(self, wanted: str, node: Any, metadata: dict[str, Any] | None = None) -> str:
        """Store *node* under *wanted* or, if that is taken, under the next free number."""
        name, number = wanted, 1
        while name in self.taken:
            number += 1
            name = f"{wanted}_{number}"
        self._put(name, node, metadata)
        return name

    def _put(self, name: str, node: Any, metadata: dict[str, Any] | None = None) -> None:
        node.metadata = metadata or {}
        self.nodes[name] = node
        self.taken.add(name)

    def _chain(self, names: list[str]) -> None:
        self.edges += list(zip(names[:-1], names[1:], strict=True))

    def _population(self, population: Population) -> None:
        name, about = self.exit[population.name], neuron_metadata(population)
        match population.kind:
            case PopulationKind.INPUT:
                self._put(name, nir.Input(np.array(population.shape)), about)
            case PopulationKind.RELAY:
                self._put(name, nir.Scale(np.ones(population.shape, np.float32)), about)
            case PopulationKind.LIF | PopulationKind.READOUT:
                self._neurons(population, name, about)
            case _:
                assert_never(population.kind)
        if self.network.input_coding.as_bias and population is self.network.source:
            self._bias_input(population)

    def _neurons(self, population: Population, name: str, about: dict[str, Any]) -> None:
        """Current filter and bias where the synapses cannot carry them, then the membrane."""
        before = []
        bias = in_weight_units(population)
        loose_bias = (
            population is not self.network.source
            and bias.any()
            and bias_carrier(self.network, population) is None
        )
        spelled = self._spells_reset(population)
        memory = bool((population.du != 4096).any())
        if memory and (loose_bias or spelled):
            before.append(self._add(f"{name}_current", synapse_node(population, self.dt)))
            memory = False
        if loose_bias:
            node = bias_node(population, bias, self.dt)
            before.append(self._add(f"{name}_bias", node, {"bias_of": population.name}))
        if spelled:
            before.append(self._soft_reset(population, name, about))
        else:
            self._put(name, membrane_node(population, self.dt, memory, fires=True), about)
        self._chain([*before, name])
        self.entry[population.name] = [*before, name][0]

    def _spells_reset(self, population: Population) -> bool:
        soft = population.reset.subtracts and population.kind.fires
        return soft and self.mode is NirMode.EXACT

    def _soft_reset(self, population: Population, name: str, about: dict[str, Any]) -> str:
        """membrane -> Threshold (the population's name) -> Scale(-beta reset_by) -> membrane."""
        parameters(population, SPELLED)
        amount = np.broadcast_to(population.subtracted, population.shape).astype(np.float64)
        threshold = np.broadcast_to(population.vth, population.shape).astype(np.float64)
        self._put(name, nir.Threshold(float_exact(threshold)), about)
        beta = membrane_decay(population)
        membrane = self._add(
            f"{name}_membrane", membrane_node(population, self.dt, memory=False, fires=False)
        )
        reset = self._add(f"{name}_reset", nir.Scale(-beta * amount))
        self._chain([name, reset, membrane])
        return membrane

    def _bias_input(self, population: Population) -> None:
        """Input -> Scale: the sample is a bias mantissa, 2**bias_exp membrane units each."""
        gain = 2.0 ** (population.bias_exp - WEIGHT_SHIFT)
        entrance = self._add("input", nir.Input(np.array(population.shape)))
        scale = self._add(
            f"{self.exit[population.name]}_gain",
            nir.Scale(np.full(population.shape, gain, np.float32)),
        )
        self._chain([entrance, scale, self.entry[population.name]])

    def _projection(self, index: int) -> None:
        """[Delay] -> [Flatten] -> weights, between the source's exit and the target's entry."""
        projection = self.network.projections[index]
        source = self.network.population(projection.source)
        target = self.network.population(projection.target)
        late = self._late(index)
        steps: FloatArray = np.full(source.shape, late * self.dt)
        ends = (self.exit[source.name], self.exit[target.name])
        label = f"{ends[0]}_to_{ends[1]}"
        between = [self._add(f"{label}_delay", nir.Delay(steps))] if late else []
        for ending, node in weight_nodes(self.network, index, late, self.depth):
            between.append(self._add(label + ending, node, node.metadata))
        self._chain([ends[0], *between, self.entry[target.name]])

    def _late(self, index: int) -> int:
        """Local steps that an explicit Delay adds; a recurrent edge takes one step by itself."""
        projection = self.network.projections[index]
        if not self.network.is_recurrent(projection):
            return lag(self.network, projection, self.depth)
        late = self.depth[projection.source] - self.depth[projection.target] + projection.delay
        return max(late, 0)


def _plain_name(name: str) -> str:
    """HDF5 forbids '/', torch modules built by readers forbid '.'."""
    return name.replace("/", "_").replace(".", "_")
