"""The integer arithmetic of the chip's state: 24 bits, truncation toward zero.

Rules as measured on Lava 0.10's fixed-point LIF (``lava/proc/lif/models.py``) and matched by the
recorded PilotNet ground truth. All functions take and return int64 arrays of any shape.
"""

import numpy as np

from tssd.arrays import IntArray as IntArray

STATE_BITS = 24
STATE_LIMIT = 1 << (STATE_BITS - 1)  # 2**23
DECAY_ONE = 4096  # decays are 12-bit fractions: x * (4096 - decay) / 4096
WEIGHT_SHIFT = 6  # a weight unit is 64 membrane units
UNIT = 1 << WEIGHT_SHIFT


def decay_toward_zero(x: IntArray, decay: IntArray) -> IntArray:
    """sign(p) * (abs(p) >> 12) with p = x * (4096 - decay)."""
    product = x * (DECAY_ONE - decay)
    return np.where(product < 0, -(-product >> 12), product >> 12)


def wrap_current(u: IntArray) -> IntArray:
    """One conditional turn of 2**24; +2**23 itself stays, -2**23 becomes +2**23 (Lava's rule)."""
    turn = 2 * STATE_LIMIT
    return np.where(u > STATE_LIMIT, u - turn, np.where(u <= -STATE_LIMIT, u + turn, u))


def clip_voltage(v: IntArray) -> IntArray:
    """Saturate at +-(2**23 - 1)."""
    return np.clip(v, 1 - STATE_LIMIT, STATE_LIMIT - 1)


def wrap_sum(a: IntArray) -> IntArray:
    """Two's complement of 24 bits: the range of a convolution's accumulated sum."""
    return (a + STATE_LIMIT) % (2 * STATE_LIMIT) - STATE_LIMIT


def signed_bits(low: int, high: int) -> int:
    """Bits of two's complement that hold low .. high."""
    return 1 + max(max(high, 0).bit_length(), max(-low - 1, 0).bit_length())


def shift(a: IntArray, exponent: int) -> IntArray:
    """a * 2**exponent; a negative exponent shifts arithmetically right (toward -inf)."""
    return a << exponent if exponent >= 0 else a >> -exponent
