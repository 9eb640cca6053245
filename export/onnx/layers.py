"""Populations as ONNX graphs, one step or all steps: what the integer and the float graph share.

One step: every population in order; states and late spikes enter and leave. All steps, without
recurrence: population after population; a linear map takes all T steps as one batch, and one
``Scan`` per population carries the membrane. With recurrence: one ``Scan`` over the whole step.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
from onnx import helper

from tssd.arrays import IntArray
from tssd.export.onnx.builder import TIME, Builder, Port, model_bytes
from tssd.train.handover.float_network import PopulationKind, Reset

PAYLOAD = "float32"  # what travels between populations inside a graph


@dataclass(frozen=True)
class OnnxStage:
    """One population. ``incoming``: sources and how many steps late they arrive; ``carrier``: the
    type its values are computed in; ``sends``: the type of its spikes outside, None for a readout;
    ``states``: the type of each state outside. ``presented``: what kind of value a sample is to
    the source, its own "payload" or its "bias"."""

    name: str
    shape: tuple[int, ...]
    incoming: tuple[tuple[str, int], ...] = ()
    carrier: str = PAYLOAD
    sends: str | None = None
    states: Mapping[str, str] = field(default_factory=dict)
    presented: str | None = None


@dataclass(frozen=True)
class Update:
    """Tensors after a step: next states, spikes as payload, and what is recorded on request."""

    states: Mapping[str, str]
    spikes: str | None
    traces: Mapping[str, str] = field(default_factory=dict)


class Described(Protocol):
    """A population, of integers or floats, as its table has it."""

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> PopulationKind: ...
    @property
    def reset(self) -> Reset: ...
    @property
    def shape(self) -> tuple[int, ...]: ...


class Dialect(Protocol):
    """One kind of network in ONNX nodes; all tensors are (N, *shape)."""

    @property
    def stages(self) -> tuple[OnnxStage, ...]:
        """Every population, in topological order, the source first."""
        ...

    def drive(self, out: Builder, stage: OnnxStage, sent: list[str]) -> str:
        """What all projections into *stage* deliver, in its carrier, from one payload each."""
        ...

    def update(
        self,
        out: Builder,
        stage: OnnxStage,
        drive: str | None,
        bias: str | None,
        states: Mapping[str, str],
    ) -> Update:
        """The neurons of *stage*; *bias* is what a sample presents to them, if it does."""
        ...

    def presented(self, out: Builder, stage: OnnxStage, sample: str) -> str:
        """A sample as bias in the carrier of *stage*."""
        ...


def one_step(dialect: Dialect, *, trace: bool = False) -> Builder:
    """Inputs: the source's sample and all states; outputs: next states, spikes, traces."""
    step = _step(dialect, trace)
    step.out.inputs = [p.info() for p in (step.sample, *step.before)]
    step.out.outputs = [p.info() for p in (*step.after, *step.sent)]
    return step.out


def all_steps(dialect: Dialect, *, trace: bool = False) -> Builder:
    """Input: the source's samples over time; outputs: final states, spikes and traces over time.

    States start at zero.
    """
    ready: set[str] = set()
    for stage in dialect.stages:
        if any(name not in ready for name, _ in stage.incoming):
            return _looped(_step(dialect, trace))
        ready.add(stage.name)
    return _Series(dialect, trace).built()


def written(
    dialect: Dialect,
    name: str,
    about: Mapping[str, str],
    form: Literal["step", "scan"],
    *,
    trace: bool = False,
) -> bytes:
    """The file of one step or of all steps; *about* is its metadata, the schema first."""
    built = one_step(dialect) if form == "step" else all_steps(dialect, trace=trace)
    head = {"schema": about["schema"], "form": form}
    return model_bytes(built, f"{name}_{form}", {**head, **about})


def populations_table(
    populations: Sequence[Described], more: Callable[[Any], Mapping[str, Any]] = lambda p: {}
) -> str:
    """What a reader needs to know of each population, as JSON."""
    rows = [
        {"name": p.name, "kind": str(p.kind), "reset": str(p.reset), "shape": list(p.shape)}
        | dict(more(p))
        for p in populations
    ]
    return json.dumps(rows, sort_keys=True)


