"""Bins against counting by hand; parts in any order are all values at once."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tssd.arrays import FloatArray
from tssd.calibration.comparing.histogram import HALF, Histogram, histogram, merged, shown

LARGE = st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=20).map(np.array)


def counted(found: Histogram) -> dict[float, int]:
    """Left edge -> values."""
    places = np.flatnonzero(found.counts)
    return {float((i - HALF) * found.width): int(found.counts[i]) for i in places}


def test_a_bin_holds_its_left_edge_and_not_its_right() -> None:
    found = histogram([[0.0, 0.999], [1.0, -1.0], [-1.001, -0.001]], 0)
    assert counted(found) == {-2.0: 1, -1.0: 2, 0.0: 2, 1.0: 1}


@pytest.mark.parametrize(
    ("values", "exponent"),
    [([HALF - 1], 0), ([HALF - 0.001], 0), ([HALF], 1), ([-HALF], 0), ([-HALF - 0.001], 1)],
)
def test_bins_are_no_wider_than_the_largest_value_needs(values: list[float], exponent: int) -> None:
    assert histogram(values, 0).exponent == exponent
    assert histogram(values, 0).values == 1


@settings(max_examples=40, deadline=None)
@given(LARGE, st.integers(-12, 2))
@example(np.array([float(HALF)]), 0)
def test_every_value_is_counted_in_the_narrowest_bins(x: FloatArray, finest: int) -> None:
    found = histogram(x, finest)
    assert found.values == len(x)
    assert found.exponent >= finest
    if found.exponent > finest:  # half as wide, and some value has no bin
        bins = np.floor(x / 2.0 ** (found.exponent - 1))
        assert bins.min() < -HALF or bins.max() >= HALF


@settings(max_examples=40, deadline=None)
@given(st.lists(LARGE, min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_parts_in_any_order_are_all_values_at_once(parts: list[FloatArray], shuffled) -> None:  # type: ignore[no-untyped-def]
    whole = histogram(np.concatenate(parts), -10)
    shuffled.shuffle(parts)
    found = merged(histogram(x, -10) for x in parts)
    assert found.exponent == whole.exponent
    np.testing.assert_array_equal(found.counts, whole.counts)


def test_a_value_that_becomes_zero_when_divided_stays_below_zero() -> None:
    least = float(np.nextafter(0.0, -1.0))
    assert np.flatnonzero(histogram([8192.0, least], -10).counts).tolist() == [
        HALF - 1,
        HALF + 4096,
    ]


def test_what_is_shown_by_hand() -> None:
    """Whole numbers 0 .. 7, the first ten times as often, in at most four bins."""
    ours, theirs = histogram([*[0] * 10, *range(1, 8)], 0), histogram([3, 3, 3, -100], 0)
    found = shown([ours, theirs], 4, 0.2)
    assert (found.low, found.width) == (0, 1)  # -100 is 1/8 of the shares; 0 and 3 hold the middle
    assert found.bins.tolist() == [[10, 1, 1, 1], [0, 0, 0, 3]]
    assert found.below.tolist() == [0, 1]
    assert found.above.tolist() == [4, 0]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(LARGE, min_size=1, max_size=3), st.integers(2, 40), st.sampled_from([0, 0.005, 0.2])
)
def test_bins_and_what_lies_outside_are_everything(
    parts: list[FloatArray],
    most: int,
    left_out: float,
) -> None:
    found = shown([histogram(x, -10) for x in parts], most, left_out)
    inside = found.bins.sum(axis=1)
    assert found.bins.shape[1] <= most
    for i, x in enumerate(parts):
        assert inside[i] + found.below[i] + found.above[i] == len(x)
        assert found.below[i] == (x < found.low).sum()
        assert found.above[i] == (x >= found.low + found.bins.shape[1] * found.width).sum()
    share = found.below / np.array([len(x) for x in parts])
    assert share.mean() <= left_out + 1e-9
    if not left_out:
        assert not found.above.any()
