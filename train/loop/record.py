"""What a run writes beside its checkpoint: history, event files for TensorBoard, the manifest."""

import csv
import io
import json
import platform
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tssd import __version__
from tssd.atomic import write_bytes
from tssd.errors import UNREADABLE, ConfigError, FileFormatError, refusing
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


def tested(folder: Path) -> dict[str, float] | None:
    """What the finished run in *folder* found on its whole test set: accuracy (0..1), samples."""
    path = folder / MANIFEST
    if not path.is_file():
        return None
    with refusing((*UNREADABLE, KeyError, TypeError), FileFormatError, str(path), "damaged"):
        manifest = json.loads(path.read_bytes())
        percent, samples = manifest["accuracy"]["test"], manifest["data"]["test"]
        return {"accuracy": float(percent) / 100, "samples": int(samples)}


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
