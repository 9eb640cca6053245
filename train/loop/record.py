"""What a run writes beside its checkpoint: history, event files for TensorBoard, the manifest."""

import csv
import io
import json
import platform
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch

from tssd import __version__, typed
from tssd.atomic import write_bytes
from tssd.errors import ConfigError
from tssd.train.config import TrainConfig
from tssd.train.data.data_sets import Dataset
from tssd.train.loop.checkpoint import Position
from tssd.train.loop.folder import HISTORY, MANIFEST


def write_history(folder: Path, history: list[dict[str, float]]) -> None:
    """``history.csv``: one row per epoch."""
    text = io.StringIO()
    names = list(dict.fromkeys(name for row in history for name in row))
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: f"{v:.6g}" for k, v in row.items()} for row in history)
    write_bytes(folder / HISTORY, text.getvalue().encode())


def check_tensorboard() -> None:
    """Raises ConfigError where the extra is missing."""
    try:
        import tensorboardX  # noqa: F401
    except ImportError:
        raise ConfigError(
            "training: tensorboard",
            found="true, but tensorboardX is not installed",
            allowed="false, or the extra",
            hint="pip install 'tssd[tensorboard]'",
        ) from None


def write_events(folder: Path, history: list[dict[str, float]]) -> None:
    """``tensorboard/``: the last row of the history as scalars, one step per epoch."""
    from tensorboardX import SummaryWriter

    row = history[-1]
    suffix = f".{int(row['epoch'])}"  # names have a resolution of seconds, epochs may be shorter
    with SummaryWriter(str(folder / "tensorboard"), filename_suffix=suffix) as writer:
        for name, value in row.items():
            if name != "epoch":
                writer.add_scalar(name, value, int(row["epoch"]))


class AccuracyPart(msgspec.Struct):
    """Of a run's manifest, in per cent."""

    test: float | None = None
    val: float | None = None
    test_at_step: list[float] = []


class DataPart(msgspec.Struct):
    """How many samples it was tested on."""

    test: typed.Count


class RunManifestPart(msgspec.Struct):
    """What is read again of a finished run's manifest."""

    accuracy: AccuracyPart
    data: DataPart
    config: dict[str, Any] = {}


def read_manifest(folder: Path) -> RunManifestPart | None:
    """The manifest of the run in *folder*; None: it did not come to its end."""
    path = folder / MANIFEST
    return (
        typed.from_json(RunManifestPart, path.read_bytes(), str(path)) if path.is_file() else None
    )


def tested(folder: Path) -> dict[str, float] | None:
    """What the finished run in *folder* found on its whole test set: accuracy (0..1), samples."""
    manifest = read_manifest(folder)
    if manifest is None or manifest.accuracy.test is None:
        return None
    return {"accuracy": manifest.accuracy.test / 100, "samples": manifest.data.test}


def write_manifest(
    folder: Path,
    config: TrainConfig,
    data: Dataset,
    accuracy: dict[str, Any],
    position: Position,
    start_from: str | None,
) -> None:
    manifest = {
        "config": config.to_table(),
        "start_from": start_from,
        "data": {
            "name": data.name,
            "train": len(data.train.first(config.train_limit)),
            "val": len(data.val),
            "test": len(data.test),
        },
        "accuracy": accuracy,
        "cpu_s": sum(row["cpu_s"] for row in position.history),
        "versions": {
            "tssd": __version__,
            "torch": torch.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
    }
    write_bytes(folder / MANIFEST, (json.dumps(manifest, indent=2) + "\n").encode())
