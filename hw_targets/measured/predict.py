"""What the packaged chip files say of every row of the table, and why not where they say nothing.

    dynamic energy   the prices of the file of the row's silicon, times its counts
    static power     static_per_chip + cores x static_per_core
    step time        input that is injected one spike after another hides the work of its steps:
                     mean of max(compute, injection) over the steps with input and the others;
                     compute alone is a reading of its own (``COMPUTE``)

Rows of whole networks (PilotNet, QP, winner-take-all) are simulated by ``make bench-chips``.
"""

from dataclasses import dataclass

from tssd.hw_targets.chip.chips import load_chip
from tssd.hw_targets.chip.spec import ChipSpec
from tssd.hw_targets.measured.chip_text import number
from tssd.hw_targets.measured.fit import LeftOut
from tssd.hw_targets.measured.model import PRICES, Price
from tssd.hw_targets.measured.recipes import RECIPES
from tssd.hw_targets.measured.table import MeasuredRun, packaged_runs

COMPUTE = "V7-slope"  # the step time of the Quartz networks without their input


@dataclass(frozen=True)
class Prediction:
    """What a chip file says of a row, in the row's unit; None with the reason in ``how``."""

    value: float | None
    how: str

    def error(self, run: MeasuredRun) -> float | None:
        """predicted / measured - 1."""
        return None if self.value is None else self.value / run.value - 1


def chip_of(run: MeasuredRun) -> ChipSpec | None:
    """The fitted chip file for the silicon of *run*."""
    names = [
        name
        for name, recipe in RECIPES.items()
        if run.target == recipe.target and run.silicon in recipe.silicon
    ]
    return load_chip(names[0]) if names else None


def predict(run: MeasuredRun) -> Prediction:
    """What the packaged files say of *run*."""
    chip = chip_of(run)
    if run.role.startswith("not usable"):
        return Prediction(None, run.role.partition(": ")[2])
    if chip is None:
        return Prediction(None, "no chip file for this silicon")
    if run.quantity.startswith("dynamic_energy"):
        return _by_prices(run, chip, PRICES["energy"], chip.name)
    if run.quantity.startswith("static_power"):
        return _by_prices(run, chip, PRICES["static"], chip.name)
    if run.quantity == "host_power":
        return Prediction(chip.host.power_per_chip.value, f"{chip.name}: host.power_per_chip")
    if run.quantity == "step_time" and run.host_steps is not None:
        return _with_host(run, chip)
    if run.quantity == "step_time" and run.fits == "floor":
        return Prediction(chip.time_ns.barrier.at(1) / 1e3, f"{chip.name}: time_ns.barrier")
    return Prediction(None, "not predicted from counts")


def _by_prices(run: MeasuredRun, chip: ChipSpec, prices: tuple[Price, ...], how: str) -> Prediction:
    total = 0.0
    for price in prices:
        each, times = number(chip, price.fields[0]).value, price.times(run)
        if each > 0 and times is None:
            return Prediction(None, f"not known: how often it paid for {price.name}")
        total += each * (times or 0.0)
    return Prediction(total, how)


def _with_host(run: MeasuredRun, chip: ChipSpec) -> Prediction:
    compute = next(other for other in packaged_runs() if other.id == COMPUTE).value
    steps, host_steps = run.steps or 1.0, run.host_steps or 0.0
    spikes = (run.host_spikes or 0.0) * steps  # of the whole run
    injection = spikes / host_steps * chip.host.spike_in.value / 1e3
    mean = (host_steps * max(compute, injection) + (steps - host_steps) * compute) / steps
    return Prediction(mean, f"{chip.name}: host.spike_in beside the compute time of {COMPUTE}")


def left_out(run: MeasuredRun) -> LeftOut | None:
    """The prediction of *run* by a fit that never saw it, where it was fitted."""
    for recipe in RECIPES.values():
        for side in recipe.fit.sides.values():
            for left in side.left_out:
                if left.run.id == run.id:
                    return left
    return None
