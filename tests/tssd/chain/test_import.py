"""``tssd import``: a lava-dl file on the command line becomes a bundle that can be read again."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from netx_files import dense, random_weights, small_image_network, write_net

from tssd.calibration.int_network import InputCoding
from tssd.calibration.simulate import reference
from tssd.chain.importing import ImportOptions, import_bundle, read_network
from tssd.chain.pipeline import ExportOptions
from tssd.cli import cli
from tssd.errors import ConfigError, DataError, FileFormatError, NetworkError, TargetError
from tssd.export.bundle.folder import check_golden, read_bundle
from tssd.export.nir.graphs.read import read_graph
from tssd.export.nir.graphs.write import write_graph

RNG = np.random.default_rng(4)


@pytest.fixture
def net(tmp_path: Path) -> Path:
    return write_net(tmp_path / "trained.net", small_image_network(RNG))


def test_the_command_writes_a_bundle(net: Path, tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    arguments = ["import", str(net), "--out", str(out), "--time-steps", "4", "--json"]
    done = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert json.loads(done.output)["populations"][-1]["kind"] == "readout"
    bundle = read_bundle(out)
    assert bundle.placement is not None
    assert bundle.file("run_on_loihi.py").exists()
    rows = check_golden(bundle, reference)
    assert {row.status for row in rows} == {"pass"}
    assert bundle.golden is not None
    assert bundle.golden.counts["conv1"].any()


def test_samples_of_the_user_become_golden_inputs(net: Path, tmp_path: Path) -> None:
    samples = RNG.integers(0, 256, (3, 1, 6, 6))
    np.save(tmp_path / "x.npy", samples)
    options = ImportOptions(4, InputCoding.GRADED, samples=tmp_path / "x.npy")
    bundle = import_bundle(net, tmp_path / "bundle", options)
    assert bundle.golden is not None
    np.testing.assert_array_equal(bundle.golden.inputs[2], samples)


def test_frames_of_the_user_become_golden_inputs(net: Path, tmp_path: Path) -> None:
    """(N, T, *input shape): a frame for every step, and as many as there are steps."""
    frames = RNG.integers(0, 256, (3, 4, 1, 6, 6))
    np.save(tmp_path / "x.npy", frames)
    options = ImportOptions(4, InputCoding.GRADED, samples=tmp_path / "x.npy")
    bundle = import_bundle(net, tmp_path / "bundle", options)
    assert bundle.golden is not None
    np.testing.assert_array_equal(bundle.golden.inputs, frames.swapaxes(0, 1))
    assert {row.status for row in check_golden(bundle, reference)} == {"pass"}
    with pytest.raises(DataError, match=r"4 frames of a sample; allowed: 5.*\n.*--time-steps 4"):
        import_bundle(net, tmp_path / "other", replace(options, time_steps=5))


def test_spikes_before_the_first_step_make_no_bundle(tmp_path: Path) -> None:
    """A bias that fires early into a delayed layer, with a recurrent one behind."""
    loud = dense(random_weights(RNG, 4, 5), bias=np.full(4, 100))
    late = dense(random_weights(RNG, 3, 4), delay=np.full((3, 4), 2))
    again = dense(random_weights(RNG, 3, 3), weight_rec=random_weights(RNG, 3, 3))
    layers = [loud, late, again | {"type": "dense_rec"}]
    path = write_net(tmp_path / "early.net", layers)
    with pytest.raises(NetworkError, match="population fc1: .* the delayed way to fc2"):
        import_bundle(path, tmp_path / "b", ImportOptions(4))
    assert not (tmp_path / "b").exists()


IDLE = [
    ("trained.net", "--calibration", "x.npz"),
    ("trained.net", "--profile", "snntorch"),
    ("trained.net", "--dt", "1"),
    ("trained.net", "--weight-bits", "4"),
    ("trained.net", "--onnx", "float"),
    ("ours.nir", "--time-steps", "9"),
    ("ours.nir", "--input", "graded"),
    ("graph.nir", "--inputs", "x.npy"),
]


@pytest.mark.parametrize(("name", "option", "value"), IDLE)
def test_an_option_without_anything_to_act_on_is_refused(
    net: Path, tmp_path: Path, name: str, option: str, value: str
) -> None:
    bundle = import_bundle(net, tmp_path / "bundle", ImportOptions(4))
    (tmp_path / "ours.nir").write_bytes(bundle.file("network.nir").read_bytes())
    write_graph(read_graph(tmp_path / "ours.nir"), tmp_path / "graph.nir")
    arguments = ["import", str(tmp_path / name), "--out", str(tmp_path / "b"), option, value]
    with pytest.raises(ConfigError, match=f"{option}: found an option with nothing to act on"):
        CliRunner().invoke(cli, arguments, catch_exceptions=False, standalone_mode=False)
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("device", ["cuda", "cuda:1", "tpu", "cpu:"])
def test_a_device_that_is_not_here_is_refused_before_anything_runs(device: str) -> None:
    if device.startswith("cuda") and torch.cuda.is_available():
        pytest.skip("a CUDA device is here")
    with pytest.raises(TargetError, match="no CUDA device|an unknown device"):
        ExportOptions(device=device)


def test_a_recurrent_network_is_recorded_in_chip_order(tmp_path: Path) -> None:
    layer = dense(random_weights(RNG, 3, 5), weight_rec=random_weights(RNG, 3, 3))
    path = write_net(tmp_path / "r.net", [layer | {"type": "dense_rec"}])
    bundle = import_bundle(path, tmp_path / "bundle", ImportOptions(6))
    assert bundle.network.is_recurrent(bundle.network.projections[1])


def test_an_integer_network_of_ours_comes_back(net: Path, tmp_path: Path) -> None:
    bundle = import_bundle(net, tmp_path / "bundle", ImportOptions(4))
    again = read_network(bundle.file("network.nir"), ImportOptions()).network
    assert [p.name for p in again.populations] == ["input", "conv1", "fc1"]


def test_the_asked_mode_of_the_nir_is_written(net: Path, tmp_path: Path) -> None:
    for mode in ("compatible", "exact"):
        options = ImportOptions(4, export=ExportOptions(nir_mode=mode))
        bundle = import_bundle(net, tmp_path / mode, options)
        assert read_graph(bundle.file("network.nir")).metadata["mode"] == mode


def test_bad_files_are_told_apart(net: Path, tmp_path: Path) -> None:
    (tmp_path / "x.npy").write_text("no array")
    options = ImportOptions(4, samples=tmp_path / "x.npy")
    with pytest.raises(DataError, match=r"allowed: an \.npy file"):
        import_bundle(net, tmp_path / "b", options)
    np.save(tmp_path / "x.npy", np.zeros((2, 5, 5), np.int64))
    with pytest.raises(DataError, match=r"allowed: \(N, 1, 6, 6\)"):
        import_bundle(net, tmp_path / "b", options)
    with pytest.raises(FileFormatError, match=r"found a \.npy file"):
        read_network(tmp_path / "x.npy", ImportOptions())
    assert not (tmp_path / "b").exists()


def test_a_coding_that_the_file_contradicts_is_refused(net: Path, tmp_path: Path) -> None:
    ours = import_bundle(net, tmp_path / "bundle", ImportOptions(4)).file("network.nir")
    with pytest.raises(
        ConfigError, match=r"--input graded: found network\.nir, whose input is spikes"
    ):
        read_network(ours, ImportOptions(coding=InputCoding.GRADED))
    assert read_network(ours, ImportOptions(coding=InputCoding.SPIKES))
