"""The wheel in empty environments: installed and used without the repository, on every Python here.

make bench-wheel, or python -m benchmarks.wheel 3.11 3.12 --extras train,plot

Each Python gets environments of its own (``~/.cache/tssd-wheel``), in which nothing but the wheel
and what it needs is installed. There, in an empty folder, its commands run on a bundle that this
checkout made, without torch; with extras the demo runs, from training to the report, and the tests
of the package, which then find the wheel and no sources. The last rows are those of someone who has
torch and a module: from ``pip install`` to the first report.
"""

import argparse
import os
import re
import resource
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness import Row, at_most, report, same, write

ROOT = Path(__file__).resolve().parents[1]
CACHE = Path("~/.cache/tssd-wheel").expanduser()
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
INSTALL_SECONDS = 3600
LINES = (
    "check {bundle}",
    "simulate {bundle} --samples 2",
    "verify {bundle} --against sim,onnx",
    "report {bundle}",
    "compare {bundle} {bundle} --html compare.html",
    "convert {bundle} --out integers.nir",
    "convert {bundle} --c c99",
    "import integers.nir --out again",
    "sweep {bundle} --set noc.buffer=2,4 --samples 1 --workers 1",
    "inspect {bundle}",
    "doctor",
)
DEMO = ("demo --out demo", "report demo/bundle --figures paper --tables paper")
IMPORT = "import time; t = time.process_time(); import tssd; print(time.process_time() - t)"
HAS_TORCH = "import importlib.util as u; print(*(u.find_spec(n) for n in ('torch', 'snntorch')))"
TEST_NEEDS = ("pytest>=8.2", "hypothesis>=6.100", "jsonschema>=4.22")
ROOMS = (  # arithmetic that another numpy could change, files, costs, and what people look at
    *("tests/calibration/comparing", "tests/export/bundle", "tests/hw_targets/costs"),
    *("tests/hw_targets/mapping", "tests/tssd/report"),
)
COPIED = ("tests", "docs", "pyproject.toml")  # no source of the package is among them
PAGE = re.compile(r'^```py title="([^"]+)"\n(.*?)^```$', re.M | re.S)
TYPED = re.compile(r"^\$ (tssd .*)$", re.M)


@dataclass(frozen=True)
class Built:
    """The distributions of this checkout, and a bundle to use them on."""

    wheel: Path
    bundle: Path
    checked: str  # what twine says of both


def bundle_of(folder: Path) -> Path:
    """A bundle with golden samples and no data set, of a module drawn at random."""
    import numpy as np
    import snntorch as snn
    import torch
    from torch import nn

    from tssd.live.exporting import export

    torch.manual_seed(0)
    layers = [nn.Linear(64, 48), snn.Leaky(beta=0.9, init_hidden=True)]
    layers += [nn.Linear(48, 10), snn.Leaky(beta=0.9, init_hidden=True)]
    pixels = np.random.default_rng(0).integers(0, 256, (32, 64)).astype(np.uint8)
    export(nn.Sequential(*layers), pixels, time_steps=8, out=folder)
    return folder


