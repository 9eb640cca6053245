"""IntNetwork -> ONNX in standard operators: spikes and membranes equal ``calibration.neuron``'s.

Two graphs: one time step with explicit states in and out, and a ``Scan`` over all steps. Per
population (states ``<name>.u`` only where there is synaptic memory, ``<name>.v``):

    a   Conv / MatMul of float32 integers, every partial sum proven below 2**24, so exact in any
        order of summation (also fused); wider sums are split by weight digits, or int64 MatMul
    u   Mul, Div (truncates toward zero, as ONNX defines integer division), Add, wrap by Where
    v   Mul, Div, Add, Add, Clip; fires by Greater; reset by Where

Integer kernels (``ConvInteger``, ``MatMulInteger``) are not used: some CPUs add pairs of uint8 x
int8 products in 16 bits and saturate for payloads up to 255; float32 has no such case. State is
24 bits and a decay 12: the product needs 36, so it is taken in int64 unless the decays of a
population share enough factors of two with 4096 (``_decayed`` holds the proof).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tssd.calibration.int_network import (
    InputCoding,
    IntNetwork,
    Population,
    PopulationKind,
    Projection,
    ProjectionKind,
    Reset,
    depths,
    lag,
)
from tssd.calibration.integer import DECAY_ONE, STATE_LIMIT, UNIT, IntArray
from tssd.errors import NetworkError
from tssd.export.onnx_builder import Builder, Port, scan_model, step_model, to_bytes
from tssd.export.onnx_range import EXACT_FLOAT32, INT32_LIMIT, Range

SCHEMA = "tssd-onnx/1"
DIGIT_BITS = 4  # weights too wide for one exact float32 sum are split into digits of 4 bits


def onnx_bytes(network: IntNetwork) -> dict[str, bytes]:
    """The bundle's two files: the one-step graph and the Scan graph, deterministic."""
    return {"network.onnx": step_bytes(network), "network_scan.onnx": scan_bytes(network)}


def step_bytes(network: IntNetwork) -> bytes:
    """One time step. Inputs: the source population's name and the states, each (batch, *shape);
    outputs: ``<state>.next`` and ``<population>.spikes``."""
    return to_bytes(step_model(build(network), "tssd_step", _metadata(network, "step")))


def scan_bytes(network: IntNetwork, *, trace: bool = False) -> bytes:
    """All steps. Input ``<source>.series`` (T, batch, *shape); outputs ``<state>.final`` and
    ``<population>.spikes.series``; with *trace* also ``<population>.{u,v}.trace.series``."""
    built = build(network, trace=trace)
    return to_bytes(scan_model(built, "tssd_scan", _metadata(network, "scan")))


def payload_dtype(network: IntNetwork, name: str) -> str:
    """Element type of a population's spikes: uint8 where 0 .. 255 is proven, else an integer."""
    return Range(network).dtype(network.population(name))


def build(network: IntNetwork, *, trace: bool = False) -> Builder:
    """The nodes of one step."""
    writer = _Writer(network, Builder(), Range(network), depths(network), trace)
    for population in network.populations:
        writer.declare(population)
    for population in network.populations:
        writer.population(population)
    for population in network.populations:
        writer.remember(population)
    return writer.out


