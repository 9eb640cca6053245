"""A run of the simulator enters the report of its bundle, and only of that chip."""

from dataclasses import replace
from pathlib import Path

import pytest
from sample_report import full_report, sample_network
from strategies import random_inputs

from tssd.hw_targets.chip.chips import load_chip
from tssd.hw_targets.mapping.placement import place
from tssd.hw_targets.sim.engine import Run, run
from tssd.report.store import read_report, write_report
from tssd.simulating.simulation_report import record


@pytest.fixture(scope="module")
def simulated_run() -> Run:
    network, chip = sample_network(), load_chip("loihi2")
    return run(network, random_inputs(network, 1, batch=2), place(network, chip), chip, "bound")


def test_time_line_and_mesh_enter_the_report(tmp_path: Path, simulated_run: Run) -> None:
    write_report(tmp_path, full_report())
    files = record(tmp_path, simulated_run, "tssd simulate x")
    assert [path.name for path in files] == ["report.json", "report.html", "report.md"]
    report = read_report(tmp_path)
    assert len(report.timeline) == simulated_run.record.steps
    assert report.totals.us_per_step == pytest.approx(simulated_run.timing.us_per_step)
    assert sum(layer.time_share or 0 for layer in report.layers) == pytest.approx(1)
    assert report.provenance.commands[-1] == "tssd simulate x"


def test_without_a_report_or_for_another_chip_nothing_is_written(
    tmp_path: Path, simulated_run: Run
) -> None:
    assert record(tmp_path, simulated_run) == ()
    write_report(tmp_path, full_report())
    before = (tmp_path / "report" / "report.json").read_bytes()
    on_other = replace(simulated_run, chip=load_chip("loihi1-nahuku"))
    assert record(tmp_path, on_other) == ()
    assert (tmp_path / "report" / "report.json").read_bytes() == before
