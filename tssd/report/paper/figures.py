"""Report -> a figure of each of its charts, one column wide, in a folder."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tssd.atomic import check_room, written_whole
from tssd.errors import ConfigError
from tssd.report.behaviour.view import chip_map, confusion
from tssd.report.model import Report
from tssd.report.paper import bars, maps, spread
from tssd.report.paper.style import ROW_INCH, WIDTH_INCH, ruled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FORMATS = ("svg", "pdf", "png")
PNG_DOTS_PER_INCH = 300
NO_DATE: dict[str, dict[str, Any]] = {  # the same report gives the same bytes
    "svg": {"Date": None},
    "pdf": {"CreationDate": None, "ModDate": None},
    "png": {"Software": None},
}


@dataclass(frozen=True)
class ReportFigure:
    """A chart: its file's name, what draws it, whether a report has it, its height in inches."""

    name: str
    draw: Callable[[Report, "Axes"], "Axes"]
    there: Callable[[Report], bool]
    height_inch: Callable[[Report], float]


def _layered(thick: float) -> Callable[[Report], float]:
    return lambda report: 0.75 + thick * ROW_INCH * len(report.layers)


FIGURES = (
    ReportFigure(
        "accuracy", bars.draw_accuracy,
        lambda report: any(share is not None for share in report.accuracy.values()),
        lambda report: 0.6 + ROW_INCH * sum(x is not None for x in report.accuracy.values()),
    ),
    ReportFigure("spikes", bars.draw_spikes, lambda report: True, _layered(2.0)),
    ReportFigure("energy", bars.draw_energy, lambda report: True, _layered(1.2)),
    ReportFigure(
        "totals", bars.draw_totals,
        lambda report: report.totals.energy_uj_per_inference.dynamic is not None,
        lambda report: 1.1,
    ),
    ReportFigure(
        "steps", bars.draw_steps, lambda report: bool(report.timeline), lambda report: 1.9
    ),
    ReportFigure("mesh", maps.draw_mesh, lambda report: bool(report.mesh), lambda report: 2.0),
    ReportFigure(
        "chip", maps.draw_chip, lambda report: chip_map(report) is not None, lambda report: 2.4
    ),
    ReportFigure(
        "over-time", bars.draw_over_time,
        lambda report: any(x.accuracy is not None for x in report.behaviour.over_time),
        lambda report: 2.0,
    ),
    ReportFigure(
        "confusion", maps.draw_confusion,
        lambda report: (found := confusion(report)) is not None and bool(found.rows),
        lambda report: 3.4,
    ),
    ReportFigure(
        "raster", maps.draw_raster, lambda report: report.behaviour.divergence is not None,
        lambda report: 2.2,
    ),
    ReportFigure(
        "weights", spread.draw_weights, lambda report: bool(spread.weights_of(report)),
        lambda report: 0.9 + 2 * ROW_INCH * len(spread.weights_of(report)),
    ),
    ReportFigure(
        "membranes", spread.draw_membranes, lambda report: bool(spread.membranes_of(report)),
        lambda report: 0.9 + 2 * ROW_INCH * len(spread.membranes_of(report)),
    ),
)  # fmt: skip


def figures_of(report: Report) -> tuple[ReportFigure, ...]:
    """The charts that *report* has what they show for."""
    return tuple(figure for figure in FIGURES if figure.there(report))


def write_figures(report: Report, folder: Path, formats: Sequence[str]) -> tuple[Path, ...]:
    """Every chart of *report* in every one of *formats*, ``<folder>/<name>.<format>``; each file is
    written whole. Formats that are none raise ConfigError before anything is written."""
    check_formats("--format", formats, FORMATS)
    check_room(folder, "--figures")
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for figure in figures_of(report):
        paths += _write(figure, report, folder, formats)
    return tuple(paths)


def check_formats(option: str, given: Sequence[str], known: Sequence[str]) -> None:
    """ConfigError for a format that is none, or none at all."""
    wrong = [name for name in given if name not in known]
    if wrong or not given:
        found = repr(wrong[0]) if wrong else "no format"
        raise ConfigError(option, found=found, allowed=", ".join(known))


def _write(
    figure: ReportFigure, report: Report, folder: Path, formats: Sequence[str]
) -> list[Path]:
    from matplotlib.figure import Figure

    paths = []
    with ruled():
        for kind in dict.fromkeys(formats):
            canvas = Figure(figsize=(WIDTH_INCH, figure.height_inch(report)))
            figure.draw(report, canvas.subplots())
            path = folder / f"{figure.name}.{kind}"
            with written_whole(path) as part:
                canvas.savefig(part, format=kind, dpi=PNG_DOTS_PER_INCH, metadata=NO_DATE[kind])
            paths.append(path)
    return paths
