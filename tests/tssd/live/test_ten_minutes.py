"""The first page after installation and its notebook do what they say, in an empty folder."""

import json
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from tssd.cli import cli

DOCS = Path(__file__).resolve().parents[3] / "docs"
PAGE = (DOCS / "ten-minutes.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r'^```py title="([^"]+)"\n(.*?)^```$', PAGE, re.M | re.S))
COMMANDS = re.findall(r"^\$ tssd (.*)$", PAGE, re.M)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ten")


@pytest.fixture
def here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The page's files in a folder of their own, which Python imports from."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    for name, text in FILES.items():
        (folder / name).write_text(text, encoding="utf-8")
    if not (folder / "model.pt").exists():
        run("make_files.py")
    yield folder
    sys.modules.pop("mynet", None)


def run(name: str) -> None:
    exec(compile(FILES[name], name, "exec"), {"__name__": "__main__"})


def test_two_commands_lead_to_a_report(here: Path) -> None:
    assert len(COMMANDS) == 2
    shown = []
    for line in COMMANDS:
        done = CliRunner().invoke(cli, shlex.split(line), catch_exceptions=False)
        assert done.exit_code == 0, done.output
        shown.append(done.output)
    assert "read-out: spike count of fc2/lif2, 10 classes" in shown[0]
    report = json.loads((here / "build/mine/report/report.json").read_text())
    assert report["contracts"][0]["name"].startswith("your snnTorch module")
    assert report["accuracy"]["integer"] > 0.8
    assert (here / "build/mine/report/report.html").is_file()


def test_five_lines_lead_there_too(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert len([line for line in FILES["five_lines.py"].splitlines() if line]) <= 6
    run("five_lines.py")
    shown = capsys.readouterr().out
    assert "read-out: spike count of fc2/lif2, 10 classes" in shown
    assert "0 failed" in shown
    assert (here / "build/live/report/report.html").is_file()


def test_more_lines_plot_trace_and_sweep(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if not (here / "build/live/report").exists():
        run("five_lines.py")
    run("more_lines.py")
    shown = capsys.readouterr().out
    assert "rate" in shown
    assert "latency_us" in shown


def test_the_notebook_runs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    notebook = json.loads((DOCS / "notebooks" / "ten-minutes.ipynb").read_text(encoding="utf-8"))
    names: dict[str, object] = {"__name__": "__main__"}
    for cell in notebook["cells"]:
        assert not cell.get("outputs")
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), "notebook", "exec"), names)
    assert repr(names["mine"]).count("\n") > 3
    assert (folder / "build/notebook/report/report.html").is_file()
