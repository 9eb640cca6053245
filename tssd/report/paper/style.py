"""How figures look: one column wide, readable in grey, the same bytes from the same report."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH_INCH = 3.5  # a column of IEEE's and Nature's pages
EDGE_POINTS = 0.5  # of bars, on either side
ROW_INCH = 0.17  # of a layer's bar
TEXT_POINTS = 7
RULES: dict[str, object] = {
    "font.size": TEXT_POINTS,
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same letters everywhere
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": "#d5d5d5",
    "grid.linewidth": 0.5,
    "hatch.linewidth": 0.5,
    "legend.frameon": False,
    "legend.fontsize": TEXT_POINTS,
    "lines.linewidth": 1.2,
    "pdf.fonttype": 42,  # letters stay letters in a PDF
    "svg.hashsalt": "tssd",  # names in an SVG do not change from run to run
    "figure.constrained_layout.use": True,
}


@dataclass(frozen=True)
class SeriesStyle:
    """Fill and hatch of a series; lightness alone tells neighbours apart."""

    fill: str
    hatch: str
    marker: str


SERIES = (
    SeriesStyle("#16305c", "", "o"),
    SeriesStyle("#3f83bf", "////", "s"),
    SeriesStyle("#96c7a0", "....", "^"),
    SeriesStyle("#f3e7b3", "xxxx", "D"),
    SeriesStyle("#ffffff", "", "v"),
)
HEAT = "Blues"  # falls in lightness, and with it in grey; nothing is near white


@contextmanager
def ruled() -> Iterator[None]:
    """Matplotlib by ``RULES``, and then as it was."""
    import matplotlib

    rules: Any = RULES
    with matplotlib.rc_context(rules):
        yield


def filled(place: int) -> dict[str, Any]:
    """Matplotlib's words for a bar of series number *place*."""
    style = SERIES[place % len(SERIES)]
    return {
        "facecolor": style.fill,
        "hatch": style.hatch,
        "edgecolor": "#222222",
        "linewidth": EDGE_POINTS,
    }


def filled_of_many(place: int, bars: int) -> dict[str, Any]:
    """``filled`` of upright bars, *bars* of them across a column; where their edges would leave
    less than half of each for its fill, as in hundreds of steps, the fill alone, without gaps."""
    if 72 * WIDTH_INCH / bars < 4 * EDGE_POINTS:
        return {"facecolor": SERIES[place % len(SERIES)].fill, "linewidth": 0, "width": 1.0}
    return {**filled(place), "width": 0.85}


def legend_above(axes: "Axes", columns: int = 2) -> None:
    """The legend of *axes* over the plot, where it covers nothing."""
    axes.legend(
        loc="lower left", bbox_to_anchor=(0, 1), ncols=columns, borderaxespad=0.2,
        handlelength=1.6, columnspacing=1.2,
    )  # fmt: skip


def lined(place: int) -> dict[str, Any]:
    """Matplotlib's words for a line of series number *place*."""
    style = SERIES[place % 3]  # the light ones would not be seen
    return {"color": style.fill, "marker": style.marker, "markersize": 3}
