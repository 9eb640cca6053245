"""A finished run as ``run.npz``: counters and times, so that it can be priced with another chip."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

from tssd import typed
from tssd.arrays import FloatArray
from tssd.atomic import written_whole
from tssd.errors import FileFormatError, refusing
from tssd.export.reading.arrays import DAMAGE, Arrays, read_arrays, whole_numbers
from tssd.hw_targets.costs.counters import COLUMNS, Counters, ProjectionCount
from tssd.hw_targets.sim.engine import Run
from tssd.hw_targets.sim.timing import Mode

SCHEMA = "tssd-run/1"
AGAIN = "tssd simulate ... --save run.npz"


@dataclass(frozen=True, eq=False)
class SavedRun:
    """Counters per slice, the chip that was simulated, and the time of every step in ns;
    ``command``: what made the run, if it was a command."""

    chip: str
    mode: str
    command: str | None
    chips: int
    us_per_inference: float
    counters: Counters
    step_ns: FloatArray


def save_run(path: Path, run: Run, command: str | None = None) -> None:
    """Write *run* for ``load_run``, with the command that made it."""
    counters = run.counters
    head = {
        "schema": SCHEMA,
        "chip": run.chip.name,
        "mode": run.timing.mode,
        "command": command,
        "chips": run.placement.chips,
        "us_per_inference": run.us_per_inference,
        "samples": counters.samples,
        "time_steps": counters.time_steps,
        "populations": list(counters.populations),
        "cores": counters.cores,
        "port": counters.port,
        "slice_population": list(counters.slice_population),
        "projections": [asdict(p) for p in counters.projections],
    }
    arrays: dict[str, Any] = {_key(name): counters.columns[name] for name in COLUMNS}
    arrays |= {"slice_core": counters.slice_core}
    arrays |= {"step_ns": run.timing.step_us * 1e3}
    with written_whole(path) as part, part.open("wb") as file:  # under this very name
        np.savez_compressed(file, head=json.dumps(head), **arrays)


class Head(msgspec.Struct, forbid_unknown_fields=True):
    """The run's facts beside its arrays."""

    schema: Literal["tssd-run/1"]
    chip: str
    mode: Mode
    command: str | None
    chips: typed.Positive
    us_per_inference: typed.Amount
    samples: typed.Positive
    time_steps: typed.Positive
    populations: list[str]
    cores: typed.Positive
    slice_population: list[str]
    projections: list[ProjectionCount]
    port: bool = False  # whether the last of the cores is where input comes from outside


def load_run(path: Path) -> SavedRun:
    """Read what ``save_run`` wrote; FileFormatError for anything else."""
    with refusing(DAMAGE, FileFormatError, str(path), "no saved run", hint=AGAIN):
        arrays = read_arrays(path)
        text = str(arrays["head"])
    head = typed.from_json(Head, text, str(path), hint=AGAIN)
    with refusing(DAMAGE, FileFormatError, str(path), "no saved run", hint=AGAIN):
        return SavedRun(
            head.chip,
            head.mode,
            head.command,
            head.chips,
            head.us_per_inference,
            _counters(head, arrays),
            _times(arrays),
        )


def _times(arrays: Arrays) -> FloatArray:
    times = arrays["step_ns"].astype(np.float64)
    if times.ndim != 1 or not np.isfinite(times).all() or (times < 0).any():
        raise ValueError("step_ns: not one time per step, finite and >= 0")
    return times


def _counters(head: Head, arrays: Arrays) -> Counters:
    """One value per slice in every column, and every slice of a population and a core there is."""
    slices = len(head.slice_population)
    columns = {key: whole_numbers(arrays, key) for key in ("slice_core", *map(_key, COLUMNS))}
    for key, column in columns.items():
        if column.shape != (slices,):
            raise ValueError(f"{key}: shape {column.shape} for {slices} slices")
        if slices and column.min() < 0:
            raise ValueError(f"{key}: a count of {column.min()}")
    core = columns["slice_core"]
    if not set(head.slice_population) <= set(head.populations):
        raise ValueError("slices of unknown populations")
    if slices and core.max() >= head.cores:
        raise ValueError(f"slices on cores {core.min()} .. {core.max()} of {head.cores}")
    return Counters(
        head.samples,
        head.time_steps,
        tuple(head.populations),
        head.cores,
        tuple(head.slice_population),
        core,
        {name: columns[_key(name)] for name in COLUMNS},
        tuple(head.projections),
        head.port,
    )


def _key(column: str) -> str:
    return f"counter/{column}"
