"""A small builder of ONNX graphs: fresh names, shared constants, one-step and Scan models."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from tssd import __version__

OPSET = 17
IR_VERSION = 8
BATCH = "batch"

ELEMENT: dict[str, int] = {
    "float32": TensorProto.FLOAT,
    "int32": TensorProto.INT32,
    "int64": TensorProto.INT64,
    "uint8": TensorProto.UINT8,
}


@dataclass(frozen=True)
class Port:
    """A tensor that enters or leaves the graph; ``shape`` is without the batch axis."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    def info(self, *leading: str | int) -> Any:
        return helper.make_tensor_value_info(
            self.name, ELEMENT[self.dtype], [*leading, BATCH, *self.shape]
        )


@dataclass(frozen=True)
class Carried:
    """A state: the port it enters by, and the port that holds its next value."""

    before: Port
    after: Port


@dataclass
class Builder:
    """Collects nodes and initialisers; every method returns the name of its result."""

    nodes: list[Any] = field(default_factory=list)
    constants: dict[str, Any] = field(default_factory=dict)
    inputs: list[Port] = field(default_factory=list)
    states: list[Carried] = field(default_factory=list)
    outputs: list[Port] = field(default_factory=list)

    def add(self, op: str, *inputs: str, name: str | None = None, **attributes: Any) -> str:
        """One node with one result."""
        result = name or f"{op}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [result], name=result, **attributes))
        return result

    def named(self, value: str, name: str) -> str:
        """*value* under another name: the last node's result is renamed, anything else copied."""
        if self.nodes and self.nodes[-1].output[0] == value:
            self.nodes[-1].output[0] = self.nodes[-1].name = name
            return name
        return self.add("Identity", value, name=name)

    def constant(self, name: str, value: npt.NDArray[Any]) -> str:
        """An initialiser; the same name must always mean the same value."""
        self.constants.setdefault(name, numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def scalar(self, value: int, dtype: str) -> str:
        return self.constant(f"{dtype}_{value}", np.asarray(value, dtype))

    def cast(self, x: str, dtype: str, name: str | None = None) -> str:
        return self.add("Cast", x, name=name, to=ELEMENT[dtype])

    def state(self, name: str, dtype: str, shape: tuple[int, ...]) -> str:
        """Declare a state; its next value must be bound to ``<name>.next``."""
        before, after = Port(name, dtype, shape), Port(f"{name}.next", dtype, shape)
        self.states.append(Carried(before, after))
        return name


def step_model(built: Builder, graph_name: str, metadata: Mapping[str, str]) -> Any:
    """One time step: inputs and states in, next states and outputs out."""
    graph = helper.make_graph(
        built.nodes,
        graph_name,
        [p.info() for p in built.inputs] + [s.before.info() for s in built.states],
        [s.after.info() for s in built.states] + [p.info() for p in built.outputs],
        initializer=list(built.constants.values()),
    )
    return _model(graph, metadata)


def scan_model(built: Builder, graph_name: str, metadata: Mapping[str, str]) -> Any:
    """All time steps: inputs (T, batch, ...) in; final states and outputs over time out.

    States start at zero. The loop is the standard ``Scan``; its body shares the outer constants.
    """
    body = helper.make_graph(
        built.nodes,
        "step",
        [s.before.info() for s in built.states] + [p.info() for p in built.inputs],
        [s.after.info() for s in built.states] + [p.info() for p in built.outputs],
    )
    outer = Builder(constants=dict(built.constants))
    finals = [Port(f"{s.before.name}.final", s.before.dtype, s.before.shape) for s in built.states]
    series = [Port(f"{p.name}.series", p.dtype, p.shape) for p in built.outputs]
    sequences = [Port(f"{p.name}.series", p.dtype, p.shape) for p in built.inputs]
    starts = [_zeros(outer, sequences[0].name, s.before) for s in built.states]
    outer.nodes.append(
        helper.make_node(
            "Scan",
            [*starts, *(p.name for p in sequences)],
            [p.name for p in [*finals, *series]],
            name="over_time",
            body=body,
            num_scan_inputs=len(sequences),
        )
    )
    graph = helper.make_graph(
        outer.nodes,
        graph_name,
        [p.info("time") for p in sequences],
        [p.info() for p in finals] + [p.info("time") for p in series],
        initializer=list(outer.constants.values()),
    )
    return _model(graph, metadata)


def to_bytes(model: Any) -> bytes:
    """The same model gives the same bytes."""
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def _zeros(outer: Builder, source: str, port: Port) -> str:
    """Zeros of (batch, *shape), the batch read from the input series (T, batch, ...)."""
    size = outer.add("Shape", source, start=1, end=2)
    tail = outer.constant(
        "shape_" + "x".join(map(str, port.shape)), np.asarray(port.shape, np.int64)
    )
    shape = outer.add("Concat", size, tail, axis=0)
    return outer.add("Expand", outer.scalar(0, port.dtype), shape)


def _model(graph: Any, metadata: Mapping[str, str]) -> Any:
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="tssd",
        producer_version=__version__,
    )
    for key in sorted(metadata):
        entry = model.metadata_props.add()
        entry.key, entry.value = key, metadata[key]
    onnx.checker.check_model(model, full_check=True)
    return model
