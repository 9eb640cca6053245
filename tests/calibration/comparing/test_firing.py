"""What became of a layer's spikes, in closed form; batches give what all samples give at once."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tssd.calibration.comparing.firing import merged, paired, sample_events


def test_figures_by_hand() -> None:
    found = paired([[3, 0, 4], [4, 0, 4]], [[3, 1, 0], [4, 0, 0]], 4)
    assert (found.rate("float"), found.rate("integer")) == (15 / 24, 8 / 24)
    assert found.ratio == 8 / 15
    assert found.cosine == pytest.approx(25 / np.sqrt(57 * 26))
    assert (found.dead("float"), found.dead("integer")) == (1, 1)
    assert (found.always("float"), found.always("integer")) == (1, 0)
    assert found.drift == pytest.approx((0 + (7 - 1) + (8 - 7)) / 3 / 8)  # 0 7 8 against 0 1 7


def test_twice_as_many_everywhere_has_no_angle_and_the_ratio_two() -> None:
    found = paired([[1, 2, 3]], [[2, 4, 6]], 6)
    assert (found.ratio, found.cosine) == (2, 1)


def test_where_both_never_fire_together_the_cosine_is_nothing() -> None:
    found = paired([[2, 0]], [[0, 2]], 2)
    assert (found.ratio, found.cosine, found.drift) == (1, 0, 0)


def test_silence_has_neither_ratio_nor_angle() -> None:
    found = paired([[0, 0]], [[0, 1]], 2)
    assert (found.ratio, found.cosine) == (None, None)
    assert (found.dead("float"), found.dead("integer")) == (2, 1)


@settings(max_examples=100, deadline=None)
@given(st.integers(2, 12), st.integers(1, 11), st.integers(0, 2**31))
def test_batches_are_all_samples_at_once(samples: int, cut: int, seed: int) -> None:
    a, b = np.random.default_rng(seed).integers(0, 9, (2, samples, 2, 3))
    cut = min(cut, samples - 1)
    whole = paired(a, b, 8)
    parts = merged([paired(a[:cut], b[:cut], 8), paired(a[cut:], b[cut:], 8)])
    assert (parts.samples, parts.slots) == (samples, 8 * samples)
    assert (parts.ratio, parts.cosine, parts.drift) == (whole.ratio, whole.cosine, whole.drift)
    assert parts.dead("integer") == whole.dead("integer")
    assert parts.always("float") == whole.always("float")


@pytest.mark.parametrize("steps", [1, 255, 256, 300])
def test_counts_hold_as_many_steps_as_there_are(steps: int) -> None:
    spikes = np.zeros((steps, 2, 1, 3))
    spikes[:, 1] = 1
    assert sample_events(spikes).tolist() == [[0, 0, 0], [steps] * 3]
