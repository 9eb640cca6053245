"""``tssd compare`` as it is called: bundles, chips, points of a sweep, studies, reports."""

import csv
import io
import json
import shutil
from pathlib import Path

import pytest
from command_line import bundle_with_pictures, call, said
from sample_report import full_report

from tssd import terminal
from tssd.cli import main
from tssd.comparison.reading import read_subjects
from tssd.errors import FileFormatError
from tssd.report.serial import to_json

STUDY = {
    "config": {"dataset": "digits"},
    "outcomes": [
        {"condition": "ce", "steps": 4, "accuracy": [90.0, 92.0], "synops": {"a": 1e3, "b": 2e3}},
        {"condition": "tssd", "steps": 4, "accuracy": [94.0, 95.0], "synops": {"a": 900, "b": 1e3}},
    ],
}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with a report of eight labelled pictures."""
    folder = tmp_path_factory.mktemp("compare")
    made = bundle_with_pictures(folder, 8)
    call("verify", made, "--against", "sim", "--samples", 8, "--data", folder / "x.npz")
    return made


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_narrow_window_folds_no_cell_and_says_which_columns_it_leaves_out(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal, "window_width", lambda: 80)
    for name in ("one", "two"):
        shutil.copytree(bundle, name)
    text = said("compare", "one", "two", "--csv", "c.csv")
    table, _, more = text.partition("\nno room here for: ")
    assert more.startswith("memory, spikes, synops")
    assert max(map(len, table.splitlines())) <= 80
    [row, below] = [x for x in table.splitlines() if "%" in x][:2]
    assert row.split()[0] == "one"
    assert below.split()[1] == ".."
    assert len(table.splitlines()) == 3 + 2 * 2  # head and rule, two lines for each
    told = {row[2] for row in csv.reader(Path("c.csv").read_text("utf-8").splitlines())}
    assert {"memory_bytes", "spikes", "synops", "cores"} <= told


def test_a_bundle_beside_its_own_copy_has_no_best(bundle: Path, tmp_path: Path) -> None:
    shutil.copytree(bundle, tmp_path / "again")
    made = json.loads(call("compare", bundle, tmp_path / "again", "--json"))
    assert [s["name"] for s in made["subjects"]] == [str(bundle), str(tmp_path / "again")]
    assert all(verdict["best"] == [] for verdict in made["verdicts"])
    assert not Path("compare.html").exists()


def test_chips_are_simulated_on_the_same_samples(bundle: Path, tmp_path: Path) -> None:
    data = bundle.parent / "x.npz"
    line = ("compare", bundle, "--chip", "loihi2,loihi2-n3c,loihi1", "--samples", 4)
    text = call(*line, "--data", data, "--csv", "c.csv", "--md", "c.md")
    assert "least dynamic energy: b on loihi2-n3c" in text
    assert "cores, memory: not compared, other chips" in text
    assert "b on loihi1: target loihi1-nahuku: found 1 broken rule" in text
    rows = list(csv.DictReader(io.StringIO(Path("c.csv").read_text())))
    totals = {(r["subject"], r["figure"]): float(r["value"]) for r in rows if not r["layer"]}
    assert totals["b on loihi2", "spikes"] == totals["b on loihi2-n3c", "spikes"]
    mine = [r for r in rows if r["subject"] == "b on loihi2" and r["figure"] == "synops"]
    by_layer = [float(r["value"]) for r in mine if r["layer"]]
    assert sum(by_layer) == pytest.approx(totals["b on loihi2", "synops"])
    page = Path("compare.html").read_text()
    for text_of_layers in (
        page,
        Path("c.md").read_text(),
    ):  # its energies are in units of their own
        assert "energy by layer" in text_of_layers
        assert "pj per inference" not in text_of_layers.lower()
    assert "b on loihi1" in page
    assert "<script" not in page
    assert Path("c.md").read_text().startswith("# Comparison\n\n|")


def test_the_dense_network_stands_beside_a_bundle(bundle: Path) -> None:
    made = json.loads(call("compare", bundle, "--baseline", "ann", "--json"))
    (one,) = made["baselines"]
    assert one["once_pj"] < one["again_pj"]
    assert "45 nm" in one["node"]
    text = call("compare", bundle, "--baseline", "ann")
    assert "M. Horowitz" in text


def test_points_of_one_sweep_are_compared_and_a_failed_one_says_why(
    bundle: Path, tmp_path: Path
) -> None:
    line = ("sweep", bundle, "--set", "chip=loihi2,loihi2-n3c,loihi1", "--samples", 1)
    call(*line, "--workers", 1, "--csv", "points.csv")
    text = call("compare", "points.csv")
    assert "least dynamic energy: chip=loihi2-n3c" in text
    assert "chip=loihi1: target loihi1-nahuku" in text


def test_a_study_counts_seeds_and_is_not_compared_with_other_samples(
    bundle: Path, tmp_path: Path
) -> None:
    (tmp_path / "study.json").write_text(json.dumps(STUDY))
    ce, _ = read_subjects(tmp_path)
    assert ce.figures["accuracy"].value == pytest.approx(0.91)
    low = ce.figures["accuracy"].low
    assert low == pytest.approx(0.91 - 12.706 * 0.01 / 1, abs=1e-4)  # t(0.975, 1) * s / sqrt(2)
    text = call("compare", tmp_path)
    assert "most accuracy: tssd (94.50 %)" in text
    assert "least synops: tssd" in text
    assert "accuracy, synops: not compared, other samples" in call("compare", tmp_path, bundle)


def test_a_bundle_without_a_report_has_cores_alone_and_says_how_to_run_it(
    bundle: Path, tmp_path: Path
) -> None:
    shutil.copytree(bundle, tmp_path / "fresh", ignore=shutil.ignore_patterns("report"))
    (one,) = read_subjects(tmp_path / "fresh")
    (ran,) = read_subjects(bundle)
    assert set(one.figures) == {"cores", "memory_bytes"}
    assert one.figures["cores"] == ran.figures["cores"]
    assert "tssd verify fresh --against sim" in call("compare", "fresh")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("nowhere", "nowhere: found no such file or folder; allowed: a bundle, a report.json"),
        ("x.csv", "x.csv: found no points; allowed: what tssd sweep --csv writes"),
        ("x.json --samples 4", "--samples: found an option with nothing to act on"),
        ("x.json --baseline ann", "x.json, which holds no weights; allowed: bundles"),
        ("x.json --html nowhere/x.html", "--html nowhere/x.html"),
    ],
)
def test_bad_input_is_one_message(
    line: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("x.csv").write_text("a,b\n1,2\n")
    Path("x.json").write_text(to_json(full_report()))
    with pytest.raises(SystemExit) as end:
        main(["compare", *line.split()])
    assert end.value.code == 2
    assert message in capsys.readouterr().err
    assert not Path("compare.html").exists()


def test_a_number_of_a_sweep_that_is_none_names_its_place(tmp_path: Path) -> None:
    head = "chip,latency_us,us_per_step,inferences_per_s,dynamic_pj,static_pj,cores,error"
    (tmp_path / "x.csv").write_text(f"{head}\nloihi2,fast,1,1,1,1,1,\n")
    with pytest.raises(FileFormatError, match="x.csv: latency_us: found 'fast'; allowed: a number"):
        read_subjects(tmp_path / "x.csv")
