"""What the imports of other platforms leave out or evaluate in another order than the graph says.

Sources: norse 1.1.0, sinabs 3.1.3, snntorch 1.0.0, spikingjelly 2.0.0, spyx 1.0.0, nirtorch 2.6.
norse and sinabs build their model by ``nirtorch.load``: a node without a module goes with its
edges, and without a word; the rest runs in the order of a walk from the input, depth first, each
node before its successors; an edge from a node that comes later in the walk brings the value of the
step before, and nothing in the first; what the last node of the walk gives is the output. spyx
follows one edge from each node.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from tssd.arrays import FloatArray
from tssd.export.nir.graphs.graph import DYNAMIC, LINEAR, Edge, Graph, Node, Shape, schedule
from tssd.export.nir.graphs.profiles import PROFILES, SteppingRule, decay_and_gain, parameters

_WITHOUT_MODULE = ("I", "LI", "CubaLI", "Threshold", "Scale", "Delay")
UNKNOWN = {  # node types for which a platform's import has no module
    "norse": (*_WITHOUT_MODULE, "AvgPool2d", "Conv1d"),
    "sinabs": ("I", "CubaLI", "CubaLIF", "Threshold", "Scale", "Delay", "AvgPool2d"),
    "snntorch": (*_WITHOUT_MODULE, "Conv1d"),
    "spikingjelly": (*_WITHOUT_MODULE, "SumPool2d"),
    "spyx": (*_WITHOUT_MODULE, "AvgPool2d", "Conv1d"),
}
WALKERS = ("norse", "sinabs")
CHAINS = ("spyx",)


def walk(graph: Graph, leaves_out: Iterable[str] = ()) -> list[str]:
    """The order in which ``nirtorch.load`` runs *graph* without the nodes of the named types."""
    gone = set(graph.of_type(*leaves_out))
    order: list[str] = []
    stack = [graph.input]
    while stack:
        name = stack.pop()
        if name in order or name in gone:
            continue
        order.append(name)
        stack += reversed(graph.targets(name))
    return order


def late_edges(graph: Graph, order: list[str]) -> list[Edge]:
    """Edges of a walk that bring the value of the step before."""
    rank = {name: i for i, name in enumerate(order)}
    return [(a, b) for a, b in graph.edges if a in rank and b in rank and rank[a] >= rank[b]]


def as_walked(
    graph: Graph, leaves_out: Iterable[str], dt_seconds: float, size: Mapping[str, Shape]
) -> Graph:
    """The graph that ``nirtorch.load`` runs in place of *graph*: what the walk reaches, late edges
    through a Delay of one step, and the end of the walk as the output. ``size``: shapes of the
    nodes' values, as ``run`` gives them."""
    order = walk(graph, leaves_out)
    last = order[-1] if order[-1] != graph.output else order[-2]
    late = [e for e in late_edges(graph, order) if graph.output not in e]
    inside = set(order) - {graph.output}
    nodes = {name: graph.nodes[name] for name in order if name in inside}
    edges = [e for e in graph.edges if inside.issuperset(e) and e not in late]
    for a, b in late:
        wait = f"{a} before {b}"
        nodes[wait] = Node("Delay", {"delay": np.full(size[a], dt_seconds)})
        edges += [(a, wait), (wait, b)]
    nodes[graph.output] = Node("Output", {"shape": size[last]})
    return replace(graph, nodes=nodes, edges=(*edges, (last, graph.output)))


def check_read(graph: Graph, platform: str) -> None:
    """Refuse by name what *platform* would leave out or run in another order."""
    for name in graph.of_type(*UNKNOWN.get(platform, ())):
        raise graph.fault(
            f"node {name}", f"{graph.nodes[name].type}", f"nodes that {platform} has a module for"
        )
    for name in graph.nodes if platform in CHAINS else ():
        if len(graph.targets(name)) > 1:
            raise graph.fault(
                f"node {name}", "several edges out of it", f"one: {platform} follows one only"
            )
    for name in graph.of_type("Flatten") if platform == "spyx" else ():
        raise graph.fault(
            f"node {name}", "Flatten", "dense layers: spyx flattens an image with its channels last"
        )
    for name in graph.of_type("LIF") if platform == "sinabs" else ():
        if np.ndim(graph.nodes[name].params["tau"]) > 1:
            raise graph.fault(
                f"node {name}", "LIF neurons of an image", "in a row: the import of sinabs fails"
            )
    if platform == "spikingjelly":
        _check_uniform(graph)
    if PROFILES[platform].back_empty:
        _check_back(graph, platform)
    if platform in WALKERS:
        _check_walk(graph, platform)


