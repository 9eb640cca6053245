"""Predictions of what a platform makes of a NIR file, each run by our own reader.

A difference counts as explained only where one of these gives exactly the platform's values. What
is predicted was read in the code of norse 1.1.0, sinabs 3.1.3, rockpool 3.1.0, spyx 1.0.0,
snntorch 1.0.0 and nirtorch 2.6.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tssd.arrays import FloatArray
from tssd.errors import TssdError
from tssd.export.nir.graphs.graph import RESETTING, Graph, Node
from tssd.export.nir.graphs.profiles import Answers, SteppingRule, resolve
from tssd.export.nir.graphs.read import read_graph
from tssd.export.nir.graphs.readers import CHAINS, UNKNOWN, WALKERS, as_walked, late_edges, walk
from tssd.export.nir.graphs.run import run

SEVERAL = ("sinabs", "rockpool")  # their neurons send several spikes in a step

Likeness = tuple[str, FloatArray]


def likenesses(path: Path, platform: str, dt: float, frames: FloatArray) -> Iterator[Likeness]:
    """Reasons with the output that follows from each; what our reader refuses is left out."""
    graph = read_graph(path)
    own = Answers(profile=platform, dt_seconds=dt)
    predictions: tuple[Callable[[], Iterator[Likeness]], ...] = (
        lambda: _late(graph, None, "the chip's rounding only", frames),
        lambda: _late(graph, own, "its own rule", frames),
        lambda: _several(graph, platform, own, frames),
        lambda: _walked(graph, platform, own, frames),
        lambda: _chained(graph, platform, own, frames),
    )
    for predict in predictions:
        try:
            yield from predict()
        except TssdError:
            continue


def _output(graph: Graph, told: SteppingRule | Answers | None, frames: FloatArray) -> FloatArray:
    return run(graph, frames, told, dtype="float32").output


def _late(graph: Graph, told: Answers | None, why: str, frames: FloatArray) -> Iterator[Likeness]:
    """As the file says or the profile does, up to three steps late."""
    output = _output(graph, told, frames)
    for late in range(4):
        shifted = np.concatenate([np.zeros_like(output[:late]), output[: len(output) - late]])
        yield f"{why}, {late} steps late" if late else why, shifted


def _several(graph: Graph, platform: str, own: Answers, frames: FloatArray) -> Iterator[Likeness]:
    if platform not in SEVERAL:
        return
    rule = replace(resolve(graph, own), several=True)
    if platform == "rockpool":
        graph, rule = _as_rockpool(graph, rule)
    yield "several spikes in a step", _output(graph, rule, frames)


def _as_rockpool(graph: Graph, rule: SteppingRule) -> tuple[Graph, SteppingRule]:
    """Its CubaLIF steps by min(tau_mem / (1 + r)), and its input enters the current before that
    decays: i = (i + x) exp(-dt / tau_syn); r and w_in are not read."""
    nodes: dict[str, Node] = dict(graph.nodes)
    edges = list(graph.edges)
    for name in graph.of_type("CubaLIF"):
        p: dict[str, Any] = dict(graph.nodes[name].params)
        step = float(np.min(p["tau_mem"] / (1 + p["r"])))
        for tau in ("tau_syn", "tau_mem"):
            p[tau] = p[tau] * rule.dt_seconds / step
        nodes[name] = replace(graph.nodes[name], params=p)
        first = f"{name} decays"
        nodes[first] = Node("Scale", {"scale": np.exp(-rule.dt_seconds / p["tau_syn"])})
        edges = [(a, first) if b == name else (a, b) for a, b in edges] + [(first, name)]
    return replace(graph, nodes=nodes, edges=tuple(edges)), replace(rule, gain="unit")


def _walked(graph: Graph, platform: str, own: Answers, frames: FloatArray) -> Iterator[Likeness]:
    """nirtorch.load: without the nodes that have no module, late where its walk comes late, and
    with the end of its walk as the output."""
    if platform not in WALKERS:
        return
    rule, gone = resolve(graph, own), UNKNOWN[platform]
    order = walk(graph, gone)
    reasons = [f"{n} ({graph.nodes[n].type}) left out" for n in graph.of_type(*gone)]
    reasons += [f"{a} evaluated after {b}" for a, b in late_edges(graph, order)]
    if order[-1] != graph.output:
        reasons.append(f"the value of {order[-1]} returned")
    there = as_walked(graph, gone, rule.dt_seconds, run(graph, frames[:1], rule).shapes)
    yield ", ".join(reasons) or "its walk", _output(there, rule, frames)


def _chained(graph: Graph, platform: str, own: Answers, frames: FloatArray) -> Iterator[Likeness]:
    """spyx: the first edge out of each node, nodes without a module left out, images flattened with
    their channels last, every spike sent a step late."""
    if platform not in CHAINS:
        return
    rule = resolve(graph, own)
    shapes = run(graph, frames[:1], rule).shapes
    line = [graph.input]
    while line[-1] != graph.output:
        line.append(graph.targets(line[-1])[0])
        if line[-1] in line[:-1]:  # spyx itself does not end here
            return
    reasons = [f"{name} passed over" for name in graph.nodes if name not in line]
    reasons += [f"{n} ({graph.nodes[n].type}) left out" for n in graph.of_type(*UNKNOWN[platform])]
    kept = [n for n in line if graph.nodes[n].type not in UNKNOWN[platform]]
    nodes: dict[str, Node] = {}
    for before, name in zip([None, *kept], kept, strict=False):
        node = graph.nodes[name]
        if before is not None and graph.nodes[before].type == "Flatten":
            node = _channels_last(node, shapes[graph.sources(before)[0]])
            reasons.append(f"{before} with channels last")
        nodes[name] = node
        if node.type in RESETTING:
            nodes[f"{name} late"] = Node("Delay", {"delay": np.full(shapes[name], own.dt_seconds)})
    names = list(nodes)
    there = replace(graph, nodes=nodes, edges=tuple(zip(names[:-1], names[1:], strict=True)))
    why = ", ".join(["its own rule", *reasons, "each layer a step late"])
    yield why, _output(there, rule, frames)


def _channels_last(node: Node, shape: tuple[int, ...]) -> Node:
    """A Linear or Affine whose columns count (H, W, C), for our reader, which counts (C, H, W)."""
    order = np.moveaxis(np.arange(int(np.prod(shape))).reshape(shape), 0, -1).ravel()
    weight = np.empty_like(node.params["weight"])
    weight[:, order] = node.params["weight"]
    return replace(node, params={**node.params, "weight": weight})
