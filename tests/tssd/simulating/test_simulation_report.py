"""A run of the simulator enters the report of its bundle if chip and samples are the report's."""

from dataclasses import replace
from pathlib import Path

import pytest
from sample_report import full_report, sample_network
from strategies import random_inputs

from tssd.chain.samples import samples_hash
from tssd.hw_targets.chip.chips import load_chip
from tssd.hw_targets.chip.fingerprint import fingerprint
from tssd.hw_targets.mapping.placement import place
from tssd.hw_targets.sim.engine import Run, run
from tssd.hw_targets.sim.timing import Mode
from tssd.report.model import Report
from tssd.report.store import read_report, write_report
from tssd.simulating.simulation_report import Recorded, record

CHIP = load_chip("loihi2")
INPUTS = random_inputs(sample_network(), 1, batch=2)
SHOWN = "2 golden samples"


def simulated_run(mode: Mode = "cycle") -> Run:
    network = sample_network()
    return run(network, INPUTS, place(network, CHIP), CHIP, mode)


def report_on(chip: str = fingerprint(CHIP), inputs: str = samples_hash(INPUTS)) -> Report:
    report = full_report()
    known = replace(report.provenance, chip=chip, inputs=inputs)
    bound = replace(report.totals, timing="bound")
    return replace(report, provenance=known, totals=bound)


def test_time_line_mesh_and_costs_enter_the_report(tmp_path: Path) -> None:
    write_report(tmp_path, report_on())
    done = simulated_run()
    entered = record(tmp_path, done, INPUTS, SHOWN, "tssd simulate x")
    assert [path.name for path in entered.files] == ["report.json", "report.html", "report.md"]
    report = read_report(tmp_path)
    assert len(report.timeline) == done.record.steps
    assert report.totals.us_per_step == pytest.approx(done.timing.us_per_step)
    assert report.totals.latency_us == pytest.approx(done.latency_us)
    assert sum(layer.time_share or 0 for layer in report.layers) == pytest.approx(1)
    assert report.totals.synops == sum(done.counters.synops().values()) / 2
    assert report.provenance.commands[-1] == "tssd simulate x"


def test_a_chip_is_compared_by_its_numbers_not_by_its_name(tmp_path: Path) -> None:
    """The same name over 99 W does not enter; another name over the same numbers does."""
    write_report(tmp_path, report_on())
    before = (tmp_path / "report" / "report.json").read_bytes()
    done = simulated_run()
    hot = replace(done, chip=CHIP.with_value("power_w.static_per_chip", 99.0))
    assert hot.chip.name == done.chip.name
    refused = record(tmp_path, hot, INPUTS, SHOWN)
    assert refused.files == ()
    assert refused.why_not == f"the numbers of this chip are not those of {CHIP.name} in it"
    assert (tmp_path / "report" / "report.json").read_bytes() == before
    renamed = replace(done, chip=replace(CHIP, name="mine", title="Mine"))
    assert record(tmp_path, renamed, INPUTS, SHOWN).files


def test_a_bound_never_replaces_cycles(tmp_path: Path) -> None:
    write_report(tmp_path, report_on())
    assert record(tmp_path, simulated_run("bound"), INPUTS, SHOWN).files
    assert record(tmp_path, simulated_run(), INPUTS, SHOWN).files
    before = read_report(tmp_path)
    refused = record(tmp_path, simulated_run("bound"), INPUTS, SHOWN)
    assert refused.why_not == "it has times by cycles, which a lower bound does not replace"
    assert read_report(tmp_path) == before


def test_times_with_the_host_stay_out(tmp_path: Path) -> None:
    write_report(tmp_path, report_on())
    refused = record(tmp_path, replace(simulated_run(), host=True), INPUTS, SHOWN, asked=True)
    assert refused.why_not == "its times are with the host's I/O, which a report leaves out"


def test_other_samples_enter_only_when_asked_for_and_are_marked(tmp_path: Path) -> None:
    write_report(tmp_path, report_on(inputs="0" * 64))
    refused = record(tmp_path, simulated_run(), INPUTS, SHOWN)
    assert refused.why_not is not None
    assert "first 8 of 360 test samples of digits" in refused.why_not
    assert SHOWN in refused.why_not
    assert record(tmp_path, simulated_run(), INPUTS, SHOWN, asked=True).files
    assert any(note.endswith(f"{SHOWN}.") for note in read_report(tmp_path).notes)


def test_without_a_report_nothing_is_written(tmp_path: Path) -> None:
    assert record(tmp_path, simulated_run(), INPUTS, SHOWN) == Recorded()


def test_samples_are_told_apart_and_known_again() -> None:
    still = INPUTS[:1].repeat(4, axis=0)
    assert samples_hash(INPUTS) == samples_hash(INPUTS.copy())
    assert samples_hash(still) == samples_hash(still.copy())
    others = [INPUTS[:, :1], INPUTS[:, ::-1], INPUTS[::-1], still, INPUTS + 1]
    assert len({samples_hash(x) for x in (INPUTS, *others)}) == 6
