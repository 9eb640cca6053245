"""A NIR graph as a frozen value: flat, typed, shaped and in an order in which it can run.

Semantics that NIR leaves open and we fix: several edges into a node add up; an edge takes no time,
except a feedback edge, which takes one step. In a cycle the feedback edges are those that leave a
neuron (or Threshold) towards a neuron that is not farther from the input; a bias on the way back
therefore acts from the first step. A Delay of one step or more breaks a cycle by itself.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tssd.errors import NetworkError

Shape = tuple[int, ...]
Edge = tuple[str, str]

RESETTING = ("IF", "LIF", "CubaLIF")
DYNAMIC = (*RESETTING, "I", "LI", "CubaLI")
NEURONS = (*DYNAMIC, "Threshold")
LINEAR = ("Affine", "Linear", "Conv1d", "Conv2d", "Scale", "SumPool2d", "AvgPool2d", "Flatten")

# Parameters of each type: "array" (broadcasts over the node's shape), "weight" (fixed rank),
# "ints" (one or more integers, or 'same'/'valid' for padding), "int".
FIELDS: dict[str, dict[str, str]] = {
    "Input": {"shape": "ints"},
    "Output": {"shape": "ints"},
    "Affine": {"weight": "weight2", "bias": "array"},
    "Linear": {"weight": "weight2"},
    "Scale": {"scale": "array"},
    "Conv1d": {
        "weight": "weight3",
        "stride": "ints",
        "padding": "ints",
        "dilation": "ints",
        "groups": "int",
        "bias": "array",
    },
    "Conv2d": {
        "weight": "weight4",
        "stride": "ints",
        "padding": "ints",
        "dilation": "ints",
        "groups": "int",
        "bias": "array",
    },
    "SumPool2d": {"kernel_size": "ints", "stride": "ints", "padding": "ints"},
    "AvgPool2d": {"kernel_size": "ints", "stride": "ints", "padding": "ints"},
    "Flatten": {"start_dim": "int", "end_dim": "int"},
    "Delay": {"delay": "array"},
    "Threshold": {"threshold": "array"},
    "I": {"r": "array"},
    "IF": {"r": "array", "v_threshold": "array", "v_reset": "array"},
    "LI": {"tau": "array", "r": "array", "v_leak": "array"},
    "LIF": {
        "tau": "array",
        "r": "array",
        "v_leak": "array",
        "v_threshold": "array",
        "v_reset": "array",
    },
    "CubaLI": {
        "tau_syn": "array",
        "tau_mem": "array",
        "r": "array",
        "v_leak": "array",
        "w_in": "array",
    },
    "CubaLIF": {
        "tau_syn": "array",
        "tau_mem": "array",
        "r": "array",
        "v_leak": "array",
        "v_threshold": "array",
        "v_reset": "array",
        "w_in": "array",
    },
}
OPTIONAL = {"v_reset": 0.0, "w_in": 1.0}  # absent in files of early nir versions


@dataclass(frozen=True, eq=False)
class Node:
    """One primitive: ``params`` holds float64 arrays, int tuples, or a padding word."""

    type: str
    params: Mapping[str, Any]
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Graph:
    """Flat nodes by name, unique edges, and the graph's metadata; one Input and one Output."""

    nodes: Mapping[str, Node]
    edges: tuple[Edge, ...]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    where: str = "NIR graph"

    def __post_init__(self) -> None:
        for source, target in self.edges:
            for end in (source, target):
                if end not in self.nodes:
                    raise self.fault(
                        f"edge {source} -> {target}",
                        f"no node {end!r}",
                        "edges between nodes of the graph",
                    )
        if len(set(self.edges)) < len(self.edges):
            raise self.fault("edges", "the same edge twice", "each edge once")
        for kind in ("Input", "Output"):
            count = len(self.of_type(kind))
            if count != 1:
                raise self.fault(f"{kind} nodes", str(count), "exactly one")

    def fault(self, what: str, found: str, allowed: str, hint: str | None = None) -> NetworkError:
        return NetworkError(f"{self.where}: {what}", found=found, allowed=allowed, hint=hint)

    def of_type(self, *types: str) -> list[str]:
        return [name for name, node in self.nodes.items() if node.type in types]

    @property
    def input(self) -> str:
        return self.of_type("Input")[0]

    @property
    def output(self) -> str:
        return self.of_type("Output")[0]

    def sources(self, name: str) -> list[str]:
        return [a for a, b in self.edges if b == name]

    def targets(self, name: str) -> list[str]:
        return [b for a, b in self.edges if a == name]


