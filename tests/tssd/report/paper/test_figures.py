"""Figures of a report: one column wide, readable in grey, the same bytes each time."""

import re
import struct
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from known import known
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from sample_report import bare_report, full_report

from tssd.cli import cli
from tssd.errors import ConfigError
from tssd.report.model import ENERGY_PARTS, Report, TimelineStep
from tssd.report.paper.bars import (
    draw_accuracy,
    draw_energy,
    draw_spikes,
    draw_steps,
    draw_totals,
    unit_of,
)
from tssd.report.paper.figures import PNG_DOTS_PER_INCH, figures_of, write_figures
from tssd.report.paper.maps import draw_chip, draw_raster
from tssd.report.paper.style import SERIES
from tssd.report.store import write_report


def axes() -> Axes:
    return Figure().subplots()


def test_a_figure_of_every_chart_that_the_report_has(tmp_path: Path) -> None:
    full = {figure.name for figure in figures_of(full_report())}
    assert {"accuracy", "spikes", "energy", "totals", "steps", "mesh"} <= full
    assert {"chip", "over-time", "confusion", "raster", "weights", "membranes"} <= full
    bare = {figure.name for figure in figures_of(bare_report())}
    assert bare == {"spikes", "energy", "totals"}
    paths = write_figures(bare_report(), tmp_path / "out", ["svg"])
    assert sorted(path.name for path in paths) == ["energy.svg", "spikes.svg", "totals.svg"]


def test_the_same_report_gives_the_same_bytes(tmp_path: Path) -> None:
    formats = ("svg", "pdf", "png")
    first = write_figures(bare_report(), tmp_path / "a", formats)
    second = write_figures(bare_report(), tmp_path / "b", formats)
    assert len(first) == 3 * len(figures_of(bare_report()))
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name


def test_a_figure_is_one_column_wide(tmp_path: Path) -> None:
    write_figures(full_report(), tmp_path, ["svg", "png"])
    for path in tmp_path.glob("*.png"):
        (width,) = struct.unpack(">I", path.read_bytes()[16:20])
        assert width == round(3.5 * PNG_DOTS_PER_INCH)
    for path in tmp_path.glob("*.svg"):
        found = re.search(r'width="([\d.]+)pt"', path.read_text())
        assert found is not None
        assert float(found.group(1)) == 3.5 * 72


def test_series_differ_in_grey() -> None:
    """Their luminance (CIE Y of sRGB) alone, without hatches, tells any two apart."""

    def linear(c: float) -> float:
        return c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4

    grey = [
        sum(w * linear(c) for w, c in zip((0.2126, 0.7152, 0.0722), to_rgb(s.fill), strict=True))
        for s in SERIES
    ]
    for a, b in combinations(grey, 2):
        low, high = sorted((a, b))
        assert (high + 0.05) / (low + 0.05) > 1.2
    assert len({series.hatch for series in SERIES[:4]}) == 4


def test_bars_are_as_long_as_their_counts() -> None:
    report = full_report()
    drawn = draw_spikes(report, axes())
    integer = [bar.get_width() for bar in drawn.containers[1]]
    expected = [(layer.spikes["integer"] or 0) / report.samples for layer in report.layers]
    assert integer == pytest.approx(expected)


def test_parts_of_an_energy_end_at_its_nominal_value() -> None:
    report = full_report()
    drawn = draw_energy(report, axes())
    scale, unit = unit_of(max(known(layer.energy_pj).high for layer in report.layers))
    assert f"per inference, {unit}" in drawn.get_xlabel()
    last = drawn.containers[len(ENERGY_PARTS) - 1]
    ends = [bar.get_x() + bar.get_width() for bar in last]
    assert ends == pytest.approx([known(x.energy_pj).nominal / scale for x in report.layers])


def test_what_was_not_run_is_not_drawn() -> None:
    report = bare_report()
    assert [t.get_text() for t in draw_accuracy(report, axes()).get_yticklabels()] == []
    names = [t.get_text() for t in draw_totals(report, axes()).get_yticklabels()]
    assert names == ["dynamic"]
    legend = draw_spikes(report, axes()).get_legend()
    assert legend is not None
    assert "reference: not run" in [text.get_text() for text in legend.get_texts()]


