"""Report <-> JSON: types are checked on the way in, NaN is refused on the way out.

Fields that this version does not know are ignored, so that a report of a later version that adds
fields can still be read; a missing or wrongly typed field is an error that names its place.
"""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tssd import typed
from tssd.errors import FileFormatError
from tssd.report.model import NETWORKS, SCHEMA, STAGES, Report

SCHEMA_FILE = Path(__file__).with_name("schema") / "report.schema.json"
ABOUT = (
    "What tssd writes to report.json. null = not run or not known, never a guess. Counts and"
    " energies of a layer are means per inference; spikes are totals over all samples and steps."
    " Further fields may be added; those named here stay."
)
OLDER = "tssd-report/1"  # its times depended on the number of samples: not to be read as today's


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
    table = typed.from_json(dict[str, Any], text, where)
    schema = table.get("schema")
    if schema != SCHEMA:
        hint = "tssd verify writes it anew" if schema == OLDER else None
        found = f"schema {schema!r}"[:200]
        raise FileFormatError(where, found=found, allowed=repr(SCHEMA), hint=hint)
    report = typed.from_table(Report, table, where)
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


def _first_not_finite(value: Any, where: str) -> str:
    """The place of the first NaN or infinity in nested lists and dicts ('' if there is none)."""
    if isinstance(value, dict):
        inner = [(f"{where}.{key}", item) for key, item in value.items()]
    elif isinstance(value, list | tuple):
        inner = [(f"{where}[{i}]", item) for i, item in enumerate(value)]
    else:
        return where if isinstance(value, float) and not abs(value) < float("inf") else ""
    return next((place for w, item in inner if (place := _first_not_finite(item, w))), "")


def schema_text() -> str:
    """The schema that is published beside this module, made from the declaration of Report."""
    made = typed.json_schema(Report)
    made["$defs"]["Report"]["required"].insert(0, "schema")  # has a default here, never in a file
    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    whole = dialect | {"title": SCHEMA, "description": ABOUT} | made
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    SCHEMA_FILE.write_text(schema_text(), encoding="utf-8")
