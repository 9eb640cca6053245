"""AutoAugment: the operations by what they must do, draws by their shares."""

import numpy as np
import pytest
from PIL import Image

from tssd.errors import ConfigError
from tssd.train.config import TrainConfig
from tssd.train.loop import autoaugment
from tssd.train.loop.augment import augment
from tssd.train.loop.autoaugment import OPERATIONS, POLICY, auto_augment


def pictures(count: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, channels, 32, 32), np.uint8)


def test_policy_is_twenty_five_pairs_of_known_operations() -> None:
    assert len(POLICY) == 25
    for name, probability, magnitude in (operation for pair in POLICY for operation in pair):
        assert name in OPERATIONS
        assert 0 <= probability <= 1
        assert magnitude in range(10)


def test_operations_in_closed_form() -> None:
    grey = pictures(1, 1)[0, 0]
    picture = Image.fromarray(grey)
    moved = np.asarray(OPERATIONS["translate_y"](picture, 8 / 9, 1))
    rows = round(150 / 331 * 8 / 9 * 32)
    assert np.array_equal(moved[:-rows], grey[rows:])
    assert not moved[-rows:].any()
    assert np.array_equal(np.asarray(OPERATIONS["invert"](picture, 0.0, 1)), 255 - grey)
    solarized = np.asarray(OPERATIONS["solarize"](picture, 0.5, 1))
    assert np.array_equal(solarized, np.where(grey < 128, grey, 255 - grey))
    four_bits = np.asarray(OPERATIONS["posterize"](picture, 1.0, 1))
    assert np.array_equal(four_bits, grey & 0xF0)
    brighter = np.asarray(OPERATIONS["brightness"](picture, 1.0, -1))
    assert np.abs(brighter - 0.1 * grey).max() <= 1


@pytest.mark.parametrize("channels", [1, 3])
def test_every_sub_policy_keeps_shape_and_type(
    channels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = pictures(4, channels)
    for pair in POLICY:
        certain = tuple((name, 1.0, magnitude) for name, _, magnitude in pair)
        monkeypatch.setattr(autoaugment, "POLICY", (certain,))
        changed = auto_augment(images, np.random.default_rng(0))
        assert changed.shape == images.shape
        assert changed.dtype == np.uint8


def test_draws_repeat_and_leave_the_images_alone() -> None:
    images = pictures(64)
    before = images.copy()
    first, second = (auto_augment(images, np.random.default_rng(7)) for _ in range(2))
    assert np.array_equal(first, second)
    assert np.array_equal(images, before)
    untouched = (first == images).all(axis=(1, 2, 3)).mean()
    share = np.mean([(1 - a[1]) * (1 - b[1]) for a, b in POLICY])
    assert abs(untouched - share) < 0.2  # 64 draws: three standard deviations


def test_an_option_of_training() -> None:
    assert TrainConfig(autoaugment=True).to_table()["autoaugment"] is True
    images = pictures(8)
    plain = augment(images, np.random.default_rng(0), flip=False, shift=0)
    changed = augment(images, np.random.default_rng(0), flip=False, shift=0, policy=True)
    assert np.array_equal(plain, images)
    assert not np.array_equal(changed, images)


def test_channels_that_have_no_colour_are_refused() -> None:
    with pytest.raises(ConfigError, match="2 channels"):
        auto_augment(pictures(2, 2), np.random.default_rng(0))
