"""The margin of an early exit, so that what it loses is bounded on samples that chose nothing else.

Every margin that samples show is tried, from the largest down. Each is asked whether the upper end
of its loss's 95 % interval (``paired``: on the same samples, beside all steps) is within the drop;
the first that is not ends the walk, and the last one before it is taken. Margins are tried in an
order that no label has chosen, and a margin between two of them lets every sample out where the
next larger one does: so a margin that loses too much passes only if the largest such one passes its
own question, once. Trying many costs nothing of the 95 % (tests in a fixed sequence: Learn then
Test, arXiv 2110.01052; for early exits: arXiv 2405.20915). Smaller margins take fewer operations,
so the last one takes the fewest.
"""

from dataclasses import dataclass
from math import ceil

import numpy as np

from tssd.budget.early_exit import Stepwise
from tssd.calibration.comparing.paired import PairedLoss, paired_loss, surely_within
from tssd.calibration.integer import IntArray
from tssd.errors import ConfigError

SHOWN = 64  # rows: so many quantiles of the margins that samples show before their last step


@dataclass(frozen=True)
class MarginRow:
    """One margin, in membrane units (None: no sample exits early), on the samples that choose;
    ``most_lost_points`` is the upper end of the 95 % interval of what it loses."""

    margin: int | None
    accuracy: float
    lost_points: float
    most_lost_points: float
    mean_steps: float
    synops: float
    synops_at_once: float


@dataclass(frozen=True, eq=False)
class MarginWalk:
    """All margins that samples show, the largest first, and how many answers each makes wrong and
    right beside all steps."""

    margins: IntArray
    losses: IntArray
    wins: IntArray
    samples: int

    def loss(self, place: int) -> PairedLoss:
        """What the margin at *place* loses."""
        return PairedLoss(int(self.losses[place]), int(self.wins[place]), self.samples)


def margin_walk(found: Stepwise, labels: IntArray) -> MarginWalk:
    """Every margin shown before the last step, with what it loses.

    A sample's exit moves from one record of its margins to the one before as M falls below that:
    its change is counted there, and the changes are summed from the largest margin down.
    """
    right = found.answers == labels
    loses, wins = (right[-1] & ~right).astype(np.int64), (~right[-1] & right).astype(np.int64)
    before = found.margins[:-1]
    highest = np.maximum.accumulate(before, axis=0)
    records = np.ones_like(before, bool)
    records[1:] = highest[1:] > highest[:-1]
    margins, places = np.unique(-before[records], return_inverse=True)
    changes = (np.bincount(places, _changes(one, records), len(margins)) for one in (loses, wins))
    losses, won = (np.rint(change.cumsum()).astype(np.int64) for change in changes)
    return MarginWalk(-margins, losses, won, len(labels))


def _changes(state: IntArray, records: IntArray) -> IntArray:
    """(records,): what *state* (T, B) is at each record minus what it is at the next one."""
    later, change = state[-1], np.zeros_like(state[:-1])
    for t in reversed(range(len(records))):
        change[t] = state[t] - later
        later = np.where(records[t], state[t], later)
    return change[records]


def chosen_margin(walk: MarginWalk, max_drop_points: float) -> int:
    """The smallest margin before the first that may lose more than *max_drop_points*, which are
    above 0; ConfigError where the largest one may."""
    passed = surely_within(walk.losses, walk.wins, walk.samples, max_drop_points / 100)
    count = len(passed) if passed.all() else int(passed.argmin())
    if not count:
        raise _not_shown(walk, max_drop_points)
    return int(walk.margins[count - 1])


def measured_margin(walk: MarginWalk, max_drop_points: float) -> int | None:
    """The place of the smallest margin that was measured to lose no more: no bound, its luck is in
    it. None where all lose more."""
    within = np.flatnonzero(100 * (walk.losses - walk.wins) <= max_drop_points * walk.samples)
    return int(within[-1]) if len(within) else None


def _not_shown(walk: MarginWalk, max_drop_points: float) -> ConfigError:
    first = walk.loss(0)
    place = measured_margin(walk, max_drop_points)
    best = (
        ""
        if place is None
        else f"; margin {walk.margins[place]:,} was measured: {walk.loss(place)}"
    )
    needed = first.samples_for(max_drop_points)
    shown = ceil(100 * first.most_points) / 100
    return ConfigError(
        f"--max-drop {max_drop_points:g}",
        found=f"{walk.samples:,} samples that choose; at margin {walk.margins[0]:,}, the largest,"
        f" {first}{best}",
        allowed=f"{shown:.2f} or more on so many samples"
        + ("" if needed is None else f"; {needed:,} samples or more for so small a drop"),
        hint="a larger --max-drop, or more --samples where there are more",
    )


def margin_rows(found: Stepwise, labels: IntArray, *also: int) -> tuple[MarginRow, ...]:
    """A row for each of up to ``SHOWN`` margins and those of *also*, smallest first, and one
    without early exit."""
    quantiles = np.quantile(found.margins[:-1], np.linspace(0, 1, SHOWN), method="higher")
    shown = np.union1d(quantiles.astype(np.int64), np.asarray(also, np.int64))
    return tuple(margin_row(found, labels, m) for m in (*shown.tolist(), None))


def margin_row(found: Stepwise, labels: IntArray, margin: int | None) -> MarginRow:
    """What *margin* does to the samples that *found* is of."""
    exits = found.exits(np.inf if margin is None else margin)
    now = found.answered(exits) == labels
    lost = paired_loss(found.answers[-1] == labels, now)
    return MarginRow(
        margin,
        float(now.mean()),
        lost.points,
        0.0 if margin is None else lost.most_points,
        float(exits.mean()),
        found.operations(exits),
        found.operations(exits, at_once=True),
    )
