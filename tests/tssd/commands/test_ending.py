"""The end of export, verify and simulate: what it comes to, in at most ten lines."""

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from command_line import bundle_with_pictures, said
from sample_report import bare_report, full_report

from tssd.cli import cli
from tssd.commands.ending import of_bundle, of_report
from tssd.errors import ConfigError
from tssd.export.bundle.folder import read_bundle


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network, and six labelled pictures for it."""
    place = tmp_path_factory.mktemp("ending")
    bundle_with_pictures(place, 6)
    return place


def test_a_quiet_import_says_cores_time_and_energy_in_ten_lines(folder: Path) -> None:
    line = ("import", folder / "network.nir", "--out", folder / "q")
    lines = said(*line, "-q").splitlines()
    assert len(lines) <= 10
    assert re.fullmatch(r"Fits \d+ of 120 cores; .*decides.*", lines[0])
    assert "latency at least" in lines[1]
    assert "dynamic" in lines[3]
    assert lines[-1].startswith("next: tssd verify")
    loud = said(*line[:3], folder / "loud").splitlines()
    assert [x for x in loud if x.startswith("Fits")] == [lines[0]]
    assert len(loud) > len(lines)


def test_quiet_or_not_the_same_bundle_is_written(folder: Path) -> None:
    for name, option in (("q1", "-q"), ("v1", "-v")):
        said("import", folder / "network.nir", "--out", folder / name, option)
    first, second = (
        {path.name: path.read_bytes() for path in (folder / name).iterdir() if path.is_file()}
        for name in ("q1", "v1")
    )
    assert first == second


def test_verify_ends_with_its_verdict(folder: Path) -> None:
    line = ("verify", folder / "b", "--against", "sim", "--samples", 6, "--data", folder / "x.npz")
    lines = said(*line, "-q").splitlines()
    assert len(lines) <= 10
    assert re.match(r"\d+ contracts hold\. Fits \d+ of 120 cores; answers in", lines[0])
    assert lines[1].startswith("accuracy of the integers: ")
    assert lines[2].startswith("latency ")
    assert lines[3].startswith("energy per inference: total")
    loud, most = said(*line).splitlines(), said(*line, "-v").splitlines()
    assert set(lines) <= set(loud)
    assert len(lines) < len(loud) < len(most)
    assert any(x.startswith("note: ") for x in most)


def test_simulate_ends_with_its_verdict_and_the_accuracy_of_its_samples(folder: Path) -> None:
    line = ("simulate", folder / "b", "--samples", 6, "--data", folder / "x.npz")
    lines = said(*line, "-q").splitlines()
    assert len(lines) <= 10
    assert lines[0].startswith("Fits ")
    assert re.match(r"accuracy [\d.]+ %, \d of 6 right; 95 % interval", lines[1])
    assert any("waited for" in x for x in said(*line, "-v").splitlines())


def test_a_report_is_as_short_as_its_verify(folder: Path) -> None:
    verify = ("verify", folder / "b", "--against", "sim", "--samples", 6)
    wanted = said(*verify, "--data", folder / "x.npz", "-q").splitlines()
    lines = said("report", folder / "b", "-q").splitlines()
    assert lines[:4] == wanted[:4]
    assert len(lines) <= 10
    loud, most = (said("report", folder / "b", *more).splitlines() for more in ((), ("-v",)))
    assert any(x.startswith("wrote ") for x in loud)
    contracts = [x for x in most if "0 differences" in x]
    assert contracts
    assert not set(contracts) & set(loud)


def test_a_sweep_comes_to_its_ends(folder: Path) -> None:
    line = ("sweep", folder / "b", "--set", "time_ns.synop_dense=0.5,5", "--samples", 1)
    more = ("--workers", 1, "--csv", folder / "sweep.csv")
    lines = said(*line, *more, "-q").splitlines()
    assert lines[0] == "2 of 2 points simulated"
    rows = list(csv.DictReader((folder / "sweep.csv").read_text().splitlines()))
    least = min(rows, key=lambda row: float(row["latency_us"]))
    assert lines[1].startswith("least latency: ")
    assert lines[1].endswith(f"at time_ns.synop_dense={least['time_ns.synop_dense']}")
    assert len(lines) <= 10
    loud = said(*line, *more).splitlines()
    assert not set(lines[:-1]) & set(loud)
    assert "interval" in said(*line, *more, "-v")


def test_a_comparison_names_the_best_alone_or_every_layer(folder: Path) -> None:
    line = ("compare", folder / "b", "--chip", "loihi2", "--html", folder / "x.html")
    quiet, loud, most = (said(*line, *more).splitlines() for more in (("-q",), (), ("-v",)))
    assert len(quiet) < len(loud) < len(most)
    assert any(x.startswith("wrote ") for x in loud)
    assert not any(x.startswith("wrote ") for x in quiet)
    layers = {p.name for p in read_bundle(folder / "b").network.populations}
    assert {words[0] for x in most if (words := x.split())} >= layers
    assert not {words[0] for x in loud if (words := x.split())} & layers


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("-q", "-v"), "-v: found -q too; allowed: one of them"),
        (("-v", "--json"), "-v: found --json too"),
        (("-q", "--price", "loihi2"), "--price: found -q or -v too"),
    ],
)
def test_an_option_that_cannot_act_is_refused(
    folder: Path, options: tuple[str, ...], message: str
) -> None:
    found = CliRunner().invoke(cli, ["simulate", str(folder / "b"), *options])
    assert isinstance(found.exception, ConfigError)
    assert message in str(found.exception)


def test_quiet_json_is_json(folder: Path) -> None:
    done = said("simulate", folder / "b", "--samples", 1, "-q", "--json").splitlines()
    assert json.loads("\n".join(done))["samples"] == 1


def test_what_was_not_run_is_said() -> None:
    assert "time: not run" in of_report(bare_report())
    assert len(of_report(bare_report())) == 4
    assert of_report(full_report())[4:] == [
        "as plain C: 25.1 KiB flash, 12.3 KiB RAM, 1.93 M instructions per inference"
    ]


def test_a_bundle_that_cannot_be_simulated_says_why(folder: Path) -> None:
    bundle = replace(read_bundle(folder / "b"), golden=None)
    (line,) = of_bundle(folder / "b", bundle)
    assert line == "time and energy: not estimated, the bundle has no golden sample"
