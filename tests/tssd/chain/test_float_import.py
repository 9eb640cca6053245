"""Float networks from elsewhere become bundles like any other: NIR graphs, snnTorch modules."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import user_models
from click.testing import CliRunner
from command_line import ran
from safetensors.torch import save_file

from tssd.chain.float_import import halves_note, material_of
from tssd.chain.module_source import ModelSource, load_module
from tssd.chain.pipeline import ExportOptions
from tssd.chain.user_samples import load_samples
from tssd.cli import cli
from tssd.errors import ConfigError, DataError, FileFormatError, NetworkError
from tssd.export.bundle.folder import read_bundle
from tssd.export.nir.graphs.graph import Graph, Node
from tssd.export.nir.graphs.profiles import Answers
from tssd.export.nir.graphs.read import read_graph
from tssd.export.nir.graphs.write import write_graph
from tssd.hw_targets.chip.chips import load_chip

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "nir"
CNN = ("import", GOLDEN / "cnn_sinabs.nir", "--time-steps", 3, "--target", "loihi2")


def answer(*arguments: object) -> Any:
    done = ran(*arguments, "--json")
    assert done.exit_code == 0
    return json.loads(done.output)


@pytest.fixture(scope="module")
def cnn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published N-MNIST network as a bundle, from sparse images without labels."""
    folder = tmp_path_factory.mktemp("cnn")
    seen = np.random.default_rng(0).random((2, 2, 34, 34)) < 0.3
    np.savez(folder / "x.npz", inputs=np.where(seen, 200, 0).astype(np.uint8))
    told = ("--profile", "sinabs", "--calibration", folder / "x.npz", "--out", folder / "b")
    found = answer(*CNN, *told)
    assert found["source"]["rule"]["discretisation"] == "mixed"
    assert [p["reset"] for p in found["populations"]][1] == "soft"
    return folder / "b"


def test_the_published_cnn_is_placed_and_carries_every_file(cnn: Path) -> None:
    bundle = read_bundle(cnn)
    assert bundle.placement is not None
    assert bundle.placement["chip"] == load_chip("loihi2").name
    names = {"float.safetensors", "network.onnx", "golden.npz"}
    assert names <= set(bundle.manifest["files"])


def test_the_published_cnn_is_verified_and_reported(cnn: Path) -> None:
    check_engines(cnn, "gpu", "onnx")
    (note,) = read_bundle(cnn).manifest["notes"]
    report = json.loads((cnn / "report" / "report.json").read_text())
    assert note in report["notes"]


def test_several_spikes_in_a_step_are_told_and_counted(tmp_path: Path) -> None:
    """1 a step into an IF with threshold 0.3: sinabs sends 3, 3, 4, a chip 1 a step."""
    node = {"r": np.ones(1), "v_threshold": np.full(1, 0.3), "v_reset": np.zeros(1)}
    nodes = {
        "input": Node("Input", {"shape": (1,)}),
        "w": Node("Linear", {"weight": np.ones((1, 1))}),
        "if": Node("IF", node),
        "output": Node("Output", {"shape": (1,)}),
    }
    names = list(nodes)
    graph = Graph(nodes, tuple(zip(names[:-1], names[1:], strict=True)))
    write_graph(graph, tmp_path / "n.nir", Answers("sinabs"))
    np.savez(tmp_path / "x.npz", inputs=np.full((2, 1), 255, np.uint8))
    told = ("import", tmp_path / "n.nir", "--time-steps", 3, "--calibration", tmp_path / "x.npz")
    shown = ran(*told, "--profile", "sinabs", "--out", tmp_path / "b").output
    assert "note: sinabs sends several spikes in a step" in shown
    assert "6 spikes instead of 20 on 2 calibration samples" in " ".join(shown.split())
    quiet = ran(*told, "--profile", "norse", "--dt", 1, "--out", tmp_path / "c").output
    assert "several spikes" not in quiet


