"""A share of a run in float before its bits act."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_digits import SMALL, few_digits

from tssd.errors import ConfigError
from tssd.interrupts import Interrupted
from tssd.train.config import Method
from tssd.train.data.data_sets import Dataset
from tssd.train.loop.checkpoint import CHECKPOINT, load_net, read_checkpoint
from tssd.train.loop.float_share import is_due
from tssd.train.loop.folder import TEACHER
from tssd.train.loop.loop import train
from tssd.train.quantization.network import QuantizedNet

FLOAT = replace(SMALL, method=Method.CE, train_limit=96)  # three batches an epoch
LATE = replace(FLOAT, bits="3", gamma=1.0, float_share=0.5)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return few_digits()


@pytest.fixture(scope="module")
def late(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("late") / "run"
    train(LATE, digits, folder)
    return folder


def stopped(at: int, digits: Dataset, folder: Path) -> None:
    """The run of ``LATE``, interrupted behind batch *at*."""

    def stop(epoch: int, batch: int, means: dict[str, float]) -> None:
        if epoch * 3 + batch == at:
            raise KeyboardInterrupt

    with pytest.raises((KeyboardInterrupt, Interrupted)):
        train(LATE, digits, folder, progress=stop)


def tensors(folder: Path, name: str = CHECKPOINT) -> dict[str, torch.Tensor]:
    return read_checkpoint(folder / name).tensors


def weights(found: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: x for name, x in found.items() if ".weights." in name and "optim" not in name}


def test_until_then_it_is_the_float_network_which_then_teaches(
    digits: Dataset, late: Path, tmp_path: Path
) -> None:
    """Half of six updates: the same three as in float, bit for bit."""
    steady = replace(LATE, gamma=0.0, float_share=0.0, bits="")

    def stop(epoch: int, batch: int, means: dict[str, float]) -> None:
        if (epoch, batch) == (0, 3):
            raise KeyboardInterrupt

    with pytest.raises((KeyboardInterrupt, Interrupted)):
        train(steady, digits, tmp_path / "float", progress=stop)
    wanted, taught_by = weights(tensors(tmp_path / "float")), weights(tensors(late, TEACHER))
    assert wanted
    assert all(torch.equal(wanted[name], taught_by[name]) for name in wanted)


def test_then_the_bits_act(digits: Dataset, late: Path) -> None:
    net, checkpoint = load_net(late)
    assert isinstance(net, QuantizedNet)
    assert net.begun
    precision = [row["precision"] for row in checkpoint.position.history]
    assert precision[0] == 0 < precision[1]


@pytest.mark.parametrize("at", [2, 3, 5])
def test_a_run_that_goes_on_before_and_behind_it(
    at: int, digits: Dataset, late: Path, tmp_path: Path
) -> None:
    stopped(at, digits, tmp_path / "cut")
    train(LATE, digits, tmp_path / "cut", resume=True)
    one, other = tensors(late), tensors(tmp_path / "cut")
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_the_last_update_is_never_in_float() -> None:
    late = replace(LATE, float_share=0.99)
    assert [is_due(late, k, 6) for k in range(6)] == [False] * 5 + [True]
    assert [is_due(LATE, k, 6) for k in range(6)] == [False] * 3 + [True] * 3
    assert is_due(LATE, 0, 1)


def test_refused_where_it_could_not_act(digits: Dataset, late: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"float_share: found 0\.5; allowed: 0 without bits"):
        train(replace(FLOAT, float_share=0.5), digits, tmp_path / "a")
    with pytest.raises(ConfigError, match="float_share: found 1; allowed: 0 to 1, 1 excluded"):
        train(replace(LATE, float_share=1), digits, tmp_path / "b")
    with pytest.raises(ConfigError, match=r"float_share: found 0\.5, with whole weights from"):
        train(replace(LATE, gamma=0.0), digits, tmp_path / "c", start_from=late)
