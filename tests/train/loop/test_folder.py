"""The run folder: one training at a time, nothing written over, and what signals leave there."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from small_digits import SMALL, few_digits

from tssd.atomic import held
from tssd.errors import ConfigError
from tssd.interrupts import Interrupted
from tssd.train.data.data_sets import Dataset
from tssd.train.loop import record
from tssd.train.loop.checkpoint import CHECKPOINT, read_checkpoint
from tssd.train.loop.folder import check_only_run
from tssd.train.loop.loop import train
from tssd.train.study.runs import study


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return few_digits()


def test_two_trainings_cannot_share_a_folder(digits: Dataset, tmp_path: Path) -> None:
    with held(tmp_path), pytest.raises(ConfigError, match="a training that is running in it"):
        train(SMALL, digits, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", [CHECKPOINT, "manifest.json", "history.csv", "config.toml"])
@pytest.mark.parametrize("resume", [False, True])
def test_nothing_but_a_run_is_written_over(
    name: str, resume: bool, digits: Dataset, tmp_path: Path
) -> None:
    """A bundle has a manifest too."""
    (tmp_path / name).write_text("mine")
    if resume and name in (CHECKPOINT, "config.toml"):
        return  # a run, that is read
    with pytest.raises(ConfigError, match="a run|a folder with|without checkpoint"):
        train(SMALL, digits, tmp_path, resume=resume)
    assert (tmp_path / name).read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 1


def test_only_a_run_is_removed(tmp_path: Path) -> None:
    (tmp_path / CHECKPOINT).touch()
    check_only_run(tmp_path)
    (tmp_path / "notes").touch()
    with pytest.raises(ConfigError, match="found notes; allowed: only checkpoint"):
        check_only_run(tmp_path)


def sending(number: int, at: int, times: int = 1) -> Callable[[int, int, dict[str, float]], None]:
    """Progress that sends this process a signal in its *at*-th call."""
    calls = 0

    def progress(epoch: int, batch: int, means: dict[str, float]) -> None:
        nonlocal calls
        calls += 1
        for _ in range(times * (calls == at)):
            os.kill(os.getpid(), number)

    return progress


@pytest.mark.parametrize(
    ("number", "at"), [(signal.SIGINT, 1), (signal.SIGTERM, 2), (signal.SIGINT, 3)]
)
def test_a_signal_acts_between_batches_and_the_run_goes_on_bit_for_bit(
    number: signal.Signals, at: int, digits: Dataset, tmp_path: Path
) -> None:
    train(SMALL, digits, tmp_path / "whole")
    with pytest.raises(Interrupted) as stop:
        train(SMALL, digits, tmp_path / "cut", progress=sending(number, at))
    assert stop.value.exit_code == 128 + number
    assert stop.value.note == f"the state after 0 epochs and {at} batches is saved in " + str(
        tmp_path / "cut"
    )
    assert read_checkpoint(tmp_path / "cut" / CHECKPOINT).position.batch == at
    train(SMALL, digits, tmp_path / "cut", resume=True)
    first, second = (read_checkpoint(tmp_path / n / CHECKPOINT).tensors for n in ("whole", "cut"))
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_a_second_signal_ends_at_once_and_claims_nothing(digits: Dataset, tmp_path: Path) -> None:
    with pytest.raises(Interrupted) as stop:
        train(SMALL, digits, tmp_path, progress=sending(signal.SIGINT, 2, times=2))
    assert stop.value.note is None
    assert not (tmp_path / CHECKPOINT).exists()


def test_a_signal_behind_the_last_batch_is_not_lost(
    digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run is done, and says so; what would follow it (a study's next run) does not begin."""
    config = replace(SMALL, epochs=1)
    write = record.write_manifest

    def interrupted(*given: Any) -> None:
        write(*given)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(record, "write_manifest", interrupted)
    with pytest.raises(Interrupted) as stop:
        train(config, digits, tmp_path / "run")
    assert stop.value.note == f"the run in {tmp_path / 'run'} is done"
    assert (tmp_path / "run" / "manifest.json").exists()
    with pytest.raises(Interrupted):
        study(config, digits, [0, 1], tmp_path / "study", compared={"a": config, "b": config})
    assert [path.name for path in (tmp_path / "study").iterdir()] == ["a-seed0"]


def test_what_a_kill_left_beside_a_done_run_goes(digits: Dataset, tmp_path: Path) -> None:
    """Killed when the manifest had its name and the folder that it was written in was still there:
    no next writer of that name comes, for the run is done."""
    config = replace(SMALL, epochs=1)
    study(config, digits, [0], tmp_path, compared={"a": config})
    (tmp_path / "a-seed0" / ".manifest.json.01234567.part").mkdir()
    study(config, digits, [0], tmp_path, compared={"a": config})
    assert not list((tmp_path / "a-seed0").glob(".*"))


def test_the_command_says_how_to_go_on(tmp_path: Path) -> None:
    """From outside: Ctrl-C once the training is under way."""
    out = tmp_path / "run"
    settings = ["--set", "save_every_s=0", "--set", "train_limit=128"]
    words = [sys.executable, "-m", "tssd", "train", "--out", str(out), "--epochs", "500", *settings]
    one = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=one) as process:
        while not (out / CHECKPOINT).exists():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, said = process.communicate()
    assert process.returncode == 130
    assert f"is saved in {out}; go on with: tssd train --resume --out {out}" in said
    assert read_checkpoint(out / CHECKPOINT).position.batch >= 0
