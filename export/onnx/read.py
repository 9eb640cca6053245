"""What is in an ONNX file: operators, ports, sizes, metadata. No weight is unpacked."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from tssd.errors import FileFormatError, refusing
from tssd.export.reading.stand_in import refuse_stand_in
from tssd.guard import guarded

MAX_BYTES = 1 << 30


@dataclass(frozen=True)
class OnnxFile:
    """The outside of a graph; ``metadata`` is what its producer noted."""

    opset: str
    operators: Mapping[str, int]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    parameters: int
    metadata: Mapping[str, str]


@guarded
def read_onnx(path: Path) -> OnnxFile:
    """The checked model in *path*; FileFormatError if it is none."""
    refuse_stand_in(path, "an ONNX file")
    if path.stat().st_size > MAX_BYTES:
        raise FileFormatError(str(path), found="more than 1 GiB", allowed="a smaller ONNX file")
    damage = (DecodeError, onnx.checker.ValidationError, ValueError, RuntimeError)
    with refusing(
        damage, FileFormatError, str(path), "no valid ONNX model", allowed="an ONNX file"
    ):
        model = onnx.load_from_string(path.read_bytes())
        onnx.checker.check_model(model)
    graph = model.graph
    return OnnxFile(
        ", ".join(f"{o.domain or 'ai.onnx'} {o.version}" for o in model.opset_import),
        Counter(node.op_type for node in graph.node),
        tuple(i.name for i in graph.input),
        tuple(o.name for o in graph.output),
        sum(int(np.prod(t.dims, dtype=object)) for t in graph.initializer),
        {p.key: p.value for p in model.metadata_props},
    )
