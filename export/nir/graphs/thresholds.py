"""Resets in the graph: LI -> Threshold recognised as one LIF, with a feedback by Scale as its soft
reset, and resets of the metadata spelled out as feedback.

A feedback edge takes one step and passes the leak, so ``Scale(-c)`` is the subtraction of c / beta
in the step of the spike: of theta for c = beta theta, of theta / beta for c = theta, which is
snnTorch's default. Any other feedback stays, a LIF that inhibits itself a step later, unless the
Threshold's metadata says that it is a reset (``reset_by``).
"""

from dataclasses import replace

import numpy as np

from tssd.arrays import FloatArray
from tssd.export.nir.graphs.graph import RESETTING, Edge, Graph, Node
from tssd.export.nir.graphs.profiles import (
    OWN_AMOUNT,
    SPELLED,
    SteppingRule,
    decay_and_gain,
    parameters,
    reset_of,
    resets_late,
    subtracted,
)


def fold_thresholds(graph: Graph, rule: SteppingRule) -> Graph:
    """*graph* with every LI (I) that only a Threshold reads made one LIF (IF) with it; its
    metadata says ``subtract`` or ``none``."""
    for threshold in graph.of_type("Threshold"):
        sources = graph.sources(threshold)
        if len(sources) == 1 and graph.nodes[sources[0]].type in ("LI", "I"):
            graph = _folded(graph, threshold, sources[0], rule)
    return graph


def _folded(graph: Graph, threshold: str, membrane: str, rule: SteppingRule) -> Graph:
    if graph.targets(membrane) != [threshold]:
        raise graph.fault(f"node {membrane}", "a membrane that is read", "spikes only")
    reset = _soft_reset(graph, threshold, membrane, rule)
    scale, amount = reset or (None, None)
    gone = {membrane} if scale is None else {membrane, scale}
    inner = graph.nodes[membrane]
    theta = np.asarray(graph.nodes[threshold].params["threshold"])
    params = dict(inner.params) | {"v_threshold": theta, "v_reset": np.zeros(())}
    word = "none" if scale is None else "subtract"
    kind = "LIF" if inner.type == "LI" else "IF"
    about = {k: v for k, v in graph.nodes[threshold].metadata.items() if k != OWN_AMOUNT}
    about |= {SPELLED: word} | ({} if amount is None else {OWN_AMOUNT: amount})
    whole = Node(kind, params, about)
    nodes = {n: whole if n == threshold else x for n, x in graph.nodes.items() if n not in gone}
    edges: list[Edge] = []
    for a, b in graph.edges:
        if (scale is not None and scale in (a, b)) or (a, b) == (membrane, threshold):
            continue
        edges.append((a, threshold if b == membrane else b))
    return replace(graph, nodes=nodes, edges=tuple(edges))


def _soft_reset(
    graph: Graph, threshold: str, membrane: str, rule: SteppingRule
) -> tuple[str, FloatArray | None] | None:
    """The Scale from the spikes to the membrane that is a reset, and the amount that it subtracts
    in the step of the spike; None: theta."""
    p = parameters(graph, membrane, rule)
    decay, gain = decay_and_gain(graph, membrane, rule, p.get("tau"), p["r"])
    theta = np.asarray(graph.nodes[threshold].params["threshold"])
    own = graph.nodes[threshold].metadata.get(OWN_AMOUNT)
    backs = {
        name: -np.asarray(graph.nodes[name].params["scale"]) * gain
        for name in graph.targets(threshold)
        if graph.nodes[name].type == "Scale"
        and graph.sources(name) == [threshold]
        and graph.targets(name) == [membrane]
    }
    for name, back in backs.items():
        if np.allclose(back, decay * theta, rtol=1e-6, atol=0):
            return name, None
    for name, back in backs.items():
        said = own is not None and np.allclose(back, decay * np.asarray(own), rtol=1e-6, atol=0)
        if np.all(decay > 0) and (said or np.allclose(back, theta, rtol=1e-6, atol=0)):
            return name, back / decay
    return None


def with_late_resets(graph: Graph, rule: SteppingRule) -> Graph:
    """Subtractions of theta a step late, which a node's metadata says, as those of theta / decay
    in the step of the spike; as feedback of their own where a neuron forgets at once.
    """
    for name in graph.of_type(*RESETTING):
        node, p = graph.nodes[name], parameters(graph, name, rule)
        if not resets_late(graph, name, rule) or not reset_of(graph, name, rule).subtracts:
            continue
        decay, gain = decay_and_gain(graph, name, rule, p.get("tau", p.get("tau_mem")), p["r"])
        if np.all(decay == 1):
            continue
        if np.all(decay > 0):
            amount = subtracted(graph, name, rule) / decay
            about = dict(node.metadata) | {SPELLED: "subtract", OWN_AMOUNT: amount}
            nodes = {**graph.nodes, name: replace(node, metadata=about)}
            graph = replace(graph, nodes=nodes)
            continue
        if "w_in" in p or np.any(p["v_reset"]):
            raise graph.fault(
                f"node {name}",
                "a late subtraction behind a synapse, or with a v_reset",
                "a plain LIF that resets to 0",
            )
        scale = -subtracted(graph, name, rule) / gain
        back = f"{name}.late_reset"
        free = replace(node, metadata=dict(node.metadata) | {SPELLED: "none"})
        nodes = {**graph.nodes, name: free, back: Node("Scale", {"scale": scale})}
        graph = replace(graph, nodes=nodes, edges=(*graph.edges, (name, back), (back, name)))
    return graph
