"""`train --help` and `study --help` list what there is; `train` speaks where no bar can be seen."""

import json
from dataclasses import fields
from pathlib import Path

import pytest
from click.testing import CliRunner

from tssd.cli import cli
from tssd.commands.training_help import sections
from tssd.train.config import PRESETS, Method, TrainConfig
from tssd.train.data.data_sets import EVENT_LOADERS, LOADERS
from tssd.train.networks.model_names import MODEL_NAMES
from tssd.train.networks.models import MODELS


def test_the_listed_names_are_those_there_are() -> None:
    assert tuple(MODELS) == MODEL_NAMES
    assert set(PRESETS) == {*LOADERS, *EVENT_LOADERS, "own"}
    listed = dict(sections())
    assert [name for name, _ in listed["Data sets, and their presets"]] == list(PRESETS)
    options = dict(listed["Options of a run, with their defaults"])
    assert list(options) == [field.name for field in fields(TrainConfig)]
    assert options["alpha"] == "0.5"
    assert options["reset"] == "soft  [hard|soft]"


@pytest.mark.parametrize("command", ["train", "study"])
def test_help_lists_models_data_sets_methods_and_every_default(command: str) -> None:
    said = CliRunner().invoke(cli, [command, "--help"], terminal_width=80).output
    assert max(map(len, said.splitlines())) <= 80
    words = " ".join(said.split()).replace("sew- resnet", "sew-resnet")
    for name in (*MODEL_NAMES, *LOADERS, *EVENT_LOADERS, *Method):
        assert name in words
    for field in fields(TrainConfig):
        assert f" {field.name} " in words


def test_train_prints_a_line_per_epoch_without_a_terminal(tmp_path: Path) -> None:
    small = ("--dataset", "digits", "--epochs", "2", "--set", "train_limit=128")
    line = ["train", *small, "--out", str(tmp_path / "run"), "--json"]
    done = CliRunner().invoke(cli, line, catch_exceptions=False)
    first, second = [x for x in done.stderr.splitlines() if x.startswith("epoch ")]
    assert first.startswith("epoch 1/2 loss ")
    assert second.startswith("epoch 2/2 loss ")
    assert second.endswith(" %")
    assert set(json.loads(done.stdout)) >= {"test", "val"}