def snntorch_graph(folder: Path) -> tuple[object, ...]:
    """Two layers without a word on their reset, as snnTorch writes them, and their samples."""
    rng = np.random.default_rng(0)

    def cells(n: int, beta: float, theta: float) -> Node:
        tau = 1e-4 / (1 - beta)
        full = {"tau": tau, "r": tau / 1e-4, "v_leak": 0.0, "v_threshold": theta, "v_reset": 0.0}
        return Node("LIF", {k: np.full((n,), v) for k, v in full.items()})

    nodes = {
        "input": Node("Input", {"shape": (16,)}),
        "a": Node("Linear", {"weight": rng.normal(0.05, 0.2, (12, 16))}),
        "b": cells(12, 0.8, 0.5),
        "c": Node("Linear", {"weight": rng.normal(0, 0.4, (4, 12))}),
        "d": cells(4, 0.9, 0.3),
        "output": Node("Output", {"shape": (4,)}),
    }
    names = list(nodes)
    graph = Graph(nodes, tuple(zip(names[:-1], names[1:], strict=True)))
    write_graph(graph, folder / "s.nir", Answers("snntorch"))
    np.savez(folder / "x.npz", inputs=rng.integers(0, 256, (48, 16)).astype(np.uint8))
    given = ("--profile", "snntorch", "--calibration", folder / "x.npz", "--time-steps", 8)
    return ("import", folder / "s.nir", *given)


def test_an_unsaid_reset_of_snntorch_is_told_with_what_its_default_gives(tmp_path: Path) -> None:
    told = snntorch_graph(tmp_path)
    (note,) = answer(*told, "--out", tmp_path / "zero")["notes"]
    assert "taken as zero, as its own import does" in note
    late = answer(*told, "--reset", "subtract-late", "--out", tmp_path / "late")
    assert [p["reset"] for p in late["populations"]] == ["none", "soft", "soft", "none"]
    assert not any("snntorch writes no reset" in note for note in late.get("notes", ()))
    assert read_bundle(tmp_path / "late").network.populations[1].reset_by is not None
    rows = answer("verify", tmp_path / "late", "--against", "gpu,onnx,sim", "--samples", 2)
    assert {row["status"] for row in rows} <= {"pass", "not run"}


def test_a_reset_that_no_chip_has_is_refused_with_the_slots_that_would_differ(
    tmp_path: Path,
) -> None:
    told = (*snntorch_graph(tmp_path), "--reset", "subtract-no-delay", "--out", tmp_path / "b")
    with pytest.raises(NetworkError, match=r"reset_delay=False: [1-9]\d* of 1,024 slots differ"):
        CliRunner().invoke(
            cli, [str(a) for a in told], catch_exceptions=False, standalone_mode=False
        )
    assert not (tmp_path / "b").exists()


def test_a_bias_that_a_platform_leaves_out_once_is_told(tmp_path: Path) -> None:
    x = np.random.default_rng(0).integers(0, 2, (8, 20, 5)) * 255
    np.savez(tmp_path / "x.npz", inputs=x.astype(np.uint8))
    graph = read_graph(GOLDEN / "spikingjelly_back.nir")
    calm = {}
    for name, node in graph.nodes.items():  # no bias that fires before data arrives
        bias = {"bias": -np.abs(node.params["bias"])} if "bias" in node.params else {}
        calm[name] = replace(node, params={**node.params, **bias})
    write_graph(replace(graph, nodes=calm), tmp_path / "n.nir", Answers("spikingjelly"))
    told = ("import", tmp_path / "n.nir", "--profile", "spikingjelly")
    given = ("--calibration", tmp_path / "x.npz", "--time-steps", 20, "--out", tmp_path / "b")
    (note,) = answer(*told, *given)["notes"]
    assert "spikingjelly leaves the bias of a recurrent connection out in the first step" in note


@pytest.mark.slow
def test_the_published_cnn_is_simulated_too(cnn: Path) -> None:
    check_engines(cnn, "gpu", "onnx", "sim")
    assert ran("simulate", cnn, "--samples", 1).exit_code == 0


@pytest.mark.parametrize("name", ["noBias_subtract", "bias_zero"])
def test_the_published_braille_readers_go_the_whole_way(name: str, tmp_path: Path) -> None:
    """Recurrent, with synaptic current: imported, verified by every engine, simulated, reported."""
    seen = np.random.default_rng(0).random((6, 30, 12)) < 0.4
    np.savez(tmp_path / "x.npz", inputs=np.where(seen, 255, 0).astype(np.uint8))
    graph = GOLDEN / f"braille_noDelay_{name}.nir"
    told = ("--profile", "snntorch", "--time-steps", 30, "--calibration", tmp_path / "x.npz")
    answer("import", graph, *told, "--out", tmp_path / "b")
    check_engines(tmp_path / "b", "gpu", "onnx", "sim", layers=3)
    found = answer("simulate", tmp_path / "b", "--samples", 2)
    layers = {row["name"]: row for row in found["layers"]}
    assert layers["lif1.lif"]["spikes"] > 0
    assert layers["lif1.lif"]["synops"] > layers["input"]["synops"] == 0


