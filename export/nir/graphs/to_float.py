"""Graph -> FloatNetwork: what can be calibrated, quantized and placed like a network of ours.

Each neuron becomes a population, each way of linear nodes between two neurons one projection.
With decay d, input gain g and v measured from v_reset,

    bias = (1 - d) (v_leak - v_reset) / g        threshold = (v_threshold - v_reset) / g

so the weights stay as they are. With a synaptic current (CubaLIF, CubaLI, or an LI straight into a
neuron) g is the product of both gains, and the synapse's decay becomes ``synapse_decay``.

Firing is strict here (for most rules) and inclusive in FloatNetwork: thresholds move up by one
float64 step. A network that ends in spiking neurons gets a readout that counts their spikes; an
integrator in front of the Output, leaky or not, is the readout. What has no counterpart is refused
by node name.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from tssd.arrays import FloatArray
from tssd.errors import NetworkError
from tssd.export.nir.graphs.graph import NEURONS, RESETTING, Graph, schedule
from tssd.export.nir.graphs.names import population_names
from tssd.export.nir.graphs.profiles import (
    NO_DELAY_OF,
    OWN_AMOUNT,
    Answers,
    SteppingRule,
    decay_and_gain,
    delay_steps,
    parameters,
    reset_of,
    resolve,
    subtracted,
)
from tssd.export.nir.graphs.run import run
from tssd.export.nir.graphs.shapes import check_range, fit, graph_shape
from tssd.export.nir.graphs.thresholds import fold_thresholds, with_late_resets
from tssd.export.nir.graphs.ways import COUNTING, READOUT, Projections, Way
from tssd.train.handover.compose import with_lateness
from tssd.train.handover.float_network import (
    FloatNetwork,
    FloatPopulation,
    FloatProjection,
    PopulationKind,
    Reset,
)
from tssd.train.handover.geometry import Shape


def to_float(
    graph: Graph, time_steps: int, answers: Answers | SteppingRule | None = None
) -> FloatNetwork:
    """The float network of *graph*; what cannot be taken over raises NetworkError."""
    rule = answers if isinstance(answers, SteppingRule) else resolve(graph, answers)
    if rule.twice:
        raise no_delay_refused(graph)
    for node in graph.nodes.values():
        if NO_DELAY_OF in node.metadata:
            raise no_delay_refused(graph, where=str(node.metadata[NO_DELAY_OF]))
    spelled = fold_thresholds(with_late_resets(graph, rule), rule)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        network = _Converter(spelled, rule).network(time_steps)
    check_range(graph, network)
    return network


def no_delay_refused(graph: Graph, counted: str = "", where: str = "the reset") -> NetworkError:
    """snnTorch's reset_delay=False has no integer neuron; *counted*: how often that matters."""
    return graph.fault(
        where,
        f"snnTorch's subtract with reset_delay=False{counted}",
        "subtract with reset_delay=True, its default; zero; none",
        "train with reset_delay=True; or, if these slots may differ, with a plain subtraction "
        "(--reset subtract, for a graph)",
    )


