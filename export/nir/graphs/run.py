"""Run a NIR graph step by step in torch: the reference of every import and every export.

    neuron   v = d (v - v_leak) + v_leak + g I       (cuba: first i = a i + w S, then I = i)
    fires    v > v_threshold (>= where the rule says so); reset in the same step as the rule says,
             or, where the node or the rule says so, subtracted with the next step's input

A run starts from the state after a reset: v = v_reset where there is one, else 0; currents,
delays and feedback edges start at 0. float64 is the reference; float32 follows torch models.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, assert_never

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from tssd.arrays import FloatArray
from tssd.errors import DataError
from tssd.export.nir.graphs.graph import (
    DYNAMIC,
    LINEAR,
    RESETTING,
    Graph,
    Node,
    StepOrder,
    by_distance,
    schedule,
)
from tssd.export.nir.graphs.profiles import (
    Answers,
    SteppingRule,
    decay_and_gain,
    delay_steps,
    parameters,
    reset_of,
    resets_late,
    resolve,
    subtracted,
)
from tssd.train.handover.float_network import Reset


@dataclass(frozen=True, eq=False)
class Trace:
    """``output`` (T, B, *shape) of the Output node; ``nodes`` and ``v`` (after the reset) of the
    nodes asked for; ``shapes`` of every node's output without time and batch."""

    output: FloatArray
    nodes: Mapping[str, FloatArray]
    v: Mapping[str, FloatArray]
    shapes: Mapping[str, tuple[int, ...]]


def run(
    graph: Graph,
    inputs: FloatArray,
    rule: SteppingRule | Answers | None = None,
    *,
    record: Sequence[str] = (),
    dtype: Literal["float64", "float32"] = "float64",
) -> Trace:
    """``inputs`` (T, B, *input shape) through the graph; *record*: nodes whose values to keep."""
    wanted = tuple(graph.nodes[graph.input].params["shape"])
    if inputs.ndim < 2 or tuple(inputs.shape[2:]) != wanted:
        raise DataError(
            f"{graph.where}: inputs",
            found=f"shape {inputs.shape}",
            allowed=f"(time, batch, {', '.join(map(str, wanted))})",
        )
    fixed = rule if isinstance(rule, SteppingRule) else resolve(graph, rule)
    machine = _Machine(graph, fixed, torch.float32 if dtype == "float32" else torch.float64)
    kept: dict[str, list[Tensor]] = {name: [] for name in (*record, graph.output)}
    volts: dict[str, list[Tensor]] = {
        name: [] for name in record if graph.nodes[name].type in DYNAMIC
    }
    with torch.no_grad():
        for frame in torch.as_tensor(np.ascontiguousarray(inputs)).to(machine.dtype):
            values = machine.step(frame)
            for name, series in kept.items():
                series.append(values[name])
            for name, series in volts.items():
                series.append(machine.v[name])
    arrays = {name: torch.stack(series).numpy() for name, series in kept.items()}
    shapes = {name: tuple(x.shape[1:]) for name, x in machine.values.items()}
    v = {name: torch.stack(series).numpy() for name, series in volts.items()}
    return Trace(arrays[graph.output], {name: arrays[name] for name in record}, v, shapes)


def matrix(
    graph: Graph, rule: SteppingRule, nodes: Sequence[str], shape: tuple[int, ...]
) -> tuple[FloatArray, FloatArray]:
    """(weights (out, in), bias (out,)) of a run of linear *nodes* over inputs of *shape*, counted
    in C order: what they make of zeros is the bias, what of each unit vector a column."""
    machine = _Machine(graph, rule, torch.float64)
    size = int(np.prod(shape))
    x = torch.cat([torch.zeros((1, size)), torch.eye(size)]).to(torch.float64)
    x = x.reshape(size + 1, *shape)
    for name in nodes:
        x = machine._linear(name, graph.nodes[name], x)
    rows = x.reshape(size + 1, -1).numpy()
    return (rows[1:] - rows[0]).T.copy(), rows[0].copy()


