"""Make ``tssd/conformance/cases.zip``: the suite for readers of NIR.

Run: ``python tests/golden/make_conformance.py``. The 74 snnTorch networks of the matrix, as graphs
in which every reset is written out (those that NIR cannot say are named with the reason), and one
small graph per primitive of NIR. Of a matrix network the output has to be what snnTorch itself
sends, of all graphs the spikes have to stay the same in float32 and with every threshold moved by
one part in 1e5; other inputs are drawn until they do.
"""

import io
import json
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE.parent / "support"), str(ROOT)]

import nir_primitives  # noqa: E402
import snntorch  # noqa: E402
import torch  # noqa: E402
from recorded_graphs import graph_of  # noqa: E402
from snntorch_nets import NETS, REFUSED, Explicit, Net, prepared  # noqa: E402

from tssd.arrays import FloatArray  # noqa: E402
from tssd.chain.own_module import ModuleReading, take_over  # noqa: E402
from tssd.chain.user_data import gather  # noqa: E402
from tssd.errors import TssdError  # noqa: E402
from tssd.export.nir.graphs.graph import RESETTING, Graph  # noqa: E402
from tssd.export.nir.graphs.run import run  # noqa: E402
from tssd.export.nir.graphs.write import graph_image  # noqa: E402

DT = 1e-4
STEPS, BATCH = 60, 2
MOVED = 1e-5  # relative, of every threshold, either way
MOST_DRAWS = 200
LEVELS = 256
FIRING = (*RESETTING, "Threshold")


@dataclass(frozen=True)
class Draft:
    """A graph, and the module that it was made of, with the shape of the samples it takes.
    ``kicked``: its first input is strong in the first step alone."""

    name: str
    group: str
    graph: Graph
    module: torch.nn.Module | None = None
    shape: tuple[int, ...] = ()
    kicked: bool = False


def matrix() -> tuple[list[Draft], dict[str, str]]:
    """The networks of the matrix that a graph can say, and why the others cannot be said."""
    said, unsaid = [], {}
    for net in NETS:
        if net.name in REFUSED:
            unsaid[net.name] = _refusal(net)
        else:
            graph = without_ones(graph_of(exact(net), net.shape, DT))
            said.append(Draft(f"matrix-{net.name}", "matrix", graph, exact(net), net.shape))
    return said, unsaid


def without_ones(graph: Graph) -> Graph:
    """*graph* without the Scale nodes that change nothing, which many readers do not know."""
    ones = [n for n in graph.of_type("Scale") if np.all(graph.nodes[n].params["scale"] == 1)]
    edges = list(graph.edges)
    for name in ones:
        ends = [b for a, b in edges if a == name]
        edges = [(a, e) for a, b in edges if b == name for e in ends] + [
            edge for edge in edges if name not in edge
        ]
    nodes = {name: node for name, node in graph.nodes.items() if name not in ones}
    return replace(graph, nodes=nodes, edges=tuple(dict.fromkeys(edges)))


def _refusal(net: Net) -> str:
    """What is said of a module that becomes no graph that fires as it does."""
    pixels = np.random.default_rng(0).integers(0, 256, (4, *net.shape)).astype(np.uint8)
    try:
        take_over(
            prepared(net), gather(pixels).as_seen(), ModuleReading(time_steps=20, frames=False)
        )
    except TssdError as error:
        return error.found
    raise AssertionError(f"{net.name} is not refused")


def exact(net: Net) -> torch.nn.Module:
    """As the matrix prepares it, in float64."""
    module = prepared(net)
    layer: Any
    for layer in module.modules():
        if isinstance(layer, snntorch.SpikingNeuron):  # the shipped surrogates answer in float32
            layer.spike_grad = lambda u: (u > 0).to(u.dtype)
    return module.double()