@dataclass(frozen=True)
class _Step:
    out: Builder
    sample: Port
    before: list[Port]
    after: list[Port]
    sent: list[Port]


def _step(dialect: Dialect, trace: bool) -> _Step:
    out, stages = Builder(), dialect.stages
    source = stages[0]
    sample = Port(source.name, source.sends or PAYLOAD, source.shape)
    if source.presented == "bias":
        sample = Port(source.name, "int32", source.shape)
    step = _Step(out, sample, [], [], [])
    payloads = _late_payloads(step, stages)
    for stage in stages:
        payloads[stage.name, 0] = _stage_step(step, dialect, stage, payloads, trace)
    _remember(step, stages)
    return step


def _late_payloads(step: _Step, stages: tuple[OnnxStage, ...]) -> dict[tuple[str, int], str]:
    """Delay lines as states: ``<name>.past1`` is what *name* sent one step ago, and so on."""
    found = {}
    for stage in stages:
        for k in range(1, _longest(stages, stage) + 1):
            port = Port(f"{stage.name}.past{k}", stage.sends or PAYLOAD, stage.shape)
            step.before.append(port)
            step.after.append(Port(f"{port.name}.next", port.dtype, port.shape))
            found[stage.name, k] = step.out.converted(port.name, port.dtype, PAYLOAD)
    return found


def _remember(step: _Step, stages: tuple[OnnxStage, ...]) -> None:
    """Shift every delay line by one step."""
    for stage in stages:
        now = stage.name if stage.presented == "payload" else f"{stage.name}.spikes"
        for k in range(1, _longest(stages, stage) + 1):
            step.out.add("Identity", now, name=f"{stage.name}.past{k}.next")
            now = f"{stage.name}.past{k}"


def _longest(stages: tuple[OnnxStage, ...], source: OnnxStage) -> int:
    return max((k for s in stages for name, k in s.incoming if name == source.name), default=0)


def _stage_step(
    step: _Step,
    dialect: Dialect,
    stage: OnnxStage,
    payloads: Mapping[tuple[str, int], str],
    trace: bool,
) -> str:
    """One population in one step; the name of its payload."""
    out = step.out
    if stage.presented == "payload":
        return out.converted(stage.name, step.sample.dtype, PAYLOAD)
    drive = bias = None
    if stage.presented == "bias":
        bias = dialect.presented(out, stage, stage.name)
    if stage.incoming:
        drive = dialect.drive(out, stage, [payloads[x] for x in stage.incoming])
    if not stage.states:
        return _send(step, stage, drive or "", stage.carrier)
    before = {}
    for label, dtype in stage.states.items():
        port = Port(f"{stage.name}.{label}", dtype, stage.shape)
        step.before.append(port)
        before[label] = out.converted(port.name, dtype, stage.carrier)
    update = dialect.update(out, stage, drive, bias, before)
    for label, dtype in stage.states.items():
        port = Port(f"{stage.name}.{label}.next", dtype, stage.shape)
        step.after.append(port)
        _as_port(out, update.states[label], stage.carrier, port)
    payload = _send(step, stage, update.spikes, PAYLOAD) if update.spikes else ""
    if trace:
        for label, value in update.traces.items():
            step.sent.append(_trace_port(stage, label))
            _as_port(out, value, stage.carrier, step.sent[-1])
    return payload


def _send(step: _Step, stage: OnnxStage, value: str, dtype: str) -> str:
    """Declare the spikes as an output; returns them as payload."""
    port = Port(f"{stage.name}.spikes", stage.sends or PAYLOAD, stage.shape)
    step.sent.append(port)
    payload = step.out.converted(value, dtype, PAYLOAD)
    _as_port(step.out, value, dtype, port)
    return payload


