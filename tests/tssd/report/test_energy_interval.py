"""The interval of the energy is one: in every form of the report, the terminal, a sweep."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from command_line import bundle_with_pictures, call

from tssd.report import words
from tssd.report.energies import EnergyUj, Range
from tssd.report.store import read_report


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("interval")
    made = bundle_with_pictures(folder, 1)
    call("verify", made, "--against", "sim", "--samples", 2)
    return made


def interval_of(bundle: Path, name: str) -> str:
    """``low .. high`` as report.json has it."""
    intervals = read_report(bundle).totals.energy_uj_per_inference.prediction_interval
    assert intervals is not None
    found: Range = getattr(intervals, name)
    return f"{words.energy(1e6 * found.low)} .. {words.energy(1e6 * found.high)}"


def test_the_pages_show_it_where_the_energy_is(bundle: Path) -> None:
    total = f"{interval_of(bundle, 'total')}, 90 % prediction interval"
    html = (bundle / "report" / "report.html").read_text("utf-8")
    [tile] = re.findall(r'<div class="tile[^"]*"><dt>Energy per inference</dt>.*?</div>', html)
    assert total in re.sub("<[^>]*>", "", tile)
    page = (bundle / "report" / "report.md").read_text("utf-8")
    for name in ("dynamic", "static", "total"):
        [row] = [x for x in page.splitlines() if x.startswith(f"| {name} energy per inference")]
        assert f"{interval_of(bundle, name)}, 90 % prediction interval" in row
        assert interval_of(bundle, name) in html


def test_the_chart_draws_its_ends(bundle: Path) -> None:
    from tssd.report.view import totals_chart

    report = read_report(bundle)
    chart, uj = totals_chart(report), report.totals.energy_uj_per_inference
    for row in chart.rows:
        found = words.spread(uj, row.name)
        assert found is not None
        assert row.whisker is not None
        assert row.whisker == (chart.axis.at(1e6 * found.low), chart.axis.at(1e6 * found.high))
        assert row.whisker[1] <= 100


def test_the_terminal_says_the_same(bundle: Path) -> None:
    said = call("simulate", str(bundle), "--samples", "2")
    assert "(90 % prediction interval):" in said
    for name in ("dynamic", "static", "total"):
        assert f"({interval_of(bundle, name)})" in " ".join(said.split()), name


def test_a_sweep_says_the_same_until_a_price_is_set(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = "tssd.simulating.sweep.in_processes"  # without workers, which load all anew
    monkeypatch.setattr(here, lambda workers: lambda function, points: map_here(function, points))
    path = bundle.parent / "points.csv"
    setting = ("--set", "energy_pj.synop_conv=3", "--csv", str(path))
    line = ("sweep", str(bundle), "--samples", "2", "--set")
    said = call(*line, "chip=loihi2")
    assert interval_of(bundle, "dynamic") in " ".join(said.split())
    assert "unknown" in call(*line[:-1], *setting)
    [priced] = csv.DictReader(io.StringIO(path.read_text("utf-8")))
    assert priced["dynamic_pj"]
    assert (priced["dynamic_low_pj"], priced["dynamic_high_pj"]) == ("", "")


def map_here(function: Callable[[Any], Any], points: Sequence[Any]) -> Iterator[Any]:
    yield from map(function, points)


def test_a_saved_run_is_priced_with_it(bundle: Path) -> None:
    saved = bundle.parent / "run.npz"
    call("simulate", str(bundle), "--samples", "2", "--save", str(saved))
    table = json.loads(call("simulate", str(saved), "--price", "loihi2", "--json"))
    found = table["promised"]["total"]
    ends = f"{words.energy(found['low'])} .. {words.energy(found['high'])}"
    assert ends == interval_of(bundle, "total")
    said = call("simulate", str(saved), "--price", "loihi2-prior")
    assert f"({words.OF_CONSTANTS})" in " ".join(said.split())


def test_without_a_fit_the_range_is_called_what_it_is() -> None:
    uj = EnergyUj(Range(1e-6, 2e-6, 3e-6))
    assert words.energy_spread(uj, "dynamic") == f"1 pJ .. 3 pJ, {words.OF_CONSTANTS}"
