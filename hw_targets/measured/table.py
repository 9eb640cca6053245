"""Measured runs as frozen rows: one CSV, one row for each measured quantity.

    id, run                                         one reading; readings of one run share its name
    target, silicon, board, software, network       what was measured, on what
    quantity, value, unit, low, high                the reading and, where stated, its range
    confidence                                      R read in a log, S in a summary, F digitised,
                                                    D derived by the arithmetic in the note
    boundary                                        which rails, which chips, with or without input
    chips, cores, step_us                           chips in use, enabled cores, length of a step
    synops, updates, spikes, messages, host_spikes  counts a step (or an inference), empty: unknown
    steps, host_steps                               of a run, and those in which input comes in
    role                                            what the project does with the row
    source, note

An empty count is unknown and never read as zero.
"""

import csv
import math
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from tssd.config import unknown_name
from tssd.errors import ConfigError, counted

COUNTS = ("synops", "updates", "spikes", "messages", "host_spikes")
STEPS = ("steps", "host_steps")
READINGS = ("value", "low", "high")  # in the unit of the quantity
NUMBERS = (*READINGS, "chips", "cores", "step_us", *COUNTS, *STEPS)
TEXTS = (
    *("id", "run", "target", "silicon", "board", "software", "network", "quantity", "unit"),
    *("confidence", "boundary", "role", "source", "note"),
)
COLUMNS = (
    *("id", "run", "target", "silicon", "board", "software", "network", "quantity", "value"),
    *(
        "unit",
        "low",
        "high",
        "confidence",
        "boundary",
        "chips",
        "cores",
        "step_us",
        *COUNTS,
        *STEPS,
    ),
    *("role", "source", "note"),
)
# quantity -> the unit it is kept in; the factors are those of UNITS
QUANTITIES = {
    "step_time": "us",
    "latency": "us",
    "barrier": "us",
    "time_per_synop": "ns",
    "time_per_update": "ns",
    "dynamic_energy_per_step": "pJ",
    "dynamic_energy_per_inference": "pJ",
    "total_energy_per_inference": "pJ",
    "static_power_per_chip": "W",
    "static_power_per_core": "W",
    "host_power": "W",
    "total_power": "W",
    "peak_synops": "1/s",
    "chip_link_bandwidth": "GB/s",
    "remote_message_size": "bit",
}
UNITS = {
    "us": {"ns": 1e-3, "us": 1.0, "ms": 1e3, "s": 1e6},
    "ns": {"ns": 1.0, "us": 1e3},
    "pJ": {"pJ": 1.0, "nJ": 1e3, "uJ": 1e6, "mJ": 1e9, "J": 1e12},
    "W": {"uW": 1e-6, "mW": 1e-3, "W": 1.0},
    "1/s": {"1/s": 1.0},
    "GB/s": {"GB/s": 1.0},
    "bit": {"bit": 1.0},
}
# what a reading without a role is fitted to
UNSAID = {
    "dynamic_energy_per_step": "energy",
    "dynamic_energy_per_inference": "energy",
    "static_power_per_chip": "static",
    "static_power_per_core": "static",
}
CONFIDENCE = {
    "R": "read in a notebook, log or data file",
    "S": "read in a summary of the paper",
    "F": "digitised from a figure",
    "D": "derived",
}


@dataclass(frozen=True)
class MeasuredRun:
    """One reading in the unit of its quantity (see QUANTITIES); None: not stated."""

    id: str
    run: str
    target: str
    silicon: str
    board: str
    software: str
    network: str
    quantity: str
    value: float
    low: float | None
    high: float | None
    confidence: str
    boundary: str
    chips: float
    cores: float | None
    step_us: float | None
    synops: float | None
    updates: float | None
    spikes: float | None
    messages: float | None
    host_spikes: float | None
    steps: float | None
    host_steps: float | None
    role: str
    source: str
    note: str

    @property
    def unit(self) -> str:
        return QUANTITIES[self.quantity]

    @property
    def fits(self) -> str:
        """What the row is fitted to (energy, static, host, ...), or nothing."""
        if not self.role:
            return UNSAID.get(self.quantity, "")
        kind, _, what = self.role.partition(": ")
        return what if kind == "fitted" else ""

    def count(self, name: str) -> float | None:
        """One of COUNTS."""
        value: float | None = getattr(self, name)
        return value


