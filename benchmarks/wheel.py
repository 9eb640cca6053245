"""The wheel in empty environments: installed and used without the repository, on every Python here.

make bench-wheel, or python -m benchmarks.wheel 3.11 3.12 --extras train

Each Python gets an environment of its own (``~/.cache/tssd-wheel``), in which nothing but the wheel
and what it needs is installed. There, in an empty folder, its commands run on a bundle that this
checkout made; with the extra ``train`` the demo runs instead, from training to the report.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import snntorch as snn
import torch
from torch import nn

from benchmarks.harness import Row, at_most, same, write
from tssd.live.exporting import export

ROOT = Path(__file__).resolve().parents[1]
CACHE = Path("~/.cache/tssd-wheel").expanduser()
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
INSTALL_SECONDS = 1800
LINES = (
    "check {bundle}",
    "simulate {bundle} --samples 2",
    "verify {bundle} --against sim,onnx",
    "report {bundle}",
    "compare {bundle} {bundle} --html compare.html",
    "inspect {bundle}",
    "doctor",
)
DEMO = ("demo --out demo", "report demo/bundle")
IMPORT = "import time; t = time.process_time(); import tssd; print(time.process_time() - t)"


def made(folder: Path) -> Path:
    """A bundle with golden samples and no data set, of a module drawn at random."""
    torch.manual_seed(0)
    layers = [nn.Linear(64, 48), snn.Leaky(beta=0.9, init_hidden=True)]
    layers += [nn.Linear(48, 10), snn.Leaky(beta=0.9, init_hidden=True)]
    pixels = np.random.default_rng(0).integers(0, 256, (32, 64)).astype(np.uint8)
    export(nn.Sequential(*layers), pixels, time_steps=8, out=folder)
    return folder


def wheel(folder: Path) -> Path:
    """The wheel of this checkout, built into *folder*."""
    command = [sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def installed(version: str, extras: str, built: Path) -> Path | None:
    """The interpreter of an environment with the wheel; None where that Python is not here."""
    found = shutil.which(f"python{version}")
    works = found and subprocess.run([found, "--version"], capture_output=True, check=False)
    if not found or not works or works.returncode:
        return None
    folder = CACHE / (f"{version}-{extras}" if extras else version)
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([found, "-m", "venv", str(folder)], check=True)
    pip = [str(python), "-m", "pip", "install", "--quiet"]
    wanted = f"{built}[{extras}]" if extras else str(built)
    subprocess.run([*pip, wanted], check=True, timeout=INSTALL_SECONDS, capture_output=True)
    again = [*pip, "--no-deps", "--force-reinstall", str(built)]  # the same version, other code
    subprocess.run(again, check=True, timeout=INSTALL_SECONDS, capture_output=True)
    return python


def rows_of(version: str, extras: str, built: Path, bundle: Path) -> list[Row]:
    """What ran there; a Python that is not here is said to have run nothing."""
    name = f"wheel on Python {version}{f', [{extras}]' if extras else ', no torch'}"
    python = installed(version, extras, built)
    if python is None:
        return [Row(name, None, "commands", None, None, f"no python{version} here")]
    with tempfile.TemporaryDirectory() as folder:
        own = Path(folder) / "bundle"
        shutil.copytree(bundle, own)
        lines = DEMO if "train" in extras else LINES
        failed = [line for line in lines if not _runs(python, line.format(bundle=own), folder)]
        told = f"{len(lines) - len(failed)} of {len(lines)} commands"
        how = ", ".join(line.split()[0] for line in (failed or lines))
        seconds = min(_import_seconds(python, folder) for _ in range(5))
    goal = f"{len(lines)} of {len(lines)} commands"
    return [
        same(name, told, goal, f"failed: {how}" if failed else f"{how}, in an empty folder"),
        at_most(f"import tssd, Python {version}", seconds, 0.1, "s", "CPU, least of five"),
    ]


def _runs(python: Path, line: str, folder: str) -> bool:
    command = [str(python), "-m", "tssd", *line.split()]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        print(line, done.stderr[-400:], file=sys.stderr)
    return done.returncode == 0


def _import_seconds(python: Path, folder: str) -> float:
    told = subprocess.run(
        [str(python), "-c", IMPORT], cwd=folder, capture_output=True, text=True, check=True
    )
    return float(told.stdout)


def main(versions: Sequence[str], extras: str, bundle: Path | None) -> None:
    """Write ``wheel.json``."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        bundle = bundle or made(folder / "bundle")
        built = wheel(folder)
        rows = [row for version in versions for row in rows_of(version, "", built, bundle)]
        if extras:
            rows += rows_of(versions[0], extras, built, bundle)
    write("wheel", "make bench-wheel", rows)


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("versions", nargs="*")
    options.add_argument("--extras", default="", help="for the first Python, beside the plain ones")
    options.add_argument("--bundle", type=Path, help="with golden samples; made here without it")
    given = options.parse_args()
    main(given.versions or PYTHONS, given.extras, given.bundle)
