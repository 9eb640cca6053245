"""What an integer projection delivers, in ONNX: float32 products of integers, proven exact.

Every partial sum lies below 2**24, so the result is exact in any order of summation, also fused.
Wider sums are split by digits of the weights and added in float64.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, assert_never

import numpy as np

from tssd.arrays import Array
from tssd.calibration.int_network import IntNetwork, Population, Projection, ProjectionKind
from tssd.calibration.integer import DECAY_ONE, STATE_LIMIT, UNIT, IntArray
from tssd.errors import NetworkError
from tssd.export.onnx.builder import Builder
from tssd.export.onnx.ranges import EXACT_FLOAT32, OnnxRange
from tssd.train.handover.geometry import LinearMap, rows, turned

DIGIT_BITS = 4  # weights too wide for one exact float32 sum are split into digits of 4 bits


def linear_map(
    out: Builder,
    j: LinearMap,
    sent: str,
    shapes: tuple[tuple[int, ...], tuple[int, ...]],
    weight: tuple[str, Array],
    bias: str | None = None,
) -> str:
    """Conv or Gemm of *sent* with a *weight* of some name, and a bias: (N, *target shape).

    *j* gives the geometry (of integers or floats), *shapes* are the source's and the target's.
    """
    source, target = shapes
    name, array = weight
    offset = [] if bias is None else [bias]
    top, left = j.padding
    window: dict[str, Any] = {
        "strides": list(j.stride),
        "pads": [top, left, top, left],
        "dilations": list(j.dilation),
        "group": j.groups,
        "kernel_shape": list(j.weight.shape[2:]),
    }
    match j.kind:
        case ProjectionKind.DENSE:
            flat = sent if len(source) == 1 else out.add("Flatten", sent, axis=1)
            gemm = out.add("Gemm", flat, out.constant(name, array), *offset, transB=1)
            return _shaped(out, gemm, target)
        case ProjectionKind.CONV2D | ProjectionKind.SUM_POOL:
            whole = out.add("Conv", sent, out.constant(name, array), *offset, **window)
        case ProjectionKind.CONV2D_TRANSPOSED:
            torchs = out.constant(name, turned(array, j.groups))
            whole = out.add("ConvTranspose", sent, torchs, *offset, **window)
        case _:
            assert_never(j.kind)
    return whole if len(target) == 3 else _shaped(out, out.add("Flatten", whole), target)


def _shaped(out: Builder, flat: str, shape: tuple[int, ...]) -> str:
    if len(shape) == 1:
        return flat
    rows = out.constant("rows_" + "x".join(map(str, shape)), np.asarray([-1, *shape], np.int64))
    return out.add("Reshape", flat, rows)


@dataclass(frozen=True)
class Synapses:
    """All projections into the populations of a network."""

    network: IntNetwork
    range: OnnxRange
    trace: bool = False

    def activation(self, out: Builder, p: Population, sent: Sequence[str], factor: int) -> str:
        """factor * sum of all projections into *p*, in the carrier of *p*; with its bias where
        ``folds_bias``. One float32 sum where the total is proven exact, else float64."""
        incoming, carrier = self.network.incoming(p.name), self.range.carrier(p)
        if self._plain(p, factor):
            bias = p.bias if factor == UNIT and self.folds_bias(p) else None
            parts = [
                self._product(
                    out, p, j, x, (j.weight * (factor << j.weight_exp), f"{i}", None if i else bias)
                )
                for i, (j, x) in enumerate(zip(incoming, sent, strict=True))
            ]
            return out.converted(out.total(parts), "float32", carrier)
        wide = [
            self._wide(out, p, j, x, factor, f"{i}")
            for i, (j, x) in enumerate(zip(incoming, sent, strict=True))
        ]
        return out.converted(out.total(wide), "float64", carrier)

    def folds_bias(self, p: Population) -> bool:
        """Whether the bias joins the float32 sum: exact, and no u to be seen alone. A sample that
        is a bias stands for that of the first population, whose loops alone bring a sum."""
        incoming = self.network.incoming(p.name)
        if p.name == self.network.source.name:
            return False
        if self.trace or not incoming or np.any(p.du != DECAY_ONE) or self.range.current_wraps(p):
            return False
        fits = self.range.drive(p) + self.range.bias(p) < EXACT_FLOAT32
        per_channel = not incoming[0].kind.spatial or p.bias.shape[1:] == (1, 1)
        return fits and per_channel and len(p.shape) in (1, 3) and self._plain(p, UNIT)

    def _plain(self, p: Population, factor: int) -> bool:
        """Whether factor * the whole sum into *p* is one exact float32 sum."""
        incoming = self.network.incoming(p.name)
        direct = all(j.weight_exp >= 0 and not self.range.wraps(j) for j in incoming)
        return direct and self.range.activation(p).size * factor < EXACT_FLOAT32

    def _product(
        self,
        out: Builder,
        p: Population,
        j: Projection,
        sent: str,
        factors: tuple[IntArray, str, IntArray | None],
    ) -> str:
        """A float32 product of exact integers; *factors*: weight, a tag for its name, bias."""
        weight, tag, bias = factors
        named, offset = (f"{p.name}.weight{tag}", weight.astype(np.float32)), None
        if bias is not None and np.any(bias):
            whole = (p.shape[0], 1, 1) if j.kind.spatial else p.shape
            flat = np.broadcast_to(bias, whole).astype(np.float32).reshape(-1)
            offset = out.constant(f"{p.name}.bias", flat)
        source = self.network.population(j.source).shape
        return linear_map(out, j, sent, (source, p.shape), named, offset)

    def _wide(
        self, out: Builder, p: Population, j: Projection, sent: str, factor: int, tag: str
    ) -> str:
        """factor * deliver(j) in float64: digits, 24-bit wrap, exponent."""
        parts = []
        for place, digit in enumerate(self._digits(j)):
            product = self._product(out, p, j, sent, (digit, f"{tag}.{place}", None))
            whole = out.cast(product, "float64")
            weight = out.scalar(1 << (DIGIT_BITS * place), "float64")
            parts.append(out.add("Mul", whole, weight) if place else whole)
        total = out.total(parts)
        if self.range.wraps(j):
            half = out.scalar(STATE_LIMIT, "float64")
            moved = out.add("Add", total, half)
            turns = out.add("Floor", out.add("Mul", moved, out.scalar(2.0**-24, "float64")))
            total = out.add("Sub", total, out.add("Mul", turns, out.scalar(1 << 24, "float64")))
        if j.weight_exp < 0:
            scaled = out.add("Mul", total, out.scalar(2.0**j.weight_exp, "float64"))
            total = out.add("Floor", scaled)
        power = factor << max(j.weight_exp, 0)
        return out.add("Mul", total, out.scalar(power, "float64")) if power > 1 else total

    def _digits(self, j: Projection) -> list[IntArray]:
        """Weights as digits of 4 bits (the last one signed), each with an exact float32 sum."""
        digits, rest = [], j.weight
        payload = self.range.payload[j.source].size
        fan_in = rows(j).shape[-1]
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
