"""An output of a command never takes the place of what it reads, nor of another output."""

import shutil
from pathlib import Path

import pytest
from command_line import bundle_with_pictures, ran

from tssd.commands.outputs import PARTS
from tssd.comparison.reading import STUDY
from tssd.errors import ConfigError
from tssd.train.loop.checkpoint import CHECKPOINT
from tssd.train.loop.folder import CONFIG, HISTORY, MANIFEST
from tssd.train.study.runs import MEASURED

LOG = "id,quantity,value,unit,boundary\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``b``, ``x.npz``, ``network.nir``; a table and a log beside them."""
    folder = tmp_path_factory.mktemp("outputs")
    bundle_with_pictures(folder, 2)
    (folder / "log.csv").write_text(LOG)
    for name in ("run/history.csv", "b/report/report.md", "study.json"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    (folder / "points.csv").write_text("noc.buffer\n2\n")
    return folder


@pytest.fixture
def here(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(made, tmp_path / "w")
    monkeypatch.chdir(tmp_path / "w")
    return tmp_path / "w"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("simulate b --counters b/manifest.json", "--counters b/manifest.json: found a file of"),
        ("simulate b --trace b/network.nir", "--trace b/network.nir: found a file of the input b;"),
        ("simulate b --inputs x.npz --save x.npz", "--save x.npz: found an input of this command"),
        ("simulate b --inputs x.npz --save ./b/../x.npz", "found an input of this command"),
        ("simulate b --trace t --counters t", "--counters t: found the file of --trace too"),
        ("verify b --data x.npz --junit x.npz", "--junit x.npz: found an input of this command"),
        ("check network.nir --out network.nir", "--out network.nir: found an input of this"),
        ("check b --out p --junit ./p", "--junit p: found the file of --out too"),
        ("check b --out b/golden.npz", "--out b/golden.npz: found a file of the input b;"),
        ("simulate b --counters b/report/report.md", "--counters b/report/report.md: found a file"),
        ("compare b . --csv study.json", "--csv study.json: found a file of the input .;"),
        ("inspect run --svg run/history.csv", "--svg run/history.csv: found a file of the input"),
        ("inspect network.nir --svg network.nir", "--svg network.nir: found an input of this"),
        ("sweep b --set noc.buffer=2 --inputs x.npz --csv x.npz", "--csv x.npz: found an input"),
        ("compare points.csv --csv points.csv", "--csv points.csv: found an input of this"),
        ("compare b --csv c --md c", "--md c: found the file of --csv too"),
        ("fit log.csv --out log.csv", "--out log.csv: found an input of this command"),
    ],
)
def test_nothing_that_is_read_is_written_over(here: Path, line: str, found: str) -> None:
    before = contents(here)
    with pytest.raises(ConfigError, match=f"{found}.*allowed: a n"):
        ran(*line.split())
    assert contents(here) == before


def test_what_runs_and_studies_consist_of_is_known() -> None:
    assert {CHECKPOINT, CONFIG, HISTORY, MANIFEST, STUDY, MEASURED} < PARTS


def test_a_file_of_an_earlier_run_is_replaced_and_a_new_one_may_be_anywhere(here: Path) -> None:
    for _ in range(2):
        assert ran("simulate", "b", "--counters", "c.csv", "-q").exit_code == 0
        assert ran("simulate", "b", "--counters", "b/c.csv", "-q").exit_code == 0
    assert (here / "b" / "c.csv").read_bytes() == (here / "c.csv").read_bytes()