class _Converter:
    def __init__(self, graph: Graph, rule: SteppingRule) -> None:
        self.graph, self.rule = graph, rule
        self.synapses = _synapses(graph)  # neuron -> the LI or I that is its synapse
        delayed = [n for n in graph.of_type("Delay") if delay_steps(graph, n, rule)]
        self.order = schedule(graph, delayed)
        silent = np.zeros((1, 1, *graph.nodes[graph.input].params["shape"]))
        self.shapes = run(graph, silent, rule).shapes
        if not graph.of_type(*RESETTING, "Threshold"):
            raise graph.fault("nodes", "no neuron that fires", "one or more, as LIF or IF")
        ends = self.graph.sources(self.graph.output)
        self.last = ends[0] if len(ends) == 1 and self._reads_out(ends[0]) else COUNTING
        self.names = population_names(graph, self.last, READOUT)
        self.build = Projections(graph, rule, self.shapes, self.names)

    def network(self, time_steps: int) -> FloatNetwork:
        populations = [self._plain("input", graph_shape(self.shapes[self.graph.input]))]
        projections: list[FloatProjection] = []
        for name in self.order.order:
            if self.graph.nodes[name].type in NEURONS and name not in self.synapses.values():
                populations.append(self._neuron(name))
                for way in self._ways(name):
                    self._check_forward(way, name, populations)
                    projections.append(self.build.projection(way, name))
        if self.last == COUNTING:
            shape = (int(np.prod(self.shapes[self.graph.output])),)
            populations.append(self._plain(self.names[COUNTING], shape, PopulationKind.READOUT))
            projections += [
                self.build.projection(w, COUNTING) for w in self._ways(self.graph.output)
            ]
        self._check_readout(populations)
        late = [0 if j.is_loop else j.delay for j in projections]
        network = FloatNetwork(tuple(populations), tuple(projections), time_steps)
        return self._with_prompt_biases(with_lateness(network, late), late)

    def _with_prompt_biases(self, network: FloatNetwork, late: list[int]) -> FloatNetwork:
        """A bias behind a Delay acts from the first step: it is the neuron's own."""
        populations = {p.name: p for p in network.populations}
        projections = list(network.projections)
        for i, (j, steps) in enumerate(zip(network.projections, late, strict=True)):
            if not steps or j.bias is None or not np.any(j.bias):
                continue
            target = populations[j.target]
            if target.synapse_decay is not None:
                raise self.graph.fault(
                    f"way {j.source} -> {j.target}",
                    "a bias on a way with a delay into a synapse with memory",
                    "no bias, or no delay, there",
                )
            bias = target.bias + j.bias.reshape(-1, *(1,) * (len(target.shape) - 1))
            populations[j.target] = replace(target, bias=bias)
            projections[i] = replace(j, bias=None)
        return replace(
            network, populations=tuple(populations.values()), projections=tuple(projections)
        )

    def _check_forward(self, way: Way, target: str, known: list[FloatPopulation]) -> None:
        """A way may lead back to its own neuron, but to no earlier one."""
        if self.names[way.source] not in {p.name for p in known}:
            raise self.graph.fault(
                f"way {way.source} -> {target}",
                "recurrence between populations",
                "loops from a neuron to itself",
                "the graph runs as it is (tssd.export.nir.graphs.run); to deploy it, merge both "
                "into one population or remove the connection",
            )

    def _reads_out(self, name: str) -> bool:
        """A neuron that never fires and only feeds the Output."""
        plain = self.graph.nodes[name].type in ("I", "LI", "CubaLI")
        return plain and self.graph.targets(name) == [self.graph.output]

    def _check_readout(self, populations: list[FloatPopulation]) -> None:
        for p in populations[1:-1]:
            if not p.kind.fires:
                raise self.graph.fault(
                    f"node {p.name}", "an integrator inside the network", "LIF or IF neurons"
                )

    def _plain(
        self, name: str, shape: Shape, kind: PopulationKind = PopulationKind.INPUT
    ) -> FloatPopulation:
        one = (1,) * len(shape)
        decay = np.ones(one) if kind.reads_out else np.zeros(one)
        return FloatPopulation(name, shape, kind, Reset.NONE, decay, np.ones(one), np.zeros(one))

    def _neuron(self, name: str) -> FloatPopulation:
        node = self.graph.nodes[name]
        if node.type == "Threshold":
            return self._comparison(name)
        p = parameters(self.graph, name, self.rule)
        tau = p.get("tau", p.get("tau_mem"))
        decay, gain = decay_and_gain(self.graph, name, self.rule, tau, p["r"])
        memory, synapse_gain = self._synapse(name, p)
        gain = gain * synapse_gain
        if np.any(gain <= 0):
            raise self.graph.fault(f"node {name}", "an input gain that is not positive", "r > 0")
        zero = np.zeros(())
        v_reset, leak = p.get("v_reset", zero), p.get("v_leak", zero)
        fires = node.type in RESETTING
        threshold = (p["v_threshold"] - v_reset) / gain if fires else np.ones(())
        node_shape = self.shapes[name]
        shape = graph_shape(node_shape)
        if not fires:
            shape = (int(np.prod(shape)),)
            self._check_readout_gain(name, gain)
        reset = reset_of(self.graph, name, self.rule) if fires else Reset.NONE
        own = reset.subtracts and OWN_AMOUNT in node.metadata
        amount = subtracted(self.graph, name, self.rule) / gain if own else None
        return FloatPopulation(
            self.names[name],
            shape,
            PopulationKind.LIF if fires else PopulationKind.READOUT,
            reset,
            decay=fit(decay, node_shape, shape),
            threshold=fit(self._inclusive(threshold), node_shape, shape),
            bias=fit((1 - decay) * (leak - v_reset) / gain, node_shape, shape),
            synapse_decay=None if memory is None else fit(memory, node_shape, shape),
            reset_by=None if amount is None else fit(amount, node_shape, shape),
        )

    def _inclusive(self, threshold: FloatArray) -> FloatArray:
        """The threshold to be met, for one that must be passed unless the rule says otherwise."""
        return threshold if self.rule.inclusive else np.nextafter(threshold, np.inf)

    def _comparison(self, name: str) -> FloatPopulation:
        """A bare Threshold: a neuron that forgets at once and needs no reset."""
        node_shape = self.shapes[name]
        shape = graph_shape(node_shape)
        theta = np.asarray(self.graph.nodes[name].params["threshold"], np.float64)
        return FloatPopulation(
            self.names[name],
            shape,
            PopulationKind.LIF,
            Reset.NONE,
            decay=fit(np.zeros(()), node_shape, shape),
            threshold=fit(np.nextafter(theta, np.inf), node_shape, shape),
            bias=fit(np.zeros(()), node_shape, shape),
        )

    def _synapse(
        self, name: str, p: Mapping[str, FloatArray]
    ) -> tuple[FloatArray | None, FloatArray]:
        """Decay and gain of the current in front of the membrane; None: there is none."""
        if "tau_syn" in p:
            return decay_and_gain(self.graph, name, self.rule, p["tau_syn"], p["w_in"])
        if name not in self.synapses:
            return None, np.ones(())
        inner = parameters(self.graph, self.synapses[name], self.rule)
        return decay_and_gain(
            self.graph, self.synapses[name], self.rule, inner.get("tau"), inner["r"]
        )

    def _check_readout_gain(self, name: str, gain: FloatArray) -> None:
        """One gain for all classes does not change which membrane is the largest."""
        if np.any(gain != gain.flat[0]):
            raise self.graph.fault(
                f"node {name}",
                "an output with several gains",
                "one r (and tau) for all outputs",
                "the class is the largest membrane after the last step",
            )

    def _ways(self, target: str) -> Iterator[Way]:
        """Every way back from *target* to a neuron or the Input."""
        entry = self.synapses.get(target, target)
        stack: list[tuple[str, tuple[str, ...]]] = [(s, ()) for s in self.graph.sources(entry)]
        while stack:
            name, nodes = stack.pop(0)
            kind = self.graph.nodes[name].type
            if kind in NEURONS or kind == "Input":
                yield Way(name, nodes)
            else:
                stack += [(s, (name, *nodes)) for s in self.graph.sources(name)]


def _synapses(graph: Graph) -> dict[str, str]:
    """Neurons that take their whole current from an LI or I of their own, without a map between."""
    found: dict[str, str] = {}
    for name in graph.of_type("LI", "I"):
        targets = graph.targets(name)
        if len(targets) != 1 or graph.sources(targets[0]) != [name]:
            continue
        follower = graph.nodes[targets[0]].type
        at_rest = not np.any(graph.nodes[name].params.get("v_leak", 0.0))
        if follower in ("LIF", "IF", "LI", "I") and at_rest:
            found[targets[0]] = name
    return {neuron: synapse for neuron, synapse in found.items() if synapse not in found}
