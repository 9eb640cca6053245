"""What is in a file: a bundle, ``.nir``, ``.net``, ``.onnx`` or checkpoint, without running it.

Every reader behind this refuses damaged and hostile files; nothing is unpickled or executed.
"""

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tssd.calibration.int_network import IntNetwork
from tssd.calibration.integer import IntArray, signed_bits
from tssd.errors import FileFormatError
from tssd.export.bundle.folder import read_bundle
from tssd.export.netx.read import read_netx
from tssd.export.nir.graphs.graph import Graph, by_distance
from tssd.export.nir.graphs.profiles import Answers, needs, unsaid
from tssd.export.nir.graphs.read import read_graph
from tssd.export.nir.integers.read import has_integer_model, read_nir
from tssd.inspecting.deployability import TargetRow, of_graph, of_integers
from tssd.train.handover.fields import arrays_of

MAX_SAFETENSORS_HEADER = 1 << 24
OPTIMIZER = "optimizer."  # how the names of its tensors begin in a checkpoint


@dataclass(frozen=True)
class InspectedLayer:
    """One population, node or tensor. ``parameters`` counts stored numbers; None: unknown."""

    name: str
    kind: str
    shape: tuple[int, ...]
    neurons: int
    parameters: int
    bits: int | None = None
    reset: str | None = None


@dataclass(frozen=True)
class Inspection:
    """``edges`` are pairs of layer names; ``missing``: what the file does not say."""

    path: str
    kind: str
    layers: tuple[InspectedLayer, ...]
    edges: tuple[tuple[str, str], ...]
    missing: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    targets: tuple[TargetRow, ...] = ()


def inspect(path: Path, answers: Answers | None = None) -> Inspection:
    """What *path* holds; FileFormatError for anything else. ``answers``: what a NIR graph does not
    say about time, as for `tssd import`."""
    if not path.exists():
        raise FileFormatError(str(path), found="no such file", hint="check the path")
    if path.is_dir():
        if (path / "checkpoint.safetensors").is_file():
            return _checkpoint(path / "checkpoint.safetensors")
        return _integers(path, "bundle", read_bundle(path).network)
    if path.suffix == ".nir":
        if has_integer_model(path):
            return _integers(path, "NIR with the integer model", read_nir(path))
        return _graph(path, read_graph(path), answers or Answers())
    readers = {".net": _netx, ".onnx": _onnx, ".safetensors": _checkpoint}
    if path.suffix not in readers:
        raise FileFormatError(
            str(path),
            found=f"a {path.suffix or 'nameless'} file",
            allowed="a bundle or run folder, .nir, .net, .onnx or .safetensors",
        )
    return readers[path.suffix](path)


def _integers(path: Path, kind: str, network: IntNetwork) -> Inspection:
    rows = []
    for p in network.populations:
        weights = [j.weight for j in network.incoming(p.name)]
        own = sum(int(x.size) for x in arrays_of(p).values()) if p.has_state else 0
        rows.append(
            InspectedLayer(
                p.name,
                str(p.kind),
                p.shape,
                p.neurons,
                own + sum(int(w.size) for w in weights),
                _weight_bits(weights),
                str(p.reset) if p.has_state else None,
            )
        )
    facts = {
        "time_steps": network.time_steps,
        "input_coding": str(network.input_coding),
        "input_max": network.input_max,
    }
    edges = tuple((j.source, j.target) for j in network.projections)
    return Inspection(str(path), kind, tuple(rows), edges, (), facts, of_integers(network))


def _weight_bits(weights: Sequence[IntArray]) -> int | None:
    """Bits, sign included, that hold all of *weights*; None where there are none."""
    held = [(int(w.min()), int(w.max())) for w in weights if w.size]
    if not held:
        return None
    return signed_bits(min(low for low, _ in held), max(high for _, high in held))


