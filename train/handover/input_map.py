"""InputMap: the user's own numbers on the 256 levels of the input, and back.

    x = low + level (high - low)          level = byte / 255, 0 .. 1

Normalised pixels, sensor values and observations enter a chip as whole numbers from 0 on. The map
is per channel of images (C, 1, 1) and per value of vectors (N,); ``with_input_map`` moves it into
the first weights and biases, so that it costs nothing there.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tssd.arrays import ByteArray, FloatArray
from tssd.errors import DataError

Samples = npt.NDArray[np.floating]
LEVELS = 255  # the largest byte
PIXEL_LIKE = LEVELS // 2  # more steps than this between the ends of a grid: bytes, all 256 of them
ROUNDING = 8 * float(np.finfo(np.float32).eps)  # of a float32 that was scaled and shifted


@dataclass(frozen=True, eq=False)
class InputMap:
    """``low`` and ``high`` are what levels 0 and 1 mean: rank of the input shape, broadcasting."""

    low: FloatArray
    high: FloatArray

    @property
    def span(self) -> FloatArray:
        """high - low; 0 for a value that never changes, which its level leaves at low."""
        return self.high - self.low

    @property
    def is_plain(self) -> bool:
        """Whether a level is the value itself, as of pixels."""
        return bool((self.low == 0).all() and (self.high == 1).all())

    def to_bytes(self, samples: Samples) -> ByteArray:
        """Samples (N, *shape) or frames (N, T, *shape) on the nearest levels; what lies outside is
        held at the ends, and ``outside`` says so."""
        level = (samples - self.low) / np.where(self.span == 0, 1.0, self.span)
        found: ByteArray = np.rint(np.clip(level, 0, 1) * (self.span != 0) * LEVELS).astype(
            np.uint8
        )
        return found

    def to_values(self, images: ByteArray) -> FloatArray:
        """What the levels mean."""
        values: FloatArray = self.low + images.astype(np.float64) / LEVELS * self.span
        return values

    def outside(self, samples: Samples) -> str | None:
        """How many values lie more than half a level outside, and the farthest; None: none."""
        half = self.span / LEVELS / 2 + ROUNDING * np.maximum(abs(self.low), abs(self.high))
        below, above = self.low - half - samples, samples - self.high - half
        beyond = np.maximum(below, above)
        count = int((beyond > 0).sum())
        if not count:
            return None
        at = tuple(int(i) for i in np.unravel_index(int(beyond.argmax()), beyond.shape))
        low, high = (np.broadcast_to(x, beyond.shape)[at] for x in (self.low, self.high))
        return (
            f"{count:,} of {beyond.size:,} values outside the range of the samples that the "
            f"network was exported with, the farthest {samples[at]:.6g} at {list(at)} "
            f"({low:.6g} .. {high:.6g})"
        )


def plain_map(shape: tuple[int, ...]) -> InputMap:
    """Levels that are the values themselves."""
    return InputMap(np.zeros((1,) * len(shape)), np.ones((1,) * len(shape)))


def input_map(samples: Samples, shape: tuple[int, ...]) -> InputMap:
    """The map that holds all *samples*, exactly where they lie on at most 256 even levels."""
    if not np.isfinite(samples).all():
        raise DataError("samples", found="values that are not finite", allowed="finite numbers")
    whole = samples.astype(np.float64)
    plain = plain_map(shape)
    if not plain.outside(samples) and _is_same(plain, whole):
        return plain
    if len(shape) == 1:
        ends = _grid(whole)
        rows = [ends] if ends else [_ends(column) for column in whole.reshape(-1, *shape).T]
    else:
        rows = [_ends(c) for c in np.moveaxis(whole, -len(shape), 0)]
    if all(low == high for low, high in rows):
        raise DataError(
            "samples", found="the same value in all of them", allowed="values that vary"
        )
    low, high = (np.array(x).reshape(-1, *(1,) * (len(shape) - 1)) for x in zip(*rows, strict=True))
    return InputMap(low, high)


def _is_same(made: InputMap, samples: FloatArray) -> bool:
    room = ROUNDING * float(np.abs(samples).max(initial=0))
    return bool((abs(made.to_values(made.to_bytes(samples)) - samples) <= room).all())


def _ends(values: FloatArray) -> tuple[float, float]:
    """The ends of one channel's range: of its grid, or its least and largest value with 0 on a
    level where it lies between."""
    found = _grid(values)
    if found:
        return found
    low, high = float(values.min()), float(values.max())
    if not low < 0 < high:
        return low, high
    zero = min(max(round(-low / (high - low) * LEVELS), 1), LEVELS - 1)
    step = max(-low / zero, high / (LEVELS - zero))
    return -zero * step, (LEVELS - zero) * step


def _grid(values: FloatArray) -> tuple[float, float] | None:
    """The ends of the even levels that all *values* lie on; None where there are none."""
    points = np.unique(values)
    points = points[np.diff(points, prepend=-np.inf) > ROUNDING * np.abs(points).max(initial=0)]
    if not 1 < len(points) <= LEVELS + 1:
        return None
    first, last = float(points[0]), float(points[-1])
    steps = round((last - first) / float(np.diff(points).min()))
    step = (last - first) / steps
    near = first + np.rint((points - first) / step) * step
    if steps > LEVELS or np.abs(near - points).max() > ROUNDING * np.abs(points).max():
        return None
    return first, first + step * (LEVELS if steps > PIXEL_LIKE else steps)
