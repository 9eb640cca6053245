"""Report <-> JSON: types are checked on the way in, NaN is refused on the way out.

Fields that this version does not know are ignored, so that a report of a later version that adds
fields can still be read; a missing or wrongly typed field is an error that names its place.
"""

import dataclasses
import json
import types
import typing
from collections.abc import Mapping
from typing import Any

from tssd.errors import UNREADABLE, FileFormatError, refusing
from tssd.report.model import NETWORKS, SCHEMA, STAGES, Report

OLDER = ("tssd-report/1",)  # the same fields, where every engine had to be among a fixed few


def to_json(report: Report) -> str:
    """*report* as JSON text, keys in the order of the schema, ending in a newline."""
    table = dataclasses.asdict(report)
    ordered = {"schema": table.pop("schema"), **table}
    try:
        return json.dumps(ordered, indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    except ValueError:
        place = _first_not_finite(ordered, "report")
        raise FileFormatError(place, found="NaN or infinity", allowed="a finite number") from None


def from_json(text: str | bytes, where: str = "report.json") -> Report:
    """The report in *text*; anything missing or of another type raises FileFormatError."""
    with refusing(UNREADABLE, FileFormatError, where, "no valid JSON"):
        table = json.loads(text)
    schema = table.get("schema") if isinstance(table, dict) else None
    if schema not in (SCHEMA, *OLDER):
        raise FileFormatError(where, found=f"schema {schema!r}", allowed=repr(SCHEMA))
    report: Report = _read(Report, table | {"schema": SCHEMA}, where)
    _check_columns(report, where)
    return report


def _check_columns(report: Report, where: str) -> None:
    """The columns that every report has, whatever engines it knows."""
    tables: list[tuple[str, Mapping[str, object], tuple[str, ...]]] = [
        ("accuracy", report.accuracy, STAGES),
        *((f"layers[{i}].spikes", x.spikes, NETWORKS) for i, x in enumerate(report.layers)),
    ]
    for place, table, columns in tables:
        missing = [name for name in columns if name not in table]
        if missing:
            allowed = "all required fields"
            raise FileFormatError(f"{where}.{place}", found=f"no {missing[0]!r}", allowed=allowed)


def _read(hint: Any, value: Any, where: str) -> Any:
    """*value* (parsed JSON) as the type *hint*."""
    if hint is Any:
        return value
    if dataclasses.is_dataclass(hint):
        return _read_dataclass(hint, value, where)
    origin, options = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return _read_union(options, value, where)
    if origin is typing.Literal and value in options:
        return value
    if origin is tuple and isinstance(value, list):
        return tuple(_read(options[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    if origin is Mapping and isinstance(value, dict):
        return {key: _read(options[1], item, f"{where}.{key}") for key, item in value.items()}
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return value
    if isinstance(hint, type) and isinstance(value, hint) and not isinstance(value, bool):
        return value
    raise FileFormatError(where, found=json.dumps(value)[:60], allowed=_words(hint))


def _read_dataclass(hint: Any, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise FileFormatError(where, found=json.dumps(value)[:60], allowed="an object")
    hints = typing.get_type_hints(hint)
    for entry in dataclasses.fields(hint):
        optional = (
            entry.default is not dataclasses.MISSING
            or entry.default_factory is not dataclasses.MISSING
        )
        if entry.name not in value and not optional:
            raise FileFormatError(where, found=f"no {entry.name!r}", allowed="all required fields")
    known = {name: h for name, h in hints.items() if name in value}
    return hint(**{name: _read(h, value[name], f"{where}.{name}") for name, h in known.items()})


def _read_union(options: tuple[Any, ...], value: Any, where: str) -> Any:
    if value is None and type(None) in options:
        return None
    rest = [option for option in options if option is not type(None)]
    for option in rest[:-1]:
        try:
            return _read(option, value, where)
        except FileFormatError:
            continue
    return _read(rest[-1], value, where)


def _words(hint: Any) -> str:
    names = {float: "a number", int: "an integer", str: "a text"}
    if typing.get_origin(hint) is typing.Literal:
        return " or ".join(json.dumps(option) for option in typing.get_args(hint))
    if typing.get_origin(hint) is tuple:
        return "a list"
    return names.get(hint, "an object")


def _first_not_finite(value: Any, where: str) -> str:
    """The place of the first NaN or infinity in nested lists and dicts ('' if there is none)."""
    if isinstance(value, dict):
        inner = [(f"{where}.{key}", item) for key, item in value.items()]
    elif isinstance(value, list | tuple):
        inner = [(f"{where}[{i}]", item) for i, item in enumerate(value)]
    else:
        return where if isinstance(value, float) and not abs(value) < float("inf") else ""
    return next((place for w, item in inner if (place := _first_not_finite(item, w))), "")