def built(folder: Path, bundle: Path | None) -> Built:
    """Wheel and source distribution of this checkout, and twine's word on them."""
    dist = folder / "dist"
    command = [sys.executable, "-m", "build", "--outdir", str(dist), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    both = sorted(map(str, dist.iterdir()))
    twine = [sys.executable, "-m", "twine", "check", "--strict", *both]
    said = subprocess.run(twine, capture_output=True, text=True, check=False).stdout
    passed = said.count("PASSED")
    return Built(
        next(dist.glob("*.whl")),
        bundle or bundle_of(folder / "bundle"),
        f"{passed} of {len(both)} pass",
    )


def interpreter(version: str) -> str | None:
    """The command of that Python; None where it is not here."""
    found = shutil.which(f"python{version}")
    works = found and subprocess.run([found, "--version"], capture_output=True, check=False)
    return found if works and not works.returncode else None


def environment(python: str, folder: Path, *wanted: str, cached: bool = True) -> Path:
    """The interpreter of the environment in *folder*, with *wanted* installed."""
    own = folder / "bin" / "python"
    if not own.exists():
        subprocess.run([python, "-m", "venv", str(folder)], check=True)
    pip = [str(own), "-m", "pip", "install", "--quiet", "-c", str(ROOT / "constraints.txt")]
    pip += [] if cached else ["--no-cache-dir"]
    subprocess.run([*pip, *wanted], check=True, timeout=INSTALL_SECONDS, capture_output=True)
    return own


def with_wheel(version: str, extras: str, wheel: Path, *more: str) -> Path | None:
    """The interpreter of a kept environment with the wheel; None where that Python is not here."""
    python = interpreter(version)
    if python is None:
        return None
    folder = CACHE / (f"{version}-{extras.replace(',', '-')}" if extras else version)
    own = environment(python, folder, f"{wheel}[{extras}]" if extras else str(wheel), *more)
    again = ("--no-deps", "--force-reinstall", str(wheel))  # the same version, other code
    return environment(python, folder, *again) if own else None


def plain_rows(version: str, made: Built) -> Iterator[Row]:
    """What runs without torch; a Python that is not here is said to have run nothing."""
    name = f"wheel on Python {version}, no torch"
    python = with_wheel(version, "", made.wheel)
    if python is None:
        yield report(name, None, "commands", f"no python{version} here")
        return
    with empty_folder() as folder:
        own = folder / "bundle"
        shutil.copytree(made.bundle, own)
        absent = _said(python, HAS_TORCH, folder) == "None None"
        how = "in an empty folder; torch and snnTorch are " + ("absent" if absent else "THERE")
        yield _commands(name, python, [line.format(bundle=own) for line in LINES], folder, how)
        seconds = min(float(_said(python, IMPORT, folder)) for _ in range(5))
        yield at_most(f"import tssd, Python {version}", seconds, 0.1, "s", "CPU, least of five")


def whole_rows(version: str, extras: str, made: Built) -> Iterator[Row]:
    """The demo and the tests, where the wheel is installed with *extras*."""
    name = f"wheel on Python {version}, [{extras}]"
    python = with_wheel(version, extras, made.wheel, *TEST_NEEDS)
    if python is None:
        yield report(name, None, "commands", f"no python{version} here")
        return
    with empty_folder() as folder:
        yield _commands(name, python, DEMO, folder, "in an empty folder")
    with empty_folder() as folder:
        yield _tests(f"{name}: tests that fail", python, folder)


def first_report(version: str, made: Built) -> Iterator[Row]:
    """From ``pip install`` to a report, by someone who has torch, snnTorch and a trained module:
    the page of ten minutes; nothing that pip fetches is kept from before."""
    python = interpreter(version)
    if python is None:
        return
    base = environment(python, CACHE / f"{version}-torch", "torch", "snntorch", "scikit-learn")
    page = (ROOT / "docs" / "ten-minutes.md").read_text(encoding="utf-8")
    typed = TYPED.findall(page)
    with empty_folder() as folder:
        for name, text in PAGE.findall(page):
            (folder / name).write_text(text, encoding="utf-8")
        subprocess.run([str(base), "make_files.py"], cwd=folder, check=True)
        own = _seeing(python, folder / "env", base)
        start, before = time.monotonic(), _children_seconds()
        environment(python, folder / "env", str(made.wheel), cached=False)
        failed = [line for line in typed if not _runs(own, line.removeprefix("tssd "), folder)]
        wall, cpu = time.monotonic() - start, _children_seconds() - before
        there = (folder / "build/mine/report/report.html").exists() and not failed
    told = "; ".join(["pip install tssd", *(shlex.join(line.split()[:2]) for line in typed)])
    name = f"first report where torch is, Python {version}"
    yield same(f"{name}: written", "yes" if there else "no", "yes", "the page of ten minutes")
    yield at_most(f"{name}: lines typed", 1 + len(typed), 3, "lines", told)
    yield at_most(name, wall, 120, "s", f"clock, {cpu:.0f} s of it CPU; downloads included")


def _seeing(python: str, folder: Path, base: Path) -> Path:
    """A new environment in *folder* that sees what is installed beside *base*."""
    subprocess.run([python, "-m", "venv", str(folder)], check=True)
    (theirs,) = base.parents[1].glob("lib/python*/site-packages")
    (ours,) = folder.glob("lib/python*/site-packages")
    (ours / "theirs.pth").write_text(f"{theirs}\n")
    return folder / "bin" / "python"


def _commands(name: str, python: Path, lines: Sequence[str], folder: Path, how: str) -> Row:
    failed = [line for line in lines if not _runs(python, line, folder)]
    told = f"{len(lines) - len(failed)} of {len(lines)} commands"
    which = ", ".join(line.split()[0] for line in (failed or lines))
    said = f"failed: {which}" if failed else f"{which}, {how}"
    return same(name, told, f"{len(lines)} of {len(lines)} commands", said)


def _runs(python: Path, line: str, folder: Path) -> bool:
    command = [str(python), "-m", "tssd", *shlex.split(line)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        print(line, done.stderr[-400:], file=sys.stderr)
    return done.returncode == 0


def _tests(name: str, python: Path, folder: Path) -> Row:
    for copied in COPIED:
        source = ROOT / copied
        if source.is_dir():
            shutil.copytree(source, folder / copied, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder)
    command = [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", *ROOMS]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"},
    )  # fmt: skip
    counts = {what: int(n) for n, what in re.findall(r"(\d+) (passed|failed|error)", done.stdout)}
    if done.returncode:
        print(done.stdout[-3000:], file=sys.stderr)
    bad = sum(counts.get(what, 0) for what in ("failed", "error")) or int(done.returncode != 0)
    rooms = f"{counts.get('passed', 0):,} pass, of {len(ROOMS)} rooms of tests"
    return at_most(name, bad, 0, "tests", f"{rooms}; no source of the package is there")


def _said(python: Path, code: str, folder: Path) -> str:
    command = [str(python), "-c", code]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@contextmanager
def empty_folder() -> Iterator[Path]:
    """A new folder, which is gone afterwards."""
    with tempfile.TemporaryDirectory() as temporary:
        yield Path(temporary)


def rows_of(versions: Sequence[str], extras: str, made: Built) -> Iterable[Row]:
    """All rows, each as soon as it is known; those that take longest come last."""
    yield same("sdist and wheel: twine check --strict", made.checked, "2 of 2 pass", "make wheel")
    for version in versions:
        yield from plain_rows(version, made)
    if extras:
        yield from first_report(versions[0], made)
    for version in versions if extras else ():
        yield from whole_rows(version, extras, made)


def main(versions: Sequence[str], extras: str, bundle: Path | None) -> None:
    """Write ``wheel.json``; stopped by Ctrl-C, with what was found until then."""
    rows: list[Row] = []
    with empty_folder() as folder:
        try:
            for row in rows_of(versions, extras, built(folder, bundle)):
                print(f"{row.name}: {row.value} {row.unit}", file=sys.stderr, flush=True)
                rows.append(row)
        except KeyboardInterrupt:
            rows.append(report("what follows", None, "", "stopped: the rest was not run"))
    write("wheel", "make bench-wheel", rows)


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("versions", nargs="*")
    options.add_argument("--extras", default="", help="of the environments with demo and tests")
    options.add_argument("--bundle", type=Path, help="with golden samples; made here without it")
    given = options.parse_args()
    main(given.versions or PYTHONS, given.extras, given.bundle)