def check_engines(bundle: Path, *engines: str, layers: int = 5) -> None:
    """Verify finds no difference and the report counts the same spikes for every engine."""
    rows = answer("verify", bundle, "--against", ",".join(engines), "--samples", 1)
    assert {row["status"] for row in rows} <= {"pass", "not run"}
    passed = {row["name"].split(":")[0] for row in rows if row["status"] == "pass"}
    assert set(engines) <= passed
    assert ran("report", bundle).exit_code == 0
    report = json.loads((bundle / "report" / "report.json").read_text())
    spiking = [x["spikes"] for x in report["layers"] if x["spikes"]["integer"]]
    assert len(spiking) >= layers
    assert all(x[name] == x["integer"] for x in spiking for name in engines)


def test_frames_of_events_calibrate_and_verify(tmp_path: Path) -> None:
    """Recordings such as N-MNIST: a frame per step, 255 where an event was seen."""
    seen = np.random.default_rng(3).random((4, 3, 2, 34, 34)) < 0.1
    np.savez(tmp_path / "x.npz", inputs=seen * np.uint8(255), labels=np.arange(4))
    told = ("--profile", "sinabs", "--calibration", tmp_path / "x.npz", "--out", tmp_path / "b")
    answer(*CNN, *told, "--tolerance", 100)
    golden = read_bundle(tmp_path / "b").golden
    assert golden is not None
    checked = np.sort(np.random.default_rng(0).permutation(4)[2:])  # those not calibrated on
    np.testing.assert_array_equal(golden.inputs.swapaxes(0, 1), seen[checked])
    rows = answer("verify", tmp_path / "b", "--samples", 2, "--data", tmp_path / "x.npz")
    assert "fail" not in {row["status"] for row in rows}


def test_verify_takes_the_users_samples_and_labels(cnn: Path, tmp_path: Path) -> None:
    images = np.random.default_rng(1).integers(0, 256, (2, 2, 34, 34)).astype(np.uint8)
    np.savez(tmp_path / "x.npz", inputs=images, labels=np.array([1, 2]))
    answer("verify", cnn, "--samples", 2, "--data", tmp_path / "x.npz")
    report = json.loads((cnn / "report" / "report.json").read_text())
    assert report["accuracy"]["float"] is not None
    assert all(x["spikes"]["float"] is not None for x in report["layers"][1:])


def test_what_is_missing_is_asked_for(tmp_path: Path) -> None:
    out = ("--out", tmp_path / "b")
    with pytest.raises(ConfigError, match="does not say its dt, reset, rule"):
        ran(*CNN, *out)
    with pytest.raises(ConfigError, match=r"--calibration: found a float network.*\(N, 2, 34, 34"):
        ran(*CNN, *out, "--profile", "sinabs")
    assert not (tmp_path / "b").exists()


def test_samples_of_another_kind_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, inputs=np.full((2, 3), 0.3, np.float32))
    with pytest.raises(DataError, match="found the same value in all of them"):
        load_samples(path, (3,))
    np.savez(path, inputs=np.zeros((2, 4), np.uint8))
    with pytest.raises(DataError, match="N, 3"):
        load_samples(path, (3,))
    np.savez(path, inputs=np.zeros((2, 3), np.uint8), labels=np.zeros(3, np.int64))
    with pytest.raises(DataError, match="labels: found int64 of shape.*2 whole numbers"):
        load_samples(path, (3,))
    np.savez(path, pictures=np.zeros((2, 3), np.uint8))
    with pytest.raises(DataError, match="with 'inputs'"):
        load_samples(path, (3,))


def test_labelled_samples_are_checked_on_what_was_not_calibrated_on(tmp_path: Path) -> None:
    """Drawn: a file in the order of its classes has all of them in either half."""
    inputs, labels = np.arange(40, dtype=np.uint8)[:, None], np.repeat([0, 1], 20)
    np.savez(tmp_path / "x.npz", inputs=inputs, labels=labels)
    samples, options = load_samples(tmp_path / "x.npz", (1,)), ExportOptions()
    material = material_of(samples, options)
    used, checked = material.calibration.ravel(), material.checked.ravel()
    assert sorted([*used, *checked]) == list(range(40))
    assert len(used) == len(checked) == 20
    np.testing.assert_array_equal(material.labels, labels[checked])
    assert set(labels[used]) == set(labels[checked]) == {0, 1}
    again, other = (material_of(samples, ExportOptions(seed=s)).calibration for s in (0, 1))
    np.testing.assert_array_equal(again.ravel(), used)
    assert (other.ravel() != used).any()
    assert halves_note(samples, material, options) == (
        "of your 40 labelled samples 20 calibrate and 20 others check, drawn by seed 0",
    )


