"""Prediction intervals: the closed form, its coverage of what was measured, what has none."""

import math
from dataclasses import replace

import numpy as np
import pytest

from tssd.hw_targets.chip.chips import load_chip
from tssd.hw_targets.chip.fit_record import FitSide
from tssd.hw_targets.chip.spec import ChipSpec
from tssd.hw_targets.costs.counters import COLUMNS, Counters
from tssd.hw_targets.costs.energy import price, running_pj, static_pj
from tssd.hw_targets.costs.interval import Promised, Z, promised, trust

CHIP = load_chip("loihi2")
CHIPS, CORES, TIME_US = 2, 5, 7.0


def counted(samples: int = 1, **events: int) -> Counters:
    """*events* of each named column in every one of *samples*, on one core."""
    columns = {name: np.array([samples * events.get(name, 0)]) for name in COLUMNS}
    return Counters(samples, 4, ("a",), 1, ("a",), np.array([0]), columns, ())


def interval_of(chip: ChipSpec, counters: Counters) -> Promised:
    found = promised(counters, chip, CHIPS, CORES, TIME_US)
    assert found is not None
    return found


def alone(spread: float, variance: float) -> ChipSpec:
    """The chip as if convolutions and chips were all that its fits had looked at."""
    side = FitSide(("synop",), ("a", "b"), (), ((variance,),), spread, (0.1, -0.3), 1.0)
    static = replace(side, prices=("static_chip",))
    assert CHIP.fit is not None
    return replace(CHIP, fit=replace(CHIP.fit, energy=side, static=static))


def test_one_price_has_its_own_relative_error_beside_the_spread() -> None:
    """x' C x / E^2 of n events at a price p is C / p^2, whatever n is."""
    chip, spread, variance = alone(0.2, 9.0), 0.2, 9.0
    for events in (1, 70_000):
        counters = counted(synop_conv=events)
        energy = price(counters, chip).total() + running_pj(chip, CHIPS, TIME_US)
        paid = chip.energy_pj.synop_dense.value  # what the fit counts by
        factor = math.exp(Z * math.sqrt(spread**2 + variance / paid**2))
        found = interval_of(chip, counters).dynamic
        assert found.nominal == pytest.approx(energy.nominal)
        assert found.high / found.nominal == pytest.approx(factor)
        assert found.nominal / found.low == pytest.approx(factor)


def test_static_power_has_the_interval_of_its_own_fit() -> None:
    chip = alone(0.3, 1e-4)
    per_chip = chip.power_w.static_per_chip.value
    factor = math.exp(Z * math.sqrt(0.3**2 + 1e-4 / per_chip**2))
    nominal = static_pj(chip, CHIPS, TIME_US, CORES).nominal
    found = interval_of(chip, counted(synop_conv=9)).static
    assert found is not None
    assert found.nominal == nominal
    assert found.low == pytest.approx(nominal / factor)
    assert found.high == pytest.approx(nominal * factor)


def test_the_total_adds_the_ends_of_both() -> None:
    found = interval_of(CHIP, counted(synop_conv=900, neuron_active=40))
    assert found.static is not None
    assert found.total == found.dynamic + found.static


def test_samples_do_not_matter() -> None:
    one, many = (counted(n, synop_conv=900, neuron_idle=40, spike=3) for n in (1, 64))
    assert interval_of(CHIP, one) == interval_of(CHIP, many)


def test_the_factor_is_the_one_that_the_report_names() -> None:
    counters = counted(synop_conv=900, neuron_active=40)
    told = trust(counters, CHIP, CHIPS, TIME_US)
    found = interval_of(CHIP, counters).dynamic
    assert told is not None
    assert found.high / found.nominal == pytest.approx(told.factor)


@pytest.mark.parametrize("chip", ["loihi2-prior", "loihi1-davies2018"])
def test_a_chip_file_of_no_fit_promises_nothing(chip: str) -> None:
    assert promised(counted(spike=1), load_chip(chip), CHIPS, CORES, TIME_US) is None


def test_what_one_fit_lacks_is_not_taken_from_the_other() -> None:
    counters = counted(synop_conv=900)
    assert CHIP.fit is not None
    of_static = replace(CHIP, fit=replace(CHIP.fit, energy=None))
    assert promised(counters, of_static, CHIPS, CORES, TIME_US) is None
    found = interval_of(replace(CHIP, fit=replace(CHIP.fit, static=None)), counters)
    assert (found.static, found.total) == (None, None)
    assert found.dynamic == interval_of(CHIP, counters).dynamic


@pytest.mark.parametrize("name", ["energy_pj.synop_conv", "power_w.static_per_chip"])
def test_a_price_that_was_set_is_of_no_fit(name: str) -> None:
    changed = CHIP.with_value(name, 1.0)
    assert promised(counted(synop_conv=9), changed, CHIPS, CORES, TIME_US) is None
    kept = CHIP.with_value("buffers.link", 2)
    assert promised(counted(synop_conv=9), kept, CHIPS, CORES, TIME_US) is not None


def test_a_boards_own_power_has_the_range_of_its_constant() -> None:
    name = next(name for name, b in CHIP.boards.items() if b.board_per_chip.value > 0)
    board, counters = CHIP.on_board(name), counted(synop_conv=900)
    with_board, chip_alone = (interval_of(c, counters).static for c in (board, CHIP))
    power = board.power_w.board_per_chip
    assert with_board is not None
    assert chip_alone is not None
    for end, watts in (("low", power.low), ("nominal", power.value), ("high", power.high)):
        own = CHIPS * watts * TIME_US * 1e6
        assert getattr(with_board, end) == pytest.approx(getattr(chip_alone, end) + own)
