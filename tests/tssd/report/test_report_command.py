"""``tssd report`` and ``tssd doctor`` as a user calls them, and the terminal's tables."""

import json
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner
from sample_report import full_report

from tssd import terminal
from tssd.checks import diagnosis
from tssd.cli import cli
from tssd.commands.doctor import text
from tssd.contracts import check, not_run
from tssd.errors import FileFormatError
from tssd.hw_targets.engine import version
from tssd.hw_targets.engines import ENGINES
from tssd.hw_targets.lava import environment
from tssd.report.serial import to_json
from tssd.report.store import read_report, write_report

ROOT = Path(__file__).resolve().parents[3]


def test_report_writes_three_files_into_the_bundle(tmp_path: Path) -> None:
    write_report(tmp_path, full_report())
    first = {path.name: path.read_bytes() for path in (tmp_path / "report").iterdir()}
    result = CliRunner().invoke(cli, ["report", str(tmp_path)], catch_exceptions=False)
    assert result.exit_code == 0
    assert "b takes" not in result.output.splitlines()[0]
    assert "1 pass, 1 fail, 1 not run" in result.output
    again = {path.name: path.read_bytes() for path in (tmp_path / "report").iterdir()}
    assert again == first
    assert sorted(again) == ["report.html", "report.json", "report.md"]


def test_report_for_machines_is_json(tmp_path: Path) -> None:
    write_report(tmp_path, full_report())
    result = CliRunner().invoke(cli, ["report", str(tmp_path), "--json"], catch_exceptions=False)
    files = [Path(name).name for name in json.loads(result.output)["files"]]
    assert files == ["report.json", "report.html", "report.md"]


def test_report_without_a_run_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="tssd verify .* first"):
        read_report(tmp_path)
    with pytest.raises(FileFormatError, match="no such folder"):
        read_report(tmp_path / "nothing")


def test_a_damaged_report_leaves_the_other_files_alone(tmp_path: Path) -> None:
    write_report(tmp_path, full_report())
    (tmp_path / "report" / "report.json").write_text(to_json(full_report())[:200])
    before = (tmp_path / "report" / "report.html").read_bytes()
    result = CliRunner().invoke(cli, ["report", str(tmp_path)])
    assert isinstance(result.exception, FileFormatError)
    assert (tmp_path / "report" / "report.html").read_bytes() == before


CONTRACTS = (
    check("gpu: conv1 spikes", True, "0 differences", "0 differences"),
    check("sim: conv2 spikes", False, "3 differ", "0 differences", "conv2 spikes[3, 0, 7]"),
    not_run("lava: spikes", "no Lava environment"),
)


def test_contracts_fit_eighty_columns_and_are_plain_in_a_pipe() -> None:
    shown = terminal.contracts_text(CONTRACTS, width=80, color=False)
    assert max(map(len, shown.splitlines())) <= 80
    assert "\x1b" not in shown
    assert "at conv2 spikes[3, 0, 7]" in shown
    assert "no Lava environment" in shown
    assert shown.splitlines()[-1] == "1 pass, 1 fail, 1 not run"


def test_contracts_have_colours_on_a_terminal() -> None:
    shown = terminal.contracts_text(CONTRACTS, width=80, color=True)
    assert "\x1b[1;31m" in shown
    assert "\x1b[32m" in shown


def test_names_with_brackets_are_not_markup() -> None:
    row = check("gpu: [bold]x[/bold]", False, "[red]", "[/]", "x[0]")
    assert "[bold]x[/bold]" in terminal.contracts_text([row], width=80, color=False)


def test_doctor_lists_every_package_that_the_project_needs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = {entry.split(">")[0].split("=")[0].strip() for entry in project["dependencies"]}
    assert set(diagnosis.REQUIRED) == needed


@pytest.mark.parametrize(
    ("installed", "lava", "netx"),
    [((), "missing", "missing"), (("light",), "ready", "missing"), (("full",), "ready", "ready")],
)
def test_doctor_asks_the_lava_part(
    installed: tuple[environment.Flavour, ...],
    lava: str,
    netx: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pretend(monkeypatch, *installed)
    found = {finding.name: finding for finding in diagnosis.engines()}
    assert (found["lava"].state, found["netx"].state) == (lava, netx)
    for name, line in (("lava", "tssd lava install"), ("netx", "tssd lava install --full")):
        missing = found[name].state == "missing"
        assert (found[name].fix or "").endswith(line) == missing


def pretend(monkeypatch: pytest.MonkeyPatch, *flavours: environment.Flavour) -> None:
    """As if exactly these environments were installed; no interpreter is started."""
    there = {x: environment.Environment(x, Path("python"), {"lava-nc": "0.10"}) for x in flavours}
    monkeypatch.setattr(environment, "existing", lambda name, root=None: there.get(name))
    monkeypatch.setattr(environment, "_interpreters", lambda choice: iter([Path("python3.10")]))


def test_doctor_for_people_and_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch)
    result = CliRunner().invoke(cli, ["doctor", "--json"], catch_exceptions=False)
    found = json.loads(result.output)
    assert [engine["name"] for engine in found["engines"]] == ["integer", *ENGINES]
    assert found["packages"][0] == {
        "name": "numpy",
        "state": "ready",
        "detail": version("numpy"),
        "fix": None,
    }
    shown = CliRunner().invoke(cli, ["doctor"], catch_exceptions=False).output
    assert "Engines" in shown
    assert "numpy" in shown


def test_doctor_names_the_line_that_fixes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "version", lambda name: None if name == "nir" else "1.0")
    finding = next(f for f in diagnosis.packages() if f.name == "nir")
    assert (finding.state, finding.fix) == ("missing", "pip install nir")
    shown = text(diagnosis.Diagnosis({}, (finding,), (), ()))
    assert "pip install nir" in shown
