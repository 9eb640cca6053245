"""Prices from measured runs: non-negative least squares on relative errors, and how good they are.

    minimise over theta >= 0   sum over runs  of ((x . theta - y) / y)^2
                             + sum over prices of (SHARE (theta / prior - 1))^2

The second sum is small: it decides only what the runs do not. A price below SHARE of every run
stays at its prior, one that others can stand in for stays near it, and both are said by name; of
prices that trade against each other (one run is a line, not a point) the point nearest to the
prior is taken. Intervals come from resampling the runs, the error that counts from leaving each
run out. The covariance is that of the posterior with a prior known to a factor of two,

    C = (X' X / s^2 + diag(1 / (tau prior))^2)^-1       X = x / y,  s: scatter about the fit

so that the interval of an energy is that of its sum, whichever prices are uncertain together.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls

from tssd.arrays import BoolArray, FloatArray
from tssd.errors import DataError
from tssd.hw_targets.measured.model import Price, design, readings
from tssd.hw_targets.measured.table import MeasuredRun

SHARE = 0.05  # weight of the prior: a price below this share of every run is not told by them
RESOLVED = 0.5  # of the variance of a price that the runs must remove before it counts as fitted
RESAMPLINGS = 2000
SEED = 0
TAIL = 5.0  # per cent on either side of an interval
Z = 1.645  # of a normal distribution, the same tails
UNIT_SLIP = math.log(1000) / 2  # of a reading in a wrong unit: a factor of 1,000 and more
TAU = math.log(2) / Z  # a prior is taken as known to a factor of two at those tails


@dataclass(frozen=True)
class KeptPoints:
    """A price that the runs do not tell: it stays near its prior."""

    name: str
    prior: float
    why: str


@dataclass(frozen=True, eq=False)
class LeftOut:
    """A reading predicted by a fit that never saw its run, with the interval promised for it."""

    run: MeasuredRun
    predicted: float
    low: float
    high: float

    @property
    def error(self) -> float:
        """predicted / measured - 1."""
        return self.predicted / self.run.value - 1

    @property
    def covered(self) -> bool:
        return self.low <= self.run.value <= self.high


@dataclass(frozen=True, eq=False)
class PriceFit:
    """Prices fitted to runs; arrays are in the order of ``names``."""

    runs: tuple[MeasuredRun, ...]
    aside: tuple[tuple[MeasuredRun, str], ...]  # readings that could not be used, and why
    names: tuple[str, ...]
    units: tuple[str, ...]
    values: FloatArray
    low: FloatArray  # 5 % and 95 % of the resampled fits
    high: FloatArray
    covariance: FloatArray
    kept: tuple[KeptPoints, ...]
    in_sample: FloatArray  # predicted / measured - 1, reading by reading
    spread: float  # root mean square of log(predicted / measured) over the runs left out
    left_out: tuple[LeftOut, ...]  # empty for a single run

    def value(self, name: str) -> float:
        return float(self.values[self.names.index(name)])

    @property
    def fitted(self) -> tuple[str, ...]:
        kept = {price.name for price in self.kept}
        return tuple(name for name in self.names if name not in kept)

    @cached_property
    def median_error(self) -> float:
        return float(np.median([abs(left.error) for left in self.left_out]))

    @property
    def worst_error(self) -> float:
        return max(abs(left.error) for left in self.left_out)

    @property
    def worst_factor(self) -> float:
        """The largest of predicted / measured and its inverse over the runs left out."""
        return math.exp(max(abs(math.log1p(left.error)) for left in self.left_out))

    @property
    def coverage(self) -> float:
        """The share of left-out readings that lie inside the interval promised for them."""
        return sum(left.covered for left in self.left_out) / len(self.left_out)


@dataclass(frozen=True, eq=False)
class _Problem:
    """Readings and prices as arrays: ``x`` (readings, prices) is divided by what was measured."""

    runs: npt.NDArray[np.str_]
    x: FloatArray
    prior: FloatArray

    def take(self, chosen: BoolArray) -> "_Problem":
        return _Problem(self.runs[chosen], self.x[chosen], self.prior)


def fit(
    runs: tuple[MeasuredRun, ...],
    prices: tuple[Price, ...],
    prior: Mapping[str, float],
    resamplings: int = RESAMPLINGS,
) -> PriceFit:
    """*prices* from *runs*, with *prior* where the runs say nothing. A prior of 0 stays 0.

    Raises DataError where no run can be used.
    """
    usable = tuple(run for run in runs if run.value > 0 and not unknown(run, prices, prior))
    if not usable:
        raise DataError(
            "measured runs",
            found="; ".join(f"{r.id}: {', '.join(unknown(r, prices, prior))} unknown" for r in runs)
            or "no run to fit",
            allowed="runs whose counts are known for every price",
            hint="`tssd simulate --counters` lists the counts of a run",
        )
    names = tuple(price.name for price in prices)
    y = readings(usable)
    problem = _Problem(
        np.array([run.run for run in usable]),
        np.nan_to_num(design(usable, prices)) / y[:, None],
        np.array([prior[name] for name in names], np.float64),
    )
    values, left_out = _solve(problem.x, problem.prior), _leave_out(problem, usable)
    covariance = _covariance(problem)
    draws = _resampled(problem, resamplings)
    low, high = np.percentile(draws, [TAIL, 100 - TAIL], axis=0)
    return PriceFit(
        usable,
        tuple((run, _why_not(run, prices, prior)) for run in runs if run not in usable),
        names,
        tuple(price.unit for price in prices),
        values,
        np.minimum(low, values),
        np.maximum(high, values),
        covariance,
        _kept(problem, covariance, names),
        problem.x @ values - 1,
        _spread_of(problem),
        left_out,
    )


def unknown(run: MeasuredRun, prices: tuple[Price, ...], prior: Mapping[str, float]) -> list[str]:
    """The prices, other than free ones, of which *run* does not know how often it paid them."""
    return [p.name for p in prices if p.times(run) is None and prior[p.name] > 0]


def contradictions(
    runs: tuple[MeasuredRun, ...], prices: tuple[Price, ...]
) -> list[tuple[MeasuredRun, MeasuredRun]]:
    """Pairs that pay every price equally often and are nearer to a step of units apart than to each
    other."""
    paid = np.nan_to_num(design(runs, prices))
    return [
        (a, b)
        for i, a in enumerate(runs)
        for b, times in zip(runs[i + 1 :], paid[i + 1 :], strict=True)
        if np.array_equal(paid[i], times) and abs(math.log(a.value / b.value)) > UNIT_SLIP
    ]


def _why_not(run: MeasuredRun, prices: tuple[Price, ...], prior: Mapping[str, float]) -> str:
    missing = unknown(run, prices, prior)
    return f"not known: how often it paid for {', '.join(missing)}" if missing else "reads 0"


def _solve(x: FloatArray, prior: FloatArray) -> FloatArray:
    """The prices in the unit of *prior*; both sums of the module's formula are rows of one problem,
    solved in multiples of the prior."""
    shares = x * prior
    paid = shares.max(axis=0, initial=0) >= SHARE
    if not paid.any():  # scipy's nnls of no columns writes beyond its memory
        return prior.copy()
    rows = np.vstack([shares[:, paid], SHARE * np.eye(int(paid.sum()))])
    rest = 1 - shares[:, ~paid].sum(axis=1)
    wanted = np.concatenate([rest, np.full(int(paid.sum()), SHARE)])
    values = prior.copy()
    values[paid] = nnls(rows, wanted)[0] * prior[paid]
    return values


def _covariance(problem: _Problem) -> FloatArray:
    """(prices, prices): of the posterior; zero for a price whose prior is zero."""
    paid = problem.prior > 0
    x = problem.x[:, paid] * problem.prior[paid]
    scatter = _scatter(x, problem)
    relative = np.linalg.inv(x.T @ x / scatter**2 + np.eye(x.shape[1]) / TAU**2)
    out = np.zeros((len(paid), len(paid)))
    out[np.ix_(paid, paid)] = relative * np.outer(problem.prior[paid], problem.prior[paid])
    return out


def _scatter(x: FloatArray, problem: _Problem) -> float:
    """Standard deviation of a reading about the fit, with the freedom that the prices took counted;
    a reading is never taken as better than SHARE."""
    residual = problem.x @ _solve(problem.x, problem.prior) - 1
    taken = np.trace(x @ np.linalg.solve(x.T @ x + SHARE**2 * np.eye(x.shape[1]), x.T))
    return max(SHARE, math.sqrt(float(residual @ residual) / max(len(x) - float(taken), SHARE)))


def _kept(
    problem: _Problem, covariance: FloatArray, names: tuple[str, ...]
) -> tuple[KeptPoints, ...]:
    """Prices of whose variance the runs remove less than RESOLVED."""
    kept = []
    for i, (name, prior) in enumerate(zip(names, problem.prior, strict=True)):
        left = covariance[i, i] / (TAU * prior) ** 2 if prior > 0 else 1.0
        if left > 1 - RESOLVED:
            kept.append(KeptPoints(name, float(prior), _why(problem.x[:, i] * prior)))
    return tuple(kept)


def _why(shares: FloatArray) -> str:
    if not shares.any():
        return "no run pays it"
    if shares.max() < SHARE:
        return f"at most {100 * shares.max():.1f} % of a run"
    return "these runs cannot tell it from the others"


def _resampled(problem: _Problem, resamplings: int) -> FloatArray:
    """(resamplings, prices): the fit to readings drawn with replacement."""
    random, size = np.random.default_rng(SEED), len(problem.x)
    draws = random.integers(0, size, (resamplings, size))
    return np.array([_solve(problem.x[drawn], problem.prior) for drawn in draws])


def _leave_out(problem: _Problem, runs: tuple[MeasuredRun, ...]) -> tuple[LeftOut, ...]:
    """Each reading by a fit to the other runs."""
    found = []
    for run, row in zip(runs, problem.x, strict=True):
        others = problem.take(problem.runs != run.run)
        if not len(others.x):
            return ()
        ratio = float(row @ _solve(others.x, others.prior))
        width = math.exp(Z * relative_deviation(row, ratio, others))
        predicted = ratio * run.value
        found.append(LeftOut(run, predicted, predicted / width, predicted * width))
    return tuple(found)


def relative_deviation(row: FloatArray, ratio: float, seen: _Problem) -> float:
    """Of a prediction: how far runs left out fall among *seen*, and the prices of this sum."""
    of_prices = float(row @ _covariance(seen) @ row) / max(ratio, SHARE) ** 2
    return math.sqrt(_spread_of(seen) ** 2 + of_prices)


def _spread_of(problem: _Problem) -> float:
    """Root mean square of log(predicted / measured) over runs left out; of the prior for one."""
    logs = []
    for i, name in enumerate(problem.runs):
        others = problem.runs != name
        values = _solve(problem.x[others], problem.prior) if others.any() else problem.prior
        logs.append(math.log(max(float(problem.x[i] @ values), 1e-9)))
    return math.sqrt(sum(log * log for log in logs) / len(logs)) if logs else TAU
