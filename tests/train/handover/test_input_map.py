"""The user's numbers on the levels of the input: exact where they can be, bounded where not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tssd.errors import DataError
from tssd.train.handover.input_map import InputMap, input_map, plain_map


def test_pixels_are_levels() -> None:
    pixels = np.arange(256, dtype=np.uint8).reshape(4, 1, 8, 8)
    made = input_map(pixels.astype(np.float32) / 255, (1, 8, 8))
    assert made.is_plain
    np.testing.assert_array_equal(made.to_bytes(pixels.astype(np.float32) / 255), pixels)


@pytest.mark.parametrize("shape", [(3, 4, 4), (48,)])
def test_normalised_pixels_are_exact(shape: tuple[int, ...]) -> None:
    """(p / 255 - mean) / std of ToTensor and Normalize: the bytes come back, black to white."""
    pixels = np.random.default_rng(0).integers(0, 256, (40, *shape)).astype(np.uint8)
    channel = (3, 1, 1) if len(shape) == 3 else (1,)
    mean = np.array([0.49, 0.48, 0.45], np.float32)[: channel[0]].reshape(channel)
    std = np.array([0.25, 0.24, 0.26], np.float32)[: channel[0]].reshape(channel)
    samples = (pixels.astype(np.float32) / 255 - mean) / std
    made = input_map(samples, shape)
    np.testing.assert_array_equal(made.to_bytes(samples), pixels)
    np.testing.assert_allclose(made.low, (0 - mean) / std, rtol=1e-5)
    np.testing.assert_allclose(made.high, (1 - mean) / std, rtol=1e-5)


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-0.4, 2.8), (0.0, 5.0), (1.0, 3.0)])
def test_two_values_are_the_first_and_the_last_level(low: float, high: float) -> None:
    seen = np.random.default_rng(1).random((5, 3, 6)) < 0.3
    made = input_map(np.where(seen, high, low).astype(np.float32), (6,))
    found = made.to_bytes(np.where(seen, high, low).astype(np.float32))
    np.testing.assert_array_equal(found, np.where(seen, 255, 0))


def test_counts_of_events_are_exact_levels() -> None:
    counts = np.random.default_rng(2).integers(0, 4, (9, 2, 3, 3)).astype(np.float32)
    made = input_map(counts, (2, 3, 3))
    np.testing.assert_array_equal(made.to_bytes(counts), counts * 85)
    np.testing.assert_allclose(made.to_values(made.to_bytes(counts)), counts, rtol=1e-12)


def test_each_sensor_has_a_range_of_its_own_and_zero_is_a_level() -> None:
    """Position, velocity, angle: the smallest would keep a dozen levels of a common range."""
    rng = np.random.default_rng(3)
    samples = (rng.uniform(-1, 1, (500, 3)) * np.array([2.4, 3.0, 0.2])).astype(np.float32)
    samples[0] = 0
    made = input_map(samples, (3,))
    back = made.to_values(made.to_bytes(samples))
    assert np.all(np.abs(back - samples) <= made.span / 255 / 2 + 1e-6)
    assert np.abs(back[0]).max() < 1e-12
    assert made.span[2] < 0.45
    assert made.outside(samples) is None


@given(
    st.lists(st.floats(-1e3, 1e3, width=32), min_size=8, max_size=8),
    st.floats(0.015625, 8, width=32),
)
@settings(max_examples=60, deadline=None)
def test_every_sample_of_the_range_is_within_half_a_level(values: list[float], unit: float) -> None:
    samples = (np.array(values, np.float32) * np.float32(unit)).reshape(4, 2)
    if not (samples != samples[0]).any():
        return
    made = input_map(samples, (2,))
    back = made.to_values(made.to_bytes(samples))
    room = made.span / 255 / 2 + 1e-6 * np.abs(samples).max()
    assert np.all(np.abs(back - samples) <= room)
    assert made.outside(samples) is None


def test_a_value_that_never_changes_stays_and_another_one_later_is_said() -> None:
    samples = np.array([[0.5, 0.1], [0.5, 0.93], [0.5, 0.27]], np.float32)
    made = input_map(samples, (2,))
    np.testing.assert_array_equal(made.to_bytes(samples)[:, 0], [0, 0, 0])
    np.testing.assert_allclose(made.to_values(made.to_bytes(samples))[:, 0], 0.5)
    later = samples.copy()
    later[1, 0], later[2, 1] = 0.75, 1.5
    said = made.outside(later)
    assert said is not None
    assert said.startswith("2 of 6 values outside the range")
    assert "the farthest 1.5 at [2, 1] (0.1 .. 0.93)" in said
    np.testing.assert_array_equal(made.to_bytes(later)[2], [0, 255])


def test_what_says_nothing_is_refused() -> None:
    with pytest.raises(DataError, match="found the same value in all of them"):
        input_map(np.full((3, 2), 0.3, np.float32), (2,))
    with pytest.raises(DataError, match="not finite"):
        input_map(np.array([[0.1, np.nan]], np.float32), (2,))
    assert plain_map((2, 3, 3)).is_plain
    assert not InputMap(np.zeros(1), np.full(1, 2.0)).is_plain
