"""Ways of linear nodes between two neurons as projections.

One map, with an unpadded pool in front and Scales around it, stays what it is: a convolution or a
matrix. Several in a row are multiplied out into one matrix, where that is into a row of neurons.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from tssd.arrays import FloatArray
from tssd.errors import NetworkError
from tssd.export.nir.graphs.graph import Graph
from tssd.export.nir.graphs.profiles import SteppingRule, delay_steps
from tssd.export.nir.graphs.run import matrix
from tssd.export.nir.graphs.shapes import graph_shape, identity, pair, pool_gain
from tssd.train.handover.float_network import AveragePool, FloatProjection, ProjectionKind
from tssd.train.handover.geometry import Shape

READOUT = "readout"
COUNTING = ""  # stands for the readout that counts spikes, which is no node; no node is called so
MAPS = ("Affine", "Linear", "Conv1d", "Conv2d")
POOLS = ("SumPool2d", "AvgPool2d")
LARGEST_MATRIX = 1 << 22  # weights


@dataclass(frozen=True)
class Way:
    """Linear nodes from one neuron (or the Input) to the next."""

    source: str
    nodes: tuple[str, ...]


def is_one_map(graph: Graph, nodes: tuple[str, ...]) -> bool:
    """Whether *nodes* are at most a pool without padding, one map, and Scales behind it."""
    word = ""
    for name in nodes:
        node = graph.nodes[name]
        if node.type in POOLS:
            word += "X" if any(node.params["padding"]) else "P"
        elif node.type in MAPS:
            word += "M"
        elif node.type == "Scale" and np.any(node.params["scale"] != 1):
            word += "S"
    return re.fullmatch("P?M?S*", word) is not None


@dataclass(frozen=True, eq=False)
class Projections:
    """Builds a projection from each way; ``shapes`` of all nodes, ``names`` of populations."""

    graph: Graph
    rule: SteppingRule
    shapes: Mapping[str, Shape]
    names: Mapping[str, str]

    def projection(self, way: Way, target: str) -> FloatProjection:
        shape = graph_shape(self.shapes[way.source])
        built = FloatProjection(
            self.names[way.source], self.names[target], ProjectionKind.DENSE, np.zeros((0, 0))
        )
        nodes, gain = self._without_numbers(way.nodes)
        if not is_one_map(self.graph, nodes):
            return self._multiplied_out(built, way, target)
        here, started = shape, False
        for name in nodes:
            built, here, started = self._append(built, name, here, started)
        if not started:
            built = identity(built, here)
        built = _in_its_own_time(replace(built, weight=built.weight * gain))
        goal = target or self.graph.output
        wanted = graph_shape(self.shapes[goal])
        if built.kind.spatial and (here != wanted or self.names[target] == READOUT):
            raise self.graph.fault(
                f"way {way.source} -> {target}",
                f"a convolution of shape {here} into {wanted}",
                "an Affine or Linear into a flat population",
            )
        return built

    def _without_numbers(self, nodes: tuple[str, ...]) -> tuple[tuple[str, ...], float]:
        """*nodes* without the Scales by one number in front of a map, and the product of these."""
        kept, gain = list[str](), 1.0
        for i, name in enumerate(nodes):
            node = self.graph.nodes[name]
            if node.type in MAPS:
                return (*kept, *nodes[i:]), gain
            if node.type == "Scale" and np.all(
                node.params["scale"] == node.params["scale"].flat[0]
            ):
                gain *= float(node.params["scale"].flat[0])
            else:
                kept.append(name)
        return tuple(kept), gain

    def _multiplied_out(self, built: FloatProjection, way: Way, target: str) -> FloatProjection:
        """Several maps in a row as one matrix, found by what they make of unit vectors."""
        inputs, outputs = (
            self.shapes[way.source],
            self.shapes[target or self.graph.output],
        )
        size = int(np.prod(inputs)) * int(np.prod(outputs))
        flat = len(outputs) == 1 or self.names[target] == READOUT
        if not flat or size > LARGEST_MATRIX:
            raise self.graph.fault(
                f"node {way.nodes[-1]}",
                "a second linear map without a neuron between"
                + ("" if flat else ", into an image"),
                f"one per projection, or a matrix of at most {LARGEST_MATRIX:,} weights into a row",
            )
        steps = self._delay_of(way.nodes)
        linear = [n for n in way.nodes if self.graph.nodes[n].type != "Delay"]
        weight, bias = matrix(self.graph, self.rule, linear, inputs)
        whole = replace(built, weight=weight, bias=bias if np.any(bias) else None, delay=steps)
        return _in_its_own_time(whole)

    def _delay_of(self, nodes: tuple[str, ...]) -> int:
        """Steps of all Delays; a bias in front of one is refused."""
        total, biased = 0, False
        for name in nodes:
            node = self.graph.nodes[name]
            biased = biased or bool(np.any(node.params.get("bias", 0.0)))
            steps = delay_steps(self.graph, name, self.rule) if node.type == "Delay" else 0
            if steps and biased:
                raise self._bias_waits(name)
            total += steps
        return total

    def _bias_waits(self, name: str) -> NetworkError:
        return self.graph.fault(
            f"node {name}",
            "a bias in front of a Delay",
            "a bias behind it, or none: a bias of the chip acts from the first step",
        )

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
                raise self._bias_waits(name)
            return replace(built, delay=built.delay + steps), here, started
        if node.type == "Scale":
            if np.all(p["scale"] == 1):
                return built, here, started
            plain = built if started else identity(built, here)
            return self._scaled(plain, name, after), after, True
        if node.type in ("SumPool2d", "AvgPool2d"):
            return self._pooled(built, name), after, False
        if node.type in ("Affine", "Linear"):
            if len(self.shapes[self.graph.sources(name)[0]]) > 1:
                raise self.graph.fault(
                    f"node {name}",
                    f"{node.type} on an input of shape {here}",
                    "a row: NIR's maps have no other",
                    "a Flatten in front of it",
                )
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


def _in_its_own_time(built: FloatProjection) -> FloatProjection:
    """A feedback edge takes one step, and so does a Delay of one."""
    return replace(built, delay=max(built.delay - 1, 0)) if built.is_loop else built