@dataclass
class _Machine:
    """All state of a run; ``step`` advances it by one."""

    graph: Graph
    rule: SteppingRule
    dtype: torch.dtype
    v: dict[str, Tensor] = field(default_factory=dict)
    current: dict[str, Tensor] = field(default_factory=dict)
    owed: dict[str, Tensor] = field(default_factory=dict)  # late resets
    queue: dict[str, list[Tensor]] = field(default_factory=dict)
    values: dict[str, Tensor] = field(default_factory=dict)
    empty: set[str] = field(default_factory=set)  # maps without a value in the first step
    constants: dict[str, dict[str, Any]] = field(default_factory=dict)
    order: StepOrder = field(init=False)
    sizes: dict[str, tuple[int, ...]] = field(init=False)

    def __post_init__(self) -> None:
        self.delays = {
            name: delay_steps(self.graph, name, self.rule) for name in self.graph.of_type("Delay")
        }
        self.order = schedule(self.graph, [name for name, k in self.delays.items() if k])
        self.sizes = self._sizes()

    def _sizes(self) -> dict[str, tuple[int, ...]]:
        """Every node's shape before anything runs: nodes in the order of their distance from the
        input, so that of each one source at least is known."""
        sizes: dict[str, tuple[int, ...]] = {}
        for name in by_distance(self.graph):
            known = [sizes[source] for source in self.graph.sources(name) if source in sizes]
            node = self.graph.nodes[name]
            sizes[name] = tuple(node.params["shape"]) if name == self.graph.input else known[0]
            if node.type in LINEAR:
                empty = torch.zeros((1, *sizes[name]), dtype=self.dtype)
                sizes[name] = tuple(self._linear(name, node, empty).shape[1:])
        return sizes

    def step(self, frame: Tensor) -> dict[str, Tensor]:
        previous, self.values = self.values, {}
        for name, steps in self.delays.items():
            if steps:
                self.values[name] = self._oldest(name, frame)
        for name in self.order.order:
            total: Tensor | None = None
            if name in self.values:
                continue
            if self._is_empty(name, first=not previous):
                self.empty.add(name)
                self.values[name] = self._silence(name, frame)
                continue
            for source in self.graph.sources(name):
                late = (source, name) in self.order.feedback
                value = previous.get(source) if late else self.values[source]
                if value is None:
                    value = self._silence(source, frame)
                total = value if total is None else self._sum(name, total, value)
            self.values[name] = self._evaluate(name, frame if total is None else total)
        self._push()
        return self.values

    def _is_empty(self, name: str, first: bool) -> bool:
        """Whether *name* is a map on a way back that a platform leaves out in the first step."""
        if not (first and self.rule.back_empty and self.graph.nodes[name].type in LINEAR):
            return False
        sources = self.graph.sources(name)
        return all((s, name) in self.order.feedback or s in self.empty for s in sources)

    def _sum(self, name: str, a: Tensor, b: Tensor) -> Tensor:
        if a.shape != b.shape and 1 not in (a.numel(), b.numel()):
            raise self.graph.fault(
                f"node {name}",
                f"inputs of shapes {tuple(a.shape[1:])} and {tuple(b.shape[1:])}",
                "one shape",
            )
        return a + b

    def _silence(self, name: str, frame: Tensor) -> Tensor:
        """The value of a feedback edge before the first step."""
        return torch.zeros((len(frame), *self.sizes[name]), dtype=self.dtype)

    def _oldest(self, name: str, frame: Tensor) -> Tensor:
        """What entered the delay line ``delays[name]`` steps ago."""
        line = self.queue.setdefault(name, [])
        if len(line) < self.delays[name]:
            return self._silence(name, frame)
        return line.pop(0)

    def _push(self) -> None:
        for name, steps in self.delays.items():
            if steps:
                total = sum(self.values[source] for source in self.graph.sources(name))
                self.queue[name].append(total)  # type: ignore[arg-type]

    def _evaluate(self, name: str, x: Tensor) -> Tensor:
        node = self.graph.nodes[name]
        if node.type in DYNAMIC:
            return self._neuron(name, node, x)
        if node.type in ("Input", "Delay"):
            return x
        if node.type == "Output":
            return self._output(name, node, x)
        if node.type == "Threshold":
            threshold = self._tensor(name, "threshold", node.params["threshold"], x)
            return (x > threshold).to(self.dtype)
        return self._linear(name, node, x)

    def _output(self, name: str, node: Node, x: Tensor) -> Tensor:
        wanted, found = tuple(node.params["shape"]), tuple(x.shape[1:])
        if [n for n in wanted if n != 1] != [n for n in found if n != 1]:
            raise self.graph.fault(f"Output {name}", f"shape {found}", f"{wanted} as declared")
        return x

    def _tensor(self, name: str, label: str, value: FloatArray, like: Tensor) -> Tensor:
        """A parameter as a tensor that broadcasts over *like*."""
        known = self.constants.setdefault(name, {})
        if label not in known:
            array = np.asarray(value)
            check_fits(self.graph, name, label, array, tuple(like.shape[1:]))
            plain = array.reshape(()) if array.size == 1 else array
            known[label] = torch.as_tensor(plain).to(self.dtype)
        tensor: Tensor = known[label]
        return tensor

    def _neuron(self, name: str, node: Node, x: Tensor) -> Tensor:
        params = parameters(self.graph, name, self.rule)
        if "w_in" in params:
            x = self._synapse(name, params, x)
        if name not in self.v:
            self._prepare(name, node, params, x)
        at = self.constants[name]
        v = at["decay"] * (self.v[name] - at["leak"]) + at["leak"] + at["gain"] * x
        if node.type not in RESETTING:
            self.v[name] = v
            return self.v[name]
        if name in self.owed:
            v = v - self.owed[name]
        if self.rule.several:
            return self._several(name, node, v)
        if self.rule.twice and at["how"].subtracts:
            fired = v - (self.v[name] > at["v_threshold"]) * at["subtracted"] > at["v_threshold"]
        else:
            fired = v >= at["v_threshold"] if self.rule.inclusive else v > at["v_threshold"]
        self.v[name] = self._after(name, at, v, fired)
        spikes: Tensor = fired.to(self.dtype)
        return spikes

    def _after(self, name: str, at: dict[str, Any], v: Tensor, fired: Tensor) -> Tensor:
        """v after the reset; what a late one subtracts is owed."""
        how: Reset = at["how"]
        match how:
            case Reset.HARD:
                rest: Tensor = at["v_reset"]
                return torch.where(fired, rest.expand_as(v), v)
            case Reset.SOFT:
                down: Tensor = fired.to(self.dtype) * at["subtracted"]
                if not at["late"]:
                    return v - down
                self.owed[name] = down
                return v
            case Reset.NONE:
                return v
            case _:
                assert_never(how)

    def _several(self, name: str, node: Node, v: Tensor) -> Tensor:
        """As many spikes as thresholds in v, all subtracted."""
        theta = self.constants[name]["v_threshold"]
        spikes = torch.where(v >= theta, torch.floor(v / theta), torch.zeros_like(v))
        v = v - spikes * theta
        self.v[name] = torch.maximum(v, -theta) if node.type == "IF" else v
        return spikes

    def _prepare(self, name: str, node: Node, params: dict[str, FloatArray], x: Tensor) -> None:
        """Decay, gain and the other constants, once."""
        for label, value in node.params.items():
            check_fits(self.graph, name, label, np.asarray(value), tuple(x.shape[1:]))
        tau = params.get("tau", params.get("tau_mem"))
        decay, gain = decay_and_gain(self.graph, name, self.rule, tau, params["r"])
        constants = {"decay": decay, "gain": gain, "leak": params.get("v_leak", np.zeros(()))}
        for label in ("v_threshold", "v_reset"):
            constants[label] = params.get(label, np.zeros(()))
        for label, value in constants.items():
            self._tensor(name, label, value, x)
        if node.type in RESETTING:
            self.constants[name]["how"] = reset_of(self.graph, name, self.rule)
            self.constants[name]["late"] = resets_late(self.graph, name, self.rule)
            self._tensor(name, "subtracted", subtracted(self.graph, name, self.rule), x)
        self.v[name] = torch.zeros_like(x) + self.constants[name]["v_reset"]

    def _synapse(self, name: str, params: dict[str, FloatArray], x: Tensor) -> Tensor:
        if name not in self.current:
            decay, gain = decay_and_gain(
                self.graph, name, self.rule, params["tau_syn"], params["w_in"]
            )
            self._tensor(name, "synapse_decay", decay, x)
            self._tensor(name, "synapse_gain", gain, x)
            self.current[name] = torch.zeros_like(x)
        at = self.constants[name]
        self.current[name] = at["synapse_decay"] * self.current[name] + at["synapse_gain"] * x
        return self.current[name]

    def _linear(self, name: str, node: Node, x: Tensor) -> Tensor:
        p = node.params
        if node.type == "Scale":
            return x * self._tensor(name, "scale", p["scale"], x)
        if node.type == "Flatten":
            return _flatten(self.graph, name, node, x)
        try:
            if node.type in ("Affine", "Linear"):
                y = x @ self._weight(name, p["weight"]).T
                return y + self._tensor(name, "bias", p["bias"], y) if "bias" in p else y
            if node.type in ("Conv1d", "Conv2d"):
                return self._convolve(name, node, x)
            return self._pool(name, node, x)
        except RuntimeError as error:
            raise self.graph.fault(
                f"node {name} ({node.type})",
                f"an input of shape {tuple(x.shape[1:])}: {str(error).splitlines()[0][:120]}",
                "what its weights take",
            ) from None

    def _weight(self, name: str, value: FloatArray) -> Tensor:
        known = self.constants.setdefault(name, {})
        if "weight" not in known:
            known["weight"] = torch.as_tensor(np.ascontiguousarray(value)).to(self.dtype)
        tensor: Tensor = known["weight"]
        return tensor

    def _convolve(self, name: str, node: Node, x: Tensor) -> Tensor:
        p, axes = node.params, 1 if node.type == "Conv1d" else 2
        weight = self._weight(name, p["weight"])
        bias = torch.as_tensor(np.broadcast_to(p["bias"], weight.shape[:1]).copy()).to(self.dtype)
        convolve = functional.conv1d if axes == 1 else functional.conv2d
        padding = p["padding"] if isinstance(p["padding"], str) else _per_axis(p["padding"], axes)
        stride, dilation = _per_axis(p["stride"], axes), _per_axis(p["dilation"], axes)
        return convolve(x, weight, bias, stride, padding, dilation, p["groups"])

    def _pool(self, name: str, node: Node, x: Tensor) -> Tensor:
        kernel = _per_axis(node.params["kernel_size"], 2)
        stride, padding = (_per_axis(node.params[k], 2) for k in ("stride", "padding"))
        if node.type == "AvgPool2d" and any(padding):
            raise self.graph.fault(
                f"node {name}", "an average pool with padding", "padding 0: NIR fixes no divisor"
            )
        mean = functional.avg_pool2d(x, kernel, stride, padding)
        return mean * (kernel[0] * kernel[1]) if node.type == "SumPool2d" else mean


