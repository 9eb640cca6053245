"""The commands of the docs do what they say: they are run, on one small bundle of real digits."""

import re
import shlex
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from docs_lines import PAGES, commands
from spike_records import write_record

from tssd.cli import cli
from tssd.export.bundle.folder import read_bundle
from tssd.export.nir.event_data import write_event_data
from tssd.hw_targets.sim.record import SpikeRecord
from tssd.simulating import sweep
from tssd.simulating.simulation import Request
from tssd.simulating.sweep import Point

NOT_RUN = {
    r"tssd (train|study|demo|calibrate)": "trains for minutes; tests do it small",
    r"--against lava|tssd lava": "needs Lava, which is installed apart",
    r"network\.net|build/(pilotnet|theirs|x)\b": "needs the file out of lava-dl's wheel",
    r"cnn_sinabs|build/cnn": "needs the reader's graph",
    r"--model mynet:build|build/mine\b": "needs the reader's module",
    r"--against mine": "needs the reader's engine",
    r"--against rtl": "builds a mesh for a minute; tests do it small",
    r"--rtl\b": "needs a bundle of the open core; tests do it small",
    r"build/core-image": "needs what that line writes",
    r"--cluster": "needs a Dask scheduler",
    r"tssd export --onnx float$": "an option, not a line",
}
BUNDLES = (
    "build/fmnist",
    "build/core",
    "build/fmnist-hard",
    "build/demo/bundle",
    "A",
    "BUNDLE",
    "B",
)
RUNS = ("runs/fmnist", "runs/digits", "runs/fmnist-best3", "RUN")
CHIP = 'name = "mine"\ntitle = "mine"\ncalibrated_on = []\nextends = "loihi2"\n'
SMALL = ("--set", "train_limit=192", "--set", "batch_size=32", "--epochs", "1", "--reset", "hard")
NAMES = {"FILE": "network.nir"}  # what a word of the pages stands for
REFUSED = {r"--target loihi1": 1}  # a page that shows what does not fit


def lines_to_run() -> list[str]:
    """One line of each command and choice of options, in the order of the pages."""
    kinds: dict[tuple[str, ...], str] = {}
    for line in (line for page in PAGES for line in commands(page)):
        words = shlex.split(line.split(" |")[0], comments=True)
        if len(words) > 2 and not why_not(line):
            options = sorted(w for w in words if w.startswith("--"))
            what = Path(words[2]).suffix if len(options) < len(words) - 2 else ""
            shown = words[2] if words[1] == "targets" else what
            kinds.setdefault((words[1], shown, *options), shlex.join(words))
    return sorted(kinds.values(), key=lambda line: (" --price" in line, " --force" in line))


def why_not(line: str) -> str | None:
    return next((why for pattern, why in NOT_RUN.items() if re.search(pattern, line)), None)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every name that the pages use: all bundles are one, and so are all runs."""
    folder = tmp_path_factory.mktemp("reader")
    run, bundle = folder / "a-run", folder / "a-bundle"
    call("train", "--dataset", "digits", *SMALL, "--out", str(run), "--json")
    few = ("--calibration-samples", "32", "--check-samples", "32", "--tolerance", "100")
    call("export", str(run), *few, "--out", str(bundle), "--json")
    call("verify", str(bundle), "--against", "gpu,onnx,sim", "--samples", "4", "--json")
    call("simulate", str(bundle), "--samples", "1", "--save", str(folder / "run.npz"), "--json")
    for name, real in (*((n, bundle) for n in BUNDLES), *((n, run) for n in RUNS)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(real, folder / name)
    read = read_bundle(bundle)
    spikes = {p.name: np.zeros((0, 2), np.int64) for p in read.network.populations}
    write_record(folder / "record.npz", SpikeRecord(4, spikes, {}))
    assert read.golden is not None
    write_event_data(folder / "recording.h5", {"input": read.golden.inputs}, 1e-3)
    shutil.copy(bundle / "placement.json", folder / "manual.json")
    shutil.copy(bundle / "network.nir", folder / "network.nir")
    (folder / "log.csv").write_text("layer,spikes\n")
    (folder / "docs").mkdir()
    for name in ("my_chip.toml", "wide-mesh.toml"):
        (folder / name).write_text(CHIP)
    return folder


@pytest.mark.parametrize("line", lines_to_run())
def test_a_line_of_the_docs_runs(line: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setattr(sweep, "in_processes", lambda workers=None: one_by_one)
    words = [NAMES.get(word, word) for word in shlex.split(line)[1:]]
    if words[0] == "export":  # the bundle of the other lines stays
        words[words.index("--out") + 1] = f"exported-{Path(words[words.index('--out') + 1]).name}"
    code = next((code for pattern, code in REFUSED.items() if re.search(pattern, line)), 0)
    call(*words, code=code)


@pytest.mark.parametrize("pattern", NOT_RUN)
def test_what_is_not_run_is_there(pattern: str) -> None:
    lines = [line for page in PAGES for line in commands(page)]
    assert any(re.search(pattern, line) for line in lines)


def one_by_one(function: Callable[[Request], Point], points: Sequence[Request]) -> Iterator[Point]:
    yield from map(function, points)


def call(*words: str, code: int = 0) -> None:
    done = CliRunner().invoke(cli, list(words), catch_exceptions=False)
    assert done.exit_code == code, f"{shlex.join(words)}\n{done.output[-2000:]}"