# ---------------------------------------------------------------- a snnTorch module


def test_a_snntorch_module_with_its_weights_becomes_a_bundle(tmp_path: Path) -> None:
    module = user_models.hard().eval()
    weights = {k: v * (2 if k.endswith("weight") else 1) for k, v in module.state_dict().items()}
    save_file(weights, tmp_path / "w.safetensors")
    images = np.random.default_rng(2).integers(0, 256, (8, 1, 6, 6)).astype(np.uint8)
    with torch.no_grad():
        module.load_state_dict(weights)
        labels = module(torch.tensor(images) / 255).argmax(1).numpy()
    np.savez(tmp_path / "x.npz", inputs=images, labels=labels)
    made = ("--model", "user_models:hard", "--weights", tmp_path / "w.safetensors")
    told = ("--input-shape", "1,6,6", "--calibration", tmp_path / "x.npz", "--nir", "exact")
    found = answer("export", *made, *told, "--out", tmp_path / "b", "--tolerance", 60)
    assert found["source"]["model"] == "user_models:hard"
    assert [p["kind"] for p in found["populations"]] == ["input", "lif", "readout"]
    assert read_graph(tmp_path / "b" / "network.nir").metadata["mode"] == "exact"
    rows = answer("verify", tmp_path / "b", "--against", "gpu,onnx")
    assert "fail" not in {row["status"] for row in rows}


def test_the_default_reset_of_snntorch_is_deployed_without_a_loop(tmp_path: Path) -> None:
    """Subtracting theta a step late is subtracting theta / beta in the step of the spike."""
    images = np.random.default_rng(2).integers(0, 256, (8, 8)).astype(np.uint8)
    np.savez(tmp_path / "x.npz", inputs=images)
    told = ("--model", "user_models:default", "--input-shape", 8)
    answer("export", *told, "--samples", tmp_path / "x.npz", "--out", tmp_path / "b")
    network = read_bundle(tmp_path / "b").network
    assert not any(j.is_loop for j in network.projections)
    first = network.populations[1]
    assert first.reset_by is not None
    np.testing.assert_allclose(first.reset_by / first.vth, 1 / 0.9, rtol=0.02)
    rows = answer("verify", tmp_path / "b", "--against", "gpu,onnx,sim")
    assert {row["status"] for row in rows} <= {"pass", "not run"}
    assert sum(row["name"].startswith(("gpu", "onnx", "sim")) for row in rows) == 9


@pytest.mark.parametrize(
    ("model", "shape", "error", "message"),
    [
        ("user_models:none", "6", ConfigError, "--model: found 'user_models:none'"),
        ("no_such_package:build", "6", ConfigError, "a module that can be imported"),
        ("user_models:NO_MODULE", "6", ConfigError, "allowed: a torch module"),
        ("user_models", "6", ConfigError, "package.module:function"),
        ("user_models:hard", "", ConfigError, "--input-shape: found ''"),
        ("user_models:hard", "1,a", ConfigError, "--input-shape"),
    ],
)
def test_what_is_no_model_is_refused(
    model: str, shape: str | None, error: type[Exception], message: str
) -> None:
    source = ModelSource(model, None, shape)
    with pytest.raises(error, match=message):
        _ = source.shape, source.load()


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    save_file({"0.weight": torch.zeros(1)}, tmp_path / "w.safetensors")
    with pytest.raises(NetworkError, match="not in the module: 0.weight|shape: 0.weight"):
        load_module("user_models:hard", tmp_path / "w.safetensors")
    (tmp_path / "w.safetensors").write_bytes(b"no weights")
    with pytest.raises(FileFormatError, match="no readable weights"):
        load_module("user_models:hard", tmp_path / "w.safetensors")


def test_a_run_and_a_model_exclude_each_other(tmp_path: Path) -> None:
    assert ran("export", "--out", tmp_path / "b").exit_code == 2
    both = ("export", tmp_path, "--weights", tmp_path / "w", "--out", tmp_path / "b")
    assert "not with a run folder" in ran(*both).output
