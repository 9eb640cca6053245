"""A log measured on a chip, and the contract against it: counts equal, time and energy within
the log's own stated error.

The file is CSV; lines that start with ``#`` and empty lines are skipped::

    layer,spikes,error
    conv1,41873,
    conv2,10294,
    samples,64,
    latency_us,3360,5%
    pace_us_per_step,152.85,5%
    energy_uj_per_inference,68.35,3.4

``spikes`` of a layer is its total over all samples and steps. The rows in the names of units are
optional and say what was timed: ``latency_us`` one sample alone on the chip, from its first input
to its answer; ``pace_us_per_step`` one step, and ``energy_uj_per_inference`` one inference, of a
chip that works on samples back to back. Each is compared with that figure of the simulator and must
state an error, in its own unit or as a percentage. The column ``error`` may be left out if none of
them is there. A population of the network that the log leaves out is reported as not run.
"""

import csv
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tssd.contracts import Contract, check, not_run
from tssd.errors import FileFormatError, refusing

LATENCY = "latency_us"
PACE = "pace_us_per_step"
ENERGY = "energy_uj_per_inference"
READINGS = {
    LATENCY: ("latency, one sample alone", "us"),
    PACE: ("pace, time per step", "us"),
    ENERGY: ("energy per inference at the pace", "uJ"),
}  # row: (what it is, unit)
SAMPLES = "samples"
LONGEST = 18  # digits of a count: more do not fit 64 bits
UNTOLD = ("time_us_per_step", "time_us", "us_per_inference")  # rows that do not say which time
HEADERS = (["layer", "spikes"], ["layer", "spikes", "error"])


@dataclass(frozen=True)
class Reading:
    """A measured value with its stated absolute error, in the unit of its row's name."""

    value: float
    error: float


@dataclass(frozen=True)
class MeasuredLog:
    """What was measured; None where the log has no such row."""

    spikes: Mapping[str, int]
    samples: int | None = None
    readings: Mapping[str, Reading] = field(default_factory=dict)


def read_log(path: Path) -> MeasuredLog:
    """The log in *path*; whatever is not as described above raises FileFormatError by line."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise FileFormatError(str(path), found="no such file", allowed="a measured log") from None
    except UnicodeDecodeError:
        raise FileFormatError(str(path), found="no text", allowed="CSV in UTF-8") from None
    return parse_log(text, str(path))


def parse_log(text: str, where: str) -> MeasuredLog:
    """The log in *text*; *where* names it in errors."""
    lines = [(n, line) for n, line in enumerate(text.splitlines(), 1) if _holds_data(line)]
    rows = [(n, _cells(line, f"{where}, line {n}")) for n, line in lines]
    if not rows or rows[0][1] not in HEADERS:
        found = ",".join(rows[0][1]) if rows else "nothing"
        raise FileFormatError(where, found=f"header {found!r}", allowed="layer,spikes[,error]")
    spikes: dict[str, int] = {}
    readings: dict[str, Reading] = {}
    samples: int | None = None
    for n, cells in rows[1:]:
        place = f"{where}, line {n}"
        name, value, error = _row(cells, len(rows[0][1]), place)
        if name in spikes or name in readings or (name == SAMPLES and samples is not None):
            raise FileFormatError(place, found=f"{name!r} twice", allowed="one row each")
        if name in READINGS:
            readings[name] = _reading(value, error, place)
        elif name == SAMPLES:
            samples = _count(value, place)
        elif name in UNTOLD:
            raise FileFormatError(
                place,
                found=f"{name!r}, which does not say what was timed",
                allowed=f"{LATENCY!r} (one sample alone, first input to answer) or {PACE!r}"
                " (samples back to back)",
            )
        else:
            spikes[name] = _count(value, place)
    return MeasuredLog(spikes, samples, readings)


def compare_log(
    log: MeasuredLog,
    spikes: Mapping[str, int],
    samples: int,
    simulated: Mapping[str, float | None],
    why_not: str = "not simulated: --against sim",
) -> tuple[Contract, ...]:
    """Contract rows: *spikes* (population to total, in network order) must equal the log's, and
    the figures *simulated* (named as in ``READINGS``) must lie within its error; *why_not* is told
    where there is none. Unknown layers and another number of samples raise FileFormatError."""
    _check_names(log.spikes, spikes)
    if log.samples is not None and log.samples != samples:
        raise FileFormatError(
            "measured log",
            found=f"{log.samples} samples",
            allowed=f"{samples}, as simulated",
            hint=f"--samples {log.samples}",
        )
    rows = [_spike_row(name, log.spikes.get(name), count) for name, count in spikes.items()]
    rows += [
        _reading_row(what, unit, log.readings.get(name), simulated.get(name), why_not)
        for name, (what, unit) in READINGS.items()
    ]
    return tuple(rows)


def _spike_row(name: str, measured: int | None, count: int) -> Contract:
    title = f"measured: {name} spikes"
    if measured is None:
        return not_run(title, "not in the log")
    return check(title, count == measured, count, measured, "" if count == measured else name)


def _reading_row(
    what: str, unit: str, measured: Reading | None, value: float | None, why_not: str
) -> Contract:
    title = f"measured: {what}"
    if measured is None:
        return not_run(title, "not in the log")
    if value is None:
        return not_run(title, why_not)
    off = abs(value - measured.value)
    allowed = f"{measured.value:g} +- {measured.error:g} {unit}"
    inside = off <= measured.error or math.isclose(off, measured.error)  # decimals of the log
    return check(title, inside, f"{value:g} {unit}", allowed)


def _holds_data(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _cells(line: str, where: str) -> list[str]:
    with refusing((csv.Error,), FileFormatError, where, "no CSV"):
        return [cell.strip() for cell in next(csv.reader([line]))]


def _row(cells: list[str], columns: int, where: str) -> tuple[str, str, str]:
    if len(cells) not in (2, columns) or not cells[0]:
        allowed = f"{columns} columns, the first a name"
        raise FileFormatError(where, found=repr(",".join(cells)[:60]), allowed=allowed)
    return cells[0], cells[1], cells[2] if len(cells) > 2 else ""


def _count(text: str, where: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > LONGEST:
        raise FileFormatError(where, found=f"count {text[:40]!r}", allowed="a whole number >= 0")
    return int(text)


def _reading(value: str, error: str, where: str) -> Reading:
    size = _positive(value, where)
    if not error:
        raise FileFormatError(
            where, found="no error", allowed="an error in the same unit or in percent, as 5%"
        )
    percent = error.endswith("%")
    found = _positive(error.removesuffix("%"), where) * (size / 100 if percent else 1)
    if not found <= size:
        raise FileFormatError(
            where,
            found=f"an error of {error} of {value}",
            allowed="at most the value itself: with more, everything would agree",
        )
    return Reading(size, found)


def _positive(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise FileFormatError(where, found=f"value {text!r}", allowed="a number >= 0")
    return value


def _check_names(logged: Iterable[str], known: Mapping[str, int]) -> None:
    for name in logged:
        if name not in known:
            raise FileFormatError("measured log", found=f"layer {name!r}", allowed=", ".join(known))
