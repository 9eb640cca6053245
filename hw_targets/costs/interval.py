"""How good an energy is: its prediction interval, from the fit that its chip file came from.

    E = x . theta          x: synops, neuron updates, messages, W us of stepping
    log E +- Z sqrt(spread^2 + x' C x / E^2)

``spread`` is how far runs left out of the fit fell from it, C the covariance of the prices, so that
prices that trade against each other count as what they are: one sum. Not ``low .. high``, which is
the range of each constant.
"""

import math
from dataclasses import dataclass

import numpy as np

from tssd.hw_targets.chip.fit_record import FitSide
from tssd.hw_targets.chip.prices import PAID
from tssd.hw_targets.chip.spec import ChipSpec
from tssd.hw_targets.costs.counters import Counters

Z = 1.645  # 5 % on either side


@dataclass(frozen=True)
class Trust:
    """How good the energies of a chip file are on runs that it was not made from.

    ``median`` and ``worst`` are |predicted / measured - 1| over the readings left out, one run
    after the other; None where one run alone was fitted. ``factor``: 90 % of such readings are
    promised within this factor; ``coverage``: the share of them that was.
    """

    runs: int
    silicon: str
    median: float | None
    worst: float | None
    factor: float
    coverage: float | None
    dominant: str  # the price that most of the energy rests on
    not_told: tuple[str, ...]  # prices that no run tells


def trust(counters: Counters, chip: ChipSpec, chips: int, time_us: float) -> Trust | None:
    """What the fit of *chip* promises for the dynamic energy of *counters* over *time_us*; None for
    a chip file that was not made from measured runs."""
    if chip.fit is None or chip.fit.energy is None:
        return None
    side = chip.fit.energy
    x, theta = _sum(side, counters, chip, chips, time_us)
    energy = float(x @ theta)
    of_prices = float(x @ np.array(side.covariance) @ x) / energy**2 if energy > 0 else 0.0
    errors = [abs(error) for error in side.left_out]
    return Trust(
        len(side.runs),
        chip.silicon,
        float(np.median(errors)) if errors else None,
        max(errors) if errors else None,
        math.exp(Z * math.sqrt(side.spread**2 + of_prices)),
        side.coverage,
        side.prices[int(np.argmax(x * theta))],
        side.kept,
    )


def _sum(
    side: FitSide, counters: Counters, chip: ChipSpec, chips: int, time_us: float
) -> tuple[np.ndarray, np.ndarray]:
    """(prices,): how often each is paid, in the unit of the covariance, and its value."""
    table, power = chip.energy_pj, chip.power_w.running_per_chip.value
    paid, values = [], []
    for name in side.prices:
        if name == "running":
            paid.append(chips * time_us * 1e6)
            values.append(power)
            continue
        columns = PAID[name].columns
        first = getattr(table, columns[0]).value or 1.0
        total = sum(
            getattr(table, c).value * counters.total(c) for c in columns
        )  # a column at another price counts by it
        paid.append(total / first)
        values.append(first)
    return np.array(paid), np.array(values)
