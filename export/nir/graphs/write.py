"""Graph -> ``.nir``, by the nir package, so that every reader of that format takes it."""

import io
from pathlib import Path
from typing import Any

import nir
import numpy as np

from tssd.arrays import FloatArray
from tssd.atomic import write_bytes
from tssd.export.nir.graphs.graph import FIELDS, NEURONS, Graph, Node
from tssd.export.nir.graphs.profiles import Answers
from tssd.export.nir.graphs.run import run


def write_graph(graph: Graph, path: Path, answers: Answers | None = None) -> None:
    """Write *graph*; the file appears whole or not at all."""
    write_bytes(path, graph_image(graph, answers).getvalue())


def graph_image(graph: Graph, answers: Answers | None = None) -> io.BytesIO:
    """The bytes of the file; shapes that nir infers wrongly (groups, non-square kernels) come from
    us."""
    shape = graph.nodes[graph.input].params["shape"]
    shapes = run(graph, np.zeros((1, 1, *shape)), answers).shapes
    nodes = {name: _node(graph, name, node, shapes) for name, node in graph.nodes.items()}
    whole = nir.NIRGraph(
        nodes, [tuple(edge) for edge in graph.edges], dict(graph.metadata), type_check=False
    )
    image = io.BytesIO()
    nir.write(image, whole)
    return image


def _node(graph: Graph, name: str, node: Node, shapes: Any) -> Any:
    sources = graph.sources(name)
    before = np.array(shapes[sources[0]]) if sources else np.array(node.params.get("shape", ()))
    axes = 1 if node.type == "Conv1d" else 2
    params = {k: _value(value, FIELDS[node.type][k], axes) for k, value in node.params.items()}
    if node.type in (*NEURONS, "Scale", "Delay"):
        params = {k: _whole(value, shapes[name]) for k, value in params.items()}
    if node.type == "Input":
        return nir.Input(np.array(node.params["shape"]))
    if node.type == "Output":
        return nir.Output(before)
    if node.type == "Flatten":
        return nir.Flatten({"input": before}, params["start_dim"], params["end_dim"])
    if node.type in ("Conv1d", "Conv2d"):
        size: Any = tuple(int(n) for n in before[1:])
        params["input_shape"] = size if node.type == "Conv2d" else size[0]
    made = getattr(nir, node.type)(**params, metadata=dict(node.metadata))
    made.input_type, made.output_type = {"input": before}, {"output": np.array(shapes[name])}
    return made


def _whole(value: FloatArray, shape: tuple[int, ...]) -> FloatArray:
    """One value per neuron: the format knows no other parameters."""
    array = np.asarray(value)
    plain = array.reshape(()) if array.size == 1 else array
    return np.broadcast_to(plain, shape).copy()


def _value(value: Any, form: str, axes: int) -> Any:
    """Single numbers for two axes become pairs, as nir's convolutions expect."""
    if form != "ints" or isinstance(value, str):
        return value
    return int(value[0]) if axes == 1 else np.array(value if len(value) > 1 else value * 2)
