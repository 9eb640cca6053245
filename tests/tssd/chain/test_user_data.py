"""Samples as users have them: files, arrays, data sets; refused by place, never reshaped."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import user_sets
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from tssd.chain.user_data import gather
from tssd.chain.user_samples import fitting
from tssd.errors import ConfigError, DataError

PIXELS = np.arange(12, dtype=np.uint8).reshape(2, 6)


def test_a_module_sees_pixels_as_255ths() -> None:
    np.testing.assert_array_equal(gather(PIXELS).as_seen(), PIXELS.astype(np.float32) / 255)


@pytest.mark.parametrize("kind", [np.uint8, np.bool_, np.int64, np.float32])
def test_zeros_and_ones_are_spikes_whatever_type_holds_them(kind: type) -> None:
    spikes = gather(np.eye(3).astype(kind))
    np.testing.assert_array_equal(spikes.as_seen(), np.eye(3))
    np.testing.assert_array_equal(spikes.as_bytes(), 255 * np.eye(3))


@given(st.lists(st.integers(0, 255), min_size=1, max_size=20))
@settings(max_examples=30, deadline=None)
def test_pixels_that_became_floats_are_the_same_pixels(values: list[int]) -> None:
    pixels = np.array([values], np.uint8)
    np.testing.assert_array_equal(gather(np.float32(pixels) / np.float32(255)).as_bytes(), pixels)


def test_floats_between_the_255ths_are_not_rounded() -> None:
    with pytest.raises(
        DataError, match=r"samples \[0, 1\]: found 0\.3 \(float64\); allowed: uint8"
    ):
        gather(np.array([[0.0, 0.3]])).as_bytes()


def test_a_file_an_array_and_a_tensor_say_the_same(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", inputs=PIXELS, labels=[1, 0])
    np.save(tmp_path / "x.npy", PIXELS)
    told = (gather(tmp_path / "x.npz"), gather(str(tmp_path / "x.npy"), [1, 0]))
    for found in (
        *told,
        gather(PIXELS, [1, 0]),
        gather(torch.tensor(PIXELS), torch.tensor([1, 0])),
    ):
        np.testing.assert_array_equal(found.inputs, PIXELS)
        assert found.labels is not None
        assert found.labels.tolist() == [1, 0]


def test_a_data_set_is_drawn_by_seed_and_keeps_its_targets() -> None:
    whole = gather(user_sets.Pictures())
    assert whole.inputs.shape == (10, 1, 2, 3)
    assert whole.labels is not None
    assert whole.labels.tolist() == [k % 3 for k in range(10)]
    few, same, other = (gather(user_sets.Pictures(), None, 4, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(few.inputs, same.inputs)
    numbers = few.as_bytes()[:, 0, 0, 0]
    assert sorted(set(numbers.tolist())) == numbers.tolist()
    assert numbers.tolist() != other.as_bytes()[:, 0, 0, 0].tolist()
    assert few.labels is not None
    np.testing.assert_array_equal(few.labels, numbers % 3)


def test_recordings_give_frames() -> None:
    found = fitting(gather(user_sets.Recordings()), (2, 3, 3))
    assert found.images.shape == (5, 4, 2, 3, 3)
    assert found.images.max() == 255


@pytest.mark.parametrize("channels", [1, 6])
def test_a_series_enters_as_an_image_of_one_row(channels: int) -> None:
    wanted = (channels, 1, 128)
    for shape in ((5, channels, 128), (5, *wanted)):
        assert fitting(gather(np.zeros(shape)), wanted).images.shape == (5, *wanted)
    frames = fitting(gather(np.zeros((5, 7, channels, 128))), wanted).images
    assert frames.shape == (5, 7, *wanted)


def test_targets_that_are_no_classes_are_no_labels() -> None:
    assert gather(user_sets.Recordings("values")).labels is None


def test_a_data_set_can_be_named() -> None:
    assert len(gather("user_sets:pictures")) == 10
    assert len(gather("user_sets:RECORDINGS")) == 5


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            user_sets.Recordings("uneven"),
            r"\(5, 2, 3, 3\) of sample 3 beside \(4, 2, 3, 3\).*n_time",
        ),
        (user_sets.Recordings("events"), r"Recordings\[0\]: found a record of events.*ToFrame"),
        (user_sets.Recordings("text"), r"Recordings\[0\]: found str; allowed: an array"),
        (DataLoader(user_sets.Pictures()), r"a DataLoader.*\.dataset"),
        (np.array([["a"]]), "found <U1; allowed: uint8"),
        (np.zeros(4), r"shape \(4,\).*x\[None\]"),
        (np.zeros((0, 4)), "one sample or more"),
        (np.array([[0.0, np.nan]]), r"samples \[0, 1\]: found nan"),
        (3, "found int; allowed: .npz or .npy, arrays, a torch Dataset"),
        ({}, "found no samples|found dict"),
    ],
)
def test_what_are_no_samples(source: Any, message: str) -> None:
    with pytest.raises(DataError, match=f"(?s){message}"):
        gather(source)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0.5, 1], "labels: found float64"),
        ([0, 1, 2], r"shape \(3,\); allowed: 2 whole numbers"),
        ([0, -1], "found label -1; allowed: >= 0"),
    ],
)
def test_labels_that_are_none(labels: list[float], message: str) -> None:
    with pytest.raises(DataError, match=message):
        gather(PIXELS, labels)


def test_labels_beside_a_data_set_are_one_too_many() -> None:
    with pytest.raises(DataError, match="labels beside a data set"):
        gather(user_sets.Pictures(), [1] * 10)


@pytest.mark.parametrize("name", ["user_sets:nothing", "no_such_module:x"])
def test_names_that_lead_nowhere(name: str) -> None:
    with pytest.raises(ConfigError, match=f"--samples: found '{name}'"):
        gather(name)


@pytest.mark.parametrize(
    ("found", "wanted", "message"),
    [
        ((2, 28, 28, 1), (1, 28, 28), r"axis 1 is 28, not 1, axis 3 is 1, not 28.*channels last"),
        (
            (2, 5, 8, 8, 2),
            (2, 8, 8),
            r"axis 2 is 8, not 2, axis 4 is 2, not 8.*moveaxis\(x, -1, 2\)",
        ),
        (
            (2, 1, 28, 27),
            (1, 28, 28),
            r"axis 3 is 27, not 28; allowed: \(N, 1, 28, 28\), or frames",
        ),
        ((2, 784), (1, 28, 28), r"2 axes.*x\.reshape\(len\(x\), 1, 28, 28\)"),
        ((2, 9), (8,), r"axis 1 is 9, not 8"),
    ],
)
def test_a_wrong_shape_says_which_axis_is_off(
    found: tuple[int, ...], wanted: tuple[int, ...], message: str
) -> None:
    with pytest.raises(DataError, match=f"(?s){message}"):
        fitting(gather(np.zeros(found, np.uint8)), wanted)
