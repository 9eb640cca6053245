"""Charts on a plane: the mesh of a chip."""

from typing import TYPE_CHECKING

import numpy as np

from tssd.report.model import Report
from tssd.report.paper.style import HEAT

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_mesh(report: Report, axes: "Axes") -> "Axes":
    """What was measured at each place of the mesh."""
    width = 1 + max(cell.x for cell in report.mesh)
    height = 1 + max(cell.y for cell in report.mesh)
    values = np.full((height, width), np.nan)
    for cell in report.mesh:
        values[cell.y, cell.x] = cell.value
    shown = axes.imshow(values, cmap=HEAT, aspect="equal", vmin=0)
    axes.set(xlabel="x", ylabel="y", xticks=range(width), yticks=range(height))
    axes.figure.colorbar(shown, ax=axes, label=report.mesh[0].unit, shrink=0.8)
    return axes
