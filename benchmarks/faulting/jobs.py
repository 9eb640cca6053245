"""The commands of the campaign: what each is given, how it is called, how it is called again."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

TINY = ["--epochs", "1", "--set", "student_steps=1", "--set", "teacher_steps=2"]
TINY += ["--set", "batch_size=16", "--set", "save_every_s=0", "--set", "train_limit=48"]
FEW = ["--calibration-samples", "8", "--check-samples", "8", "--tolerance", "100"]
DATA = ["--data", "in/data.npz"]


@dataclass(frozen=True)
class Job:
    """``tssd`` *words*, run in a folder with ``in/`` and ``out/``; ``needs``: where what it reads
    stands among what the other jobs made; ``again``: the words that go on after a fault, given the
    folder. ``whole``: a folder that is there with all its files or not at all."""

    name: str
    words: tuple[str, ...]
    needs: dict[str, str]
    again: Callable[["Job", Path], list[str]]
    whole: str | None = None
    spare: int = 1  # of its steps one in so many is enough
    moments: int = 60  # kills at random


def _same(job: Job, folder: Path) -> list[str]:
    return list(job.words)


def _resume(job: Job, folder: Path) -> list[str]:
    begun = (folder / "out" / "run" / "config.toml").exists()
    return [*job.words, "--resume"] if begun else list(job.words)


def _force(job: Job, folder: Path) -> list[str]:
    return [*job.words, "--force"] if (folder / "out" / "b").exists() else list(job.words)


RUN, BUNDLE, DATA_FILE = {"in/run": "train/run"}, {"out/b": "export/b"}, {"in/data.npz": "data.npz"}
JUDGED = {"out/b": "verify/b"}
JOBS = (
    Job("train", ("train", *DATA, *TINY, "--out", "out/run"), DATA_FILE, _resume,
        moments=150),
    Job(
        "export",
        ("export", "in/run", *DATA, *FEW, "--out", "out/b"),
        RUN | DATA_FILE, _force, "out/b",
    ),
    Job(
        "import",
        ("import", "in/network.nir", "--out", "out/b"),
        {"in/network.nir": "export/b/network.nir"}, _force, "out/b",
    ),
    Job(
        "verify",
        ("verify", "out/b", "--against", "gpu,sim", "--samples", "2", *DATA),
        BUNDLE | DATA_FILE, _same,
    ),
    Job(
        "simulate",
        ("simulate", "out/b", "--samples", "2", *DATA, "--timing", "bound", "--into-report",
         "--trace", "out/trace.json", "--counters", "out/core.csv", "--save", "out/run.npz"),
        {"out/b": "bound/b"} | DATA_FILE, _same,
    ),
    Job("report", ("report", "out/b"), JUDGED, _same, moments=100),
    Job(
        "sweep",
        ("sweep", "out/b", "--samples", "1", "--set", "noc.buffer=2,4", "--workers", "1",
         "--csv", "out/points.csv"),
        BUNDLE, _same,
    ),
    Job(
        "study",
        ("study", "--dataset", "digits", "--model", "tiny", *TINY, "--seeds", "1",
         "--front", "lr=1e-3", "--out", "out/study"),
        {}, _same, spare=4, moments=20,
    ),
)  # fmt: skip
BOUND = Job(  # not of the campaign: a report without cycles, for simulate to enter
    "bound",
    ("verify", "out/b", "--against", "gpu", "--samples", "2", *DATA),
    BUNDLE | DATA_FILE,
    _same,
)


def write_data(path: Path) -> None:
    """96 pictures of 8 x 8: a bright row says the class."""
    rng = np.random.default_rng(0)
    labels = np.arange(96) % 4
    inputs = rng.integers(0, 60, (96, 1, 8, 8)).astype(np.uint8)
    inputs[np.arange(96), 0, labels * 2] += 180
    np.savez(path, inputs=inputs, labels=labels)


def prepare(job: Job, made: Path, case: Path) -> None:
    """The folder of one case: ``work/in`` and ``work/out`` with what the job needs."""
    if case.exists():
        shutil.rmtree(case)
    for name in ("in", "out"):
        (case / "work" / name).mkdir(parents=True)
    for place, source in job.needs.items():
        target = case / "work" / place
        if (made / source).is_dir():
            shutil.copytree(made / source, target)
        else:
            shutil.copy(made / source, target)
