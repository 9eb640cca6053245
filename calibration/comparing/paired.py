"""Points of accuracy lost between two answers to the same samples, and how sure that is.

    losses, wins   samples that only the first, only the second answer has right, of n
    loss           d = P(loss) - P(win), measured as (losses - wins) / n

    z(d) = (losses - wins - n d) / sqrt(n (2 q + d (1 - d)))      q: the likeliest P(win), given d

is the score statistic of paired shares (Tango, Statistics in Medicine 17, 1998). The 95 % interval
are all d with |z(d)| <= 1.96. Unlike +- 1.96 standard errors it does not shrink to nothing where
no answer changed: that says at most 1.96^2 / (n + 1.96^2). Either end misses in 2.5 % of all draws
as n grows; of few samples in less than 5 % (computed in ``tests/calibration/comparing``).
"""

from dataclasses import dataclass
from math import ceil

import numpy as np

from tssd.arrays import BoolArray, FloatArray
from tssd.calibration.integer import IntArray
from tssd.errors import DataError

Z = 1.96  # both ends together leave 5 % out
HALVINGS = 50  # of an end: far below what is printed


@dataclass(frozen=True)
class PairedLoss:
    """What is lost on ``samples``, of which ``losses`` became wrong and ``wins`` right."""

    losses: int
    wins: int
    samples: int

    @property
    def points(self) -> float:
        """The measured loss."""
        return 100 * (self.losses - self.wins) / self.samples

    @property
    def most_points(self) -> float:
        """The upper end of the interval."""
        return 100 * _upper(self.losses, self.wins, self.samples)

    @property
    def least_points(self) -> float:
        """The lower end of the interval: a loss is a win of the other."""
        return -100 * _upper(self.wins, self.losses, self.samples)

    def samples_for(self, points: float) -> int | None:
        """How many samples show that at most *points* are lost, where their shares of losses and
        wins are these: z grows with sqrt(n). None where these lose as much or more."""
        if self.points >= points:
            return None
        z = float(score(self.losses, self.wins, self.samples, points / 100))
        return ceil(self.samples * (Z / z) ** 2)

    def __str__(self) -> str:
        ends = f"{self.least_points + 0.0:.2f} to {self.most_points:.2f}"
        return f"{self.points + 0.0:.2f} points lost (95 %: {ends})"


def paired_loss(before: BoolArray, after: BoolArray) -> PairedLoss:
    """Of whether each sample was right *before* and is *after*."""
    if before.shape != after.shape:
        raise DataError(
            "comparison of two answers",
            found=f"{len(after)} samples against {len(before)}",
            allowed="the same samples",
        )
    return PairedLoss(int((before & ~after).sum()), int((~before & after).sum()), len(before))


def score(
    losses: int | IntArray, wins: int | IntArray, samples: int, loss: float
) -> float | FloatArray:
    """z of the module at a *loss* between -1 and 1, for numbers or arrays of them."""
    b = (2 * samples - losses + wins) * loss - losses - wins
    c = -wins * loss * (1 - loss)
    q = (np.sqrt(b * b - 8 * samples * c) - b) / (4 * samples)
    spread = np.maximum(2 * q + loss * (1 - loss), np.finfo(float).tiny)  # 0 but for rounding
    z: FloatArray = (losses - wins - samples * loss) / np.sqrt(samples * spread)
    return z


def surely_within(losses: IntArray, wins: IntArray, samples: int, loss: float) -> BoolArray:
    """Where the upper end is at most *loss*, above 0."""
    found: BoolArray = np.less_equal(score(losses, wins, samples, loss), -Z)
    return found


def _upper(losses: int, wins: int, samples: int) -> float:
    low, high = (losses - wins) / samples, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if score(losses, wins, samples, middle) > -Z:
            low = middle
        else:
            high = middle
    return high