@dataclass
class _Writer:
    """Writes one step, population after population."""

    network: IntNetwork
    out: Builder
    range: Range
    depth: Mapping[str, int]
    trace: bool

    def declare(self, p: Population) -> None:
        """Inputs and delayed spikes, which projections may need before their source is written."""
        if p is self.network.source:
            bias_input = self.network.input_coding is InputCoding.BIAS
            dtype = "int32" if bias_input else self.range.dtype(p)
            self.out.inputs.append(Port(p.name, dtype, p.shape))
        for k in range(1, self._longest_lag(p) + 1):
            self.out.state(f"{p.name}.past{k}", self.range.dtype(p), p.shape)

    def population(self, p: Population) -> None:
        if p.kind is PopulationKind.INPUT:
            self.out.cast(p.name, "float32", f"{p.name}.payload")
        elif p.kind is PopulationKind.RELAY:
            total = self._drive(p, 1, "int64" if self.range.dtype(p) == "int64" else "int32")
            self.out.add("Identity", total, name=f"{p.name}.spikes")
            self._emit(p)
        else:
            self._neuron(p)

    def remember(self, p: Population) -> None:
        """Shift the delay line by one step."""
        now = p.name if p.kind is PopulationKind.INPUT else f"{p.name}.spikes"
        for k in range(1, self._longest_lag(p) + 1):
            self.out.add("Identity", now, name=f"{p.name}.past{k}.next")
            now = f"{p.name}.past{k}"

    def _longest_lag(self, p: Population) -> int:
        lags = [lag(self.network, j, self.depth) for j in self.network.outgoing(p.name)]
        return max(lags, default=0)

    def _neuron(self, p: Population) -> None:
        dtype = self.range.state_dtype(p)
        u = self._current(p, dtype)
        v = self.out.state(f"{p.name}.v", dtype, p.shape)
        v = self._decayed(v, p.dv, STATE_LIMIT, dtype, f"{p.name}.dv")
        v = self.out.add("Add", v, u) if u else v
        bias = self._bias(p, dtype)
        v = self.out.add("Add", v, bias) if bias else v
        limit = STATE_LIMIT - 1
        low, high = self.out.scalar(-limit, dtype), self.out.scalar(limit, dtype)
        if p.kind is PopulationKind.READOUT:
            self.out.add("Clip", v, low, high, name=f"{p.name}.v.next")
        else:
            self._fire(p, self.out.add("Clip", v, low, high), dtype)
        if self.trace:
            self._traced(p, u, dtype)

    def _current(self, p: Population, dtype: str) -> str | None:
        """u of this step; no state is kept where du = 4096 everywhere."""
        drive = self._drive(p, UNIT, dtype) if self.network.incoming(p.name) else None
        bound = self.range.activation(p) * UNIT
        if np.all(p.du == DECAY_ONE):
            return self._turned(drive, dtype) if drive and bound >= STATE_LIMIT else drive
        u = self.out.state(f"{p.name}.u", dtype, p.shape)
        u = self._decayed(u, p.du, self.range.current(p), dtype, f"{p.name}.du")
        u = self.out.add("Add", u, drive) if drive else u
        return self.out.add("Identity", self._turned(u, dtype), name=f"{p.name}.u.next")

    def _turned(self, u: str, dtype: str) -> str:
        """One conditional turn of 2**24: ``calibration.integer.wrap_current``."""
        top, bottom = self.out.scalar(STATE_LIMIT, dtype), self.out.scalar(-STATE_LIMIT, dtype)
        turn = self.out.scalar(2 * STATE_LIMIT, dtype)
        down, up = self.out.add("Sub", u, turn), self.out.add("Add", u, turn)
        raised = self.out.add("Where", self.out.add("LessOrEqual", u, bottom), up, u)
        return self.out.add("Where", self.out.add("Greater", u, top), down, raised)

    def _decayed(self, x: str, decay: IntArray, bound: int, dtype: str, name: str) -> str:
        """tz(x * (4096 - decay)) >> 12.

        With g the largest power of two in 4096 and in every multiplier, the fraction is
        (m / g) / (4096 / g) exactly, and integer Div truncates toward zero. The product fits
        int32 where bound * max(m / g) < 2**31; else it is taken in int64, where |x| < 2**36
        leaves it below 2**48.
        """
        multiplier = DECAY_ONE - decay
        common = int(np.gcd.reduce(multiplier.reshape(-1), initial=DECAY_ONE))
        if np.all(multiplier == DECAY_ONE):
            return x
        small, divisor = multiplier // common, DECAY_ONE // common
        wide = "int32" if bound * int(small.max()) < INT32_LIMIT else "int64"
        wide = dtype if dtype == "int64" else wide
        y = x if wide == dtype else self.out.cast(x, wide)
        if np.any(small != 1):
            y = self.out.add("Mul", y, self.out.constant(name, small.astype(wide)))
        if divisor != 1:
            y = self.out.add("Div", y, self.out.scalar(divisor, wide))
        return y if wide == dtype else self.out.cast(y, dtype)

    def _bias(self, p: Population, dtype: str) -> str | None:
        if p is self.network.source and self.network.input_coding is InputCoding.BIAS:
            if p.bias_exp < 0:
                raise NetworkError(
                    f"population {p.name}", found=f"bias_exp {p.bias_exp}", allowed=">= 0"
                )
            mantissa = self.out.cast(p.name, dtype) if dtype != "int32" else p.name
            return self.out.add("Mul", mantissa, self.out.scalar(1 << p.bias_exp, dtype))
        if not np.any(p.bias):
            return None
        return self.out.constant(f"{p.name}.bias", p.bias.astype(dtype))

    def _fire(self, p: Population, v: str, dtype: str) -> None:
        threshold = self.out.constant(f"{p.name}.threshold", (p.vth * UNIT).astype(dtype))
        fired = self.out.add("Greater", v, threshold)
        if p.reset is Reset.NONE:
            self.out.add("Identity", v, name=f"{p.name}.v.next")
        elif p.reset is Reset.HARD:
            after = self.out.scalar(0, dtype)
            self.out.add("Where", fired, after, v, name=f"{p.name}.v.next")
        else:
            after = self.out.add("Sub", v, threshold)
            self.out.add("Where", fired, after, v, name=f"{p.name}.v.next")
        self.out.cast(fired, "uint8", f"{p.name}.spikes")
        self._emit(p)

    def _emit(self, p: Population) -> None:
        self.out.outputs.append(Port(f"{p.name}.spikes", self.range.dtype(p), p.shape))
        if self.network.outgoing(p.name):
            self.out.cast(f"{p.name}.spikes", "float32", f"{p.name}.payload")

    def _traced(self, p: Population, u: str | None, dtype: str) -> None:
        """u and v of every step as outputs of their own."""
        current = u or self.out.add("Sub", f"{p.name}.v.next", f"{p.name}.v.next")
        for label, value in (("u", current), ("v", f"{p.name}.v.next")):
            self.out.add("Identity", value, name=f"{p.name}.{label}.trace")
            self.out.outputs.append(Port(f"{p.name}.{label}.trace", dtype, p.shape))

    def _drive(self, p: Population, factor: int, dtype: str) -> str:
        """factor * sum of all projections into *p*, of *dtype*.

        One float32 sum and one Cast where the whole total is proven exact; else each projection
        becomes integers first.
        """
        incoming = self.network.incoming(p.name)
        plain = all(j.weight_exp >= 0 and not self.range.wraps(j) for j in incoming)
        if plain and self.range.activation(p) * factor < EXACT_FLOAT32:
            parts = [
                self._product(p, j, j.weight * (factor << j.weight_exp), f"{i}")
                for i, j in enumerate(incoming)
            ]
            return self.out.cast(self._sum(parts), dtype)
        return self._sum(
            [self._integers(p, j, factor, dtype, f"{i}") for i, j in enumerate(incoming)]
        )

    def _sum(self, parts: list[str]) -> str:
        total = parts[0]
        for part in parts[1:]:
            total = self.out.add("Add", total, part)
        return total

    def _integers(self, p: Population, j: Projection, factor: int, dtype: str, tag: str) -> str:
        """factor * deliver(j) through integers: digits, 24-bit wrap, exponent."""
        digits = self._digits(j)
        wide = dtype if len(digits) == 1 else "int64"
        parts = []
        for place, digit in enumerate(digits):
            product = self.out.cast(self._product(p, j, digit, f"{tag}.{place}"), wide)
            weight = self.out.scalar(1 << (DIGIT_BITS * place), wide)
            parts.append(self.out.add("Mul", product, weight) if place else product)
        total = self._sum(parts)
        if self.range.wraps(j):
            half, turn = self.out.scalar(STATE_LIMIT, wide), self.out.scalar(2 * STATE_LIMIT, wide)
            turned = self.out.add("Mod", self.out.add("Add", total, half), turn)
            total = self.out.add("Sub", turned, half)
        if j.weight_exp < 0:
            divisor = self.out.scalar(1 << -j.weight_exp, wide)
            rest = self.out.add("Mod", total, divisor)  # integer Mod is never negative here
            total = self.out.add("Div", self.out.add("Sub", total, rest), divisor)
        total = total if wide == dtype else self.out.cast(total, dtype)
        scaled = factor << max(j.weight_exp, 0)
        return self.out.add("Mul", total, self.out.scalar(scaled, dtype)) if scaled > 1 else total

    def _digits(self, j: Projection) -> list[IntArray]:
        """Weights as digits of 4 bits (the last one signed), each with an exact float32 sum."""
        digits, rest = [], j.weight
        payload = self.range.payload[j.source]
        fan_in = int(np.prod(j.weight.shape[1:]))
        if self.range.raw(j) < EXACT_FLOAT32:
            return [rest]
        if ((1 << DIGIT_BITS) - 1) * fan_in * payload >= EXACT_FLOAT32:
            raise NetworkError(
                f"projection {j.name}",
                found=f"{fan_in} inputs of up to {payload}: no exact float32 sum",
                allowed=f"inputs x payload < {EXACT_FLOAT32 >> DIGIT_BITS}",
                hint="lower the relay's payload (weights or input_max)",
            )
        while np.any((rest < -(1 << DIGIT_BITS - 1)) | (rest >= 1 << DIGIT_BITS - 1)):
            digits.append(rest & ((1 << DIGIT_BITS) - 1))
            rest = rest >> DIGIT_BITS
        return [*digits, rest]

    def _product(self, p: Population, j: Projection, weight: IntArray, tag: str) -> str:
        """float32 Conv or MatMul of exact integers, shaped (batch, *target shape)."""
        spikes, source = self._spikes(j), self.network.population(j.source)
        name = f"{p.name}.weight{tag}"
        if j.kind is ProjectionKind.DENSE:
            flat = spikes if len(source.shape) == 1 else self.out.add("Flatten", spikes, axis=1)
            matrix = self.out.constant(name, weight.T.astype(np.float32))
            return self._shaped(self.out.add("MatMul", flat, matrix), p)
        (top, left), kernel = j.padding, weight.shape[2:]
        total = self.out.add(
            "Conv",
            spikes,
            self.out.constant(name, weight.astype(np.float32)),
            strides=list(j.stride),
            pads=[top, left, top, left],
            dilations=list(j.dilation),
            group=j.groups,
            kernel_shape=list(kernel),
        )
        return (
            total if len(p.shape) == 3 else self._shaped(self.out.add("Flatten", total, axis=1), p)
        )

    def _shaped(self, flat: str, p: Population) -> str:
        if len(p.shape) == 1:
            return flat
        shape = self.out.constant(f"{p.name}.shape", np.asarray([-1, *p.shape], np.int64))
        return self.out.add("Reshape", flat, shape)

    def _spikes(self, j: Projection) -> str:
        """The source's payload as float32, of this step or from its delay line."""
        late = lag(self.network, j, self.depth)
        if late == 0:
            return f"{j.source}.payload"
        delayed = f"{j.source}.past{late}.payload"
        if all(node.name != delayed for node in self.out.nodes):
            self.out.cast(f"{j.source}.past{late}", "float32", delayed)
        return delayed


def _metadata(network: IntNetwork, form: str) -> dict[str, str]:
    """What a reader needs beside the graph: the tensors' meaning and the float scale."""
    populations = [
        {
            "name": p.name,
            "kind": str(p.kind),
            "reset": str(p.reset),
            "shape": list(p.shape),
            "scale": p.scale,
        }
        for p in network.populations
    ]
    return {
        "schema": SCHEMA,
        "form": form,
        "time_steps": str(network.time_steps),
        "input_coding": str(network.input_coding),
        "input_max": str(network.input_max),
        "populations": json.dumps(populations, sort_keys=True),
    }
