"""Plots of live results: onto axes of the caller's, or new ones; the axes come back."""

from abc import ABC
from typing import TYPE_CHECKING, Any

from tssd.config import unknown_name
from tssd.errors import ConfigError
from tssd.optional import not_installed
from tssd.report.model import Report
from tssd.report.paper.figures import FIGURES, figures_of
from tssd.report.paper.style import WIDTH_INCH

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HEIGHT_INCH = 2.4


def axes_of(ax: "Axes | None") -> "Axes":
    """*ax*, or axes of a new figure one column wide; TargetError without matplotlib."""
    if ax is not None:
        return ax
    try:
        from matplotlib import pyplot
    except ModuleNotFoundError as error:
        raise not_installed(error) or error from None
    size: Any = (WIDTH_INCH, HEIGHT_INCH)
    return pyplot.subplots(figsize=size, layout="constrained")[1]


class ReportPlots(ABC):
    """The charts of ``report``, by name or as methods."""

    report: Report

    def plot(self, chart: str, ax: "Axes | None" = None) -> "Axes":
        """The chart of that name, as ``tssd report --figures`` writes it; ConfigError where the
        report has nothing for it."""
        known = {figure.name: figure for figure in FIGURES}
        if chart not in known:
            raise unknown_name("plot", f"chart {chart!r}", chart, known)
        there = [figure.name for figure in figures_of(self.report)]
        if chart not in there:
            raise ConfigError(
                f"plot {chart!r}", found="a report without it", allowed=", ".join(there)
            )
        return known[chart].draw(self.report, axes_of(ax))

    def plot_spikes(self, ax: "Axes | None" = None) -> "Axes":
        """Events per inference of each layer, by who counted them."""
        return self.plot("spikes", ax)

    def plot_energy(self, ax: "Axes | None" = None) -> "Axes":
        """Dynamic energy of each layer by part, with its range."""
        return self.plot("energy", ax)

    def plot_raster(self, ax: "Axes | None" = None) -> "Axes":
        """The spikes around the first difference between integers and float."""
        return self.plot("raster", ax)
