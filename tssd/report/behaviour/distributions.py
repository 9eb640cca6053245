"""Histograms of both networks -> the bins that a report shows."""

from collections.abc import Mapping
from typing import Literal

from tssd.calibration.comparing.histogram import Histogram, shown
from tssd.calibration.comparing.spread import HALF_STEP, in_thresholds
from tssd.calibration.int_network import IntNetwork
from tssd.report.behaviour.model import BinCounts, Distribution

MOST_BINS = 40
TAIL = 0.005  # of the membranes on either side, for which no bins are spent

Unit = Literal["step", "threshold", "float"]


def weight_distributions(
    integer: Mapping[str, Histogram], in_float: Mapping[str, Histogram]
) -> dict[str, Distribution]:
    """Every weight has a bin; those of float that the integers cut off stand beyond them."""
    return {
        name: _distribution("step", found, in_float.get(name), 0.0, HALF_STEP)
        for name, found in integer.items()
    }


def membrane_distributions(
    network: IntNetwork, integer: Mapping[str, Histogram], in_float: Mapping[str, Histogram]
) -> dict[str, Distribution]:
    """Bins for all but ``TAIL`` on either side; how many lie outside is said."""
    return {
        name: _distribution(
            "threshold" if in_thresholds(network.population(name)) else "float",
            found, in_float.get(name), TAIL, 0.0,
        )
        for name, found in integer.items()
    }  # fmt: skip


def _distribution(
    unit: Unit, integer: Histogram, in_float: Histogram | None, left_out: float, moved: float
) -> Distribution:
    both = [integer] if in_float is None else [integer, in_float]
    found = shown(both, MOST_BINS, left_out)
    counts = [
        BinCounts(int(below), tuple(map(int, bins)), int(above))
        for below, bins, above in zip(found.below, found.bins, found.above, strict=True)
    ]
    return Distribution(unit, found.low - moved, found.width, counts[0], *counts[1:])
