"""Arrays as C: a number where all are equal, else a constant table at the bits it needs.

A table counts from its ``low``: values lie as what they are above it where that takes fewer bits
than two's complement does. Below eight bits they lie bit after bit in bytes, the lowest bit first;
a table of one bit holds two values, low for 0 and high for 1. Rows that are equal lie once.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from tssd.calibration.integer import IntArray, signed_bits

PER_LINE = 24
WIDTHS = (8, 16, 32, 64)


@dataclass(frozen=True)
class Table:
    """``text``: its definition in C, empty for a number. ``at(index)``: an expression of one value.
    ``bytes``: what it takes of flash. ``low``: what 0 in the table stands for."""

    text: str
    name: str
    bits: int
    bytes: int
    number: int | None = None
    pair: tuple[int, int] | None = None
    low: int = 0
    kind: str = "uint8_t"

    @property
    def reads_bits(self) -> bool:
        """Whether its values lie across bytes."""
        return self.number is None and self.pair is None and self.bits < 8

    def at(self, index: str) -> str:
        if self.number is not None:
            return f"({self.number})"
        if self.pair is not None:
            low, high = self.pair
            return f"(((({self.name}[({index}) >> 3]) >> (({index}) & 7)) & 1) ? {high} : ({low}))"
        if self.reads_bits:
            return self.above(f"TSSD_BITS{self.bits}({self.name}, (uint32_t)({index}))")
        return self.above(f"{self.name}[{index}]")

    def above(self, value: str) -> str:
        """The value that *value*, as it lies in the table, stands for."""
        return f"({value} + ({self.low}))" if self.low else value


@dataclass(frozen=True)
class RowTable:
    """Rows of values, of which equal ones lie once: ``values``, and which row each one is."""

    values: Table
    which: Table | None
    width: int

    @property
    def tables(self) -> tuple[Table, ...]:
        return (self.values,) if self.which is None else (self.values, self.which)

    def start(self, row: str) -> str:
        """Where row number *row* begins in ``values``."""
        place = f"({row})" if self.which is None else self.which.at(row)
        return f"(int32_t){place} * {self.width}"


def rows_of(name: str, array: IntArray) -> RowTable:
    """The rows of *array* (its last axis) as constants of C: each row once, where the saving is
    more than the table that says which is which.

    A folded average pool repeats every weight for each place of its window; an input that a pool
    drops has a row of zeros.
    """
    flat = array.reshape(-1, array.shape[-1])
    unique, which = np.unique(flat, axis=0, return_inverse=True)
    every, once = table(name, flat), table(name, unique)
    index = table(f"{name}_row", which.ravel())
    if once.bytes + index.bytes < every.bytes:
        return RowTable(once, index, flat.shape[1])
    return RowTable(every, None, flat.shape[1])


def table(name: str, array: IntArray) -> Table:
    """*array*, flattened, as a constant of C."""
    flat = array.ravel()
    found = np.unique(flat)
    if len(found) <= 1:
        return Table("", name, 0, 0, number=int(found[0]) if len(found) else 0)
    low, high = int(found[0]), int(found[-1])
    if len(found) == 2 and flat.size > 8:
        packed = np.packbits(flat == high, bitorder="little")
        text = _definition(name, "uint8_t", packed)
        return Table(text, name, 1, len(packed), pair=(low, high))
    bits, width = (high - low).bit_length(), _width(signed_bits(low, high))
    if width <= 32 and bits < 8:
        packed = pack(flat - low, bits)
        return Table(_definition(name, "uint8_t", packed), name, bits, len(packed), low=low)
    if width <= 32 and _width(bits) < width:  # unsigned, of 16 bits at most: C adds them as int
        width, flat, kind = _width(bits), flat - low, f"uint{_width(bits)}_t"
    else:
        low, kind = 0, f"int{width}_t"
    text = _definition(name, kind, flat)
    return Table(text, name, width, flat.size * width // 8, low=low, kind=kind)


def _width(bits: int) -> int:
    """Of C's own type that holds so many."""
    return next(width for width in WIDTHS if bits <= width)


def pack(values: IntArray, bits: int) -> "np.ndarray[tuple[int], np.dtype[np.uint8]]":
    """*values* (0 .. 2^bits - 1) at *bits* bits each, lowest bit first, and one byte more: a
    reader takes two."""
    code = values.astype(np.uint64)
    each = (code[:, None] >> np.arange(bits, dtype=np.uint64)) & np.uint64(1)
    packed = np.packbits(each.astype(np.uint8).ravel(), bitorder="little")
    return np.concatenate([packed, np.zeros(1, np.uint8)])


def _definition(name: str, kind: str, values: "np.ndarray[Any, np.dtype[Any]]") -> str:
    numbers = [str(v) if v != -(1 << 63) else "INT64_MIN" for v in values.tolist()]
    lines = [", ".join(numbers[i : i + PER_LINE]) for i in range(0, len(numbers), PER_LINE)]
    return f"static const {kind} {name}[{len(numbers)}] = {{\n" + ",\n".join(lines) + "\n};\n"
