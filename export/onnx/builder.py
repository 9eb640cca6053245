"""A small builder of ONNX graphs: fresh names, shared constants, checked models."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tssd import __version__
from tssd.arrays import Array

OPSET = 17
IR_VERSION = 8
TIME, BATCH = "time", "batch"

ELEMENT: dict[str, int] = {
    "float32": TensorProto.FLOAT,
    "float64": TensorProto.DOUBLE,
    "int32": TensorProto.INT32,
    "int64": TensorProto.INT64,
    "uint8": TensorProto.UINT8,
}


@dataclass(frozen=True)
class Port:
    """A tensor that enters or leaves a graph; ``shape`` is without the batch and time axes."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    def info(self, *leading: str) -> Any:
        return helper.make_tensor_value_info(
            self.name, ELEMENT[self.dtype], [*leading, BATCH, *self.shape]
        )


@dataclass
class Builder:
    """Collects nodes and initialisers; every method returns the name of its result.

    ``prefix`` keeps the names of a loop's body apart from those around it.
    """

    prefix: str = ""
    constants: dict[str, Any] = field(default_factory=dict)
    nodes: list[Any] = field(default_factory=list)
    inputs: list[Any] = field(default_factory=list)
    outputs: list[Any] = field(default_factory=list)

    def add(self, op: str, *inputs: str, name: str | None = None, **attributes: Any) -> str:
        """One node with one result."""
        result = name or f"{self.prefix}{op}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [result], name=result, **attributes))
        return result

    def named(self, value: str, name: str) -> str:
        """*value* under another name: the last node's result is renamed, anything else copied."""
        if self.nodes and list(self.nodes[-1].output) == [value]:
            self.nodes[-1].output[0] = self.nodes[-1].name = name
            return name
        return self.add("Identity", value, name=name)

    def constant(self, name: str, value: Array) -> str:
        """An initialiser; the same name must always mean the same value."""
        if name not in self.constants:
            self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def scalar(self, value: float, dtype: str) -> str:
        return self.constant(f"{dtype}_{value}", np.asarray(value, dtype))

    def cast(self, x: str, dtype: str, name: str | None = None) -> str:
        return self.add("Cast", x, name=name, to=ELEMENT[dtype])

    def converted(self, x: str, before: str, after: str, name: str | None = None) -> str:
        """*x* of type *before* as *after*, under *name* if one is given."""
        if before != after:
            return self.cast(x, after, name)
        return self.named(x, name) if name else x

    def lowered(self, x: str, fired: str, amount: str) -> str:
        """x less *amount* where *fired* is one."""
        return self.add("Sub", x, self.add("Mul", fired, amount))

    def total(self, terms: list[str]) -> str:
        """The sum of one or more tensors."""
        whole = terms[0]
        for term in terms[1:]:
            whole = self.add("Add", whole, term)
        return whole


def model_bytes(built: Builder, graph_name: str, metadata: Mapping[str, str]) -> bytes:
    """The checked model; the same graph gives the same bytes."""
    graph = helper.make_graph(
        built.nodes,
        graph_name,
        built.inputs,
        built.outputs,
        initializer=list(built.constants.values()),
    )
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
    data: bytes = model.SerializeToString(deterministic=True)
    return data
