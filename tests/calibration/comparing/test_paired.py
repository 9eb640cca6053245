"""Points lost on the same samples: the interval beside closed forms, and how often it misses."""

from math import lgamma

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tssd.arrays import FloatArray
from tssd.calibration.comparing.paired import PairedLoss, Z, paired_loss, score, surely_within
from tssd.calibration.integer import IntArray
from tssd.errors import DataError


def likelihood(losses: int, wins: int, samples: int, loss: float, win: FloatArray) -> FloatArray:
    """log of the trinomial, but for a constant, at P(win) and P(loss) = P(win) + *loss*."""
    rest = samples - losses - wins
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(
            np.where(losses == 0, 0, losses * np.log(win + loss))
            + np.where(wins == 0, 0, wins * np.log(win))
            + np.where(rest == 0, 0, rest * np.log(1 - 2 * win - loss))
        )


@given(st.integers(0, 40), st.integers(0, 40), st.integers(1, 200), st.floats(-0.6, 0.6))
def test_the_score_takes_the_likeliest_share_of_wins(
    losses: int, wins: int, unchanged: int, loss: float
) -> None:
    """Found by trying 20,001 shares instead of by the closed root."""
    samples = losses + wins + unchanged
    shares = np.linspace(max(0.0, -loss), (1 - loss) / 2, 20_001)[1:-1]
    likeliest = shares[likelihood(losses, wins, samples, loss, shares).argmax()]
    spread = np.sqrt(samples * (2 * likeliest + loss * (1 - loss)))
    wanted = (losses - wins - samples * loss) / spread
    assert score(losses, wins, samples, loss) == pytest.approx(wanted, rel=2e-2, abs=2e-2)


@given(st.integers(0, 300), st.integers(0, 300), st.integers(0, 3000))
def test_an_end_is_where_the_score_is_196_and_one_a_mirror_of_the_other(
    losses: int, wins: int, unchanged: int
) -> None:
    samples = losses + wins + unchanged
    if not samples:
        return
    found, mirrored = PairedLoss(losses, wins, samples), PairedLoss(wins, losses, samples)
    assert found.least_points <= found.points <= found.most_points
    assert found.least_points == -mirrored.most_points
    end = found.most_points / 100
    if end < 1:
        assert score(losses, wins, samples, end) == pytest.approx(-Z, abs=1e-6)
    if 0 < end < 0.999:
        a, b = np.array([losses]), np.array([wins])
        assert surely_within(a, b, samples, end + 1e-9).all()
        assert not surely_within(a, b, samples, end * (1 - 1e-6)).any()


@given(st.integers(1, 5000), st.integers(0, 5000))
def test_without_a_win_it_is_wilsons_interval_of_one_share(losses: int, right: int) -> None:
    n = losses + right
    share = losses / n
    middle, half = share + Z**2 / 2 / n, Z * np.sqrt(share * (1 - share) / n + (Z / n) ** 2 / 4)
    found = PairedLoss(losses, 0, n)
    assert found.most_points == pytest.approx(100 * (middle + half) / (1 + Z**2 / n))


def test_no_changed_answer_is_not_no_loss() -> None:
    found = PairedLoss(0, 0, 360)
    assert str(found) == "0.00 points lost (95 %: -1.06 to 1.06)"
    assert found.samples_for(0.2) == 1917
    assert PairedLoss(0, 0, 1917).most_points <= 0.2 < PairedLoss(0, 0, 1916).most_points
    assert PairedLoss(2, 0, 1000).samples_for(0.2) is None


@given(st.integers(0, 30), st.integers(0, 30), st.integers(100, 1000), st.integers(2, 9))
def test_so_many_samples_show_it_if_shares_stay(
    losses: int, wins: int, unchanged: int, times: int
) -> None:
    """At *times* as many samples, with the end of those as the question."""
    n = losses + wins + unchanged
    end = PairedLoss(times * losses, times * wins, times * n).most_points
    if end <= 0:
        return
    needed = PairedLoss(losses, wins, n).samples_for(end)
    assert needed is not None
    assert abs(needed - times * n) <= 1


def chances(samples: int, loss: float, win: float) -> tuple[IntArray, IntArray, FloatArray]:
    """Losses and wins that may come, and the chance of each pair."""
    most = [int(samples * p + 8 * np.sqrt(samples * p) + 12) for p in (win + loss, win)]
    a, b = np.meshgrid(*(np.arange(min(samples, m) + 1) for m in most), indexing="ij")
    a, b = a[a + b <= samples], b[a + b <= samples]
    rest = samples - a - b
    log = np.array([lgamma(i + 1) for i in range(samples + 1)])
    ways = log[samples] - log[a] - log[b] - log[rest]
    of_wins = b * np.log(win) if win else np.where(b > 0, -np.inf, 0)
    chance = np.exp(ways + a * np.log(win + loss) + of_wins + rest * np.log(1 - loss - 2 * win))
    assert chance.sum() == pytest.approx(1)
    return a, b, chance


@pytest.mark.parametrize("samples", [20, 100, 360, 1000])
def test_each_end_misses_in_less_than_5_percent_of_draws(samples: int) -> None:
    """Summed over all tables, for losses of 0.2 to 20 points and wins of 0 to 20 %: the upper end
    lies below what is truly lost, the lower one above it."""
    for loss in (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2):
        for win in (0.0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2):
            a, b, chance = chances(samples, loss, win)
            too_low = chance[np.less(score(a, b, samples, loss), -Z)].sum()
            too_high = chance[np.greater(score(a, b, samples, loss), Z)].sum()
            assert too_low < 0.031, (loss, win)  # 0.0304 of 20 samples; 0.025 of very many
            assert too_high < 0.05, (loss, win)


def test_it_counts_what_became_wrong_and_right() -> None:
    before, after = np.array([1, 1, 1, 0, 0], bool), np.array([1, 0, 0, 1, 0], bool)
    assert paired_loss(before, after) == PairedLoss(2, 1, 5)
    with pytest.raises(DataError, match="found 4 samples against 5"):
        paired_loss(before, after[:4])
