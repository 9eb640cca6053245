"""Resets in the graph: LI -> Threshold recognised as one LIF, with a feedback by Scale as its soft
reset, and resets of the metadata spelled out as feedback.

A feedback edge takes one step and passes the leak, so ``Scale(-beta theta)`` is the subtraction of
theta in the step of the spike. Any other feedback stays: ``Scale(-theta)``, snnTorch's default, is
a LIF without a reset that inhibits itself a step later.
"""

from dataclasses import replace

import numpy as np

from tssd.export.nir.graphs.graph import RESETTING, Edge, Graph, Node
from tssd.export.nir.graphs.profiles import (
    SPELLED,
    Rule,
    decay_and_gain,
    parameters,
    reset_of,
    resets_late,
)
from tssd.train.handover.float_network import Reset


def fold_thresholds(graph: Graph, rule: Rule) -> Graph:
    """*graph* with every LI (I) that only a Threshold reads made one LIF (IF) with it; its
    metadata says ``subtract`` or ``none``."""
    for threshold in graph.of_type("Threshold"):
        sources = graph.sources(threshold)
        if len(sources) == 1 and graph.nodes[sources[0]].type in ("LI", "I"):
            graph = _folded(graph, threshold, sources[0], rule)
    return graph


def _folded(graph: Graph, threshold: str, membrane: str, rule: Rule) -> Graph:
    if graph.targets(membrane) != [threshold]:
        raise graph.fault(f"node {membrane}", "a membrane that is read", "spikes only")
    scale = _soft_reset(graph, threshold, membrane, rule)
    gone = {membrane} if scale is None else {membrane, scale}
    inner = graph.nodes[membrane]
    theta = np.asarray(graph.nodes[threshold].params["threshold"])
    params = dict(inner.params) | {"v_threshold": theta, "v_reset": np.zeros(())}
    word = "none" if scale is None else "subtract"
    kind = "LIF" if inner.type == "LI" else "IF"
    whole = Node(kind, params, dict(graph.nodes[threshold].metadata) | {SPELLED: word})
    nodes = {n: whole if n == threshold else x for n, x in graph.nodes.items() if n not in gone}
    edges: list[Edge] = []
    for a, b in graph.edges:
        if (scale is not None and scale in (a, b)) or (a, b) == (membrane, threshold):
            continue
        edges.append((a, threshold if b == membrane else b))
    return replace(graph, nodes=nodes, edges=tuple(edges))


def _soft_reset(graph: Graph, threshold: str, membrane: str, rule: Rule) -> str | None:
    """The Scale from the spikes to the membrane that subtracts theta in the step of the spike."""
    p = parameters(graph, membrane, rule)
    decay, gain = decay_and_gain(graph, membrane, rule, p.get("tau"), p["r"])
    theta = np.asarray(graph.nodes[threshold].params["threshold"])
    for name in graph.targets(threshold):
        node = graph.nodes[name]
        alone = graph.sources(name) == [threshold] and graph.targets(name) == [membrane]
        if node.type == "Scale" and alone:
            back = -np.asarray(node.params["scale"]) * gain
            if np.allclose(back, decay * theta, rtol=1e-6, atol=0):
                return name
    return None


def with_late_resets(graph: Graph, rule: Rule) -> Graph:
    """Subtractions a step late, which a node's metadata says, as feedback of their own.

    Where nothing leaks they equal the subtraction of the same step and stay as they are.
    """
    for name in graph.of_type(*RESETTING):
        node, p = graph.nodes[name], parameters(graph, name, rule)
        if not resets_late(graph, name, rule) or reset_of(graph, name, rule) is not Reset.SOFT:
            continue
        decay, gain = decay_and_gain(graph, name, rule, p.get("tau", p.get("tau_mem")), p["r"])
        if np.all(decay == 1):
            continue
        if "w_in" in p or np.any(p["v_reset"]):
            raise graph.fault(
                f"node {name}",
                "a late subtraction behind a synapse, or with a v_reset",
                "a plain LIF that resets to 0",
            )
        scale = -np.asarray(p["v_threshold"]) / gain
        back = f"{name}.late_reset"
        free = replace(node, metadata=dict(node.metadata) | {SPELLED: "none"})
        nodes = {**graph.nodes, name: free, back: Node("Scale", {"scale": scale})}
        graph = replace(graph, nodes=nodes, edges=(*graph.edges, (name, back), (back, name)))
    return graph
