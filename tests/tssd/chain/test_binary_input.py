"""Frames of spikes through the commands: payload 1, also onto a chip without payloads."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from tssd.chain.torch_module import load
from tssd.cli import cli
from tssd.errors import ConfigError
from tssd.export.bundle.folder import read_bundle
from tssd.report.store import read_report

MODEL = ("--model", "user_models:default", "--input-shape", "8", "--time-steps", "6")


def export(samples: Path, out: Path, target: str, *more: str) -> str:
    told = ("export", *MODEL, "--calibration", samples, "--target", target, "--out", out, *more)
    done = CliRunner().invoke(cli, [str(a) for a in told], catch_exceptions=False)
    assert done.exit_code == 0
    return done.output


def frames(path: Path, high: int) -> Path:
    seen = np.random.default_rng(0).random((12, 6, 8)) < 0.4
    np.savez(path, inputs=np.where(seen, high, 0).astype(np.uint8))
    return path


@pytest.mark.parametrize("high", [1, 255])
def test_a_network_with_binary_input_goes_to_loihi_1(high: int, tmp_path: Path) -> None:
    """0 and 1, or 0 and 255: the same spikes, on a chip whose spikes carry nothing."""
    export(frames(tmp_path / "x.npz", high), tmp_path / "b", "loihi1")
    bundle = read_bundle(tmp_path / "b")
    assert (str(bundle.network.input_coding), bundle.network.input_max) == ("spikes", 1)
    assert bundle.golden is not None
    assert set(np.unique(bundle.golden.inputs)) == {0, 1}
    told = ["verify", str(tmp_path / "b"), "--against", "gpu,onnx,sim", "--json"]
    done = CliRunner().invoke(cli, told, catch_exceptions=False)
    assert done.exit_code == 0
    assert "fail" not in {row["status"] for row in json.loads(done.output)}


@pytest.fixture
def grey(tmp_path: Path) -> Path:
    seen = np.random.default_rng(0).integers(0, 256, (12, 8)).astype(np.uint8)
    np.savez(tmp_path / "x.npz", inputs=seen)
    return tmp_path / "x.npz"


def test_grey_values_become_a_rate_code_there_not_payloads(grey: Path, tmp_path: Path) -> None:
    export(grey, tmp_path / "b", "loihi1")
    network = read_bundle(tmp_path / "b").network
    assert (str(network.input_coding), network.input_max) == ("spikes", 1)
    with pytest.raises(ConfigError, match="--input graded: found chip loihi1-nahuku, whose spikes"):
        export(grey, tmp_path / "c", "loihi1", "--input", "graded")


@pytest.mark.parametrize("target", ["loihi1", "loihi2"])
def test_the_first_layers_current_is_computed_off_chip(
    target: str, grey: Path, tmp_path: Path
) -> None:
    """Samples enter through the host's part of the float network, in export and verify alike."""
    out = tmp_path / "b"
    export(grey, out, target, "--input", "bias")
    bundle = read_bundle(out)
    assert str(bundle.network.input_coding) == "bias"
    assert bundle.golden is not None
    seen = np.load(grey)["inputs"]
    module = load(out, exact=True)
    golden = seen[: bundle.golden.inputs.shape[1]]
    np.testing.assert_array_equal(module.inputs(golden).numpy(), bundle.golden.inputs)
    labelled = tmp_path / "labelled.npz"
    np.savez(labelled, inputs=seen, labels=np.arange(len(seen)) % 2)
    told = ["verify", str(out), "--against", "gpu,onnx,sim", "--data", str(labelled), "--json"]
    done = CliRunner().invoke(cli, told, catch_exceptions=False)
    assert done.exit_code == 0
    assert "fail" not in {row["status"] for row in json.loads(done.output)}
    report = read_report(out)
    assert report.samples == len(seen)
    assert report.accuracy["integer"] == report.accuracy["sim"] is not None
    assert all(x.accuracy_if_only_this_layer_is_quantized is not None for x in report.layers)


def test_the_manifest_says_what_was_kept(tmp_path: Path) -> None:
    export(frames(tmp_path / "x.npz", 255), tmp_path / "b", "loihi2")
    rows = read_bundle(tmp_path / "b").manifest["weights"]
    assert all(row["kept_bits"] <= row["field_bits"] == 8 for row in rows)
    first = next(row for row in rows if row["from"] == "input")
    assert first["kept_bits"] > 7
