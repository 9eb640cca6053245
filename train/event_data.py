"""Recordings of event cameras as data sets: read, cut into frames, split."""

from pathlib import Path

import numpy as np

from tssd.errors import DataError
from tssd.train.data_files import folder, hint
from tssd.train.event_files import read_nmnist
from tssd.train.events import Events, Framing, Recordings, frames, gather
from tssd.train.splits import Dataset, LabelArray, Split

DIGITS = tuple(str(digit) for digit in range(10))
NMNIST_SHAPE = (2, 34, 34)
VALIDATION_SHARE = 10  # one recording in ten of the training set, the last ones


def nmnist(data_dir: Path | None, framing: Framing) -> Dataset:
    """``Train/<digit>/<number>.bin`` and ``Test/...``, in the order of their numbers."""
    place = folder("n-mnist", data_dir)
    train, test = (_nmnist_part(place, part, framing) for part in ("Train", "Test"))
    return _with_validation("n-mnist", train, test, DIGITS)


def _nmnist_part(place: Path, part: str, framing: Framing) -> Split:
    files = sorted(place.glob(f"{part}/*/*.bin"), key=lambda path: (path.stem, path.parent.name))
    if not files:
        raise DataError(
            str(place), found=f"no file {part}/<digit>/<number>.bin", hint=hint("n-mnist")
        )
    labels = [_label(path, DIGITS) for path in files]
    return framed_split([read_nmnist(path) for path in files], labels, files, NMNIST_SHAPE, framing)


def _label(path: Path, classes: tuple[str, ...]) -> int:
    """The class that the file's folder names."""
    if path.parent.name not in classes:
        raise DataError(str(path), found=f"folder {path.parent.name!r}", allowed=", ".join(classes))
    return classes.index(path.parent.name)


def framed_split(
    events: list[Events],
    labels: list[int],
    names: list[Path],
    shape: tuple[int, int, int],
    framing: Framing,
) -> Split:
    """A split of the recordings *events*; *names* are used in errors."""
    recordings = gather(events, shape, [str(name) for name in names])
    return of_recordings(recordings, np.array(labels, np.int64), framing)


def of_recordings(recordings: Recordings, labels: LabelArray, framing: Framing) -> Split:
    """Frames beside the recordings they were made of."""
    return Split(frames(recordings, framing), labels, recordings)


def _with_validation(name: str, train: Split, test: Split, classes: tuple[str, ...]) -> Dataset:
    cut = len(train) - len(train) // VALIDATION_SHARE
    return Dataset(name, train.part(0, cut), train.part(cut, None), test, classes)
