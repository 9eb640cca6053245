"""Arrays by what they hold; shapes stand in the docstrings that use them, time first."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
BoolArray = npt.NDArray[np.bool_]
ByteArray = npt.NDArray[np.uint8]
FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class PackedBits:
    """An array of 0 and 1 of ``shape``, ``kept`` as a bit each."""

    kept: ByteArray
    shape: tuple[int, ...]

    @staticmethod
    def of(array: BoolArray) -> "PackedBits":
        return PackedBits(np.packbits(array), array.shape)

    def unpacked(self) -> ByteArray:
        """The array again."""
        return np.unpackbits(self.kept, count=math.prod(self.shape)).reshape(self.shape)
