"""Every command ends with a line that goes on from there, and that line runs as it stands."""

import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner
from networks import mlp

from tssd.cli import cli
from tssd.export.nir.integers.write import write_nir
from tssd.hw_targets.rtl.build import presence
from tssd.simulating import sweep
from tssd.simulating.simulation import Request
from tssd.simulating.sweep import Point

TINY = (
    "--epochs 1 --set student_steps=2 --set teacher_steps=3 --set train_limit=96"
    " --set batch_size=32"
)
FEW = "--calibration-samples 32 --check-samples 32 --tolerance 100"
MEASURED = """id,quantity,value,unit,boundary,synops,updates,messages,step_us
a,dynamic_energy_per_step,3e6,pJ,core,1e5,1e3,500,100
b,dynamic_energy_per_step,6e6,pJ,core,2e5,2e3,900,100
"""


def one_by_one(function: Callable[[Request], Point], points: Sequence[Request]) -> Iterator[Point]:
    yield from map(function, points)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run and a bundle that was verified."""
    folder = tmp_path_factory.mktemp("reader with a blank")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        (line,) = said_by(f"train --dataset digits {TINY} --out run")
        assert line == "tssd export run --out build/run"
        said_by(f"{line.removeprefix('tssd ')} {FEW}")
        said_by("verify build/run --samples 2")
    return folder


@pytest.fixture(autouse=True)
def here(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(made)
    monkeypatch.setattr(sweep, "in_processes", lambda workers=None: one_by_one)


def said_by(line: str, code: int = 0) -> list[str]:
    """The commands that the command *line* ends with: at most one."""
    done = CliRunner().invoke(cli, shlex.split(line), catch_exceptions=False)
    assert done.exit_code == code, f"{line}\n{done.output[-2000:]}"
    found = re.findall(r"^next: (.*)$", done.output, re.MULTILINE)
    assert len(found) <= 1
    return found


def test_the_lines_lead_from_a_bundle_to_a_sweep_and_back() -> None:
    """bound -> cycles -> report -> sweep -> simulate -> report: nothing is left out or stuck."""
    lines = ["tssd verify build/run --samples 2"]
    while len(lines) < 6:
        lines += said_by(lines[-1].removeprefix("tssd "))
    assert [line.split()[1] for line in lines] == [
        *("verify", "simulate", "report", "sweep", "simulate", "report")
    ]


@pytest.mark.parametrize(
    ("line", "follows"),
    [
        ("check build/run", "tssd simulate build/run"),
        ("check build/run --target loihi2-brief", "tssd simulate build/run --chip loihi2-brief"),
        ("check build/run/network.nir", "tssd import .* --target loihi2 --out build/network"),
        ("convert build/run --out x.nir", "tssd inspect x.nir"),
        ("fit log.csv --chip loihi2 --out mine.toml", "tssd targets show mine.toml"),
        (
            "sweep build/run --samples 1 --set chip=loihi2,loihi1",
            "tssd simulate .* --chip loihi[12]",
        ),
        (
            "simulate build/run --samples 1 --placement build/run/placement.json",
            "tssd report build/run",
        ),
        ("compare build/run --chip loihi2 --samples 1", "tssd report build/run"),
        (
            f"study --dataset digits {TINY} --seeds 1 --front lr=1e-3 --out 'a study'",
            r"tssd export 'a study/(as-configured|lr=0.001)-seed0' --out 'build/a study'",
        ),
    ],
)
def test_a_command_says_what_goes_on_from_it(line: str, follows: str) -> None:
    Path("log.csv").write_text(MEASURED)
    (found,) = said_by(line)
    assert re.fullmatch(follows, found)
    if "report" not in found:
        said_by(found.removeprefix("tssd ") + (f" {FEW}" if "export" in found else ""))


def test_where_no_point_of_a_sweep_runs_check_says_why() -> None:
    small = "--set limits.cores_per_chip=1 --set limits.chips=1"
    (found,) = said_by(f"sweep build/run --samples 1 --set chip=loihi1 {small}")
    assert found == "tssd check build/run --target loihi1"


def test_the_c_files_compile_as_they_say() -> None:
    (found,) = said_by("convert build/run --c out")
    assert found == "cc -std=c99 -O2 out/network.c out/main.c -o network"
    if shutil.which("cc") is not None:
        subprocess.run(shlex.split(found), check=True)


@pytest.mark.slow
@pytest.mark.skipif(presence().state == "missing", reason="no Verilator")
def test_a_bundle_of_the_open_core_goes_on_to_its_circuits(tmp_path: Path) -> None:
    """Until they were stepped; on another chip there are none."""
    write_nir(mlp(6, 9, 3), tmp_path / "network.nir")
    for target, then in (
        ("open-core", ["tssd verify b-open-core --against rtl --samples 4"]),
        ("loihi2", []),
    ):
        said_by(f"import {tmp_path / 'network.nir'} --target {target} --out b-{target}")
        found = [line for line in said_by(f"verify b-{target} --against sim") if "rtl" in line]
        assert found == then
