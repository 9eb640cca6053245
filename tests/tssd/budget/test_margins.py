"""The margin of an early exit: what each one loses, and that the bound of the chosen one holds."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tssd.budget.early_exit import ExitCost, Stepwise
from tssd.budget.margins import (
    MarginRow,
    chosen_margin,
    margin_row,
    margin_rows,
    margin_walk,
    measured_margin,
)
from tssd.budget.of_bundle import EarlyExit, Unproven, unproven
from tssd.budget.of_bundle import Tested as OneWay
from tssd.calibration.comparing.paired import PairedLoss
from tssd.calibration.integer import IntArray
from tssd.commands.early_exit import bound
from tssd.errors import ConfigError


def by_hand(margins: IntArray, answers: IntArray) -> Stepwise:
    """One operation in every step of each of two populations."""
    return Stepwise(answers, margins, np.ones((*margins.shape, 2), np.int64), np.array([0, 1]))


def drawn(seed: int, steps: int, samples: int, lead: int) -> tuple[Stepwise, IntArray]:
    """Answers that are right the more likely the larger the margin is, the last in 19 of 20."""
    rng = np.random.default_rng(seed)
    margins = rng.integers(0, lead, (steps, samples))
    labels = rng.integers(0, 3, samples)
    told = rng.random((steps, samples)) * lead < 2 * margins
    told[-1] = rng.random(samples) < 0.95
    answers = np.where(told, labels, rng.integers(0, 3, (steps, samples)))
    return by_hand(margins, answers), labels


@given(st.integers(0, 2**32 - 1), st.integers(2, 7), st.integers(2, 30))
@settings(max_examples=60, deadline=None)
def test_the_walk_counts_what_each_margin_changes(seed: int, steps: int, lead: int) -> None:
    found, labels = drawn(seed, steps, 40, lead)
    walk = margin_walk(found, labels)
    whole = found.answers[-1] == labels
    assert (np.diff(walk.margins) < 0).all()
    shown = np.unique(found.margins[:-1])
    for margin in shown.tolist():  # every margin acts as the next larger one of the walk does
        place = int(np.flatnonzero(walk.margins >= margin)[-1])
        now = found.answered(found.exits(margin)) == labels
        wanted = PairedLoss(int((whole & ~now).sum()), int((~whole & now).sum()), 40)
        assert walk.loss(place) == wanted
    assert walk.margins[0] == shown[-1]


@given(st.integers(0, 2**32 - 1), st.integers(2, 6), st.floats(0.5, 60))
@settings(max_examples=60, deadline=None)
def test_all_margins_down_to_the_chosen_one_are_within_the_drop(
    seed: int, steps: int, most: float
) -> None:
    found, labels = drawn(seed, steps, 300, 50)
    walk = margin_walk(found, labels)
    ends = [walk.loss(i).most_points for i in range(len(walk.margins))]
    if ends[0] > most:
        with pytest.raises(ConfigError, match="300 samples that choose"):
            chosen_margin(walk, most)
        return
    margin = chosen_margin(walk, most)
    place = walk.margins.tolist().index(margin)
    assert max(ends[: place + 1]) <= most
    assert place + 1 == len(ends) or ends[place + 1] > most
    row = margin_row(found, labels, margin)
    assert row.most_lost_points == pytest.approx(ends[place])
    rows = margin_rows(found, labels, margin)
    assert row in rows
    assert (rows[-1].margin, rows[-1].lost_points, rows[-1].most_lost_points) == (None, 0, 0)
    assert [r.mean_steps for r in rows] == sorted(r.mean_steps for r in rows)
    assert [r.synops for r in rows] == sorted(r.synops for r in rows)


def test_the_bound_holds_on_what_the_samples_are_drawn_from() -> None:
    """300 times 1,000 of 100,000 samples choose: in at most 5 % of them more is truly lost than
    allowed. The best measured margin breaks its word in every second."""
    every, labels = drawn(1, 4, 100_000, 400)
    truth = margin_walk(every, labels)
    true_points = dict(zip(truth.margins.tolist(), (truth.losses - truth.wins) / 1000, strict=True))
    rng = np.random.default_rng(2)
    broken, broken_by_best = 0, 0
    for _ in range(300):
        part = rng.integers(0, 100_000, 1000)
        chosen = by_hand(every.margins[:, part], every.answers[:, part])
        walk = margin_walk(chosen, labels[part])
        broken += true_points[chosen_margin(walk, 3.0)] > 3.0
        place = measured_margin(walk, 3.0)
        assert place is not None
        broken_by_best += true_points[int(walk.margins[place])] > 3.0
    assert broken <= 15
    assert broken_by_best > 100


def test_too_few_samples_say_how_many_would_do_and_what_was_measured() -> None:
    margins = np.array([[9, 7, 5, 3], [0, 0, 0, 0]]).repeat(90, axis=1)
    found = by_hand(margins, np.zeros((2, 360), np.int64))
    walk = margin_walk(found, np.zeros(360, np.int64))
    wanted = (
        "--max-drop 0.2: found 360 samples that choose; at margin 9, the largest, 0.00 points lost"
        r" \(95 %: -1.06 to 1.06\); margin 3 was measured: 0.00 .*; allowed: 1.06 or more on so"
        r" many samples; 1,917 samples or more for so small a drop"
    )
    with pytest.raises(ConfigError, match=wanted):
        chosen_margin(walk, 0.2)
    assert chosen_margin(walk, 1.06) == 3


def test_a_largest_margin_that_loses_all_that_is_allowed_needs_a_larger_drop() -> None:
    found = by_hand(np.array([[5] * 50, [0] * 50]), np.array([[1] * 50, [0] * 50]))
    walk = margin_walk(found, np.zeros(50, np.int64))
    with pytest.raises(ConfigError, match="allowed: 100.00 or more on so many samples") as said:
        chosen_margin(walk, 3.0)
    assert "was measured" not in str(said.value)


def test_a_smaller_margin_that_was_lucky_is_named_with_the_samples_it_needs() -> None:
    """At margin 5 a hundred of 2,000 exit rightly, at 4 three of the rest wrongly."""
    margins, answers = np.zeros((2, 2000), np.int64), np.zeros((2, 2000), np.int64)
    margins[0, :100], margins[0, 100:103], answers[0, 100:103] = 5, 4, 1
    walk = margin_walk(by_hand(margins, answers), np.zeros(2000, np.int64))
    chosen = chosen_margin(walk, 0.2)
    assert chosen == 5
    other = unproven(walk, chosen, 0.2)
    assert other is not None
    assert (other.margin, other.lost_points) == (0, 0.15)
    assert other.samples == PairedLoss(3, 0, 2000).samples_for(0.2)
    assert other.samples is not None
    assert other.samples > 2000
    assert unproven(walk, 0, 0.2) is None


def test_the_command_says_the_bound_and_what_more_samples_might_show() -> None:
    row = MarginRow(50, 0.9, 0.05, 0.19, 2.0, 10.0, 5.0)
    way = OneWay(0.9, 2.0, ExitCost(10.0, None, 1.0), 5.0)
    lucky = Unproven(20, 0.1, 0.4, 40_000)
    found = EarlyExit("chip", 4, 2, 0.2, "5,000 samples", "9 samples", 77, (row,), row, lucky, way,
                      way, 0.0, -0.1, 0.1)  # fmt: skip
    said = bound(found)
    assert said.startswith("margin 50: at most 0.19 points lost with 95 % confidence, measured")
    assert "of 77 margins, from the largest down, the last before one may lose more" in said
    assert said.endswith("but may lose 0.40: would take 40,000 samples to show it")
    full = replace(found, unproven=replace(lucky, samples=None))
    assert bound(full).endswith("but may lose 0.40: loses all that is allowed")
    assert "\n" not in bound(replace(found, unproven=None))
