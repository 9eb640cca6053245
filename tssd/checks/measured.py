"""A log measured on a chip, and the contract against it: counts equal, time and energy within
the log's own stated error.

The file is CSV; lines that start with ``#`` and empty lines are skipped::

    layer,spikes,error
    conv1,41873,
    conv2,10294,
    samples,64,
    time_us_per_step,152.85,5%
    energy_uj_per_inference,68.35,3.4

``spikes`` of a layer is its total over all samples and steps. The rows ``samples``,
``time_us_per_step`` and ``energy_uj_per_inference`` are optional; time and energy must state an
error, in their own unit or as a percentage. The column ``error`` may be left out if neither is
there. A population of the network that the log leaves out is reported as not run.
"""

import csv
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tssd.contracts import Contract, check, not_run
from tssd.errors import FileFormatError

TIME = "time_us_per_step"
ENERGY = "energy_uj_per_inference"
SAMPLES = "samples"
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
    time_us_per_step: Reading | None = None
    energy_uj_per_inference: Reading | None = None


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
    rows = [(n, _cells(line)) for n, line in lines]
    if not rows or rows[0][1] not in HEADERS:
        found = ",".join(rows[0][1]) if rows else "nothing"
        raise FileFormatError(where, found=f"header {found!r}", allowed="layer,spikes[,error]")
    spikes: dict[str, int] = {}
    special: dict[str, Reading] = {}
    for n, cells in rows[1:]:
        place = f"{where}, line {n}"
        name, value, error = _row(cells, len(rows[0][1]), place)
        if name in spikes or name in special:
            raise FileFormatError(place, found=f"{name!r} twice", allowed="one row each")
        if name in (TIME, ENERGY):
            special[name] = _reading(value, error, place)
        elif name == SAMPLES:
            special[name] = Reading(_count(value, place), 0)
        else:
            spikes[name] = _count(value, place)
    samples = special.get(SAMPLES)
    return MeasuredLog(
        spikes, int(samples.value) if samples else None, special.get(TIME), special.get(ENERGY)
    )


def compare_log(
    log: MeasuredLog,
    spikes: Mapping[str, int],
    samples: int,
    *,
    us_per_step: float | None = None,
    energy_uj: float | None = None,
) -> tuple[Contract, ...]:
    """Contract rows: *spikes* (population to total, in network order) must equal the log's, and
    the simulated time and energy must lie within its error. Unknown layers and another number
    of samples raise FileFormatError."""
    _check_names(log.spikes, spikes)
    if log.samples is not None and log.samples != samples:
        raise FileFormatError(
            "measured log",
            found=f"{log.samples} samples",
            allowed=f"{samples}, as simulated",
            hint=f"--samples {log.samples}",
        )
    rows = [_spike_row(name, log.spikes.get(name), count) for name, count in spikes.items()]
    rows.append(_reading_row("time per step", "us", log.time_us_per_step, us_per_step))
    rows.append(_reading_row("energy", "uJ", log.energy_uj_per_inference, energy_uj))
    return tuple(rows)


def _spike_row(name: str, measured: int | None, count: int) -> Contract:
    title = f"measured: {name} spikes"
    if measured is None:
        return not_run(title, "not in the log")
    return check(title, count == measured, count, measured, "" if count == measured else name)


def _reading_row(what: str, unit: str, measured: Reading | None, value: float | None) -> Contract:
    title = f"measured: {what}"
    if measured is None:
        return not_run(title, "not in the log")
    if value is None:
        return not_run(title, "not simulated")
    off = abs(value - measured.value)
    allowed = f"{measured.value:g} +- {measured.error:g} {unit}"
    inside = off <= measured.error or math.isclose(off, measured.error)  # decimals of the log
    return check(title, inside, f"{value:g} {unit}", allowed)


def _holds_data(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in next(csv.reader([line]))]


def _row(cells: list[str], columns: int, where: str) -> tuple[str, str, str]:
    if len(cells) not in (2, columns) or not cells[0]:
        allowed = f"{columns} columns, the first a name"
        raise FileFormatError(where, found=",".join(cells)[:60], allowed=allowed)
    return cells[0], cells[1], cells[2] if len(cells) > 2 else ""


def _count(text: str, where: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise FileFormatError(where, found=f"count {text!r}", allowed="a whole number >= 0")
    return int(text)


def _reading(value: str, error: str, where: str) -> Reading:
    size = _positive(value, where)
    if not error:
        raise FileFormatError(
            where, found="no error", allowed="an error in the same unit or in percent, as 5%"
        )
    if error.endswith("%"):
        return Reading(size, size * _positive(error[:-1], where) / 100)
    return Reading(size, _positive(error, where))


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