def _trace_port(stage: OnnxStage, label: str, ending: str = "") -> Port:
    dtype = stage.states.get(label, stage.states["v"])
    return Port(f"{stage.name}.{label}.trace{ending}", dtype, stage.shape)


def _as_port(out: Builder, value: str, dtype: str, port: Port) -> None:
    """*value* under the port's name and type; never by renaming, for others may read it."""
    if dtype == port.dtype:
        out.add("Identity", value, name=port.name)
    else:
        out.cast(value, port.dtype, port.name)


def _looped(step: _Step) -> Builder:
    """A ``Scan`` of the whole step; its body shares the outer constants."""
    body = helper.make_graph(
        step.out.nodes,
        "step",
        [p.info() for p in (*step.before, step.sample)],
        [p.info() for p in (*step.after, *step.sent)],
    )
    out = Builder(prefix="loop.", constants=step.out.constants)
    samples = Port(f"{step.sample.name}.series", step.sample.dtype, step.sample.shape)
    finals = [Port(f"{p.name}.final", p.dtype, p.shape) for p in step.before]
    series = [Port(f"{p.name}.series", p.dtype, p.shape) for p in step.sent]
    batch = out.add("Shape", samples.name, start=1, end=2)
    starts = [_zeros(out, batch, p.dtype, p.shape) for p in step.before]
    results = [p.name for p in (*finals, *series)]
    _scan(out, "over_time", body, [*starts, samples.name], results, 1)
    out.inputs = [samples.info(TIME)]
    out.outputs = [p.info() for p in finals] + [p.info(TIME) for p in series]
    return out


