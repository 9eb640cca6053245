"""How weights and membranes are distributed: a row of axes for each layer, and the bins as rows."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tssd.report.behaviour.model import BinCounts, Distribution
from tssd.report.behaviour.profiles import UNITS
from tssd.report.model import LayerRow, Report
from tssd.report.paper.style import filled, legend_above

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TALL = 0.85  # of a row, that the most frequent bin takes


def weights_of(report: Report) -> dict[str, Distribution]:
    """Layer -> its weights, where it has some."""
    return {x.name: x.weights for x in report.layers if x.weights is not None}


def membranes_of(report: Report) -> dict[str, Distribution]:
    """Layer -> its membranes, of those that are told in thresholds."""
    found = {x.name: x.membranes for x in report.layers if x.membranes is not None}
    return {name: x for name, x in found.items() if x.unit == "threshold"}


def draw_weights(report: Report, axes: "Axes") -> "Axes":
    """Incoming weights of each layer, in steps of the integers."""
    return _rows(weights_of(report), axes, "weight, in steps")


def draw_membranes(report: Report, axes: "Axes") -> "Axes":
    """Membranes of each layer that fires, in thresholds of the neuron."""
    return _rows(membranes_of(report), axes, "membrane, in thresholds")


def _rows(found: dict[str, Distribution], axes: "Axes", label: str) -> "Axes":
    for place, x in enumerate(found.values()):
        most = max((*x.integer.bins, *(() if x.float is None else x.float.bins)))
        edges = [x.low + i * x.width for i in range(len(x.integer.bins) + 1)]
        axes.stairs(_heights(x.integer, most, place), edges, baseline=place, fill=True,
                    label="integers" if place == 0 else None, **filled(2))  # fmt: skip
        if x.float is not None:
            axes.stairs(_heights(x.float, most, place), edges, baseline=None, color="#16305c",
                        linewidth=0.8, label="float" if place == 0 else None)  # fmt: skip
    axes.set_yticks(range(len(found)), list(found))
    axes.set_ylim(len(found) - 0.95, -1.0)
    axes.axvline(0, color="#222222", linewidth=0.5, linestyle=":")
    axes.set_xlabel(f"{label}; heights: log(1 + count)")
    legend_above(axes)
    return axes


def _heights(side: BinCounts, most: int, place: int) -> list[float]:
    """Rows grow upwards, against the axis."""
    whole = math.log1p(max(most, 1))
    return [place - TALL * math.log1p(count) / whole for count in side.bins]


def bin_rows(layer: LayerRow) -> Iterator[dict[str, Any]]:
    """A record for each bin of a layer's histograms, and for what lies on either side of them,
    whose other end is missing."""
    for what, found in (("weights", layer.weights), ("membranes", layer.membranes)):
        if found is None:
            continue
        ours = _with_sides(found.integer)
        theirs = None if found.float is None else _with_sides(found.float)
        for i, count in enumerate(ours):
            yield {
                "layer": layer.name,
                "what": what,
                "unit": UNITS[found.unit],
                "low": found.low + (i - 1) * found.width if i else None,
                "high": found.low + i * found.width if i + 1 < len(ours) else None,
                "integer": count,
                "float": None if theirs is None else theirs[i],
            }


def _with_sides(counts: BinCounts) -> tuple[int, ...]:
    return counts.below, *counts.bins, counts.above
