"""Fits as a chip file: only the numbers that the runs told, on top of the chip that was the prior.

The text depends on the chip, the runs and nothing else, so the packaged files can be made again
byte for byte.
"""

import hashlib
import json
from dataclasses import dataclass

from tssd.hw_targets.chip.prices import PAID
from tssd.hw_targets.chip.spec import ChipSpec, Quantity
from tssd.hw_targets.measured.fit import PriceFit, fit
from tssd.hw_targets.measured.model import PRICES, Price
from tssd.hw_targets.measured.table import MeasuredRun

DIGITS = 4  # significant, of a fitted number


@dataclass(frozen=True)
class ChipTitle:
    """What a fitted chip file says of itself."""

    name: str
    title: str
    silicon: str


@dataclass(frozen=True, eq=False)
class ChipFit:
    """A chip and what was fitted of it, group of prices by group."""

    base: ChipSpec
    extends: str  # how the base is named in the file
    sides: dict[str, PriceFit]
    floor: tuple[MeasuredRun, ...] = ()  # step times of networks with next to nothing to do


def fit_chip(base: ChipSpec, extends: str, runs: tuple[MeasuredRun, ...]) -> ChipFit:
    """Every group of prices of which *runs* hold readings; the base's numbers are the prior."""
    sides = {}
    for group, prices in PRICES.items():
        mine = tuple(run for run in runs if run.fits == group)
        if mine:
            sides[group] = fit(mine, prices, prior_of(base, prices))
    return ChipFit(base, extends, sides, tuple(run for run in runs if run.fits == "floor"))


def prior_of(chip: ChipSpec, prices: tuple[Price, ...]) -> dict[str, float]:
    """What *chip* says of *prices*: the first of the numbers that a price sets, or the middle of
    its range where that number is 0 but need not be."""
    quantities = {price.name: number(chip, price.fields[0]) for price in prices}
    return {name: q.value or (q.low + q.high) / 2 for name, q in quantities.items()}


def number(chip: ChipSpec, name: str) -> Quantity:
    """The quantity ``section.name``."""
    section, _, key = name.partition(".")
    quantity: Quantity = getattr(getattr(chip, section), key)
    return quantity


def digest(runs: tuple[MeasuredRun, ...]) -> str:
    """SHA-256 of the readings that a fit rests on."""
    rows = [
        [r.id, r.quantity, r.value, *(r.count(c) for c in ("synops", "updates", "spikes"))]
        + [r.messages, r.chips, r.cores, r.step_us]
        for r in runs
    ]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def chip_text(fitted: ChipFit, title: ChipTitle) -> str:
    """The chip file."""
    runs = tuple(run for side in fitted.sides.values() for run in side.runs)
    lines = [
        f"# Made by `tssd fit` from {len(runs)} readings; the numbers that they do not tell are",
        f"# those of {fitted.extends}. Intervals: 5 to 95 % of fits to resampled readings.",
        f"name = {json.dumps(title.name)}",
        f"title = {json.dumps(title.title)}",
        f"silicon = {json.dumps(title.silicon)}",
        f"calibrated_on = {json.dumps([_calibrated(g, s) for g, s in fitted.sides.items()])}",
        *(["barrier_follows = true"] if fitted.base.barrier_follows else []),
        f"extends = {json.dumps(fitted.extends)}",
    ]
    lines += ["", "[time_ns]", *_barrier(fitted.floor)] if fitted.floor else []
    for section in ("energy_pj", "power_w"):
        numbers = list(_numbers(fitted, section))
        lines += ["", f"[{section}]", *numbers] if numbers else []
    lines += ["", "[fit]", f'data_sha256 = "{digest(runs)}"']
    for group, side in fitted.sides.items():
        lines += ["", f"[fit.{group}]", *_record(side)]
    return "\n".join(lines) + "\n"


def _barrier(floor: tuple[MeasuredRun, ...]) -> list[str]:
    """The floor of a step: the reading that was read and not digitised, and the range of all."""
    best = min(floor, key=lambda run: ("RSFD".index(run.confidence), run.value))
    ends = [x for run in floor for x in (run.low, run.value, run.high) if x is not None]
    names = ", ".join(run.id for run in floor)
    return [
        "barrier = [",
        f"  {{ count = 1, value = {_round(best.value):g}, low = {_round(min(ends)):g},"
        f' high = {_round(max(ends)):g}, unit = "us", kind = "measured",'
        f' source = "{best.id}: {best.network}, {best.board}; range of {names}" }},',
        "]",
    ]


def _calibrated(group: str, side: PriceFit) -> str:
    return f"{group}: " + "; ".join(f"{run.network} ({run.id})" for run in side.runs)


def _numbers(fitted: ChipFit, section: str) -> list[str]:
    found = []
    for group, side in fitted.sides.items():
        for price in PRICES[group]:
            fields = [*price.fields, *PAID[price.name].followers(fitted.base.energy_pj)]
            mine = [f.partition(".")[2] for f in fields if f.startswith(f"{section}.")]
            if price.name in side.fitted or not _is_prior(side, price.name):
                found += [f"{key} = {_quantity(price, side)}" for key in mine]
    return found


def _is_prior(side: PriceFit, name: str) -> bool:
    kept = next(k for k in side.kept if k.name == name)
    return _round(side.value(name)) == _round(kept.prior)


def _quantity(price: Price, side: PriceFit) -> str:
    i = side.names.index(price.name)
    low, value, high = (_round(float(x[i])) for x in (side.low, side.values, side.high))
    told = price.name in side.fitted
    runs = ", ".join(run.id for run in side.runs)
    source = f"fit to {runs}" if told else f"beside a fit to {runs}, which does not tell it"
    kind = "measured" if told else "derived"
    return (
        f'{{ value = {value:g}, low = {low:g}, high = {high:g}, unit = "{price.unit}",'
        f' kind = "{kind}", source = "{source}{"" if told else " (derived)"}" }}'
    )


def _record(side: PriceFit) -> list[str]:
    rows = [[_round(float(x)) for x in row] for row in side.covariance]
    return [
        f"prices = {json.dumps(list(side.names))}",
        f"runs = {json.dumps([run.id for run in side.runs])}",
        f"kept = {json.dumps([kept.name for kept in side.kept])}",
        f"covariance = {json.dumps(rows)}",
        f"spread = {_round(side.spread):g}",
        f"left_out = {json.dumps([round(left.error, DIGITS) for left in side.left_out])}",
        *([f"coverage = {_round(side.coverage):g}"] if side.left_out else []),
    ]


def _round(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
