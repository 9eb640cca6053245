"""Run an integer network as its ONNX graph in onnxruntime: equal to ``calibration.simulate``.

Threads default to one: the graphs of small networks are dominated by dispatch, not by arithmetic.
"""

import importlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime

from tssd.calibration.int_network import MEMBRANE, Activity, IntNetwork, Runner
from tssd.calibration.integer import STATE_LIMIT, IntArray
from tssd.calibration.simulate import check_inputs, over_time
from tssd.calibration.tally import Tally, merge, tally
from tssd.errors import DataError, FileFormatError
from tssd.export.onnx import graph
from tssd.hw_targets.engine import Setting, prepared

runtime = importlib.import_module("onnxruntime.capi.onnxruntime_pybind11_state")
TRACE = ".trace"
UNREADABLE = (runtime.InvalidProtobuf, runtime.InvalidGraph, runtime.Fail, runtime.NotImplemented)


@dataclass(frozen=True, eq=False)
class Model:
    """An opened graph and the table of its populations."""

    session: Any
    form: str  # "step" or "scan"
    source: str
    input_dtype: str
    time_steps: int
    populations: tuple[Mapping[str, Any], ...]  # name, kind, reset, shape, scale


def open_model(data: bytes, *, threads: int = 1, where: str = "network.onnx") -> Model:
    """The graph in *data*, written by ``export.onnx_graph``; anything else raises."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(
            data, sess_options=options, providers=["CPUExecutionProvider"]
        )
    except UNREADABLE as e:
        raise FileFormatError(where, found=f"no ONNX graph that runs ({e})") from None
    meta = session.get_modelmeta().custom_metadata_map
    if meta.get("schema") != graph.SCHEMA:
        raise FileFormatError(
            where,
            found=f"schema {meta.get('schema')!r}",
            allowed=graph.SCHEMA,
            hint="run other ONNX files with onnxruntime itself",
        )
    first = session.get_inputs()[0]
    return Model(
        session,
        meta["form"],
        first.name.removesuffix(".series"),
        {"tensor(uint8)": "uint8", "tensor(int32)": "int32"}[first.type],
        int(meta["time_steps"]),
        tuple(json.loads(meta["populations"])),
    )


def opened(setting: Setting) -> Runner:
    """The engine of the register."""

    def prepare(network: IntNetwork) -> Model:
        return open_model(graph.scan_bytes(network, trace=True))

    return prepared(prepare, run_model)


def run(
    network: IntNetwork | bytes, inputs: IntArray, *, trace: bool = False, threads: int = 1
) -> Activity:
    """``inputs`` (T, B, *input shape) -> Activity; states are recorded with *trace*."""
    if isinstance(network, bytes):
        return run_model(open_model(network, threads=threads), inputs)
    check_inputs(network, inputs)
    return run_model(open_model(graph.scan_bytes(network, trace=trace), threads=threads), inputs)


def run_model(model: Model, inputs: IntArray) -> Activity:
    """Run an opened graph of either form; the one-step form is called once per step."""
    _check_shape(model, inputs)
    raw = _scan(model, inputs) if model.form == "scan" else _steps(model, inputs)
    spikes: dict[str, IntArray] = {}
    for table in model.populations:
        name, shape = table["name"], tuple(table["shape"])
        if f"{name}.spikes" in raw:
            spikes[name] = raw[f"{name}.spikes"].astype(np.int64)
        elif table["kind"] == "input":
            spikes[name] = np.asarray(inputs, np.int64)
        else:
            spikes[name] = np.zeros((*inputs.shape[:2], *shape), np.int64)
    return Activity(spikes, _answer(raw, model.populations[-1]["name"]), _traced(raw))


def _answer(raw: Mapping[str, Any], readout: str) -> IntArray:
    """The final membranes, or the largest where the graph keeps them."""
    top = raw.get(f"{readout}.{graph.TOP}")
    if top is not None:
        return np.asarray(top, np.int64) - STATE_LIMIT
    return np.asarray(raw[f"{readout}.{MEMBRANE}"], np.int64)


def _traced(raw: Mapping[str, Any]) -> dict[str, dict[str, IntArray]]:
    """The outputs ``<population>.<state>.trace``, by state and population."""
    found: dict[str, dict[str, IntArray]] = {}
    for key, values in raw.items():
        if key.endswith(TRACE):
            name, _, state = key.removesuffix(TRACE).rpartition(".")
            found.setdefault(state, {})[name] = values.astype(np.int64)
    return found


def count(
    network: IntNetwork | bytes, samples: IntArray, *, batch: int = 64, threads: int = 1
) -> Tally:
    """Static samples (N, *input shape), presented at every step, in batches."""
    data = network if isinstance(network, bytes) else graph.scan_bytes(network)
    model = open_model(data, threads=threads)
    return merge(
        tally(run_model(model, over_time(samples[i : i + batch], model.time_steps)))
        for i in range(0, len(samples), batch)
    )


def _check_shape(model: Model, inputs: IntArray) -> None:
    shape = tuple(model.populations[0]["shape"])
    if inputs.ndim != len(shape) + 2 or inputs.shape[2:] != shape:
        raise DataError(
            "inputs",
            found=f"shape {inputs.shape}",
            allowed=f"({model.time_steps}, samples, {', '.join(map(str, shape))})",
        )
    info = np.iinfo(model.input_dtype)
    if inputs.size and (inputs.min() < info.min or inputs.max() > info.max):
        raise DataError(
            "inputs",
            found=f"values {inputs.min()} .. {inputs.max()}",
            allowed=f"{info.min} .. {info.max}",
        )


def _scan(model: Model, inputs: IntArray) -> dict[str, Any]:
    feed = {f"{model.source}.series": inputs.astype(model.input_dtype)}
    outputs = [o.name for o in model.session.get_outputs()]
    values = model.session.run(outputs, feed)
    return {
        name.removesuffix(".series").removesuffix(".final"): value
        for name, value in zip(outputs, values, strict=True)
    }


def _steps(model: Model, inputs: IntArray) -> dict[str, Any]:
    """One call per step; the states travel through this function."""
    batch = inputs.shape[1]
    types = {"tensor(int32)": np.int32, "tensor(int64)": np.int64, "tensor(uint8)": np.uint8}
    states = {
        port.name: np.zeros((batch, *port.shape[1:]), types[port.type])
        for port in model.session.get_inputs()
        if port.name != model.source
    }
    outputs = [o.name for o in model.session.get_outputs()]
    emitted: dict[str, list[Any]] = {n: [] for n in outputs if n.endswith(".spikes")}
    for frame in inputs.astype(model.input_dtype):
        values = dict(
            zip(
                outputs,
                model.session.run(outputs, {model.source: frame} | states),
                strict=True,
            )
        )
        states = {name: values[f"{name}.next"] for name in states}
        for name, series in emitted.items():
            series.append(values[name])
    return states | {name: np.stack(series) for name, series in emitted.items()}
