"""The simulated event camera: what must hold whatever its parameters were fitted to."""

from dataclasses import replace

import numpy as np
import pytest

from tssd.errors import ConfigError, DataError
from tssd.train.data.camera import Camera, path, record, thresholds
from tssd.train.data.events import Recordings

CLEAN = Camera(noise_hz=0.0, mismatch=0.0, refractory_us=0, step_us=1000)


def bar() -> np.ndarray:
    """A bright bar on black, (1, 1, 28, 28)."""
    image = np.zeros((1, 1, 28, 28), np.uint8)
    image[0, 0, 6:22, 12:15] = 255
    return image


def same(a: Recordings, b: Recordings) -> bool:
    names = ("x", "y", "channel", "time_us", "starts")
    return all(np.array_equal(getattr(a, n), getattr(b, n)) for n in names)


def test_the_path_visits_the_corners_and_rests_there() -> None:
    way = path(CLEAN)
    assert len(way) == 316
    for leg, corner in enumerate(CLEAN.corners):
        assert way[105 * leg] == pytest.approx(corner)
    speed = np.linalg.norm(np.diff(way, axis=0), axis=1)
    assert speed[0] < 0.01 * speed[52]
    assert speed[52] == pytest.approx(1.875 * np.hypot(3.5, 7) / 105, rel=1e-2)


def test_without_motion_or_noise_there_are_no_events() -> None:
    still = replace(CLEAN, corners=((1.0, 2.0), (1.0, 2.0)))
    assert len(record(bar(), still).x) == 0


def test_an_empty_image_gives_noise_alone() -> None:
    noisy = replace(CLEAN, noise_hz=5.0)
    counts = record(np.zeros((20, 1, 28, 28), np.uint8), noisy).counts
    expected = 5.0 * 34 * 34 * 0.315
    assert counts.mean() == pytest.approx(expected, abs=4 * np.sqrt(expected / 20))


def test_a_background_that_is_a_whole_number_is_a_number() -> None:
    """The images are bytes: 255 - 28 times a byte would wrap around."""
    assert same(record(bar(), replace(CLEAN, background=28)), record(bar(), CLEAN))


def test_twice_the_threshold_gives_about_half_the_events() -> None:
    fine, coarse = (replace(CLEAN, threshold=value) for value in (0.05, 0.1))
    counts = [record(bar(), camera).counts[0] for camera in (fine, coarse)]
    assert counts[0] / counts[1] == pytest.approx(2, rel=0.05)


def test_a_pixel_passed_by_an_edge_fires_as_often_as_the_step_holds_thresholds() -> None:
    """ln(255 / 28) = 2.209: 22 ON events at a threshold of 0.1, and 21 OFF back to the start, as
    the last OFF needs the light to fall by a whole threshold below the one before."""
    across = replace(CLEAN, corners=((0.0, 0.0), (7.0, 0.0)), threshold=0.1, offset=(0.0, 0.0))
    events = record(bar(), across)
    middle = (events.y == 17) & (events.x == 17)
    assert [int((events.channel[middle] == c).sum()) for c in (1, 0)] == [22, 21]
    on, off = (events.time_us[middle & (events.channel == c)] for c in (1, 0))
    assert on.max() < off.min()


def test_going_back_and_forth_gives_as_many_on_as_off() -> None:
    there = replace(CLEAN, threshold=0.02)
    channel = record(bar(), there).channel
    assert channel.mean() == pytest.approx(0.5, abs=0.01)


def test_below_the_floor_light_counts_linearly() -> None:
    dark = replace(CLEAN, background=0.0, floor=300.0, threshold=0.1)
    faint = record((bar() // 2).astype(np.uint8), dark)
    assert len(record(bar(), dark).x) / len(faint.x) == pytest.approx(255 / 127, rel=0.05)


def test_a_refractory_pixel_waits() -> None:
    slow = replace(CLEAN, threshold=0.02, refractory_us=9000)
    events = record(bar(), slow)
    for y, x in ((15, 15), (17, 18)):
        times = events.time_us[(events.x == x) & (events.y == y)]
        assert len(times) > 2
        assert np.diff(times).min() >= 8999  # whole microseconds


def test_the_seed_fixes_everything() -> None:
    images = np.concatenate([bar(), bar()])
    camera = Camera(step_us=3000)
    first = record(images, camera)
    assert same(first, record(images, camera))
    assert same(first.select(np.array([1])), record(images[1:], camera, first=1))
    assert not same(first, record(images, replace(camera, seed=1)))


def test_mismatch_spreads_the_thresholds_around_the_nominal() -> None:
    factors = thresholds(Camera(size=(100, 100), mismatch=0.15)) / Camera().threshold
    assert factors.mean() == pytest.approx(1, abs=0.005)
    assert factors.std() == pytest.approx(0.15, abs=0.005)


def test_colour_images_are_refused() -> None:
    with pytest.raises(DataError, match=r"shape \(1, 3, 8, 8\); allowed: uint8 \(N, 1, H, W\)"):
        record(np.zeros((1, 3, 8, 8), np.uint8), CLEAN)


def test_a_threshold_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"camera: threshold: found 0\.0; allowed: > 0"):
        Camera(threshold=0.0)
