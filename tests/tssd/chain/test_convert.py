"""``tssd convert``: integers and snnTorch modules as one exchange file."""

from pathlib import Path

import numpy as np
import pytest
import snntorch as snn
import torch
from command_line import ran
from recorded_graphs import graph_of
from strategies import random_conv_network
from torch import nn

from tssd.calibration.int_network import Reset
from tssd.errors import ConfigError, FileFormatError
from tssd.export.bundle.folder import write_bundle
from tssd.export.nir.graphs.read import read_graph
from tssd.export.nir.graphs.run import run
from tssd.export.nir.graphs.write import write_graph
from tssd.export.nir.integers.graph import NirMode
from tssd.inspecting.difference import diff


def test_a_bundle_leaves_in_either_mode_with_the_same_integers(tmp_path: Path) -> None:
    write_bundle(tmp_path / "b", random_conv_network(2, Reset.SOFT))
    for mode, thresholds in (("compatible", 0), ("exact", 1)):
        out = tmp_path / f"{mode}.nir"
        done = ran("convert", tmp_path / "b", "--nir", mode, "--dt", 1, "--out", out)
        assert done.exit_code == 0
        graph = read_graph(out)
        assert graph.metadata["dt"] == 1
        assert (len(graph.of_type("Threshold")) > 0) == thresholds
        assert diff(tmp_path / "b", out) == []
    again = tmp_path / "again.nir"
    assert ran("convert", tmp_path / "exact.nir", "--out", again, "--json").exit_code == 0
    assert not read_graph(again).of_type("Threshold")


def test_a_hard_reset_network_leaves_as_netx(tmp_path: Path) -> None:
    write_bundle(tmp_path / "b", random_conv_network(1, Reset.HARD))
    assert ran("convert", tmp_path / "b", "--out", tmp_path / "n.net").exit_code == 0
    assert (tmp_path / "n.net").exists()


def test_a_module_leaves_as_float_nir(tmp_path: Path) -> None:
    out = tmp_path / "m.nir"
    told = ("--model", "user_models:hard", "--input-shape", "1,6,6")
    assert ran("convert", *told, "--out", out).exit_code == 0
    assert read_graph(out).metadata["mode"] == "compatible"


@pytest.mark.parametrize("beta", [0.5, 1.0])
def test_compatible_nodes_of_a_late_subtraction_say_so(beta: float, tmp_path: Path) -> None:
    """Other tools see a LIF (IF); our reader honours what its metadata says about the reset."""
    torch.manual_seed(0)
    neuron = snn.Leaky(beta=beta, init_hidden=True)
    neuron.spike_grad = lambda u: (u > 0).to(u.dtype)  # the shipped surrogate answers in float32
    module = nn.Sequential(nn.Linear(6, 8), neuron).eval()
    write_graph(graph_of(module, (6,), mode=NirMode.COMPATIBLE), tmp_path / "m.nir")
    graph = read_graph(tmp_path / "m.nir")
    assert graph.nodes["lif_1"].type == ("IF" if beta == 1 else "LIF")
    frames = np.random.default_rng(0).random((30, 2, 6)) * 4
    double = module.double()
    with torch.no_grad():
        expected = np.stack([double(torch.tensor(x)).numpy() for x in frames])
    np.testing.assert_array_equal(run(graph, frames).output, expected)
    assert expected.mean() > 0.05


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    write_bundle(tmp_path / "b", random_conv_network(2, Reset.SOFT))
    with pytest.raises(ConfigError, match=r"n\.png.*\.nir"):
        ran("convert", tmp_path / "b", "--out", tmp_path / "n.png")
    told = ("--model", "user_models:hard", "--input-shape", "1,6,6")
    with pytest.raises(ConfigError, match=r"allowed: a \.nir file"):
        ran("convert", *told, "--out", tmp_path / "n.net")
    (tmp_path / "old.nir").write_bytes(b"")
    with pytest.raises(FileFormatError, match="an existing file"):
        ran("convert", tmp_path / "b", "--out", tmp_path / "old.nir")
    assert ran("convert", "--out", tmp_path / "n.nir").exit_code == 2
