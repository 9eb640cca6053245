"""How good an energy is: its prediction interval, from the fit that its chip file came from.

    E = x . theta          x: synops, neuron updates, messages, W us of stepping
    log E +- Z sqrt(spread^2 + x' C x / E^2)

``spread`` is how far runs left out of the fit fell from it, C the covariance of the prices, so that
prices that trade against each other count as what they are: one sum. Not ``low .. high``, which is
the range of each constant. Static energy has the same of its own fit: x holds chips and enabled
cores; the time that it flows for is taken as it is.
"""

import math
from dataclasses import dataclass

import numpy as np

from tssd.hw_targets.chip.fit_record import FitSide
from tssd.hw_targets.chip.prices import PAID
from tssd.hw_targets.chip.spec import ChipSpec
from tssd.hw_targets.costs.counters import Counters
from tssd.hw_targets.costs.energy import EnergyRange, price, running_pj, static_pj

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


@dataclass(frozen=True)
class Promised:
    """90 % prediction intervals in pJ per inference around the nominal energy. ``static`` and
    ``total`` are None where the chip file's static power is not of a fit; ``total`` adds the ends
    of both, which is right where both are off to the same side, and wide elsewhere."""

    dynamic: EnergyRange
    static: EnergyRange | None
    total: EnergyRange | None


def promised(
    counters: Counters, chip: ChipSpec, chips: int, cores: int, time_us: float
) -> Promised | None:
    """What the fits of *chip* promise for the energy of one inference of *counters* that takes
    *time_us* on *chips* chips with *cores* enabled cores; None without a fit of the energies."""
    found = trust(counters, chip, chips, time_us * counters.samples)
    if found is None:
        return None
    each = price(counters, chip).total().scaled(1 / counters.samples)
    dynamic = _within(each.nominal + running_pj(chip, chips, time_us).nominal, found.factor)
    static = _static(chip, chips, cores, time_us)
    return Promised(dynamic, static, None if static is None else dynamic + static)


def _static(chip: ChipSpec, chips: int, cores: int, time_us: float) -> EnergyRange | None:
    """The interval of the static energy. A board's own power, where one is chosen, is of no fit:
    it has the range of its constant."""
    side = None if chip.fit is None else chip.fit.static
    if side is None:
        return None
    paid = {"static_chip": chips, "static_core": cores}
    x = np.array([float(paid[name]) for name in side.prices])
    theta = np.array([getattr(chip.power_w, PAID[name].sets[0]).value for name in side.prices])
    fitted = static_pj(chip, chips, time_us, cores)
    ends = _within(fitted.nominal, _factor(side, x, theta))
    if chip.board is None:
        return ends
    whole = static_pj(chip, chips, time_us, cores, board=True)
    return ends + whole + fitted.scaled(-1)


def _within(energy_pj: float, factor: float) -> EnergyRange:
    return EnergyRange(energy_pj / factor, energy_pj, energy_pj * factor)


def _factor(side: FitSide, x: np.ndarray, theta: np.ndarray) -> float:
    """90 % of readings that the fit did not see are promised within it."""
    energy = float(x @ theta)
    of_prices = float(x @ np.array(side.covariance) @ x) / energy**2 if energy > 0 else 0.0
    return math.exp(Z * math.sqrt(side.spread**2 + of_prices))


def trust(counters: Counters, chip: ChipSpec, chips: int, time_us: float) -> Trust | None:
    """What the fit of *chip* promises for the dynamic energy of *counters* over *time_us*; None for
    a chip file that was not made from measured runs."""
    if chip.fit is None or chip.fit.energy is None:
        return None
    side = chip.fit.energy
    x, theta = _sum(side, counters, chip, chips, time_us)
    errors = [abs(error) for error in side.left_out]
    return Trust(
        len(side.runs),
        chip.silicon,
        float(np.median(errors)) if errors else None,
        max(errors) if errors else None,
        _factor(side, x, theta),
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
            getattr(table, c).value * int(counters.paid(c).sum()) for c in columns
        )  # a column at another price counts by it
        paid.append(total / first)
        values.append(first)
    return np.array(paid), np.array(values)
