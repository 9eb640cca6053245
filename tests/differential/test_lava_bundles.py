"""`tssd verify --against lava` on trained bundles: both ways on the exported files alone."""

import json
import re
import shutil
from pathlib import Path

import h5py
import jsonschema
import numpy as np
import pytest
from lava_environment import needs_lava

from tssd.chain.float_import import FloatSource, import_graph
from tssd.chain.pipeline import ExportOptions, export_run
from tssd.chain.samples import bundle_samples
from tssd.checks.verification import VerifyOptions, evaluate
from tssd.cli import main
from tssd.export.bundle.folder import read_bundle
from tssd.export.nir.graphs.profiles import Answers
from tssd.report.serial import SCHEMA_FILE
from tssd.report.store import read_report
from tssd.train.config import configure
from tssd.train.data.data_sets import load
from tssd.train.loop.loop import train

pytestmark = [pytest.mark.lava, needs_lava("full")]
GRAPHS = Path(__file__).resolve().parents[1] / "golden" / "nir"
PLAIN = {"epochs": 3, "train_limit": 512, "reset": "hard"}
RESIDUAL = PLAIN | {"model": "resnet-18", "width": 0.0625, "epochs": 2}


def trained(folder: Path, settings: dict[str, object]) -> Path:
    """Trained on real digits, to fire rather than to be good, and exported."""
    train(configure("digits", changes=settings), load("digits"), folder / "run")
    export_run(folder / "run", folder / "bundle", ExportOptions(tolerance_points=20))
    return folder / "bundle"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("plain"), PLAIN)


def verify(folder: Path, *options: str) -> int:
    with pytest.raises(SystemExit) as stop:
        main(["verify", str(folder), "--against", "lava", *options])
    return int(stop.value.code or 0)


def test_both_ways_find_no_difference_and_fill_the_report(bundle: Path) -> None:
    assert verify(bundle, "--samples", "16") == 0
    report = read_report(bundle)
    rows = [c for c in report.contracts if c.name.startswith(("lava: ", "netx: "))]
    assert len(rows) == 2 * len(report.layers)
    assert {row.status for row in rows} == {"pass"}
    assert rows[1].name == "lava: conv1 (spikes, u, v)"
    assert rows[-1].name == "netx: readout (spikes, u, v, membrane)"
    for way in ("lava", "netx"):
        assert report.accuracy[way] == report.accuracy["integer"] is not None
        assert all(layer.spikes[way] == layer.spikes["integer"] for layer in report.layers)
    assert all(layer.spikes["lava"] for layer in report.layers[:-1])
    table = json.loads((bundle / "report" / "report.json").read_text())
    jsonschema.Draft202012Validator(json.loads(SCHEMA_FILE.read_text())).validate(table)


def test_one_weight_changed_in_the_file_is_named(bundle: Path, tmp_path: Path) -> None:
    """netx runs the file itself: what was written, not what should have been."""
    shutil.copytree(bundle, tmp_path / "copy")
    copy, options = read_bundle(tmp_path / "copy"), VerifyOptions(("netx",), samples=2)
    with h5py.File(copy.file("network.net"), "r+") as file:
        kernel = file["layer/2/weight"]
        kernel[0] = -kernel[0]
    rows = evaluate(copy, options, bundle_samples(copy, options.samples, None)).contracts
    failed = [c for c in rows if c.status == "fail"]
    assert [c.name for c in failed[:3]] == [f"netx: conv2 {x}" for x in ("spikes", "u", "v")]
    assert re.fullmatch(r"conv2 u\[0, \d+, \d+\], sample 0, step 0", failed[1].where or "")


def test_a_trained_residual_network_in_lavas_processes(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = trained(tmp_path_factory.mktemp("residual"), RESIDUAL)
    assert "network.net" not in read_bundle(folder).manifest["files"]  # netx has no skips
    assert verify(folder, "--samples", "4") == 0
    report = read_report(folder)
    assert all(layer.spikes["lava"] == layer.spikes["integer"] for layer in report.layers)
    assert sum(layer.spikes["lava"] or 0 for layer in report.layers[1:]) > 0


@pytest.mark.parametrize("name", ["noBias_subtract", "bias_zero"])
def test_published_recurrent_graphs_in_lavas_processes(name: str, tmp_path: Path) -> None:
    """Loops and synaptic memory; the second also a neuron that fires in every step."""
    seen = np.random.default_rng(0).random((6, 30, 12)) < 0.4
    np.savez(tmp_path / "x.npz", inputs=np.where(seen, 255, 0).astype(np.uint8))
    source = FloatSource(tmp_path / "x.npz", 30, Answers(profile="snntorch"))
    graph = GRAPHS / f"braille_noDelay_{name}.nir"
    import_graph(graph, tmp_path / "b", source, ExportOptions())
    assert verify(tmp_path / "b", "--data", str(tmp_path / "x.npz"), "--samples", "2") == 0
    layers = {layer.name: layer.spikes for layer in read_report(tmp_path / "b").layers}
    assert layers["lif1.lif"]["lava"] == layers["lif1.lif"]["integer"]
    assert layers["lif1.lif"]["lava"]