class _Series:
    """Writes population after population over all steps."""

    def __init__(self, dialect: Dialect, trace: bool) -> None:
        self.dialect, self.trace, self.out = dialect, trace, Builder()
        self.finals: list[Port] = []
        self.series: list[Port] = []
        self.payloads: dict[tuple[str, int], str] = {}  # (T B, *shape), by source and lateness
        self.over_time: dict[str, str] = {}  # (T, B, *shape)
        source = dialect.stages[0]
        dtype = "int32" if source.presented == "bias" else source.sends or PAYLOAD
        self.samples = Port(f"{source.name}.series", dtype, source.shape)
        self.leading = self.out.add("Shape", self.samples.name, start=0, end=2)
        self.batch = self.out.add("Shape", self.samples.name, start=1, end=2)

    def built(self) -> Builder:
        for stage in self.dialect.stages:
            self._stage(stage)
        self.out.inputs = [self.samples.info(TIME)]
        self.out.outputs = [p.info() for p in self.finals] + [p.info(TIME) for p in self.series]
        return self.out

    def _stage(self, stage: OnnxStage) -> None:
        name, out = stage.name, self.out
        if stage.presented == "payload":
            self.over_time[name] = out.converted(self.samples.name, self.samples.dtype, PAYLOAD)
            return
        drive = bias = None
        if stage.presented == "bias":
            bias = self.dialect.presented(out, stage, self.samples.name)
        if stage.incoming:
            sent = [self._payload(source, late) for source, late in stage.incoming]
            flat = self.dialect.drive(out, stage, sent)
            drive = out.add("Reshape", flat, self._shape(self.leading, stage.shape))
        if stage.states:
            self._neurons(stage, drive, bias)
        else:
            self._send(stage, drive or "", stage.carrier)

    def _payload(self, source: str, late: int) -> str:
        """What *source* sent *late* steps before, all steps as one batch."""
        if (source, late) not in self.payloads:
            x, shape = self.over_time[source], self._source_shape(source)
            if late:
                pads = np.zeros(2 * (len(shape) + 2), np.int64)
                pads[0] = late
                x = self.out.add("Pad", x, self._numbers(f"late_{late}_{len(shape)}", pads))
                first, last, axis = (
                    self._numbers(f"number_{n}", np.array([n])) for n in (0, -late, 0)
                )
                x = self.out.add("Slice", x, first, last, axis)
            whole = self._numbers("rows_" + "x".join(map(str, shape)), np.array([-1, *shape]))
            self.payloads[source, late] = self.out.add("Reshape", x, whole)
        return self.payloads[source, late]

    def _source_shape(self, name: str) -> tuple[int, ...]:
        return next(s.shape for s in self.dialect.stages if s.name == name)

    def _numbers(self, name: str, values: IntArray) -> str:
        return self.out.constant(name, values.astype(np.int64))

    def _shape(self, leading: str, shape: tuple[int, ...]) -> str:
        tail = self._numbers("shape_" + "x".join(map(str, shape)), np.array(shape))
        return self.out.add("Concat", leading, tail, axis=0)

    def _neurons(self, stage: OnnxStage, drive: str | None, bias: str | None) -> None:
        """The ``Scan`` of one population: states carried, drive and bias read step by step."""
        series = {label: x for label, x in (("drive", drive), ("bias", bias)) if x}
        update, body = self._body(stage, list(series))
        traces = list(update.traces) if self.trace else []
        starts = [_zeros(self.out, self.batch, stage.carrier, stage.shape) for _ in stage.states]
        results = [f"{stage.name}.{label}.last" for label in stage.states]
        results += [f"{stage.name}.{label}.each" for label in traces]
        results += [f"{stage.name}.payload"] if update.spikes else []
        over_time = f"{stage.name}.over_time"
        _scan(self.out, over_time, body, [*starts, *series.values()], results, len(series))
        for label, dtype in stage.states.items():
            self.finals.append(Port(f"{stage.name}.{label}.final", dtype, stage.shape))
            _as_port(self.out, f"{stage.name}.{label}.last", stage.carrier, self.finals[-1])
        for label in traces:
            self.series.append(_trace_port(stage, label, ".series"))
            _as_port(self.out, f"{stage.name}.{label}.each", stage.carrier, self.series[-1])
        if update.spikes:
            self._send(stage, f"{stage.name}.payload", PAYLOAD)

    def _body(self, stage: OnnxStage, series: list[str]) -> tuple[Update, object]:
        """One step: states, then *series* in; states, traces, then spikes out."""
        inner = Builder(f"{stage.name}.step.", self.out.constants)
        here = {label: f"{inner.prefix}{label}" for label in (*stage.states, *series)}
        states = {label: here[label] for label in stage.states}
        update = self.dialect.update(inner, stage, here.get("drive"), here.get("bias"), states)
        traces = update.traces.values() if self.trace else ()
        results = [
            Port(_own_name(inner, x, place), stage.carrier, stage.shape)
            for place, x in enumerate([*update.states.values(), *traces])
        ]
        if update.spikes:
            results.append(Port(update.spikes, PAYLOAD, stage.shape))
        entering = [Port(name, stage.carrier, stage.shape) for name in here.values()]
        ports = ([p.info() for p in entering], [p.info() for p in results])
        return update, helper.make_graph(inner.nodes, f"{stage.name}.step", *ports)

    def _send(self, stage: OnnxStage, value: str, dtype: str) -> None:
        self.over_time[stage.name] = self.out.converted(value, dtype, PAYLOAD)
        port = Port(f"{stage.name}.spikes.series", stage.sends or PAYLOAD, stage.shape)
        self.series.append(port)
        _as_port(self.out, value, dtype, port)


def _own_name(inner: Builder, value: str, place: int) -> str:
    """An output needs a name of its own; only the states, first of all, surely have one."""
    return inner.add("Identity", value) if place else value


def _scan(
    out: Builder, name: str, body: object, inputs: list[str], results: list[str], scanned: int
) -> None:
    node = helper.make_node("Scan", inputs, results, name=name, body=body, num_scan_inputs=scanned)
    out.nodes.append(node)


def _zeros(out: Builder, batch: str, dtype: str, shape: tuple[int, ...]) -> str:
    """Zeros of (batch, *shape)."""
    tail = out.constant("shape_" + "x".join(map(str, shape)), np.asarray(shape, np.int64))
    whole = out.add("Concat", batch, tail, axis=0)
    return out.add("Expand", out.scalar(0, dtype), whole)
