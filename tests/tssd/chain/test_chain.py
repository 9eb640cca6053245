"""The whole chain on real digits: train, export, verify, report; and how it refuses bad input."""

import json
import shlex
from pathlib import Path

import pytest

from tssd.chain.samples import bundle_samples
from tssd.checks.verification import VerifyOptions, evaluate
from tssd.cli import main
from tssd.export.bundle.folder import read_bundle
from tssd.report.store import read_report

RESETS = ("soft", "hard")


def tssd(*arguments: object) -> int:
    """Run the command line; the exit code."""
    with pytest.raises(SystemExit) as stop:
        main([str(a) for a in arguments])
    return int(stop.value.code or 0)


@pytest.fixture(scope="module", params=RESETS)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short training run of each reset: enough to fire, not to be good."""
    out = tmp_path_factory.mktemp(request.param) / "run"
    small = ("--dataset", "digits", "--epochs", 3, "--set", "train_limit=512")
    assert tssd("train", *small, "--reset", request.param, "--out", out, "--json") == 0
    return out


@pytest.fixture(scope="module")
def bundle(run: Path) -> Path:
    out = run.parent / "bundle"
    assert tssd("export", run, "--out", out, "--tolerance", 5, "--json") == 0
    return out


def test_the_reset_rule_travels_into_the_bundle(run: Path, bundle: Path) -> None:
    reset = run.parent.name.rstrip("0123456789")
    network = read_bundle(bundle).network
    assert {str(p.reset) for p in network.populations if p.kind == "lif"} == {reset}
    assert (bundle / "network.net").exists() == (reset == "hard")


def test_verify_finds_no_difference_and_leaves_a_report(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tssd("verify", bundle, "--against", "gpu,onnx,sim", "--samples", 24) == 0
    printed = capsys.readouterr().out
    assert "fail" not in printed.replace("0 fail", "")
    report = read_report(bundle)
    assert report.samples == 24
    for layer in report.layers:
        counts = {layer.spikes[name] for name in ("integer", "gpu", "onnx", "sim")}
        assert len(counts) == 1
        assert None not in counts
        assert layer.spikes["lava"] is None
    alone = [x.accuracy_if_only_this_layer_is_quantized for x in report.layers]
    assert alone[0] is None
    assert all(share is not None and 0 <= share <= 1 for share in alone[1:])
    assert report.timeline
    assert report.totals.us_per_step is not None
    memory = [layer.memory_bytes for layer in report.layers]
    assert memory[0] == 0  # an input has no synapses
    assert all(size for size in memory[1:])
    assert read_bundle(bundle).manifest["source"]["dataset"] == "digits"


def test_report_writes_three_files(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tssd("verify", bundle, "--samples", 4)
    capsys.readouterr()
    assert tssd("report", bundle, "--json") == 0
    files = json.loads(capsys.readouterr().out)["files"]
    assert {Path(name).suffix for name in files} == {".html", ".json", ".md"}


def test_what_engines_found_on_the_same_samples_stays(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """verify, simulate and verify again on the same samples: one report of all of them."""
    assert tssd("verify", bundle, "--against", "gpu,onnx", "--samples", 9) == 0
    first = read_report(bundle)
    assert first.totals.timing == "bound"
    assert first.totals.latency_us is None
    capsys.readouterr()
    assert tssd("simulate", bundle, "--samples", 9) == 0
    assert "first 9 of 360 test samples of digits" in capsys.readouterr().out
    second = read_report(bundle)
    assert second.totals.timing == "cycle"
    assert second.totals.latency_us is not None
    assert tssd("verify", bundle, "--against", "sim", "--samples", 9) == 0
    assert tssd("verify", bundle, "--against", "gpu", "--samples", 9) == 0
    shown = capsys.readouterr().out
    assert "kept from earlier runs on the same samples: onnx, sim" in shown
    third = read_report(bundle)
    assert third.totals == second.totals
    assert third.layers[1].spikes["onnx"] == third.layers[1].spikes["integer"]
    assert all(third.accuracy[e] == third.accuracy["integer"] for e in ("gpu", "onnx", "sim"))
    train, export, *ran = third.provenance.commands
    assert train.startswith("tssd train --dataset digits --epochs 3")
    assert export == "tssd export run --tolerance 5.0 --out bundle"
    assert [line.partition(" --samples")[0] for line in ran] == [
        "tssd verify bundle --against gpu",
        "tssd verify bundle --against gpu,onnx",
        "tssd verify bundle --against sim",
    ]
    assert "no longer in the report" not in shown
    assert tssd("verify", bundle, "--against", "gpu", "--samples", 8) == 0
    gone = f"no longer in the report: onnx, sim, time (of other samples: {third.shown})"
    assert gone in capsys.readouterr().out.splitlines()
    assert read_report(bundle).accuracy["onnx"] is None  # other samples: nothing is mixed


def test_other_samples_and_bounds_say_why_they_do_not_enter(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tssd("verify", bundle, "--against", "sim", "--samples", 6) == 0
    before = read_report(bundle)
    capsys.readouterr()
    assert tssd("simulate", bundle) == 0
    golden = capsys.readouterr().out
    assert "not entered into the report: it is about other samples (first 6 of 360" in golden
    assert tssd("simulate", bundle, "--samples", 6, "--timing", "bound") == 0
    assert "which a lower bound does not replace" in capsys.readouterr().out
    assert read_report(bundle) == before
    assert tssd("simulate", bundle, "--into-report") == 0
    assert any("4 golden samples" in note for note in read_report(bundle).notes)
    told = "Time, energy and synaptic operations: 4 golden samples"
    page, text = ((bundle / "report" / f"report.{kind}").read_text() for kind in ("html", "md"))
    assert f'<span class="tag">{told}</span>' in page
    assert f"{told}." in text.splitlines()[2]


def test_accuracy_carries_its_samples_and_interval(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tssd("verify", bundle, "--samples", 40) == 0
    report = read_report(bundle)
    share, found = report.accuracy["integer"], report.intervals["integer"]
    assert share is not None
    z = 1.959964  # Wilson's interval by hand
    centre, half = share + z * z / 80, z * ((share * (1 - share) + z * z / 160) / 40) ** 0.5
    assert (found.low, found.high) == pytest.approx(
        ((centre - half) / (1 + z * z / 40), (centre + half) / (1 + z * z / 40)), abs=1e-6
    )
    manifest = json.loads((bundle.parent / "run" / "manifest.json").read_text())
    assert report.trained is not None
    assert report.trained.accuracy == pytest.approx(manifest["accuracy"]["test"] / 100)
    assert report.trained.samples == 360
    shown = capsys.readouterr().out
    assert f"{round(40 * share)} of 40 right; 95 % interval" in shown
    assert "of all 360 in training" in shown


@pytest.mark.slow
def test_the_lines_of_a_report_make_it_again(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tssd("verify", bundle, "--against", "gpu,sim", "--samples", 5) == 0
    monkeypatch.chdir(tmp_path)
    for line in read_report(bundle).provenance.commands:
        assert tssd(*shlex.split(line)[1:]) == 0
    names = ("report.json", "report.html", "report.md")
    again, first = (folder / "report" for folder in (tmp_path / "bundle", bundle))
    assert [(again / n).read_text() for n in names] == [(first / n).read_text() for n in names]


def test_the_same_run_gives_the_same_bytes(run: Path, bundle: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    assert tssd("export", run, "--out", again, "--tolerance", 5, "--json") == 0
    names = {path.name for path in again.iterdir()}
    assert names == {path.name for path in bundle.iterdir() if path.is_file()}
    for name in sorted(names):
        assert (again / name).read_bytes() == (bundle / name).read_bytes(), name


def test_a_wrong_engine_fails_and_is_named(bundle: Path) -> None:
    """A bundle whose golden answers are wrong must not pass."""
    damaged = read_bundle(bundle)
    assert damaged.golden is not None
    damaged.golden.readout[0, 0] += 1
    options = VerifyOptions(samples=4)
    evaluation = evaluate(damaged, options, bundle_samples(damaged, options.samples, None))
    failed = [row for row in evaluation.contracts if row.status == "fail"]
    assert [row.name for row in failed] == ["golden answers"]
    assert not evaluation.passed


def test_unknown_engine(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tssd("verify", bundle, "--against", "gup") == 2
    assert "did you mean 'gpu'?" in capsys.readouterr().err


def test_export_refuses_an_existing_folder(
    run: Path, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (bundle / "manifest.json").read_bytes()
    assert tssd("export", run, "--out", bundle, "--tolerance", 5) == 2
    said = capsys.readouterr().err
    assert "force" in said
    assert "strip" not in said  # refused before the work
    assert (bundle / "manifest.json").read_bytes() == before


def test_export_without_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tssd("export", tmp_path / "none", "--out", tmp_path / "bundle") == 2
    assert "no such file" in capsys.readouterr().err
    assert not (tmp_path / "bundle").exists()


def test_a_truncated_checkpoint_is_refused(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "run"
    broken.mkdir()
    data = (run / "checkpoint.safetensors").read_bytes()
    (broken / "checkpoint.safetensors").write_bytes(data[: len(data) // 2])
    assert tssd("export", broken, "--out", tmp_path / "bundle") == 2
    assert "checkpoint.safetensors" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [broken]


def test_a_loss_beyond_the_tolerance_stops_the_export(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "bundle"
    plain = ("--scales", "layer", "--rounding", "nearest", "--tuning", "none")
    two_bits = ("--weight-bits", 2, *plain)
    assert tssd("export", run, "--out", out, *two_bits, "--tolerance", 0) == 1
    assert "FloatNetwork -> IntNetwork: accuracy" in capsys.readouterr().err
    assert not out.exists()