@pytest.mark.parametrize(
    ("pj", "unit"), [(0.5, "pJ"), (999, "pJ"), (1000, "nJ"), (2e6, "µJ"), (3e9, "mJ")]
)
def test_an_axis_takes_the_unit_of_its_largest_value(pj: float, unit: str) -> None:
    scale, found = unit_of(pj)
    assert found == unit
    assert pj / scale < 1000


@pytest.mark.parametrize("formats", [["gif"], []])
def test_a_format_that_is_none_is_refused_and_nothing_is_written(
    formats: list[str], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="allowed: svg, pdf, png"):
        write_figures(full_report(), tmp_path / "out", formats)
    assert not (tmp_path / "out").exists()


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    write_report(tmp_path, bare_report())
    return tmp_path


def run(*line: object) -> tuple[int, str]:
    done = CliRunner().invoke(cli, ["report", *map(str, line)])
    return done.exit_code, str(done.exception) if done.exception else done.output


def test_the_command_writes_figures_and_tables_of_the_formats_asked_for(bundle: Path) -> None:
    out = bundle / "paper"
    code, text = run(bundle, "--figures", out, "--tables", out, "--format", "svg,latex")
    assert code == 0
    names = {path.suffix for path in out.iterdir()}
    assert names == {".svg", ".tex"}
    assert f"wrote {out / 'energy.svg'}" in text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--format", "svg"], "--format: found an option with nothing to act on"),
        (["--figures", "f", "--format", "tiff"], "found 'tiff'; allowed: svg, pdf, png"),
        (["--tables", "f", "--format", "svg"], "found 'svg'; allowed: csv, latex, md"),
        (["--figures", "f", "--tables", "t", "--format", "svg"], "found none for --tables"),
        (["--figures", "f", "--format", ","], "found ','"),
    ],
)
def test_a_format_that_cannot_act_is_refused(
    options: list[str], message: str, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(bundle)
    _, text = run(bundle, *options)
    assert message in text
    assert not Path("f").exists()


def many(report: Report, layers: int) -> Report:
    rows = [replace(report.layers[1], name=f"conv{i}") for i in range(layers)]
    return replace(report, layers=tuple(rows))


def test_forty_layers_make_a_taller_figure_of_the_same_width(tmp_path: Path) -> None:
    few, lots = (
        {f.name: f.height_inch(r) for f in figures_of(r)}
        for r in (full_report(), many(full_report(), 40))
    )
    assert lots["energy"] > few["energy"] + 6
    assert lots["mesh"] == few["mesh"]


def test_a_raster_shows_each_event_once() -> None:
    report = full_report()
    drawn = draw_raster(report, axes())
    found = report.behaviour.divergence
    assert found is not None
    counts = [len(np.asarray(points.get_offsets())) for points in drawn.collections]
    both = len(set(found.float) & set(found.integer))
    assert counts == [both, len(found.float) - both, len(found.integer) - both]


def test_a_chip_shows_each_core_with_its_layer() -> None:
    drawn = draw_chip(full_report(), axes())
    assert [text.get_text() for text in drawn.texts] == ["1", "2", "3", "4"]
    assert len(drawn.patches) == 8 * 4 * 4


@pytest.mark.parametrize("steps", [8, 640])
def test_what_limits_a_step_is_seen_however_many_there_are(steps: int) -> None:
    """The colour that most of a bar's area has is its own, not that of its edge."""
    timeline = tuple(
        TimelineStep(i, 1.0, ("barrier", "compute")[i % 2], None) for i in range(steps)
    )
    figure = Figure(figsize=(3.5, 1.9), dpi=300)
    drawn = draw_steps(replace(full_report(), timeline=timeline), figure.subplots())
    assert len(drawn.patches) == steps
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    low, high = drawn.transData.transform([(0, 0.2), (steps - 1, 0.8)]).astype(int)
    pixels = np.asarray(canvas.buffer_rgba())[::-1][low[1] : high[1], low[0] : high[0], :3]
    edges = np.all(np.abs(pixels.astype(int) - 0x22) < 16, axis=2)
    assert edges.mean() < 0.5
