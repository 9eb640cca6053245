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
from dataclasses import dataclass, replace

import numpy as np

from tssd.calibration.quantizing.fold import with_lateness
from tssd.errors import NetworkError
from tssd.export.nir.graphs.graph import NEURONS, RESETTING, FloatArray, Graph, schedule
from tssd.export.nir.graphs.names import population_names
from tssd.export.nir.graphs.profiles import (
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
from tssd.export.nir.graphs.shapes import (
    check_range,
    fit,
    graph_shape,
    identity,
    pair,
    pool_gain,
)
from tssd.export.nir.graphs.thresholds import fold_thresholds, with_late_resets
from tssd.train.handover.float_network import (
    AveragePool,
    FloatNetwork,
    FloatPopulation,
    FloatProjection,
    PopulationKind,
    ProjectionKind,
    Reset,
)
from tssd.train.handover.geometry import Shape

READOUT = "readout"
COUNTING = ""  # stands for the readout that counts spikes, which is no node; no node is called so


def to_float(
    graph: Graph, time_steps: int, answers: Answers | SteppingRule | None = None
) -> FloatNetwork:
    """The float network of *graph*; what cannot be taken over raises NetworkError."""
    rule = answers if isinstance(answers, SteppingRule) else resolve(graph, answers)
    if rule.twice:
        raise no_delay_refused(graph)
    spelled = fold_thresholds(with_late_resets(graph, rule), rule)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        network = _Converter(spelled, rule).network(time_steps)
    check_range(graph, network)
    return network


def no_delay_refused(graph: Graph, counted: str = "") -> NetworkError:
    """snnTorch's reset_delay=False has no integer neuron; *counted*: how often that matters."""
    return graph.fault(
        "the reset",
        f"snnTorch's subtract with reset_delay=False{counted}",
        "subtract-late (reset_delay=True), subtract, zero, none",
        "train with reset_delay=True, its default; or --reset subtract, if those may differ",
    )


@dataclass(frozen=True)
class _Way:
    """Linear nodes from one neuron (or the Input) to the next."""

    source: str
    nodes: tuple[str, ...]


class _Converter:
    def __init__(self, graph: Graph, rule: SteppingRule) -> None:
        self.graph, self.rule = graph, rule
        self.synapses = _synapses(graph)  # neuron -> the LI or I that is its synapse
        delayed = [n for n in graph.of_type("Delay") if delay_steps(graph, n, rule)]
        self.order = schedule(graph, delayed)
        silent = np.zeros((1, 1, *graph.nodes[graph.input].params["shape"]))
        self.shapes = run(graph, silent, rule).shapes
        ends = self.graph.sources(self.graph.output)
        self.last = ends[0] if len(ends) == 1 and self._reads_out(ends[0]) else COUNTING
        self.names = population_names(graph, self.last, READOUT)

    def network(self, time_steps: int) -> FloatNetwork:
        populations = [self._plain("input", graph_shape(self.shapes[self.graph.input]))]
        projections: list[FloatProjection] = []
        for name in self.order.order:
            if self.graph.nodes[name].type in NEURONS and name not in self.synapses.values():
                populations.append(self._neuron(name))
                for way in self._ways(name):
                    self._check_forward(way, name, populations)
                    projections.append(self._projection(way, name))
        if self.last == COUNTING:
            shape = (int(np.prod(self.shapes[self.graph.output])),)
            populations.append(self._plain(self.names[COUNTING], shape, PopulationKind.READOUT))
            projections += [self._projection(w, COUNTING) for w in self._ways(self.graph.output)]
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

    def _check_forward(self, way: _Way, target: str, known: list[FloatPopulation]) -> None:
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
            if p.kind is not PopulationKind.LIF:
                raise self.graph.fault(
                    f"node {p.name}", "an integrator inside the network", "LIF or IF neurons"
                )

    def _plain(
        self, name: str, shape: Shape, kind: PopulationKind = PopulationKind.INPUT
    ) -> FloatPopulation:
        one = (1,) * len(shape)
        decay = np.ones(one) if kind is PopulationKind.READOUT else np.zeros(one)
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
        own = reset is Reset.SOFT and OWN_AMOUNT in node.metadata
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

    def _ways(self, target: str) -> Iterator[_Way]:
        """Every way back from *target* to a neuron or the Input."""
        entry = self.synapses.get(target, target)
        stack: list[tuple[str, tuple[str, ...]]] = [(s, ()) for s in self.graph.sources(entry)]
        while stack:
            name, nodes = stack.pop(0)
            kind = self.graph.nodes[name].type
            if kind in NEURONS or kind == "Input":
                yield _Way(name, nodes)
            else:
                stack += [(s, (name, *nodes)) for s in self.graph.sources(name)]

    def _projection(self, way: _Way, target: str) -> FloatProjection:
        shape = graph_shape(self.shapes[way.source])
        built = FloatProjection(
            self.names[way.source], self.names[target], ProjectionKind.DENSE, np.zeros((0, 0))
        )
        here, started = shape, False
        for name in way.nodes:
            built, here, started = self._append(built, name, here, started)
        if built.is_loop:  # a feedback edge takes one step, and so does a Delay of one
            built = replace(built, delay=max(built.delay - 1, 0))
        if not started:
            built = identity(built, here)
        goal = target or self.graph.output
        wanted = graph_shape(self.shapes[goal])
        if built.kind.spatial and (here != wanted or self.names[target] == READOUT):
            raise self.graph.fault(
                f"way {way.source} -> {target}",
                f"a convolution of shape {here} into {wanted}",
                "an Affine or Linear into a flat population",
            )
        return built

    def _append(
        self, built: FloatProjection, name: str, here: Shape, started: bool
    ) -> tuple[FloatProjection, Shape, bool]:
        """One more linear node at the end of the way."""
        node, after = self.graph.nodes[name], graph_shape(self.shapes[name])
        p = node.params
        if node.type == "Flatten":
            return built, after if not started else here, started
        if node.type == "Delay":
            steps = delay_steps(self.graph, name, self.rule)
            if steps and built.bias is not None and np.any(built.bias):
                raise self.graph.fault(
                    f"node {name}",
                    "a bias in front of a Delay",
                    "a bias behind it, or none: a bias of the chip acts from the first step",
                )
            return replace(built, delay=built.delay + steps), here, started
        if node.type == "Scale":
            if np.all(p["scale"] == 1):
                return built, here, started
            plain = built if started else identity(built, here)
            return self._scaled(plain, name, after), after, True
        if started:
            raise self.graph.fault(
                f"node {name}", "a second linear map without a neuron between", "one per projection"
            )
        if node.type in ("SumPool2d", "AvgPool2d"):
            return self._pooled(built, name), after, False
        if node.type in ("Affine", "Linear"):
            weight = self._pool_weight(built, p["weight"])
            bias = None if "bias" not in p else np.broadcast_to(p["bias"], weight.shape[:1]).copy()
            return replace(built, weight=weight, bias=bias), after, True
        return self._convolution(built, name, here), after, True

    def _pool_weight(self, built: FloatProjection, weight: FloatArray) -> FloatArray:
        """A sum pool is an average pool with weights k times as large, kept in ``groups``."""
        return weight * pool_gain(built)

    def _pooled(self, built: FloatProjection, name: str) -> FloatProjection:
        p = self.graph.nodes[name].params
        kernel, stride = pair(p["kernel_size"]), pair(p["stride"])
        if built.pool is not None or any(p["padding"]):
            raise self.graph.fault(
                f"node {name}", "padding, or two pools in a row", "one plain pool"
            )
        summed = self.graph.nodes[name].type == "SumPool2d"
        gain = np.full((1, 1), float(kernel[0] * kernel[1]) if summed else 1.0)
        return replace(built, pool=AveragePool(kernel, stride), weight=gain)

    def _convolution(self, built: FloatProjection, name: str, here: Shape) -> FloatProjection:
        node = self.graph.nodes[name]
        p, weight = node.params, node.params["weight"]
        line = node.type == "Conv1d"
        weight = weight[:, :, None, :] if line else weight
        gap = pair(p["dilation"], line, 1)
        padding = self._padding(name, weight.shape[2:], gap, line)
        bias = np.broadcast_to(p["bias"], weight.shape[:1]).copy()
        return replace(
            built,
            kind=ProjectionKind.CONV2D,
            weight=self._pool_weight(built, weight),
            bias=bias,
            stride=pair(p["stride"], line, 1),
            padding=padding,
            dilation=gap,
            groups=p["groups"],
        )

    def _padding(
        self, name: str, kernel: tuple[int, ...], gap: tuple[int, int], line: bool
    ) -> tuple[int, int]:
        word = self.graph.nodes[name].params["padding"]
        if not isinstance(word, str):
            return pair(word, line, 0)
        if word == "valid":
            return (0, 0)
        total = [g * (k - 1) for g, k in zip(gap, kernel, strict=True)]
        if any(n % 2 for n in total):
            raise self.graph.fault(
                f"node {name}", "padding 'same' of an even kernel", "padding equal on both sides"
            )
        return (total[0] // 2, total[1] // 2)

    def _scaled(self, built: FloatProjection, name: str, after: Shape) -> FloatProjection:
        """A Scale after the map: into rows or output channels."""
        scale = np.broadcast_to(self.graph.nodes[name].params["scale"], self.shapes[name])
        if not built.kind.spatial:
            rows = scale.reshape(-1)
            bias = None if built.bias is None else built.bias * rows
            return replace(built, weight=built.weight * rows[:, None], bias=bias)
        full = scale.reshape(after[0], -1)
        if np.any(full != full[:, :1]):
            raise self.graph.fault(f"node {name}", "a scale per pixel", "one scale per channel")
        rows = full[:, 0]
        bias = None if built.bias is None else built.bias * rows
        return replace(built, weight=built.weight * rows[:, None, None, None], bias=bias)


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
