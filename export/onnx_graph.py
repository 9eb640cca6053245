"""IntNetwork -> ONNX in standard operators: spikes and membranes equal ``calibration.neuron``'s.

Two graphs: one time step with explicit states in and out, and a ``Scan`` over all steps. Per
population (states ``<name>.u`` only where there is synaptic memory, ``<name>.v``):

    a   Conv / Gemm of float32 integers, every partial sum proven below 2**24, so exact in any
        order of summation (also fused); wider sums are split by digits of the weights
    u   Div (truncates toward zero, as ONNX defines integer division), Add, wrap by Mod
    v   Div, Add, Clip (left out where |v| provably stays inside); fires by Greater; reset by
        Mul and Sub, for onnxruntime's Where is slow

Integer kernels (``ConvInteger``, ``MatMulInteger``) are not used: some CPUs add pairs of uint8 x
int8 products in 16 bits and saturate for payloads up to 255; float32 has no such case. State is
24 bits and a decay 12, a product of 36: ``_decayed`` splits it into int32 without loss.
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
            self._emit(p, self.out.named(total, f"{p.name}.spikes"))
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
        bias = self._bias(p, dtype)
        folded = bias is None and self._folds_bias(p)
        u = self._current(p, dtype, folded)
        v = self.out.state(f"{p.name}.v", dtype, p.shape)
        v = self._decayed(v, p.dv, STATE_LIMIT, dtype, f"{p.name}.dv")
        if bias is None and not folded and np.any(p.bias):
            bias = self.out.constant(f"{p.name}.bias", p.bias.astype(dtype))
        for term in (u, bias):
            v = self.out.add("Add", v, term) if term else v
        v = self._clipped(v, dtype) if self.range.voltage_clips(p) else v
        if p.kind is PopulationKind.READOUT:
            self.out.named(v, f"{p.name}.v.next")
        else:
            self._fire(p, v, dtype)
        if self.trace:
            self._traced(p, u, dtype)

    def _clipped(self, v: str, dtype: str) -> str:
        limit = STATE_LIMIT - 1
        return self.out.add(
            "Clip", v, self.out.scalar(-limit, dtype), self.out.scalar(limit, dtype)
        )

    def _folds_bias(self, p: Population) -> bool:
        """Whether bias joins the float32 sum of the drive: exact, and no u to be seen alone."""
        incoming = self.network.incoming(p.name)
        if self.trace or not incoming or np.any(p.du != DECAY_ONE) or self.range.current_wraps(p):
            return False
        fits = self.range.drive(p) + self.range.bias(p) < EXACT_FLOAT32
        per_channel = incoming[0].kind is ProjectionKind.DENSE or p.bias.shape[1:] == (1, 1)
        return fits and per_channel and len(p.shape) in (1, 3) and self._plain(p, UNIT)

    def _current(self, p: Population, dtype: str, with_bias: bool) -> str | None:
        """u of this step; no state is kept where du = 4096 everywhere."""
        drive = None
        if self.network.incoming(p.name):
            drive = self._drive(p, UNIT, dtype, p.bias if with_bias else None)
        if np.all(p.du == DECAY_ONE):
            return self._turned(p, drive, dtype) if drive else None
        u = self.out.state(f"{p.name}.u", dtype, p.shape)
        u = self._decayed(u, p.du, self.range.current(p), dtype, f"{p.name}.du")
        u = self.out.add("Add", u, drive) if drive else u
        return self.out.named(self._turned(p, u, dtype), f"{p.name}.u.next")

    def _turned(self, p: Population, u: str, dtype: str) -> str:
        """One conditional turn of 2**24: ``calibration.integer.wrap_current``."""
        if not self.range.current_wraps(p):
            return u
        above = self.out.add("Greater", u, self.out.scalar(STATE_LIMIT, dtype))
        below = self.out.add("LessOrEqual", u, self.out.scalar(-STATE_LIMIT, dtype))
        turns = self.out.add("Sub", self.out.cast(above, dtype), self.out.cast(below, dtype))
        excess = self.out.add("Mul", turns, self.out.scalar(2 * STATE_LIMIT, dtype))
        return self.out.add("Sub", u, excess)

    def _decayed(self, x: str, decay: IntArray, bound: int, dtype: str, name: str) -> str:
        """tz(x * (4096 - decay)) >> 12, without leaving the type.

        With g the largest power of two in 4096 and in every multiplier the fraction is m / d,
        m = (4096 - decay) / g and d = 4096 / g, and integer Div truncates toward zero. Where x * m
        may not fit int32, x = d h + r by truncating division, h and r of x's sign, gives
        tz(x m / d) = h m + tz(r m / d), with |h m| <= |x| and |r m| < 2**24.
        """
        multiplier = DECAY_ONE - decay
        common = int(np.gcd.reduce(multiplier.reshape(-1), initial=DECAY_ONE))
        small, divisor = multiplier // common, DECAY_ONE // common
        if divisor == 1:  # every multiplier is 0 or 1
            return x if np.all(small == 1) else self._scaled(x, small, dtype, name)
        d = self.out.scalar(divisor, dtype)
        if dtype == "int64" or bound * int(small.max()) < INT32_LIMIT:
            return self.out.add("Div", self._scaled(x, small, dtype, name), d)
        h = self.out.add("Div", x, d)
        r = self.out.add("Sub", x, self.out.add("Mul", h, d))
        low = self.out.add("Div", self._scaled(r, small, dtype, name), d)
        return self.out.add("Add", self._scaled(h, small, dtype, name), low)

    def _scaled(self, x: str, factor: IntArray, dtype: str, name: str) -> str:
        if np.all(factor == 1):
            return x
        return self.out.add("Mul", x, self.out.constant(name, factor.astype(dtype)))

    def _bias(self, p: Population, dtype: str) -> str | None:
        """The bias that is an input of the graph, if this population takes one."""
        if p is self.network.source and self.network.input_coding is InputCoding.BIAS:
            if p.bias_exp < 0:
                raise NetworkError(
                    f"population {p.name}", found=f"bias_exp {p.bias_exp}", allowed=">= 0"
                )
            mantissa = self.out.cast(p.name, dtype) if dtype != "int32" else p.name
            return self.out.add("Mul", mantissa, self.out.scalar(1 << p.bias_exp, dtype))
        return None

    def _fire(self, p: Population, v: str, dtype: str) -> None:
        threshold = self.out.constant(f"{p.name}.threshold", (p.vth * UNIT).astype(dtype))
        fired = self.out.add("Greater", v, threshold)
        if p.reset is Reset.SOFT:
            lowered = self.out.add("Mul", self.out.cast(fired, dtype), threshold)
            v = self.out.add("Sub", v, lowered)
        elif p.reset is Reset.HARD:
            v = self.out.add("Mul", v, self.out.cast(self.out.add("Not", fired), dtype))
        self.out.named(v, f"{p.name}.v.next")
        self.out.cast(fired, "uint8", f"{p.name}.spikes")
        self._emit(p, fired)

    def _emit(self, p: Population, source: str) -> None:
        self.out.outputs.append(Port(f"{p.name}.spikes", self.range.dtype(p), p.shape))
        if self.network.outgoing(p.name):
            self.out.cast(source, "float32", f"{p.name}.payload")

    def _traced(self, p: Population, u: str | None, dtype: str) -> None:
        """u and v of every step as outputs of their own."""
        current = u or self.out.add("Sub", f"{p.name}.v.next", f"{p.name}.v.next")
        for label, value in (("u", current), ("v", f"{p.name}.v.next")):
            self.out.add("Identity", value, name=f"{p.name}.{label}.trace")
            self.out.outputs.append(Port(f"{p.name}.{label}.trace", dtype, p.shape))

    def _plain(self, p: Population, factor: int) -> bool:
        """Whether factor * the whole sum into *p* is one exact float32 sum."""
        incoming = self.network.incoming(p.name)
        direct = all(j.weight_exp >= 0 and not self.range.wraps(j) for j in incoming)
        return direct and self.range.activation(p).size * factor < EXACT_FLOAT32

    def _drive(self, p: Population, factor: int, dtype: str, bias: IntArray | None = None) -> str:
        """factor * sum of all projections into *p* (plus *bias*), of *dtype*.

        One float32 sum and one Cast where the whole total is proven exact; else each projection
        becomes integers first.
        """
        incoming = self.network.incoming(p.name)
        if self._plain(p, factor):
            parts = [
                self._product(
                    p, j, j.weight * (factor << j.weight_exp), f"{i}", None if i else bias
                )
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
        payload = self.range.payload[j.source].size
        fan_in = int(np.prod(j.weight.shape[1:]))
        if self.range.raw(j).size < EXACT_FLOAT32:
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

    def _product(
        self, p: Population, j: Projection, weight: IntArray, tag: str, bias: IntArray | None = None
    ) -> str:
        """float32 Conv or Gemm of exact integers, shaped (batch, *target shape)."""
        spikes, source = self._spikes(j), self.network.population(j.source)
        inputs = [self.out.constant(f"{p.name}.weight{tag}", weight.astype(np.float32))]
        if bias is not None and np.any(bias):
            whole = p.shape if j.kind is ProjectionKind.DENSE else (p.shape[0], 1, 1)
            offset = np.broadcast_to(bias, whole).astype(np.float32).reshape(-1)
            inputs.append(self.out.constant(f"{p.name}.bias", offset))
        if j.kind is ProjectionKind.DENSE:
            flat = spikes if len(source.shape) == 1 else self.out.add("Flatten", spikes, axis=1)
            return self._shaped(self.out.add("Gemm", flat, *inputs, transB=1), p)
        (top, left), kernel = j.padding, weight.shape[2:]
        total = self.out.add(
            "Conv",
            spikes,
            *inputs,
            strides=list(j.stride),
            pads=[top, left, top, left],
            dilations=list(j.dilation),
            group=j.groups,
            kernel_shape=list(kernel),
        )
        return total if len(p.shape) == 3 else self._shaped(self.out.add("Flatten", total), p)

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
