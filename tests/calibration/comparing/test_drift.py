"""The earth mover's distance of firing rates, by closed forms."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import wasserstein_distance

from tssd.calibration.comparing.drift import rate_drift


def test_which_neuron_has_which_rate_does_not_matter() -> None:
    assert rate_drift([[4, 0], [2, 8]], [[0, 8], [4, 2]], 8) == 0


def test_a_layer_that_fires_more_everywhere_is_that_far_away() -> None:
    assert rate_drift([1, 2, 5], [3, 4, 7], 10) == pytest.approx(0.2)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=1, max_size=30))
def test_it_is_scipy_s_wasserstein_distance(pairs: list[tuple[int, int]]) -> None:
    a, b = np.array(pairs).T
    assert rate_drift(a, b, 40) == pytest.approx(wasserstein_distance(a / 40, b / 40), abs=1e-12)
