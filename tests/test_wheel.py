"""The built wheel holds the package and nothing else."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
STAGES = ("train", "calibration", "export", "hw_targets")
DATA = {".py", ".template", ".toml", ".json", ".j2", ".css", ".typed", ".txt", ".gz", ".csv"}


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--outdir", str(out), str(ROOT)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout[-2000:] + built.stderr[-2000:]
    return out


def test_build_can_be_asked_for() -> None:
    assert "wheel:" in (ROOT / "Makefile").read_text()


@pytest.mark.slow
def test_the_wheel_holds_only_the_package(dist: Path) -> None:
    with zipfile.ZipFile(next(dist.glob("*.whl"))) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert {name.split("/")[0] for name in names} == {"tssd"}
    assert {Path(name).suffix for name in names} <= DATA
    assert not [name for name in names if "test" in name.lower()]


@pytest.mark.slow
def test_the_wheel_holds_every_module_and_data_file(dist: Path) -> None:
    with zipfile.ZipFile(next(dist.glob("*.whl"))) as wheel:
        names = set(wheel.namelist())
    for stage in STAGES:
        for source in (ROOT / stage).rglob("*.py"):
            assert f"tssd/{source.relative_to(ROOT).as_posix()}" in names
        for chip in (ROOT / stage).rglob("*.toml"):
            assert f"tssd/{chip.relative_to(ROOT).as_posix()}" in names
    for name in ("templates/report.html.j2", "templates/report.css", "templates/charts.j2"):
        assert f"tssd/report/{name}" in names
    assert "tssd/report/schema/report.schema.json" in names
    assert "tssd/py.typed" in names


@pytest.mark.slow
def test_the_source_distribution_holds_each_source_once(dist: Path) -> None:
    with tarfile.open(next(dist.glob("*.tar.gz"))) as archive:
        names = [member.name.split("/", 1)[-1] for member in archive.getmembers()]
    assert len(names) == len(set(names))
    assert "train/handover/float_network.py" in names
    assert "tssd/train/handover/float_network.py" not in names
