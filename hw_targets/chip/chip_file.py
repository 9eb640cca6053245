"""TOML -> ChipSpec; a file with mistakes is refused with all of them in one message.

A file holds ``name``, ``title``, ``calibrated_on`` (what the constants were fitted to), optionally
``barrier_follows`` (true: the barrier is a time after the work, false: a floor that hides work),
``[boards]`` (for ``tssd simulate --board``), ``[sources]`` (short name -> full citation, used as
``{short}`` inside a source text) and one section for each part of ChipSpec. ``extends = "loihi2"``
(a packaged chip, or a file beside this one) takes every number that the file does not give itself
from another chip. A number is a table

    synop_conv = { value = 1.0, low = 0.37, high = 1.4, unit = "ns", kind = "derived", source = "" }

with a source that is not empty; ``low`` and ``high`` default to ``value``. ``us`` and ``ns``,
``nJ`` and ``pJ`` and so on convert here and nowhere else.
"""

import dataclasses
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import numpy as np

from tssd import typed
from tssd.hw_targets.chip.fit_record import FitRecord, FitSide
from tssd.hw_targets.chip.spec import (
    ALL_OR_NONE,
    OPTIONAL_SECTIONS,
    SECTIONS,
    Board,
    ChipSpec,
    Curve,
    Kind,
    Quantity,
    contradictions,
    refusal,
)

LARGEST = 10**15  # every whole number up to it is a float, too
NAMED = r"\{([^{}]*)\}"  # a short name of [sources] inside a source text
Figure = Annotated[float, msgspec.Meta(ge=0, le=LARGEST)]


class ChipHead(msgspec.Struct):
    """A chip file without its numbers."""

    name: str
    title: str
    calibrated_on: tuple[str, ...]
    silicon: str = ""
    extends: str = ""
    barrier_follows: bool = False
    sources: dict[str, str] = {}
    boards: dict[str, dict[str, Any]] = {}
    fit: FitRecord | msgspec.UnsetType = msgspec.UNSET


class Number(msgspec.Struct):
    """A number of a chip file as it is written."""

    value: Figure
    unit: str
    source: str
    kind: Kind
    low: Figure | msgspec.UnsetType = msgspec.UNSET
    high: Figure | msgspec.UnsetType = msgspec.UNSET

    @property
    def ends(self) -> tuple[float, float]:
        """``low`` and ``high``, where given."""
        low, high = (self.value if x is msgspec.UNSET else x for x in (self.low, self.high))
        return low, high


class CurvePoint(msgspec.Struct):
    """What a point of a curve has beside its number."""

    count: typed.Positive


class Titled(msgspec.Struct):
    """What a board has beside its numbers."""

    title: str


@dataclass(frozen=True)
class Wanted:
    """A number that a table may or must hold, in its unit."""

    unit: str
    needed: bool = True
    curve: bool = False


BOARD = {
    "barrier": Wanted("ns"),
    "barrier_chip_hop": Wanted("ns", needed=False),
    "board_per_chip": Wanted("W", needed=False),
}
# unit in a file -> (unit of a field, factor)
UNITS = {
    "ps": ("ns", 1e-3),
    "us": ("ns", 1e3),
    "fJ": ("pJ", 1e-3),
    "nJ": ("pJ", 1e3),
    "mW": ("W", 1e-3),
    "KiB": ("B", 1024.0),
    "MB/s": ("GB/s", 1e-3),
}


def extend(base: Mapping[str, Any], table: Mapping[str, Any]) -> dict[str, Any]:
    """*table* with every number and source that it lacks taken from *base*."""
    merged = {key: value for key, value in base.items() if key in (*SECTIONS, "sources", "boards")}
    for key, value in table.items():
        below = merged.get(key)
        both = isinstance(value, dict) and isinstance(below, dict)
        merged[key] = {**below, **value} if both and below is not None else value
    return merged


def parse_chip(table: Mapping[str, Any], where: str) -> ChipSpec:
    """*table* as a ChipSpec; ConfigError lists every mistake in it."""
    about = {key: table[key] for key in ChipHead.__struct_fields__ if key in table}
    head, mistakes = typed.collected(ChipHead, about)
    known = [*ChipHead.__struct_fields__, *SECTIONS]
    mistakes += [
        typed.unknown(f"section or key {key!r}", key, known) for key in table if key not in known
    ]
    given = table.get("sources")
    reader = _ChipNumbers(given if isinstance(given, dict) else {}, mistakes)
    sections = {name: reader.section(name, cls, table.get(name)) for name, cls in SECTIONS.items()}
    boards = {} if head is None else {n: reader.board(n, t) for n, t in head.boards.items()}
    fit = None if head is None or head.fit is msgspec.UNSET else head.fit
    mistakes += [] if fit is None else _fit_faults(fit)
    if mistakes or head is None:
        raise refusal(where, mistakes)
    spec = ChipSpec(
        head.name, head.title, head.calibrated_on,
        silicon=head.silicon, barrier_follows=head.barrier_follows, fit=fit, boards=boards,
        **sections,
    )  # fmt: skip
    mistakes += contradictions(spec)
    if mistakes:
        raise refusal(where, mistakes)
    return spec


def _fit_faults(record: FitRecord) -> Iterator[str]:
    """What the types of ``[fit]`` do not say."""
    for name, side in (("energy", record.energy), ("static", record.static)):
        size = len(side.prices) if side else 0
        if side and ([len(row) for row in side.covariance] != [size] * size or not _psd(side)):
            yield (
                f"fit.{name}.covariance: allowed: a covariance, {size} x {size}, symmetric, with no"
                " negative eigenvalue"
            )