def stepped(module: torch.nn.Module, inputs: FloatArray) -> FloatArray:
    """snnTorch itself, in float64, from rest: (T, B, outputs)."""
    states: Any = [torch.zeros(BATCH, 12, dtype=torch.float64)] * 2
    out = []
    with torch.no_grad():
        for x in torch.from_numpy(inputs):
            y = module(x, *states) if isinstance(module, Explicit) else module(x)
            if isinstance(module, Explicit):
                y, *states = y
            out.append(y)
    sent: FloatArray = torch.stack(out).flatten(2).numpy()
    return sent


def with_thresholds(graph: Graph, factor: float) -> Graph:
    """Every threshold times *factor*; resets stay."""
    nodes = {}
    for name, node in graph.nodes.items():
        label = "threshold" if node.type == "Threshold" else "v_threshold"
        params = dict(node.params)
        if node.type in FIRING:
            params[label] = params[label] * factor
        nodes[name] = replace(node, params=params)
    return replace(graph, nodes=nodes)


def settled(draft: Draft) -> tuple[FloatArray, dict[str, FloatArray], list[str]]:
    """Inputs whose spikes do not depend on the last digits; what every firing node and the output
    send; the nodes that send values."""
    graph = draft.graph
    firing = graph.of_type(*FIRING)
    shape = tuple(graph.nodes[graph.input].params["shape"])
    for seed in range(MOST_DRAWS):
        rng = np.random.default_rng(seed)
        inputs = rng.integers(0, LEVELS, (STEPS, BATCH, *shape)) / LEVELS
        if draft.kicked:
            inputs[:, :, 0] = 0
            inputs[0, :, 0] = 1 - 1 / LEVELS
        found = run(graph, inputs, record=firing)
        sent = {**found.nodes, graph.output: found.output}
        others = [
            run(graph, inputs, record=firing, dtype="float32"),
            *(run(with_thresholds(graph, 1 + d), inputs, record=firing) for d in (-MOVED, MOVED)),
        ]
        if all(np.array_equal(o.nodes[n], sent[n]) for o in others for n in firing):
            values = [n for n, x in sent.items() if not np.isin(x, (0, 1)).all()]
            _agrees(draft, inputs, found.output)
            assert all(0 < sent[n].mean() < 1 for n in firing), draft.name
            assert not draft.kicked or sent[firing[0]][0].all(), draft.name
            return inputs, sent, values
    raise AssertionError(f"{draft.name}: no inputs within {MOST_DRAWS} draws")


def _agrees(draft: Draft, inputs: FloatArray, output: FloatArray) -> None:
    if draft.module is not None:
        own = stepped(draft.module, inputs.reshape(STEPS, BATCH, *draft.shape))
        np.testing.assert_allclose(output.reshape(own.shape), own, atol=1e-9, err_msg=draft.name)


def members() -> Iterator[tuple[str, bytes]]:
    """The files of the archive."""
    said, unsaid = matrix()
    rows = []
    for draft in [*said, *nir_primitives.drafts(Draft, DT)]:
        inputs, sent, values = settled(draft)
        stored = {n: x.astype(np.float64 if n in values else np.uint8) for n, x in sent.items()}
        arrays = io.BytesIO()
        np.savez_compressed(
            arrays, allow_pickle=False, inputs=np.rint(inputs * LEVELS).astype(np.uint8), **stored
        )
        types = sorted({node.type for node in draft.graph.nodes.values()} - {"Input", "Output"})
        rows.append({"name": draft.name, "group": draft.group, "nodes": types, "values": values})
        yield f"{draft.name}.nir", graph_image(draft.graph).getvalue()
        yield f"{draft.name}.npz", arrays.getvalue()
    about = {"dt": DT, "steps": STEPS, "cases": rows, "unsaid": unsaid}
    yield "suite.json", json.dumps(about, indent=1).encode()


def main() -> None:
    target = ROOT / "tssd" / "conformance" / "cases.zip"
    image = io.BytesIO()
    with zipfile.ZipFile(image, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content in members():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    target.write_bytes(image.getvalue())


if __name__ == "__main__":
    main()
