"""Sensor values and normalised pixels through the commands: mapped, recorded, and used again."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from tssd.chain.module_source import load_module
from tssd.chain.own_module import ModuleReading, take_over
from tssd.chain.torch_module import load
from tssd.cli import cli
from tssd.errors import DataError
from tssd.export.bundle.folder import read_bundle
from tssd.train.handover.float_file import FLOAT_FILE, read
from tssd.train.handover.float_network import FloatArray
from tssd.train.handover.float_run import run

STEPS = 6
RANGES = np.array([2.4, 3.0, 0.2, 3.5, 1.0, 1.0, 10.0, 0.05])


def tssd(*arguments: object) -> Result:
    done = CliRunner().invoke(cli, [str(a) for a in arguments], catch_exceptions=False)
    assert done.exit_code == 0
    return done


def export(samples: Path, out: Path, model: str = "default", shape: str = "8") -> str:
    told = ("--model", f"user_models:{model}", "--input-shape", shape, "--time-steps", STEPS)
    return tssd("export", *told, "--calibration", samples, "--out", out).output


def sensors(count: int, seed: int) -> FloatArray:
    rng = np.random.default_rng(seed)
    singles = (rng.uniform(-1, 1, (count, 8)) * RANGES).astype(np.float32)
    return np.asarray(singles, np.float64)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sensors")
    np.save(folder / "x.npy", sensors(64, 0))
    said = export(folder / "x.npy", folder / "b")
    assert "input values are rounded to 256 levels" in " ".join(said.split())
    return folder / "b"


def test_the_map_is_recorded_beside_the_integers_and_the_floats(bundle: Path) -> None:
    table = read_bundle(bundle).manifest["input"]
    assert (table["coding"], table["largest"]) == ("graded", 255)
    np.testing.assert_allclose(table["high"], RANGES, rtol=0.15)
    entry = read(bundle / FLOAT_FILE).entry
    assert entry is not None
    np.testing.assert_array_equal(entry.high, table["high"])


def test_the_deployed_network_is_the_module_on_its_own_numbers(bundle: Path) -> None:
    """Float on levels and integers against what was read from it, in the author's units."""
    values = sensors(64, 0)
    module = load_module("user_models:default", None)
    taken = take_over(module, values.astype(np.float32), ModuleReading(time_steps=STEPS))
    assert taken.agreement.holds
    wanted = run(taken.network, values, dtype="float64", keep_spikes=True)
    with torch.no_grad():
        for deployed, room in ((load(bundle), 0.01), (load(bundle, exact=True), 0.04)):
            found = deployed.spikes(deployed.inputs(values))
            firing = [name for name in wanted.spikes if name in found and name != "input"]
            assert firing
            for name in firing:
                assert np.mean(wanted.spikes[name] != found[name].numpy()) < room


def test_later_samples_use_the_same_map_and_what_lies_outside_is_said(
    bundle: Path, tmp_path: Path
) -> None:
    np.save(tmp_path / "inside.npy", sensors(64, 0)[:5])
    np.save(tmp_path / "outside.npy", np.concatenate([sensors(4, 1), 2 * RANGES[None]]))
    notes = {}
    for name in ("inside", "outside"):
        tssd("verify", bundle, "--data", tmp_path / f"{name}.npy", "--samples", 5)
        report = json.loads((bundle / "report" / "report.json").read_text())
        notes[name] = [note for note in report["notes"] if "outside the range" in note]
    assert notes["inside"] == []
    (said,) = notes["outside"]
    assert "of 40 values outside the range" in said
    assert said.endswith("they are held at its ends")
    module = load(bundle, exact=True)
    with pytest.raises(DataError, match="values outside the range"):
        module.inputs(2 * RANGES[None])


def test_normalised_pixels_are_the_pixels(tmp_path: Path) -> None:
    """Normalize of two values is binary spikes too."""
    pixels = np.random.default_rng(0).integers(0, 256, (24, 1, 6, 6)).astype(np.float32)
    normalised = (pixels / 255 - np.float32(0.1307)) / np.float32(0.3081)
    np.save(tmp_path / "x.npy", normalised)
    said = export(tmp_path / "x.npy", tmp_path / "b", "hard", "1,6,6")
    golden = read_bundle(tmp_path / "b").golden
    assert golden is not None
    payloads = golden.inputs[0, :, :1] * 255 // read_bundle(tmp_path / "b").network.input_max
    assert np.abs(payloads - pixels[: len(payloads)]).max() <= 255 // 7
    assert "rounded to 256 levels" not in said
    ends = np.where(pixels > 127, normalised.max(), normalised.min())
    np.save(tmp_path / "two.npy", ends)
    export(tmp_path / "two.npy", tmp_path / "c", "hard", "1,6,6")
    assert read_bundle(tmp_path / "c").network.input_max == 1