def _check_uniform(graph: Graph) -> None:
    """spikingjelly takes one number per parameter, no groups, and no leak to another voltage."""
    for name in graph.of_type(*DYNAMIC):
        for label, value in graph.nodes[name].params.items():
            if np.any(value != np.asarray(value).flat[0]):
                raise graph.fault(
                    f"node {name}", f"a {label} per neuron", "one for the layer, for spikingjelly"
                )
        p = graph.nodes[name].params
        if np.any(p.get("v_leak", 0.0) != p.get("v_reset", 0.0)):
            raise graph.fault(f"node {name}", "a leak voltage", "none, for spikingjelly")
    for name in graph.of_type("Conv1d", "Conv2d"):
        if graph.nodes[name].params["groups"] != 1:
            raise graph.fault(f"node {name}", "groups", "none, for spikingjelly")


def _check_back(graph: Graph, platform: str) -> None:
    """A bias on a way back, which is left out in the first step."""
    for _, head in schedule(graph).feedback:
        stack = [head]
        while stack:
            name = stack.pop()
            if graph.nodes[name].type not in LINEAR:
                continue
            if np.any(graph.nodes[name].params.get("bias", 0.0)):
                raise graph.fault(
                    f"node {name}",
                    "a bias on the way back of a recurrent connection",
                    f"the neuron's own: {platform} leaves it out in the first step",
                )
            stack += graph.targets(name)


def _check_walk(graph: Graph, platform: str) -> None:
    order = walk(graph)
    for a, b in late_edges(graph, order):
        if b not in _predecessors(graph, a):  # in a cycle a step is meant
            raise graph.fault(
                f"edge {a} -> {b}",
                "a branch that joins another",
                f"a chain: {platform} evaluates {b} first, with the {a} of the step before",
            )
    if order[-1] != graph.output:
        raise graph.fault(
            f"node {order[-1]}", "the end of the walk", f"the Output as the end, for {platform}"
        )


def _predecessors(graph: Graph, name: str) -> set[str]:
    found, stack = set[str](), [name]
    while stack:
        new = set(graph.sources(stack.pop())) - found
        found |= new
        stack += new
    return found


def without_last_sum(graph: Graph, rule: SteppingRule, platform: str) -> tuple[Graph, bool]:
    """*graph* without an integrator in front of its Output that forgets nothing, where *platform*
    knows none: the output then is what it would have added up. And whether it was so."""
    (last, *others) = graph.sources(graph.output)
    node = graph.nodes[last]
    before = graph.sources(last)
    if others or node.type not in UNKNOWN.get(platform, ()) or len(before) != 1:
        return graph, False
    gain = _gain_of_a_sum(graph, last, rule)
    weighted = graph.nodes[before[0]]
    if (
        gain is None
        or weighted.type not in ("Affine", "Linear")
        or graph.targets(last) != [graph.output]
    ):
        return graph, False
    rows = np.broadcast_to(gain, weighted.params["weight"].shape[:1])
    scaled = {k: (v.T * rows).T for k, v in weighted.params.items()}
    nodes = {n: x for n, x in graph.nodes.items() if n != last}
    nodes[before[0]] = replace(weighted, params=scaled)
    edges = [e for e in graph.edges if last not in e]
    return replace(graph, nodes=nodes, edges=(*edges, (before[0], graph.output))), True


def _gain_of_a_sum(graph: Graph, name: str, rule: SteppingRule) -> FloatArray | None:
    """The factor of an I, or of an LI without leak; None for anything else."""
    p = parameters(graph, name, rule)
    if graph.nodes[name].type not in ("I", "LI"):
        return None
    decay, gain = decay_and_gain(graph, name, rule, p.get("tau"), p["r"])
    return gain if np.all(decay == 1) else None
