"""A float network teaches few bits: it is kept with the run, and does not learn."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_digits import SMALL, few_digits

from tssd.errors import ConfigError
from tssd.interrupts import Interrupted
from tssd.train.config import Method
from tssd.train.data.data_sets import Dataset
from tssd.train.loop.checkpoint import CHECKPOINT, read_checkpoint
from tssd.train.loop.folder import TEACHER, check_folder
from tssd.train.loop.loop import train

FLOAT = replace(SMALL, method=Method.CE, train_limit=192)
TAUGHT = replace(FLOAT, bits="3", gamma=1.0)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return few_digits()


@pytest.fixture(scope="module")
def began(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("float") / "run"
    train(FLOAT, digits, folder)
    return folder


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    return read_checkpoint(folder / CHECKPOINT).tensors


def test_the_teacher_acts_and_stays_as_it_was(digits: Dataset, began: Path, tmp_path: Path) -> None:
    taught = train(TAUGHT, digits, tmp_path / "a", start_from=began)
    assert taught.position.history[-1]["precision"] > 0
    assert (tmp_path / "a" / TEACHER).read_bytes() == (began / CHECKPOINT).read_bytes()
    alone = train(replace(TAUGHT, gamma=0.0), digits, tmp_path / "b", start_from=began)
    assert alone.position.history[-1]["precision"] == 0
    assert not (tmp_path / "b" / TEACHER).exists()
    weight = "net.stages.conv1.links.0.weights.weight"
    found = [tensors(tmp_path / name)[weight] for name in "ab"]
    assert not torch.equal(found[0], found[1])


def test_a_run_that_goes_on_has_its_teacher_without_the_other_run(
    digits: Dataset, began: Path, tmp_path: Path
) -> None:
    whole = train(TAUGHT, digits, tmp_path / "whole", start_from=began)

    def stop(epoch: int, batch: int, means: dict[str, float]) -> None:
        if (epoch, batch) == (0, 3):
            raise KeyboardInterrupt

    with pytest.raises((KeyboardInterrupt, Interrupted)):
        train(TAUGHT, digits, tmp_path / "cut", start_from=began, progress=stop)
    train(TAUGHT, digits, tmp_path / "cut", resume=True)
    one, other = tensors(tmp_path / "whole"), tensors(tmp_path / "cut")
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert whole.accuracy["test"] is not None


def test_another_run_may_teach(digits: Dataset, began: Path, tmp_path: Path) -> None:
    """And has to stay the same where the run goes on."""
    able = tmp_path / "able"
    train(FLOAT, digits, able, start_from=began)
    train(TAUGHT, digits, tmp_path / "a", start_from=began, taught_by=able)
    assert (tmp_path / "a" / TEACHER).read_bytes() == (able / CHECKPOINT).read_bytes()
    train(TAUGHT, digits, tmp_path / "b", taught_by=able)  # from the first step on with bits
    assert (tmp_path / "b" / TEACHER).read_bytes() == (able / CHECKPOINT).read_bytes()
    with pytest.raises(ConfigError, match="another network than the one that teaches the run"):
        train(TAUGHT, digits, tmp_path / "a", resume=True, taught_by=began)


def test_a_teacher_that_nothing_is_learned_from_is_refused(
    digits: Dataset, began: Path, tmp_path: Path
) -> None:
    alone = replace(TAUGHT, gamma=0.0)
    with pytest.raises(ConfigError, match=r"(?s)--teacher .*: found gamma = 0.*--set gamma=1"):
        train(alone, digits, tmp_path / "a", start_from=began, taught_by=began)


def test_few_bits_without_a_float_network_have_no_teacher(digits: Dataset, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gamma: found no float network to learn from"):
        train(TAUGHT, digits, tmp_path / "a")


def test_a_run_of_few_bits_is_no_teacher(digits: Dataset, began: Path, tmp_path: Path) -> None:
    train(replace(TAUGHT, gamma=0.0), digits, tmp_path / "bits", start_from=began)
    with pytest.raises(ConfigError, match=r"found a run of 3 bits; allowed: a float network"):
        train(TAUGHT, digits, tmp_path / "a", start_from=tmp_path / "bits")


def test_a_folder_with_the_teacher_alone_was_begun(tmp_path: Path) -> None:
    """Killed between the copy and the first checkpoint: --resume begins again."""
    (tmp_path / TEACHER).write_bytes(b"")
    with pytest.raises(ConfigError, match=r"a folder with teacher\.safetensors"):
        check_folder(tmp_path, resume=False)
    check_folder(tmp_path, resume=True)