@cache
def packaged_runs() -> tuple[MeasuredRun, ...]:
    """The project's own table."""
    return read_runs(Path(str(resources.files("tssd.hw_targets.measured"))) / "runs.csv")


def read_runs(path: Path) -> tuple[MeasuredRun, ...]:
    """The rows of *path*. ConfigError names the line and column of the first mistake, how many rows
    are wrong, and what the others could still be fitted to."""
    rows: list[MeasuredRun] = []
    wrong: list[ConfigError] = []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            _check_columns(path, reader.fieldnames or [])
            for row in reader:
                try:
                    rows.append(_row(f"{path}: line {reader.line_num}", row))
                except ConfigError as error:
                    wrong.append(error)
    except OSError as error:
        raise ConfigError(str(path), found=error.strerror or str(error)) from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(str(path), found=f"no table of text: {error}") from None
    if wrong:
        raise _without(wrong, rows)
    if not rows:
        raise ConfigError(str(path), found="no rows", allowed="at least one measured run")
    names = [row.id for row in rows]
    if doubled := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(f"{path}: id", found=f"{doubled[0]!r} twice", allowed="unique ids")
    return tuple(rows)


def _without(wrong: list[ConfigError], rows: list[MeasuredRun]) -> ConfigError:
    """The first of what is *wrong*, and what could be fitted without those rows."""
    first, usable = wrong[0], [row for row in rows if row.fits]
    parts = [
        f"{group} ({', '.join(row.id for row in usable if row.fits == group)})"
        for group in dict.fromkeys(row.fits for row in usable)
    ]
    rest = f"could still be fitted: {'; '.join(parts)}" if parts else "nothing could be fitted"
    hint = f"without {counted(len(wrong), 'such row')} {rest}"
    lead = f"{first.hint}; " if first.hint else ""
    return ConfigError(first.where, found=first.found, allowed=first.allowed, hint=lead + hint)


def _check_columns(path: Path, found: Any) -> None:
    for name in found:
        if name not in COLUMNS:
            raise unknown_name(str(path), f"column {name!r}", str(name), COLUMNS)
    needed = ("id", "quantity", "value", "unit", "boundary")
    if missing := [name for name in needed if name not in found]:
        raise ConfigError(
            str(path),
            found=f"no column {', '.join(missing)}",
            allowed=f"needed: {', '.join(needed)}; known: {', '.join(COLUMNS)}",
            hint="which rails and whether input is inside decides what a reading can be fitted to"
            if "boundary" in missing
            else "",
        )


def _row(where: str, cells: dict[str, str | None]) -> MeasuredRun:
    texts = {name: (cells.get(name) or "").strip() for name in TEXTS}
    quantity = texts["quantity"]
    if quantity not in QUANTITIES:
        raise unknown_name(where, f"quantity {quantity!r}", quantity, QUANTITIES)
    if not texts["boundary"] and texts["role"] in ("", "fitted: energy"):
        raise ConfigError(
            f"{where}: boundary",
            found="nothing",
            allowed="which rails the reading holds and whether input is inside",
        )
    factor = _factor(where, texts.pop("unit"), quantity)
    numbers: dict[str, Any] = {
        name: _number(f"{where}: {name}", cells.get(name)) for name in NUMBERS
    }
    if numbers["value"] is None:
        raise ConfigError(f"{where}: value", found="nothing", allowed="a number")
    read = {name: None if numbers[name] is None else numbers[name] * factor for name in READINGS}
    filled: dict[str, Any] = {**texts, **numbers, **read}
    filled["run"] = texts["run"] or texts["id"]
    filled["chips"] = 1.0 if numbers["chips"] is None else numbers["chips"]
    return MeasuredRun(**filled)


def _factor(where: str, unit: str, quantity: str) -> float:
    known = UNITS[QUANTITIES[quantity]]
    if unit not in known:
        raise ConfigError(
            f"{where}: unit", found=repr(unit), allowed=f"{', '.join(known)} for {quantity}"
        )
    return known[unit]


def _number(where: str, text: str | None) -> float | None:
    if text is None or not text.strip():
        return None
    try:
        value = float(text)
    except ValueError:
        raise ConfigError(where, found=repr(text), allowed="a number, or nothing") from None
    if not (math.isfinite(value) and value >= 0):
        raise ConfigError(where, found=text, allowed="a finite number >= 0")
    return value
