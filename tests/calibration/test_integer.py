"""The arithmetic of the state in plain numbers: 24 bits, 12-bit decays, weights of 64 units."""

import numpy as np
import pytest

from tssd.calibration import integer
from tssd.calibration.integer import (
    clip_voltage,
    decay_toward_zero,
    shift,
    signed_bits,
    wrap_current,
    wrap_sum,
)


def one(value: int) -> "np.typing.NDArray[np.int64]":
    return np.array([value], np.int64)


@pytest.mark.parametrize(
    ("low", "high", "bits"),
    [(0, 0, 1), (-1, 0, 1), (-1, 1, 2), (-2, 1, 2), (-127, 127, 8), (-128, -128, 8), (0, 128, 9)],
)
def test_bits_that_a_range_needs(low: int, high: int, bits: int) -> None:
    assert signed_bits(low, high) == bits


def test_the_widths_are_those_of_the_chip() -> None:
    assert integer.STATE_LIMIT == 8_388_608
    assert integer.DECAY_ONE == 4096
    assert integer.UNIT == 64


@pytest.mark.parametrize(
    ("u", "wrapped"),
    [
        (8_388_607, 8_388_607),
        (8_388_608, 8_388_608),
        (8_388_609, -8_388_607),
        (-8_388_607, -8_388_607),
        (-8_388_608, 8_388_608),
        (25_165_825, 8_388_609),  # one turn only
    ],
)
def test_a_current_turns_once(u: int, wrapped: int) -> None:
    assert wrap_current(one(u)).tolist() == [wrapped]


@pytest.mark.parametrize(
    ("v", "clipped"), [(8_388_607, 8_388_607), (8_388_608, 8_388_607), (-9_000_000, -8_388_607)]
)
def test_a_voltage_saturates(v: int, clipped: int) -> None:
    assert clip_voltage(one(v)).tolist() == [clipped]


@pytest.mark.parametrize(
    ("a", "wrapped"),
    [(8_388_607, 8_388_607), (8_388_608, -8_388_608), (-8_388_609, 8_388_607), (16_777_216, 0)],
)
def test_a_sum_of_a_convolution_is_two_s_complement(a: int, wrapped: int) -> None:
    assert wrap_sum(one(a)).tolist() == [wrapped]


@pytest.mark.parametrize(
    ("x", "decay", "left"), [(4097, 4095, 1), (-4097, 4095, -1), (-3, 2048, -1), (5, 0, 5)]
)
def test_a_decay_rounds_toward_zero(x: int, decay: int, left: int) -> None:
    assert decay_toward_zero(one(x), one(decay)).tolist() == [left]


@pytest.mark.parametrize(
    ("a", "exponent", "shifted"), [(-3, -1, -2), (3, -1, 1), (5, 0, 5), (-3, 2, -12)]
)
def test_a_right_shift_goes_toward_minus_infinity(a: int, exponent: int, shifted: int) -> None:
    assert shift(one(a), exponent).tolist() == [shifted]