def _graph(path: Path, graph: Graph, answers: Answers) -> Inspection:
    rows = []
    for name in by_distance(graph):
        node = graph.nodes[name]
        arrays = [v for v in node.params.values() if isinstance(v, np.ndarray)]
        neurons = "r" in node.params or node.type == "Threshold"
        widest = max((a.shape for a in arrays), key=len, default=())
        shape = tuple(node.params.get("shape", widest))
        word = node.metadata.get("reset", graph.metadata.get("reset"))
        rows.append(
            InspectedLayer(
                name,
                node.type,
                shape,
                int(np.prod(shape)) if neurons else 0,
                sum(int(a.size) for a in arrays),
                None,
                str(word) if "v_threshold" in node.params and word is not None else None,
            )
        )
    meta = graph.metadata
    named = {"dt": "dt", "rule": "discretisation", "reset": "reset"}
    missing = tuple(sorted(key for key in needs(graph) if named[key] not in meta))
    facts = {k: v for k, v in meta.items() if isinstance(v, str | int | float)}
    targets = of_graph(graph, answers, unsaid(graph, answers))
    return Inspection(str(path), "NIR graph", tuple(rows), graph.edges, missing, facts, targets)


def _netx(path: Path) -> Inspection:
    layers = read_netx(path)
    rows = []
    for layer in layers:
        weights = [w for w in (layer.weight, layer.weight_rec, layer.bias) if w is not None]
        rows.append(
            InspectedLayer(
                f"{layer.index}_{layer.name or layer.type}",
                layer.type,
                tuple(layer.shape),
                int(np.prod(layer.shape)) if layer.neuron is not None else 0,
                sum(int(w.size) for w in weights),
                _weight_bits(weights),
                "hard" if layer.neuron is not None else None,
            )
        )
    names = [row.name for row in rows]
    edges = tuple(zip(names[:-1], names[1:], strict=True))
    return Inspection(str(path), "lava-dl netx", tuple(rows), edges, ("time_steps",))


def _onnx(path: Path) -> Inspection:
    """Nodes by operator and, for a graph of ours, its populations."""
    from tssd.export.onnx.read import read_onnx

    found = read_onnx(path)
    meta = found.metadata
    facts = {
        "opset": found.opset,
        "operators": ", ".join(f"{k} x {n}" for k, n in sorted(found.operators.items())),
        "inputs": ", ".join(found.inputs),
        "outputs": ", ".join(found.outputs),
        "parameters": found.parameters,
    } | {k: meta[k] for k in ("schema", "form", "time_steps", "input_coding") if k in meta}
    rows = _onnx_rows(meta.get("populations"), str(path))
    names = [row.name for row in rows]
    edges = tuple(zip(names[:-1], names[1:], strict=True))
    return Inspection(str(path), "ONNX", rows, edges, (), facts)


def _onnx_rows(text: str | None, where: str) -> tuple[InspectedLayer, ...]:
    if text is None:
        return ()
    try:
        return tuple(
            InspectedLayer(
                str(p["name"]),
                str(p["kind"]),
                tuple(int(n) for n in p["shape"]),
                int(np.prod([int(n) for n in p["shape"]])),
                0,
                None,
                str(p["reset"]),
            )
            for p in json.loads(text)
        )
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError):
        raise FileFormatError(where, found="damaged population metadata") from None


def _checkpoint(path: Path) -> Inspection:
    """Names, shapes and types of a safetensors header; no tensor is read."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else size
        if length > min(MAX_SAFETENSORS_HEADER, size - 8):
            raise FileFormatError(str(path), found="no safetensors header", allowed="safetensors")
        text = file.read(length)
    try:
        table = json.loads(text)
        about = table.pop("__metadata__", {})
        rows = tuple(
            InspectedLayer(
                str(name),
                str(entry["dtype"]),
                tuple(int(n) for n in entry["shape"]),
                0,
                int(np.prod([int(n) for n in entry["shape"]], dtype=object)),
            )
            for name, entry in sorted(table.items())
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        raise FileFormatError(str(path), found="a damaged safetensors header") from None
    facts = {str(k): str(v)[:200] for k, v in about.items()}
    kept = tuple(row for row in rows if not row.name.startswith(OPTIMIZER))
    if len(kept) < len(rows):
        facts["state of the optimizer"] = f"{len(rows) - len(kept)} more tensors"
    return Inspection(str(path), "checkpoint", kept, (), (), facts)
