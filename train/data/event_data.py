"""Recordings of event cameras as data sets: read, cut into frames, split."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from tssd.errors import DataError
from tssd.train.data.data_files import folder, hint, inside, present
from tssd.train.data.event_files import read_aedat2, read_aedat31, read_nmnist, read_shd
from tssd.train.data.events import Events, Framing, Recordings, frames, gather
from tssd.train.data.image_data import CIFAR10_CLASSES, fashion, mnist
from tssd.train.data.splits import Dataset, LabelArray, Split

DIGITS = tuple(str(digit) for digit in range(10))
NMNIST_SHAPE = (2, 34, 34)
DVS128_SHAPE = (2, 128, 128)
SHD_SHAPE = (1, 1, 700)
SHD_CLASSES = tuple(
    f"{language} {digit}" for language in ("english", "german") for digit in range(10)
)
GESTURES = (
    "hand clapping",
    "right hand wave",
    "left hand wave",
    "right arm clockwise",
    "right arm counter clockwise",
    "left arm clockwise",
    "left arm counter clockwise",
    "arm roll",
    "air drums",
    "air guitar",
    "other gestures",
)
SIMULATED = (4000, 500, 2000)  # images seen by the simulated camera: train, validation, test
VALIDATION_SHARE = 10  # one recording in ten of the training set, the last ones


def nmnist(data_dir: Path | None, framing: Framing) -> Dataset:
    """``Train/<digit>/<number>.bin`` and ``Test/...``, in the order of their numbers."""
    place = folder("n-mnist", data_dir)
    train, test = (_nmnist_part(place, part, framing) for part in ("Train", "Test"))
    return _with_validation("n-mnist", train, test, DIGITS)


def simulated(source: str, name: str, data_dir: Path | None, framing: Framing) -> Dataset:
    """A *simulated* camera (``train.camera``) looks at grey images of the data set *source*.

    ``SIMULATED`` of its images per split, drawn once and for all, as each takes milliseconds.
    """
    from tssd.train.data.camera import Camera, record  # numba, which the rest does not need

    stills = {"mnist": mnist, "fashion-mnist": fashion}[source](data_dir)

    def looked_at(split: Split, number: int) -> Split:
        rng = np.random.default_rng(number)
        chosen = rng.permutation(len(split))[: SIMULATED[number]]
        recordings = record(split.images[chosen], Camera(), first=sum(SIMULATED[:number]))
        return of_recordings(recordings, split.labels[chosen], framing)

    train, val, test = (
        looked_at(s, k) for k, s in enumerate((stills.train, stills.val, stills.test))
    )
    return Dataset(name, train, val, test, stills.classes)


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


def recut(data: Dataset, framing: Framing) -> Dataset:
    """The same recordings in the frames of *framing*; a data set of images as it is."""

    def cut(split: Split) -> Split:
        if split.recordings is None:
            return split
        return of_recordings(split.recordings, split.labels, framing)

    return replace(data, train=cut(data.train), val=cut(data.val), test=cut(data.test))


def _with_validation(name: str, train: Split, test: Split, classes: tuple[str, ...]) -> Dataset:
    cut = len(train) - len(train) // VALIDATION_SHARE
    return Dataset(name, train.part(0, cut), train.part(cut, None), test, classes)


def cifar10_dvs(data_dir: Path | None, framing: Framing) -> Dataset:
    """``<class>/cifar10_<class>_<i>.aedat`` (AEDAT 2). It has no official split: of each class the
    last tenth by number is the test set, the tenth before it the validation set."""
    place = folder("cifar10-dvs", data_dir)
    parts: list[list[Path]] = [[], [], []]
    for name in CIFAR10_CLASSES:
        files = sorted(place.glob(f"{name}/*.aedat"), key=_number)
        if not files:
            raise DataError(str(place), found=f"no file {name}/*.aedat", hint=hint("cifar10-dvs"))
        tenth = max(1, len(files) // VALIDATION_SHARE)
        cuts = (0, len(files) - 2 * tenth, len(files) - tenth, len(files))
        for part, (first, last) in zip(parts, pairwise(cuts), strict=True):
            part += files[first:last]
    train, val, test = (
        framed_split(
            [read_aedat2(path) for path in files],
            [_label(path, CIFAR10_CLASSES) for path in files],
            files,
            DVS128_SHAPE,
            framing,
        )
        for files in parts
    )
    return Dataset("cifar10-dvs", train, val, test, CIFAR10_CLASSES)


def _number(path: Path) -> tuple[int, str]:
    digits = path.stem.rpartition("_")[2]
    return (int(digits) if digits.isdigit() else 0, path.name)


def dvs_gesture(data_dir: Path | None, framing: Framing) -> Dataset:
    """``userNN_light.aedat`` (AEDAT 3.1) with ``userNN_light_labels.csv``: one sample per row
    ``class,startTime_usec,endTime_usec``; ``trials_to_train.txt`` and ``trials_to_test.txt`` name
    the files of each part. The last tenth of the training samples is the validation set."""
    place = inside(folder("dvs-gesture", data_dir), "DvsGesture")
    train, test = (_gestures(place, part, framing) for part in ("train", "test"))
    return _with_validation("dvs-gesture", train, test, GESTURES)


def _gestures(place: Path, part: str, framing: Framing) -> Split:
    trials = present(place / f"trials_to_{part}.txt", "dvs-gesture").read_text().split()
    events, labels, names = [], [], []
    for trial in trials:
        path = present(place / trial, "dvs-gesture")
        whole = read_aedat31(path)
        table = present(path.with_name(path.stem + "_labels.csv"), "dvs-gesture")
        for label, start_us, end_us in _gesture_rows(table):
            events.append(whole.between(start_us, end_us))
            labels.append(label)
            names.append(path)
    return framed_split(events, labels, names, DVS128_SHAPE, framing)


def _gesture_rows(path: Path) -> list[tuple[int, int, int]]:
    """(label from 0, start, end in us) of each line after the head."""
    rows = []
    for number, line in enumerate(path.read_text().split()[1:], start=2):
        fields = line.split(",")
        if len(fields) != 3 or not all(field.isdigit() for field in fields):
            raise DataError(
                f"{path}, line {number}", found=repr(line), allowed="class,start,end in us"
            )
        label, start_us, end_us = (int(field) for field in fields)
        if not 1 <= label <= len(GESTURES):
            raise DataError(
                f"{path}, line {number}", found=f"class {label}", allowed=f"1..{len(GESTURES)}"
            )
        rows.append((label - 1, start_us, end_us))
    return rows


def shd(data_dir: Path | None, framing: Framing) -> Dataset:
    """``shd_train.h5`` and ``shd_test.h5``: spoken digits as spikes of 700 cochlea channels, here
    an image of one row. The last tenth of the training file is the validation set."""
    place = folder("shd", data_dir)
    parts = []
    for part in ("train", "test"):
        path = present(place / f"shd_{part}.h5", "shd")
        events, labels = read_shd(path)
        parts.append(
            framed_split(events, labels.tolist(), [path] * len(events), SHD_SHAPE, framing)
        )
    train, test = parts
    return _with_validation("shd", train, test, SHD_CLASSES)
