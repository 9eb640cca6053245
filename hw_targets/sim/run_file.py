"""A finished run as ``run.npz``: counters and times, so that it can be priced with another chip."""

import json
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tssd.calibration.integer import IntArray
from tssd.errors import FileFormatError
from tssd.hw_targets.counters import COLUMNS, Counters, ProjectionCount
from tssd.hw_targets.sim.engine import Run

SCHEMA = "tssd-run/1"


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
    step_ns: NDArray[np.float64]


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
        "slice_population": list(counters.slice_population),
        "projections": [asdict(p) for p in counters.projections],
    }
    arrays: dict[str, Any] = {f"counter/{name}": counters.columns[name] for name in COLUMNS}
    arrays |= {"slice_core": counters.slice_core}
    arrays |= {"step_ns": run.timing.cycles * run.timing.cycle_ns}
    np.savez_compressed(path, head=json.dumps(head), **arrays)


def load_run(path: Path) -> SavedRun:
    """Read what ``save_run`` wrote; FileFormatError for anything else."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays: dict[str, IntArray] = {key: file[key] for key in file.files}
        head = json.loads(str(arrays["head"]))
        if head["schema"] != SCHEMA:
            raise FileFormatError(str(path), found=f"schema {head['schema']!r}", allowed=SCHEMA)
        counters = Counters(
            head["samples"],
            head["time_steps"],
            tuple(head["populations"]),
            head["cores"],
            tuple(head["slice_population"]),
            arrays["slice_core"],
            {name: arrays[f"counter/{name}"] for name in COLUMNS},
            tuple(ProjectionCount(**p) for p in head["projections"]),
        )
        return SavedRun(
            head["chip"],
            head["mode"],
            head.get("command"),
            head["chips"],
            head["us_per_inference"],
            counters,
            arrays["step_ns"].astype(np.float64),
        )
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise FileFormatError(
            str(path), found=f"no saved run ({error})", hint="tssd simulate ... --save run.npz"
        ) from None
