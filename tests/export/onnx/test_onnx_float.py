"""The float graphs in onnxruntime are the float network's, apart from ties at the threshold."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from click.testing import CliRunner
from float_nets import images, small_residual, small_vgg

from tssd.cli import cli
from tssd.errors import FileFormatError, NetworkError
from tssd.export.onnx.float_graph import onnx_float_bytes, scan_bytes, step_bytes
from tssd.hw_targets.onnx import engine
from tssd.train.handover.float_activity import FloatActivity, ImageArray
from tssd.train.handover.float_network import FloatNetwork, Reset
from tssd.train.handover.float_run import run

TIE = 1e-3  # of a membrane to its threshold of 1: float32 sums of different order
Values = dict[str, "np.typing.NDArray[Any]"]


def session(data: bytes) -> Any:
    return onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])


def over_time(network: FloatNetwork, pictures: ImageArray) -> Values:
    """Spikes and final readout of the graph over all steps."""
    opened = session(scan_bytes(network))
    frames = np.broadcast_to(pictures / np.float32(255), (network.time_steps, *pictures.shape))
    names = [output.name for output in opened.get_outputs()]
    values = opened.run(names, {"input.series": frames.astype(np.float32)})
    return dict(zip((n.removesuffix(".series") for n in names), values, strict=True))


def step_by_step(network: FloatNetwork, pictures: ImageArray) -> Values:
    """The same from the one-step graph, its states carried here."""
    opened = session(step_bytes(network))
    outputs = [output.name for output in opened.get_outputs()]
    states = {
        port.name: np.zeros((len(pictures), *port.shape[1:]), np.float32)
        for port in opened.get_inputs()
        if port.name != "input"
    }
    frame = (pictures / 255).astype(np.float32)
    series: dict[str, list[Any]] = {n: [] for n in outputs if n.endswith(".spikes")}
    for _ in range(network.time_steps):
        values = dict(zip(outputs, opened.run(outputs, {"input": frame, **states}), strict=True))
        states = {name: values[f"{name}.next"] for name in states}
        for name, kept in series.items():
            kept.append(values[name])
    stacked = {name: np.stack(kept) for name, kept in series.items()}
    return stacked | {f"{name}.final": value for name, value in states.items()}


def check_equal(network: FloatNetwork, found: Values, wanted: FloatActivity) -> None:
    """Populations in order: equal spikes, or the first that differ are ties."""
    for population in network.populations:
        name = population.name
        if f"{name}.spikes" not in found:
            continue
        differ = found[f"{name}.spikes"] != wanted.spikes[name]
        if differ.any():
            first = np.flatnonzero(differ.reshape(len(differ), -1).any(axis=1))[0]
            distance = np.abs(wanted.membranes[name][first] - population.threshold)
            assert distance[differ[first]].max() < TIE
            return
    logits = found["readout.v.final"] / network.time_steps
    np.testing.assert_allclose(logits, wanted.logits, atol=1e-4)


def with_memory(network: FloatNetwork) -> FloatNetwork:
    """Synaptic memory in the first layer, a leaky readout."""
    first, second, *others, last = network.populations
    keep = np.full((1,) * len(second.shape), 0.7)
    second = replace(second, synapse_decay=keep, bias=keep * 0.1)
    last = replace(last, decay=np.full((1,), 0.9))
    return replace(network, populations=(first, second, *others, last))


NETWORKS = {
    "vgg soft": small_vgg(0),
    "vgg hard": small_vgg(1, Reset.HARD),
    "vgg none": small_vgg(2, Reset.NONE),
    "residual": small_residual(3, time_steps=6),
    "memory": with_memory(small_vgg(4)),
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("runner", [over_time, step_by_step])
def test_both_graphs_fire_as_the_float_network(name: str, runner: Any) -> None:
    network = NETWORKS[name]
    pictures = images(network, 5)
    wanted = run(network, pictures, dtype="float64", keep_spikes=True)
    fired = [n for n, spikes in wanted.spikes.items() if n not in ("input", "readout")]
    assert all(wanted.spikes[n].any() for n in fired)
    check_equal(network, runner(network, pictures), wanted)


def test_a_late_projection_arrives_late() -> None:
    network = small_residual(5, time_steps=5)
    skip = replace(network.projections[3], delay=3)  # two steps later than the way through a
    late = replace(network, projections=(*network.projections[:3], skip, network.projections[4]))
    pictures = images(late, 3)
    wanted = run(late, pictures, dtype="float64", keep_spikes=True)
    aligned = run(network, pictures, dtype="float64", keep_spikes=True)
    assert not np.array_equal(aligned.spikes["b"], wanted.spikes["b"])
    check_equal(late, over_time(late, pictures), wanted)
    check_equal(late, step_by_step(late, pictures), wanted)


def test_the_graphs_use_standard_operators_only_and_are_deterministic() -> None:
    network = NETWORKS["vgg soft"]
    files = onnx_float_bytes(network)
    assert files == onnx_float_bytes(network)
    for data in files.values():
        model = onnx.load_from_string(data)
        onnx.checker.check_model(model, full_check=True)
        assert {node.domain for node in model.graph.node} == {""}
        assert not model.functions


def test_the_integer_engine_does_not_take_a_float_graph() -> None:
    with pytest.raises(FileFormatError, match="tssd-onnx-float/1"):
        engine.open_model(scan_bytes(NETWORKS["vgg soft"]))


def test_recurrence_is_refused() -> None:
    network = small_vgg(0)
    loop = replace(network.projections[1], source="conv2", target="conv1")
    looped = replace(network, projections=(*network.projections, loop))
    with pytest.raises(NetworkError, match="feed-forward"):
        step_bytes(looped)


def test_export_writes_the_float_graphs_on_request(tmp_path: Path) -> None:
    small = ("--dataset", "digits", "--epochs", "1", "--set", "train_limit=128")
    run_folder, out = str(tmp_path / "run"), str(tmp_path / "bundle")
    calls = [
        ("train", *small, "--out", run_folder, "--json"),
        ("export", run_folder, "--out", out, "--tolerance", "90", "--onnx", "float", "--json"),
    ]
    for call in calls:
        assert CliRunner().invoke(cli, call, catch_exceptions=False).exit_code == 0
    names = {path.name for path in (tmp_path / "bundle").iterdir()}
    assert {"network_float.onnx", "network_float_scan.onnx"} <= names
