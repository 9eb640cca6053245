"""The built wheel holds the package and nothing else."""

import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
STAGES = ("train", "calibration", "export", "hw_targets")
DATA = {
    ".py",
    ".template",
    ".toml",
    ".json",
    ".j2",
    ".css",
    ".typed",
    ".txt",
    ".gz",
    ".csv",
    ".zip",
}


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


@pytest.mark.slow
def test_the_wheel_runs_without_the_repository(dist: Path, tmp_path: Path) -> None:
    """In an environment of its own, which sees this one's packages behind its own: the package is
    the wheel's, the command is there, chips and templates are found."""
    venv.create(tmp_path / "env")
    (python,) = (tmp_path / "env").glob("*/python")
    paths = {"base": str(tmp_path / "env"), "platbase": str(tmp_path / "env")}
    site = Path(sysconfig.get_path("purelib", "venv", vars=paths))
    with zipfile.ZipFile(next(dist.glob("*.whl"))) as wheel:
        wheel.extractall(site)
    (site / "others.pth").write_text(sysconfig.get_path("purelib") + "\n" + _other_places())
    script = (
        "import tssd, sys; from pathlib import Path; from importlib.metadata import version\n"
        f"assert Path(tssd.__file__).is_relative_to({str(site)!r}), tssd.__file__\n"
        "assert version('tssd') == tssd.__version__\n"
        "from tssd.cli import main; main(sys.argv[1:])"
    )
    for words in (["--version"], ["targets", "show", "loihi2"], ["doctor"]):
        ran = subprocess.run(
            [python, "-c", script, *words],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr[-2000:]
        assert ran.stdout.strip()


def _other_places() -> str:
    """Site folders that this environment reaches beside its own, the checkout left out."""
    found = [x for x in sys.path if x.endswith("site-packages")]
    return "\n".join(found) + "\n"
