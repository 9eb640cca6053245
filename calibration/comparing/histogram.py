"""How often values fall where, exactly and in one pass: bins whose width doubles as values grow.

    bin i holds  i w <= x < (i + 1) w        w = 2**e, i = -HALF .. HALF - 1

``e`` is the least exponent, not below the one asked for, at which every value seen so far has a
bin. Two neighbours become one where it grows, so parts in any order and of any size give the same
counts as all values at once.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce

import numpy as np
import numpy.typing as npt

from tssd.arrays import FloatArray, IntArray

HALF = 1 << 13  # bins on either side of zero


@dataclass(frozen=True, eq=False)
class Histogram:
    """``counts`` (2 HALF,) of bins 2**exponent wide, the first from -HALF bins on."""

    exponent: int
    counts: IntArray

    @property
    def width(self) -> float:
        return float(2.0**self.exponent)

    @property
    def values(self) -> int:
        return int(self.counts.sum())

    def coarser(self, exponent: int) -> "Histogram":
        """The same values in wider bins."""
        places = np.flatnonzero(self.counts)
        bins = ((places - HALF) >> (exponent - self.exponent)) + HALF
        counts = np.zeros_like(self.counts)
        np.add.at(counts, bins, self.counts[places])
        return Histogram(exponent, counts)


def histogram(values: npt.ArrayLike, finest: int) -> Histogram:
    """Of finite *values* of any shape, in bins of at least 2**finest."""
    x: FloatArray = np.asarray(values, np.float64).ravel()
    exponent = max(finest, _needed(x))
    bins = np.floor(x / 2.0**exponent).astype(np.int64)
    bins[(x < 0) & (bins == 0)] = -1  # the least negative float divided is zero
    return Histogram(exponent, np.bincount(bins + HALF, minlength=2 * HALF))


def _needed(x: FloatArray) -> int:
    """The least exponent at which all of *x* have a bin; division by powers of two is exact."""
    if not len(x):
        return -1074
    low, high = float(x.min()), float(x.max())
    exponent = int(np.frexp(max(-low, high))[1]) - HALF.bit_length()
    while low < -HALF * 2.0**exponent or high >= HALF * 2.0**exponent:
        exponent += 1
    return exponent


def merged(parts: Iterable[Histogram]) -> Histogram:
    """All parts as one; there is at least one."""
    return reduce(_sum, parts)


def _sum(a: Histogram, b: Histogram) -> Histogram:
    exponent = max(a.exponent, b.exponent)
    counts = a.coarser(exponent).counts + b.coarser(exponent).counts
    return Histogram(exponent, counts)


@dataclass(frozen=True, eq=False)
class VisibleBins:
    """Some of the same bins of several histograms: ``bins`` (histograms, bins) from ``low`` on,
    each ``width`` wide, and what lies outside, (histograms,)."""

    low: float
    width: float
    bins: IntArray
    below: IntArray
    above: IntArray


def shown(parts: Iterable[Histogram], most_bins: int, left_out: float) -> VisibleBins:
    """At most *most_bins* bins that hold what all *parts* have between the quantiles *left_out* and
    1 - *left_out* of their shares; they are as narrow as that allows. Zero is an edge, so
    *most_bins* is two or more."""
    parts = list(parts)
    exponent = max(part.exponent for part in parts)
    counts = np.array([part.coarser(exponent).counts for part in parts])
    shares = (counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)).mean(axis=0)
    low, high = _between(shares, left_out)
    while high - low + 1 > most_bins:
        exponent += 1
        low, high = low >> 1, high >> 1
    counts = np.array([part.coarser(exponent).counts for part in parts])
    first, last = low + HALF, high + HALF
    return VisibleBins(
        low * 2.0**exponent,
        2.0**exponent,
        counts[:, first : last + 1],
        counts[:, :first].sum(axis=1),
        counts[:, last + 1 :].sum(axis=1),
    )


def _between(shares: FloatArray, left_out: float) -> tuple[int, int]:
    """The first and the last bin, from -HALF on, with at most *left_out* of all before and after;
    bins that hold nothing are no ends."""
    total = float(shares.sum())
    before = np.cumsum(shares)
    after = np.cumsum(shares[::-1])
    slack = left_out * total + 1e-12
    low = int(np.argmax((before > slack) & (shares > 0)))
    high = len(shares) - 1 - int(np.argmax((after > slack) & (shares[::-1] > 0)))
    return low - HALF, high - HALF
