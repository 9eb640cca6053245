"""Arrays of 0 and 1 as bits."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tssd.arrays import PackedBits


@given(st.lists(st.integers(0, 5), max_size=4), st.integers(0, 2**32 - 1))
def test_bits_come_back(shape: list[int], seed: int) -> None:
    array = np.random.default_rng(seed).random(shape) < 0.5
    packed = PackedBits.of(np.asarray(array))
    assert packed.kept.nbytes == -(-array.size // 8)
    np.testing.assert_array_equal(packed.unpacked(), array)
