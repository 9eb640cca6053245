"""A user's own samples, from the file to a trained network and its bundle."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import ran

from tssd.chain.own_data import OWN, data_of, own
from tssd.errors import ConfigError, DataError
from tssd.train.config import configure


def write(path: Path, shape: tuple[int, ...], test: int = 0, classes: int = 3) -> Path:
    """Samples whose class is told by which third of their values is bright."""
    rng = np.random.default_rng(0)
    labels = np.arange(shape[0] + test) % classes
    images = rng.integers(0, 60, (shape[0] + test, *shape[1:])).astype(np.uint8)
    for image, label in zip(images.reshape(len(images), classes, -1), labels, strict=True):
        image[label] += 190
    parts: dict[str, Any] = {"inputs": images[test:], "labels": labels[test:]}
    if test:
        parts |= {"test_inputs": images[:test], "test_labels": labels[:test]}
    np.savez(path, **parts)
    return path


def test_samples_are_split_once_and_for_all(tmp_path: Path) -> None:
    path = write(tmp_path / "x.npz", (100, 1, 3, 4))
    data, again = own(path), own(path)
    assert [len(s) for s in (data.train, data.val, data.test)] == [70, 10, 20]
    np.testing.assert_array_equal(data.train.images, again.train.images)
    parts = [s.images.reshape(len(s), -1) for s in (data.train, data.val, data.test)]
    assert len(np.unique(np.concatenate(parts), axis=0)) == 100
    assert (data.shape, data.classes) == ((1, 3, 4), ("0", "1", "2"))


def test_a_test_set_of_the_users_own_is_left_whole(tmp_path: Path) -> None:
    data = own(write(tmp_path / "x.npz", (80, 12), test=6))
    assert [len(s) for s in (data.train, data.val, data.test)] == [70, 10, 6]
    assert data.test.labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert data.shape == (12,)


def test_a_network_is_trained_exported_and_verified_on_ones_own_samples(tmp_path: Path) -> None:
    path, out = write(tmp_path / "x.npz", (120, 1, 6, 6)), tmp_path / "run"
    small = ("--epochs", 2, "--batch-size", 16, "--set", "width=0.25")
    assert ran("train", "--data", path, *small, "--out", out, "--json").exit_code == 0
    told = ("--data", path, "--tolerance", 100, "--json")
    assert ran("export", out, *told, "--out", tmp_path / "b").exit_code == 0
    assert ran("verify", tmp_path / "b", "--data", path, "--samples", 4).exit_code == 0
    with pytest.raises(ConfigError, match="--data: found nothing; allowed: the samples"):
        ran("verify", tmp_path / "b")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"inputs": np.zeros((20, 1, 2, 2), np.uint8)}, "no labels"),
        ({"inputs": np.zeros((5, 4), np.uint8), "labels": np.arange(5)}, "found 5 samples"),
        ({"inputs": np.zeros((20, 4, 3), np.uint8), "labels": np.arange(20)}, r"\(4, 3\).*frames"),
        (
            {
                "inputs": np.zeros((20, 4), np.uint8),
                "labels": np.arange(20),
                "test_inputs": np.zeros((2, 5), np.uint8),
                "test_labels": np.arange(2),
            },
            r"test_inputs: found shape \(2, 5\); allowed: \(N, 4\)",
        ),
    ],
)
def test_samples_that_cannot_be_trained_on(
    arrays: dict[str, Any], message: str, tmp_path: Path
) -> None:
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(DataError, match=f"(?s){message}"):
        own(tmp_path / "x.npz")


def test_what_does_not_fit_the_configuration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"found samples of 12 values(?:.|\n)*pkg\.module:build"):
        data_of(configure(OWN), write(tmp_path / "x.npz", (40, 12)))
    with pytest.raises(ConfigError, match="6 steps and 3 frames; allowed: .*up to 3"):
        data_of(configure(OWN), write(tmp_path / "y.npz", (40, 3, 1, 2, 3)))
