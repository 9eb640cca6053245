"""Arrays as C: a number where all are equal, else a constant table at the bits it needs.

Below eight bits the values lie bit after bit in bytes, the lowest bit first, in two's complement;
a table of one bit holds two values, low for 0 and high for 1.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from tssd.calibration.integer import IntArray

PER_LINE = 24
TYPES = ((8, "int8_t"), (16, "int16_t"), (32, "int32_t"), (64, "int64_t"))


@dataclass(frozen=True)
class Table:
    """``text``: its definition in C, empty for a number. ``at(index)``: an expression of one value.
    ``bytes``: what it takes of flash."""

    text: str
    name: str
    bits: int
    bytes: int
    number: int | None = None
    pair: tuple[int, int] | None = None

    def at(self, index: str) -> str:
        if self.number is not None:
            return f"({self.number})"
        if self.pair is not None:
            low, high = self.pair
            return f"(((({self.name}[({index}) >> 3]) >> (({index}) & 7)) & 1) ? {high} : ({low}))"
        if self.bits < 8:
            return f"tssd_bits({self.name}, (uint32_t)({index}), {self.bits})"
        return f"{self.name}[{index}]"


def table(name: str, array: IntArray) -> Table:
    """*array*, flattened, as a constant of C."""
    flat = array.ravel()
    found = np.unique(flat)
    if len(found) <= 1:
        return Table("", name, 0, 0, number=int(found[0]) if len(found) else 0)
    if len(found) == 2 and flat.size > 8:
        packed = np.packbits(flat == found[1], bitorder="little")
        text = _definition(name, "uint8_t", packed)
        return Table(text, name, 1, len(packed), pair=(int(found[0]), int(found[1])))
    bits = needed(int(flat.min()), int(flat.max()))
    if bits < 8:
        packed = pack(flat, bits)
        return Table(_definition(name, "uint8_t", packed), name, bits, len(packed))
    width, kind = next((b, t) for b, t in TYPES if bits <= b)
    return Table(_definition(name, kind, flat), name, width, flat.size * width // 8)


def needed(low: int, high: int) -> int:
    """Bits of two's complement that hold low .. high."""
    return 1 + max(high.bit_length(), (-low - 1).bit_length() if low < 0 else 0)


def pack(values: IntArray, bits: int) -> "np.ndarray[tuple[int], np.dtype[np.uint8]]":
    """*values* at *bits* bits each, lowest bit first, and one byte more: a reader takes two."""
    code = (values & ((1 << bits) - 1)).astype(np.uint64)
    each = (code[:, None] >> np.arange(bits, dtype=np.uint64)) & np.uint64(1)
    packed = np.packbits(each.astype(np.uint8).ravel(), bitorder="little")
    return np.concatenate([packed, np.zeros(1, np.uint8)])


def _definition(name: str, kind: str, values: "np.ndarray[Any, np.dtype[Any]]") -> str:
    numbers = [str(v) if v != -(1 << 63) else "INT64_MIN" for v in values.tolist()]
    lines = [", ".join(numbers[i : i + PER_LINE]) for i in range(0, len(numbers), PER_LINE)]
    return f"static const {kind} {name}[{len(numbers)}] = {{\n" + ",\n".join(lines) + "\n};\n"
