"""Charts on a plane: the mesh and the cores of a chip, answers by class, a raster."""

from typing import TYPE_CHECKING, Any

import numpy as np

from tssd.report.behaviour.model import Event
from tssd.report.behaviour.view import chip_map, confusion
from tssd.report.model import Report
from tssd.report.paper.style import HEAT, legend_above

MOST_NAMED = 12  # layers below the drawing of a chip; more would not be read

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


def draw_chip(report: Report, axes: "Axes") -> "Axes":
    """The cores of the first chip: the number of the layer that each holds, its shade how full its
    fullest resource is."""
    from matplotlib import colormaps
    from matplotlib.patches import Rectangle

    drawing = chip_map(report)
    assert drawing is not None  # FIGURES has looked
    chip = drawing.chips[0]
    side = chip.squares[0].side
    for x, y in chip.empty:
        axes.add_patch(Rectangle((x, y), side, side, facecolor="#f4f4f4", edgecolor="#ffffff"))
    shades = colormaps[HEAT]
    for core in chip.squares:
        fill = shades(core.fill)
        axes.add_patch(Rectangle((core.x, core.y), side, side, facecolor=fill, edgecolor="#ffffff"))
        ink = "#ffffff" if core.fill > 0.55 else "#000000"
        axes.text(core.x + side / 2, core.y + side / 2, core.text, color=ink, ha="center",
                  va="center", fontsize=5)  # fmt: skip
    axes.set(xlim=(0, chip.width), ylim=(chip.height, 0), aspect="equal", xticks=[], yticks=[])
    if len(drawing.legend) <= MOST_NAMED:
        told = ", ".join(f"{number} {name}" for number, name, _ in drawing.legend)
        axes.set_xlabel(told, wrap=True)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return axes


def draw_confusion(report: Report, axes: "Axes") -> "Axes":
    """Samples by right class and by the integer network's answer; signed: more than in float."""
    found = confusion(report)
    assert found is not None  # FIGURES has looked
    shades = [[cell.shade for cell in row] for row in found.rows]
    axes.imshow(shades, cmap=HEAT, vmin=0, vmax=1, aspect="equal")
    for y, row in enumerate(found.rows):
        for x, cell in enumerate(row):
            told = f"{cell.count or ''}" + (f"\n{cell.change:+d}" if cell.change else "")
            ink = "#ffffff" if cell.shade > 0.55 else "#000000"
            axes.text(x, y, told, color=ink, ha="center", va="center", fontsize=5)
    names = [str(name) for name in found.classes]
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="answer in integers (signed: more than in float)", ylabel="right class")
    return axes


def draw_raster(report: Report, axes: "Axes") -> "Axes":
    """Spikes of the neurons around the first difference from float."""
    from matplotlib.ticker import MaxNLocator

    found = report.behaviour.divergence
    assert found is not None  # FIGURES has looked
    ours, theirs = set(found.integer), set(found.float)
    kinds: tuple[tuple[str, set[Event], dict[str, Any]], ...] = (
        ("both", ours & theirs, {"marker": "o", "color": "#16305c"}),
        ("float alone", theirs - ours, {"marker": "o", "color": "#d17c00", "facecolors": "none"}),
        ("integers alone", ours - theirs, {"marker": "x", "color": "#3f83bf"}),
    )
    for label, events, style in kinds:
        x, y = [step for step, _ in events], [neuron for _, neuron in events]
        axes.scatter(x, y, s=12, linewidths=1, label=label, **style)
    axes.set(xlabel="step", ylabel=f"neuron of {found.layer}")
    axes.set_xlim(found.first_step - 0.6, found.first_step + found.steps - 0.4)
    axes.set_ylim(found.neurons[-1] + 0.6, found.neurons[0] - 0.6)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    legend_above(axes, 3)
    return axes
