"""Which weights netx and Lava's dense process keep as they are."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tssd.calibration.integer import IntArray
from tssd.export.netx.rules import fits_eight_bits, loads_exactly


def after_loading(weight: IntArray) -> IntArray:
    """What netx and Lava's dense process make of a weight matrix, in the same scale.

    netx scales the matrix up to the full synapse, states how many bits it needs and takes the
    scale back by the exponent; Lava clips to the range of its sign mode and drops low bits.
    """
    low, high = int(weight.min()), int(weight.max())
    mixed = low < 0 <= high
    clipped = np.clip(weight, -256, 254) if mixed and (high > 254 or low < -256) else weight
    low, high = int(clipped.min()), int(clipped.max())
    if mixed:
        room = min(127 / high if high else np.inf, -128 / low)
    else:
        room = 255 / high if high >= 0 else -256 / low
    shift = int(np.floor(np.log2(room))) + mixed
    zeros = next((n for n in range(8, 0, -1) if not (clipped % (1 << n)).any()), 0)
    bits = 8 - shift - (zeros - mixed)
    scaled = clipped * 2**shift if shift >= 0 else clipped >> -shift
    lava_mixed, all_negative = scaled.min() < 0 < scaled.max(), scaled.max() <= 0 > scaled.min()
    bounds = (-256, 255) if lava_mixed else (-255, 0) if all_negative else (0, 255)
    drop = 8 - bits + lava_mixed
    kept = np.clip(scaled, *bounds)
    sign = -1 if all_negative else 1
    kept = sign * ((sign * kept >> drop) << drop) if drop >= 0 else kept * 0
    loaded: IntArray = kept >> shift if shift >= 0 else kept << -shift
    return loaded


@given(st.lists(st.integers(-300, 300), min_size=2, max_size=6), st.sampled_from([1, 2, 4]))
@settings(max_examples=200, deadline=None)
def test_accepted_weights_load_unchanged(values: list[int], factor: int) -> None:
    weight = np.array(values, np.int64) * factor
    if weight.any() and loads_exactly(weight):
        np.testing.assert_array_equal(after_loading(weight), weight)


@pytest.mark.parametrize(
    ("weights", "fits"),
    [
        ((-127, 127), True),
        ((-254, 254), True),
        ((-128, 127), True),
        ((-128, 129), False),
        ((-256, 254), True),
        ((-255, 1), False),
        ((0, 255), True),
        ((0, 256), False),
        ((-255, -1), True),
        ((-256, -1), False),
        ((-255, 0), False),
        ((0, -130), True),
        ((0, -128), False),
        ((-1, -4), False),
        ((-1, -5), True),
        ((300, -999), False),
    ],
)
def test_safe_sets(weights: tuple[int, int], fits: bool) -> None:
    assert loads_exactly(np.array(weights)) is fits


@pytest.mark.parametrize(
    ("low", "high", "fits"),
    [(-255, -1, True), (-256, -1, False), (1, 255, True), (1, 256, False), (-128, 127, True)],
)
def test_eight_bits_of_one_sign_end_at_255(low: int, high: int, fits: bool) -> None:
    assert fits_eight_bits(np.array([low, high])) is fits


@pytest.mark.parametrize(("low", "exact"), [(-1, False), (-2, False), (-3, True), (-64, False)])
def test_a_power_of_two_below_only_zeros_is_clipped(low: int, exact: bool) -> None:
    assert loads_exactly(np.array([low, 0])) is exact
