"""The notebooks do what they say, in an empty folder; CI runs them by ``make notebooks``."""

import json
from pathlib import Path

import notebooks
import pytest


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")


def test_every_notebook_is_run() -> None:
    tested = {"ten-minutes.ipynb", "exploring-chips.ipynb", "four-bits.ipynb"}
    assert {path.name for path in notebooks.NOTEBOOKS.glob("*.ipynb")} == tested


@pytest.mark.slow
def test_ten_minutes() -> None:
    names, _ = notebooks.run("ten-minutes.ipynb")
    assert repr(names["mine"]).count("\n") > 3


@pytest.mark.slow
def test_exploring_chips(tmp_path: Path) -> None:
    names, said = notebooks.run("exploring-chips.ipynb")
    points = names["points"]
    assert len(points) == 4
    assert points["latency_us"].notna().all()
    assert "\nfits\n" in said
    for name in ("chips.svg", "chips.html", "chips.csv"):
        assert (tmp_path / "build" / name).stat().st_size > 1000


@pytest.mark.slow
def test_four_bits(tmp_path: Path) -> None:
    names, said = notebooks.run("four-bits.ipynb")
    assert said.count("0 fail, 0 not run") == 3
    assert "quantized training network -> IntNetwork: spikes: 0 of " in said
    agreement = names["agreement"]
    assert set(agreement) == {"eight", "four-rounded", "four"}
    assert all(abs(ratio - 1) < 1e-9 for ratio in agreement["four"].values())
    report = json.loads((tmp_path / "build/four/report/report.json").read_text())
    assert report["accuracy"]["integer"] > 0.85
    assert (tmp_path / "build" / "bits.svg").exists()