def check_fits(
    graph: Graph, name: str, label: str, array: FloatArray, shape: tuple[int, ...]
) -> None:
    """Refuse a parameter that does not say, axis by axis, which neurons it is meant for: with fewer
    axes than the layer it could count channels as well as columns."""
    fits = array.ndim == len(shape) and all(
        a in (1, b) for a, b in zip(array.shape, shape, strict=True)
    )
    if not fits and array.size != 1:
        raise graph.fault(
            f"node {name}: {label}",
            f"shape {array.shape}",
            f"the layer's shape {shape}, or 1 in place of an axis over which all is equal",
        )


def _per_axis(value: Any, axes: int) -> list[int]:
    numbers = list(value)
    return numbers * axes if len(numbers) == 1 else numbers


def _flatten(graph: Graph, name: str, node: Node, x: Tensor) -> Tensor:
    """Dimensions count without batch, as NIR says."""
    rank = x.ndim - 1
    start, end = node.params["start_dim"], node.params["end_dim"]
    first = start + 1 if start >= 0 else start + rank + 1
    last = end + 1 if end >= 0 else end + rank + 1
    if not 1 <= first <= last <= rank:
        raise graph.fault(
            f"node {name}", f"dimensions {start} .. {end} of {rank}", "dimensions of its input"
        )
    return x.flatten(first, last)