def _psd(side: FitSide) -> bool:
    matrix = np.array(side.covariance, np.float64)
    if not np.isfinite(matrix).all() or not np.allclose(matrix, matrix.T):
        return False
    scale = np.sqrt(np.outer(d, d)) if (d := np.diag(matrix)).all() else np.ones_like(matrix)
    return bool(np.linalg.eigvalsh(matrix / scale).min() > -1e-6)


@dataclass(frozen=True)
class _ChipNumbers:
    """Reads tables of numbers; what is wrong with them is added to ``mistakes``."""

    sources: Mapping[str, str]
    mistakes: list[str]

    def section(self, name: str, cls: type, table: Any) -> Any:
        """An instance of *cls*, or None after noting what is wrong."""
        if table is None and name in OPTIONAL_SECTIONS:
            return cls()
        if not isinstance(table, dict):
            found = "nothing" if table is None else repr(table)
            self.mistakes.append(f"[{name}]: found {found}; needed")
            return None
        wanted = {
            item.name: Wanted(
                item.metadata["unit"],
                item.default is dataclasses.MISSING or name in ALL_OR_NONE,
                item.type is Curve,
            )
            for item in dataclasses.fields(cls)
        }
        return self._made(cls, name, table, wanted, {})

    def board(self, name: str, table: dict[str, Any]) -> Any:
        """One of ``[boards]``: ``title``, ``barrier`` and, where they differ from the chip's,
        ``barrier_chip_hop`` and ``board_per_chip``; None after noting what is wrong."""
        where = f"boards.{name}"
        about = {key: value for key, value in table.items() if key == "title"}
        titled, found = typed.collected(Titled, about, where)
        self.mistakes.extend(found)
        numbers = {key: value for key, value in table.items() if key != "title"}
        title = {} if titled is None else {"title": titled.title}
        made = self._made(Board, where, numbers, BOARD, title)
        return None if titled is None else made

    def _made(
        self,
        cls: type,
        where: str,
        table: Mapping[str, Any],
        wanted: Mapping[str, Wanted],
        others: Mapping[str, Any],
    ) -> Any:
        """An instance of *cls* of the numbers in *table* and of *others*."""
        before = len(self.mistakes)
        self.mistakes.extend(
            typed.unknown(f"{where}.{key}", key, [*wanted]) for key in table if key not in wanted
        )
        values: dict[str, Any] = {}
        for key, number in wanted.items():
            label = f"{where}.{key}"
            if key in table:
                read = self._curve if number.curve else self._quantity
                values[key] = read(label, table[key], number.unit)
            elif number.needed:
                self.mistakes.append(f"{label}: missing; needed: a number in {number.unit}")
        return cls(**others, **values) if len(self.mistakes) == before else None

    def _curve(self, label: str, points: Any, unit: str) -> Curve | None:
        """``[{count = 1, value = ..}, ..]`` in rising order of count."""
        if not (isinstance(points, list) and points and all(isinstance(p, dict) for p in points)):
            self.mistakes.append(f"{label}: allowed: a list of numbers, each with a count")
            return None
        at, read = [], []
        for i, table in enumerate(points):
            about = {key: value for key, value in table.items() if key == "count"}
            point, found = typed.collected(CurvePoint, about, f"{label}[{i}]")
            self.mistakes.extend(found)
            count = i if point is None else point.count
            at += [] if point is None else [count]
            numbers = {key: value for key, value in table.items() if key != "count"}
            read.append(self._quantity(f"{label}[{count}]", numbers, unit))
        if at != sorted(set(at)):
            self.mistakes.append(f"{label}: found counts {at}; allowed: rising whole numbers")
        return Curve(tuple(at), tuple(q for q in read if q is not None))

    def _quantity(self, label: str, table: Any, unit: str) -> Quantity | None:
        """One number, or None after noting everything that is wrong with it."""
        if not isinstance(table, dict):
            self.mistakes.append(
                f"{label}: found {table!r} without unit, source and kind;"
                f" write {{ value = .., unit = {unit!r}, kind = .., source = .. }}"
            )
            return None
        number, found = typed.collected(Number, table, label)
        found += _unit_faults(label, table.get("unit"), unit)
        found += _source_faults(label, table.get("source"), self.sources)
        found += [] if number is None else _order_faults(label, number)
        self.mistakes.extend(found)
        if number is None or found:
            return None
        factor = UNITS[number.unit][1] if number.unit != unit else 1.0
        low, value, high = (
            round(x * factor, 12) for x in (number.ends[0], number.value, number.ends[1])
        )
        source = re.sub(NAMED, lambda name: self.sources[name.group(1)], number.source)
        return Quantity(value, low, high, unit, source, number.kind)


def _order_faults(label: str, number: Number) -> Iterator[str]:
    """What the types of a number do not say: NaN is in no order."""
    low, high = number.ends
    if not low <= number.value <= high:
        found = ", ".join(f"{x:g}" for x in (low, number.value, high))
        yield f"{label}: found low, value, high = {found}; allowed: low <= value <= high"


def _unit_faults(label: str, found: Any, wanted: str) -> Iterator[str]:
    if isinstance(found, str) and found != wanted and UNITS.get(found, ("",))[0] != wanted:
        others = [name for name, (base, _) in UNITS.items() if base == wanted]
        yield f"{label}: found unit {found!r}; allowed: {', '.join([wanted, *others])}"


def _source_faults(label: str, text: Any, sources: Mapping[str, str]) -> Iterator[str]:
    """Blank, or with a name that ``[sources]`` does not have (looked up, never formatted: a format
    of a few letters can fill the memory)."""
    if isinstance(text, str) and not text.strip():
        yield f"{label}: found source {text!r}; allowed: a text that names the origin"
    for name in re.findall(NAMED, text) if isinstance(text, str) else ():
        if not isinstance(sources.get(name), str):
            yield f"{label}: source {text!r} names no text {name!r} of [sources]"
