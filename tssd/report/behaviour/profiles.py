"""How weights and membranes are distributed -> what the page draws, and its words."""

import math
from dataclasses import dataclass

from tssd.report import words
from tssd.report.behaviour.model import BinCounts, Distribution
from tssd.report.model import LayerRow, Report

SIDE = 100.0  # of a drawing, both ways
UNITS = {"step": "steps", "threshold": "thresholds", "float": "units of float"}
COLUMNS = ("layer", "weights", "membranes")


@dataclass(frozen=True)
class HistogramDrawing:
    """One histogram as the page draws it, SIDE x SIDE: the outline of the integers, filled, and
    that of float, empty where it was not run; where zero lies; what stands at the ends; what lies
    outside."""

    integer: str
    in_float: str
    zero: float | None
    low: str
    high: str
    outside: str
    label: str


@dataclass(frozen=True)
class HistogramRow:
    name: str
    weights: HistogramDrawing | None
    membranes: HistogramDrawing | None


def profiles(report: Report) -> tuple[HistogramRow, ...]:
    """A row for each layer that has either."""
    rows = (HistogramRow(x.name, _of(x, "weights"), _of(x, "membranes")) for x in report.layers)
    return tuple(row for row in rows if row.weights or row.membranes)


def _of(layer: LayerRow, what: str) -> HistogramDrawing | None:
    found: Distribution | None = getattr(layer, what)
    return None if found is None else profile(f"{what} of {layer.name}", found)


def profile(title: str, found: Distribution) -> HistogramDrawing:
    """*found* drawn; ``title`` is what it is read out as."""
    most = max(max(side.bins) for side in _sides(found))
    ours, *theirs = (outline(side.bins, most) for side in _sides(found))
    zero = -found.low / (len(found.integer.bins) * found.width) * SIDE
    low, high = ends(found)
    return HistogramDrawing(
        ours,
        "".join(theirs),
        round(zero, 2) if 0 < zero < SIDE else None,
        low,
        f"{high} {UNITS[found.unit]}",
        outside(found),
        f"{title}: {described(found)}",
    )


def _sides(found: Distribution) -> tuple[BinCounts, ...]:
    return (found.integer,) if found.float is None else (found.integer, found.float)


def outline(bins: tuple[int, ...], most: int) -> str:
    """The path of a histogram, a step for each bin; a height goes with log(1 + count), *most*
    being the whole."""
    across, whole = SIDE / len(bins), math.log1p(max(most, 1))
    heights = [SIDE * (1 - math.log1p(count) / whole) for count in bins]
    steps = (f"V{height:.4g}H{across * i:.4g}" for i, height in enumerate(heights, 1))
    return f"M0 {SIDE:g}{''.join(steps)}V{SIDE:g}"


def ends(found: Distribution) -> tuple[str, str]:
    """Where the bins begin and end; where they hold whole numbers, the first and the last."""
    low, high = found.low, found.low + len(found.integer.bins) * found.width
    if found.unit == "step":
        return f"{math.ceil(low):,}", f"{math.floor(high):,}"
    return words.number(low), words.number(high)


def described(found: Distribution) -> str:
    """``-128 .. 127 steps``, and what lies outside."""
    low, high = ends(found)
    said = f"{low} .. {high} {UNITS[found.unit]}"
    return f"{said}; {outside(found)}" if outside(found) else said


def outside(found: Distribution) -> str:
    """How much lies before and after the bins, of the integers and of float."""
    shares = [_outside(side) for side in _sides(found)]
    if not any(shares):
        return ""
    named = zip(shares, ("integers", "float"), strict=False)
    return "outside: " + ", ".join(f"{words.percent(x)} of {name}" for x, name in named)


def _outside(side: BinCounts) -> float:
    out = side.below + side.above
    return out / (out + sum(side.bins))


def profile_table(report: Report) -> tuple[tuple[str, ...], ...]:
    """A row of ``COLUMNS`` for each layer that has either."""
    return tuple(
        (
            x.name,
            "" if x.weights is None else described(x.weights),
            "" if x.membranes is None else described(x.membranes),
        )
        for x in report.layers
        if x.weights or x.membranes
    )
