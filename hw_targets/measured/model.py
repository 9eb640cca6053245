"""What a table of prices says of a measured row: linear in the prices.

    E[row] = synops x synop + updates x neuron + messages x message + chips x step x running
    P[row] = chips x static_chip + cores x static_core

Energies in pJ (running power times the length of a step: 1 W for 1 us is 10^6 pJ), static power in
W. A spike whose messages are not known is at least one message.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from tssd.arrays import FloatArray
from tssd.hw_targets.chip.prices import PAID
from tssd.hw_targets.measured.table import MeasuredRun

PJ_PER_W_US = 1e6


@dataclass(frozen=True)
class Price:
    """One price: how often a row pays it (None: not known)."""

    name: str
    unit: str
    times: Callable[[MeasuredRun], float | None]

    @property
    def fields(self) -> tuple[str, ...]:
        """The numbers that it sets, as ``section.name`` of a chip file."""
        return PAID[self.name].fields


def _messages(run: MeasuredRun) -> float | None:
    return run.messages if run.messages is not None else run.spikes


def _running(run: MeasuredRun) -> float | None:
    return None if run.step_us is None else run.chips * run.step_us * PJ_PER_W_US


def _cores(run: MeasuredRun) -> float | None:
    return 1.0 if run.quantity == "static_power_per_core" else run.cores


def _chips(run: MeasuredRun) -> float | None:
    return 0.0 if run.quantity == "static_power_per_core" else 1.0


ENERGY = (
    Price("synop", "pJ", lambda run: run.synops),
    Price("neuron", "pJ", lambda run: run.updates),
    Price("message", "pJ", _messages),
    Price("running", "W", _running),
)
STATIC = (
    Price("static_chip", "W", _chips),
    Price("static_core", "W", _cores),
)
PRICES: Mapping[str, tuple[Price, ...]] = {"energy": ENERGY, "static": STATIC}


def design(runs: tuple[MeasuredRun, ...], prices: tuple[Price, ...]) -> FloatArray:
    """(runs, prices): how often each run pays each price; NaN where it is not known."""
    rows = [[price.times(run) for price in prices] for run in runs]
    return np.array(rows, np.float64).reshape(len(runs), len(prices))


def readings(runs: tuple[MeasuredRun, ...]) -> FloatArray:
    """(runs,): what was measured, in the unit of the quantity."""
    return np.array([run.value for run in runs], np.float64)
