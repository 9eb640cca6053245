"""LI -> Threshold with a Scale back into the LI, recognised as one LIF that subtracts.

A feedback edge takes one step and passes the leak, so ``Scale(-beta theta)`` is the subtraction of
theta in the step of the spike; ``Scale(-theta)`` acts a step late (snnTorch's reset_delay).
"""

from dataclasses import replace

import numpy as np

from tssd.errors import NetworkError
from tssd.export.nirio.graph import Edge, Graph, Node
from tssd.export.nirio.rules import SPELLED, Rule, decay_and_gain, parameters


def fold_soft_resets(graph: Graph, rule: Rule) -> Graph:
    """*graph* with every such loop replaced by a LIF (IF) whose metadata says ``subtract``."""
    for threshold in graph.of_type("Threshold"):
        loop = _loop(graph, threshold)
        if loop is not None:
            graph = _folded(graph, threshold, *loop, rule)
    return graph


def _loop(graph: Graph, threshold: str) -> tuple[str, str] | None:
    """The membrane and the Scale of the loop through *threshold*."""
    sources = graph.sources(threshold)
    if len(sources) != 1 or graph.nodes[sources[0]].type not in ("LI", "I"):
        return None
    membrane = sources[0]
    for scale in graph.targets(threshold):
        plain = graph.nodes[scale].type == "Scale" and graph.sources(scale) == [threshold]
        if plain and graph.targets(scale) == [membrane]:
            return membrane, scale
    return None


def _folded(graph: Graph, threshold: str, membrane: str, scale: str, rule: Rule) -> Graph:
    if graph.targets(membrane) != [threshold]:
        raise graph.fault(f"node {membrane}", "a membrane that is read", "spikes only")
    p = parameters(graph, membrane, rule)
    decay, gain = decay_and_gain(graph, membrane, rule, p.get("tau"), p["r"])
    theta = np.asarray(graph.nodes[threshold].params["threshold"])
    back = -np.asarray(graph.nodes[scale].params["scale"]) * gain
    if not np.allclose(back, decay * theta, rtol=1e-6, atol=0):
        if np.allclose(back, theta, rtol=1e-6, atol=0):
            raise late_reset(graph, scale)
        raise graph.fault(
            f"node {scale}",
            "a feedback of another size",
            "the subtraction of the threshold in the step of the spike",
        )
    inner = graph.nodes[membrane]
    params = dict(inner.params) | {"v_threshold": theta, "v_reset": np.zeros(())}
    kind = "LIF" if inner.type == "LI" else "IF"
    whole = Node(kind, params, dict(graph.nodes[threshold].metadata) | {SPELLED: "subtract"})
    gone = {membrane, scale}
    nodes = {n: whole if n == threshold else x for n, x in graph.nodes.items() if n not in gone}
    edges: list[Edge] = []
    for a, b in graph.edges:
        if scale in (a, b) or (a, b) == (membrane, threshold):
            continue
        edges.append((a, threshold if b == membrane else b))
    return replace(graph, nodes=nodes, edges=tuple(edges))


def late_reset(graph: Graph, name: str) -> NetworkError:
    """The reset that the chip's neuron does not have."""
    return graph.fault(
        f"node {name}",
        "a reset that subtracts one step late",
        "the subtraction of the threshold in the step of the spike",
        "train with reset_mechanism='zero'",
    )