@dataclass(frozen=True)
class StepOrder:
    """An order of evaluation, and the feedback edges that carry the previous step's value."""

    order: tuple[str, ...]
    feedback: frozenset[Edge]


def schedule(graph: Graph, delayed: Iterable[str] = ()) -> StepOrder:
    """*delayed*: Delay nodes of one step or more, whose output needs nothing of this step."""
    instant = set(graph.of_type("Delay")) - set(delayed)
    held = set(graph.of_type("Delay")) - instant
    forward = [(a, b) for a, b in graph.edges if a not in held]
    after = _adjacency(graph.nodes, forward)
    rank = {name: i for i, name in enumerate(by_distance(graph))}
    missing = [name for name in graph.nodes if name not in rank]
    if missing:
        raise graph.fault(f"node {missing[0]}", "nothing that reaches it", "a path from the Input")
    feedback = frozenset(e for e in forward if _is_feedback(graph, after, rank, e))
    order = _topological(graph, [e for e in forward if e not in feedback], rank)
    return StepOrder(order, feedback)


def _adjacency(names: Iterable[str], edges: Iterable[Edge]) -> dict[str, list[str]]:
    after: dict[str, list[str]] = {name: [] for name in names}
    for a, b in edges:
        after[a].append(b)
    return after


def by_distance(graph: Graph) -> list[str]:
    """Nodes that the Input reaches, by breadth-first distance, names in order within one."""
    after = _adjacency(graph.nodes, graph.edges)
    seen, front = {graph.input}, [graph.input]
    order = list(front)
    while front:
        front = sorted({b for a in front for b in after[a]} - seen)
        seen |= set(front)
        order += front
    return order


def _is_feedback(
    graph: Graph, after: Mapping[str, list[str]], rank: Mapping[str, int], edge: Edge
) -> bool:
    """Whether *edge* leaves a neuron towards one of its own predecessors that ranks not higher."""
    a, b = edge
    if graph.nodes[a].type not in NEURONS:
        return False
    met = _next_neurons(graph, after, b)
    back = {n for n in met if rank[n] <= rank[a] and _reaches(after, n, a)}
    if back and back != met:
        raise graph.fault(
            f"edge {a} -> {b}",
            f"a way both forward and back (to {sorted(back)[0]})",
            "separate nodes for the recurrent and the forward connection",
        )
    return bool(back)


def _next_neurons(graph: Graph, after: Mapping[str, list[str]], start: str) -> set[str]:
    """Neurons that *start* reaches through stateless nodes only (or *start* itself)."""
    found: set[str] = set()
    seen, stack = {start}, [start]
    while stack:
        name = stack.pop()
        if graph.nodes[name].type in NEURONS:
            found.add(name)
            continue
        stack += [b for b in after[name] if b not in seen]
        seen |= set(after[name])
    return found


def _reaches(after: Mapping[str, list[str]], start: str, goal: str) -> bool:
    seen, stack = {start}, [start]
    while stack:
        name = stack.pop()
        if name == goal:
            return True
        stack += [b for b in after[name] if b not in seen]
        seen |= set(after[name])
    return False


def _topological(graph: Graph, edges: list[Edge], rank: Mapping[str, int]) -> tuple[str, ...]:
    after = _adjacency(graph.nodes, edges)
    waiting = dict.fromkeys(graph.nodes, 0)
    for _, b in edges:
        waiting[b] += 1
    ready = sorted((n for n, k in waiting.items() if k == 0), key=rank.__getitem__, reverse=True)
    order = []
    while ready:
        name = ready.pop()
        order.append(name)
        for b in after[name]:
            waiting[b] -= 1
            if waiting[b] == 0:
                ready.append(b)
    if len(order) < len(graph.nodes):
        stuck = next(n for n in graph.nodes if n not in order)
        raise graph.fault(
            f"node {stuck}", "a cycle without a neuron or delay", "state on every cycle"
        )
    return tuple(order)
