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
import difflib
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import numpy as np

from tssd.hw_targets.chip.fit_record import FitRecord, FitSide
from tssd.hw_targets.chip.spec import (
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

HEAD = ("name", "title", "silicon", "calibrated_on", "extends", "sources", "barrier_follows") + (
    "fit",
    "boards",
)
LARGEST = 10**15  # every whole number up to it is a float, too
NAMED = r"\{([^{}]*)\}"  # a short name of [sources] inside a source text
QUANTITY_KEYS = ("value", "low", "high", "unit", "source", "kind")
BOARD_UNITS = {"barrier": "ns", "barrier_chip_hop": "ns", "board_per_chip": "W"}
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
    mistakes = [
        _unknown(f"section or key {key!r}", key, [*HEAD, *SECTIONS])
        for key in table
        if key not in HEAD and key not in SECTIONS
    ]
    given = table.get("sources")
    sources = given if isinstance(given, dict) else {}
    sections = {
        name: _section(name, cls, table.get(name), sources, mistakes)
        for name, cls in SECTIONS.items()
    }
    head = _head(table, mistakes)
    head["fit"] = _fit(table["fit"], mistakes) if "fit" in table else None
    head["boards"] = _boards(table.get("boards", {}), sources, mistakes)
    if mistakes:
        raise refusal(where, mistakes)
    spec = ChipSpec(**head, **sections)
    mistakes += contradictions(spec)
    if mistakes:
        raise refusal(where, mistakes)
    return spec


def _head(table: Mapping[str, Any], mistakes: list[str]) -> dict[str, Any]:
    mistakes += [
        f"{key}: found {table.get(key)!r}; allowed: a text"
        for key in ("name", "title")
        if not isinstance(table.get(key), str)
    ]
    calibrated = table.get("calibrated_on")
    if not (isinstance(calibrated, list) and all(isinstance(text, str) for text in calibrated)):
        mistakes.append(f"calibrated_on: found {calibrated!r}; allowed: a list of texts")
        calibrated = []
    if not isinstance(table.get("barrier_follows", False), bool):
        mistakes.append("barrier_follows: allowed: true or false")
    if not isinstance(table.get("sources", {}), dict):
        mistakes.append("sources: allowed: a table of texts")
    return {
        "name": table.get("name"),
        "title": table.get("title"),
        "calibrated_on": tuple(calibrated),
        "silicon": str(table.get("silicon", "")),
        "barrier_follows": bool(table.get("barrier_follows", False)),
    }


def _fit(table: Any, mistakes: list[str]) -> FitRecord | None:
    """``[fit]`` with ``data_sha256`` and the tables ``energy`` and ``static``."""
    try:
        record = msgspec.convert(table, FitRecord)
    except msgspec.ValidationError as error:
        mistakes.append(f"[fit]: {error}")
        return None
    for name, side in (("energy", record.energy), ("static", record.static)):
        size = len(side.prices) if side else 0
        if side and ([len(row) for row in side.covariance] != [size] * size or not _psd(side)):
            mistakes.append(
                f"fit.{name}.covariance: allowed: a covariance, {size} x {size}, symmetric, with no"
                " negative eigenvalue"
            )
    return record


def _boards(table: Any, sources: Mapping[str, str], mistakes: list[str]) -> dict[str, Board]:
    """``[boards]``: name -> table with ``title``, ``barrier`` and, where they differ from the
    chip's, ``barrier_chip_hop`` and ``board_per_chip``."""
    if not (isinstance(table, dict) and all(isinstance(b, dict) for b in table.values())):
        mistakes.append("[boards]: allowed: a table for each board, by its name")
        return {}
    found = {}
    for name, given in table.items():
        where, before = f"boards.{name}", len(mistakes)
        if not isinstance(given.get("title"), str):
            mistakes.append(f"{where}.title: found {given.get('title')!r}; allowed: a text")
        if "barrier" not in given:
            mistakes.append(f"{where}.barrier: missing; needed: a number in ns")
        numbers = {key: value for key, value in given.items() if key != "title"}
        mistakes += [
            _unknown(f"{where}.{key}", key, list(BOARD_UNITS))
            for key in numbers
            if key not in BOARD_UNITS
        ]
        known = {
            key: _quantity(f"{where}.{key}", value, BOARD_UNITS[key], sources, mistakes)
            for key, value in numbers.items()
            if key in BOARD_UNITS
        }
        if len(mistakes) == before:
            found[name] = Board(given["title"], **known)  # type: ignore[arg-type]
    return found


def _psd(side: FitSide) -> bool:
    matrix = np.array(side.covariance, np.float64)
    if not np.isfinite(matrix).all() or not np.allclose(matrix, matrix.T):
        return False
    scale = np.sqrt(np.outer(d, d)) if (d := np.diag(matrix)).all() else np.ones_like(matrix)
    return bool(np.linalg.eigvalsh(matrix / scale).min() > -1e-6)


def _section(
    name: str, cls: type, table: Any, sources: Mapping[str, str], mistakes: list[str]
) -> Any:
    """An instance of *cls*, or None after noting what is wrong."""
    if table is None and name in OPTIONAL_SECTIONS:
        return cls()
    if not isinstance(table, dict):
        mistakes.append(f"[{name}]: found {'nothing' if table is None else repr(table)}; needed")
        return None
    fields = {item.name: item for item in dataclasses.fields(cls)}
    before = len(mistakes)
    mistakes += [_unknown(f"{name}.{key}", key, list(fields)) for key in table if key not in fields]
    values: dict[str, Any] = {}
    for key, item in fields.items():
        label, unit = f"{name}.{key}", item.metadata["unit"]
        if key not in table and name in OPTIONAL_SECTIONS:
            continue
        if key not in table:
            mistakes.append(f"{label}: missing; needed: a number in {unit}")
        elif item.type is Curve:
            values[key] = _curve(label, table[key], unit, sources, mistakes)
        else:
            values[key] = _quantity(label, table[key], unit, sources, mistakes)
    return cls(**values) if len(mistakes) == before else None


def _curve(
    label: str, points: Any, unit: str, sources: Mapping[str, str], mistakes: list[str]
) -> Curve | None:
    """``[{count = 1, value = ..}, ..]`` in rising order of count."""
    if not (isinstance(points, list) and points and all(isinstance(p, dict) for p in points)):
        mistakes.append(f"{label}: allowed: a list of numbers, each with a count")
        return None
    counts = [p.get("count") for p in points]
    if not all(isinstance(c, int) and c > 0 for c in counts) or counts != sorted(set(counts)):
        mistakes.append(f"{label}: found counts {counts}; allowed: rising whole numbers from 1")
        return None
    read = [
        _quantity(
            f"{label}[{p['count']}]",
            {k: v for k, v in p.items() if k != "count"},
            unit,
            sources,
            mistakes,
        )
        for p in points
    ]
    return Curve(tuple(counts), tuple(q for q in read if q is not None))


def _quantity(
    label: str, table: Any, unit: str, sources: Mapping[str, str], mistakes: list[str]
) -> Quantity | None:
    """One number, or None after noting everything that is wrong with it."""
    if not isinstance(table, dict):
        mistakes.append(
            f"{label}: found {table!r} without unit, source and kind;"
            f" write {{ value = .., unit = {unit!r}, kind = .., source = .. }}"
        )
        return None
    found = [
        _unknown(f"{label}.{key}", key, list(QUANTITY_KEYS))
        for key in table
        if key not in QUANTITY_KEYS
    ]
    found += [
        f"{label}: no {key}" for key in ("value", "unit", "source", "kind") if key not in table
    ]
    factor = _factor(label, table.get("unit"), unit, found)
    numbers = [table.get(key, table.get("value")) for key in ("low", "value", "high")]
    found += _number_faults(label, numbers)
    if "kind" in table and table["kind"] not in list(Kind):
        found.append(_unknown(f"{label}: kind {table['kind']!r}", str(table["kind"]), list(Kind)))
    source = _source(label, table.get("source", "-"), sources, found)
    if found:
        mistakes += found
        return None
    low, value, high = (round(float(n or 0) * factor, 12) for n in numbers)
    return Quantity(value, low, high, unit, source, Kind(table["kind"]))


def _number_faults(label: str, numbers: list[Any]) -> Iterator[str]:
    if any(n is None for n in numbers):
        return
    bad = [n for n in numbers if isinstance(n, bool) or not isinstance(n, int | float)]
    if bad:
        yield f"{label}: found {bad[0]!r}; allowed: a number"
    elif any(isinstance(n, int) and abs(n) > LARGEST for n in numbers):
        yield f"{label}: found a number of more than 15 digits; allowed: up to {LARGEST}"
    elif not all(math.isfinite(n) and n >= 0 for n in numbers):
        worst = next(n for n in numbers if not (math.isfinite(n) and n >= 0))
        yield f"{label}: found {worst}; allowed: a finite number >= 0"
    elif not numbers[0] <= numbers[1] <= numbers[2]:
        yield f"{label}: found low, value, high = {numbers}; allowed: low <= value <= high"


def _factor(label: str, found: Any, wanted: str, mistakes: list[str]) -> float:
    if found is None or found == wanted:
        return 1.0
    unit, factor = UNITS.get(found, ("", 1.0)) if isinstance(found, str) else ("", 1.0)
    if unit != wanted:
        others = [name for name, (base, _) in UNITS.items() if base == wanted]
        mistakes.append(f"{label}: found unit {found!r}; allowed: {', '.join([wanted, *others])}")
    return factor


def _source(label: str, text: Any, sources: Mapping[str, str], mistakes: list[str]) -> str:
    if not isinstance(text, str) or not text.strip():
        mistakes.append(f"{label}: found source {text!r}; allowed: a text that names the origin")
        return ""
    names = re.findall(NAMED, text)  # not str.format, which a file could tell to fill the memory
    unknown = [name for name in names if not isinstance(sources.get(name), str)]
    if unknown:
        mistakes.append(f"{label}: source {text!r} names no text {unknown[0]!r} of [sources]")
        return text
    return re.sub(NAMED, lambda found: sources[found.group(1)], text)


def _unknown(what: str, name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"{what}: unknown; " + (
        f"did you mean {near[0]!r}?" if near else f"allowed: {', '.join(known)}"
    )
