"""The matrix: snnTorch -> graph -> file -> reader -> run, 100 steps, or refused by construct."""

from pathlib import Path

import numpy as np
import pytest
import snntorch as snn
import torch
from snntorch_nets import NETS, Explicit, Net
from torch import Tensor, nn

from tssd.errors import NetworkError
from tssd.export.nirio.from_snntorch import from_snntorch
from tssd.export.nirio.graph import FloatArray
from tssd.export.nirio.read import read_graph
from tssd.export.nirio.run import run
from tssd.export.nirio.to_float import to_float
from tssd.export.nirio.write import write_graph

STEPS, BATCH = 100, 2


def prepared(net: Net) -> nn.Module:
    """In inference mode, with weights strong enough to fire and trained-looking statistics."""
    torch.manual_seed(0)
    module = net.build().eval()
    for name, parameter in module.named_parameters():
        if name.endswith("weight"):
            parameter.data *= 3
    for layer in module.modules():
        if isinstance(layer, snn.SpikingNeuron):  # the shipped surrogates answer in float32
            layer.spike_grad = lambda u: (u > 0).to(u.dtype)
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            layer.running_mean = torch.randn_like(layer.weight) * 0.1
            layer.running_var = torch.rand_like(layer.weight) + 0.5
    return module


def simulated(module: nn.Module, inputs: Tensor) -> FloatArray:
    """snnTorch itself, in float64."""
    module = module.double()
    states = [torch.zeros(BATCH, 12, dtype=torch.float64)] * 2
    out = []
    with torch.no_grad():
        for x in inputs:
            y = module(x, *states) if isinstance(module, Explicit) else module(x)
            if isinstance(module, Explicit):
                y, *states = y
            out.append(y)
    spikes: FloatArray = torch.stack(out).numpy()
    return spikes


@pytest.mark.filterwarnings("ignore:Inhibition is an unstable feature")
@pytest.mark.parametrize("net", NETS, ids=lambda n: n.name)
def test_round_trip_is_identical_or_refused(net: Net, tmp_path: Path) -> None:
    module = prepared(net)
    if net.refusal is not None:
        with pytest.raises(NetworkError, match=net.refusal):
            from_snntorch(module, net.shape)
        return
    write_graph(from_snntorch(module, net.shape), tmp_path / "n.nir")
    inputs = torch.rand(STEPS, BATCH, *net.shape, dtype=torch.float64)
    expected = simulated(module, inputs)
    got = run(read_graph(tmp_path / "n.nir"), inputs.numpy()).output
    if net.name.startswith("readout"):
        np.testing.assert_allclose(got, expected, atol=1e-9)
    else:
        np.testing.assert_array_equal(got, expected)
    assert np.mean(expected != 0) > 0.005


def test_the_matrix_has_74_networks() -> None:
    assert len({net.name for net in NETS}) == 74


def test_training_mode_is_refused() -> None:
    with pytest.raises(NetworkError, match="found training mode"):
        from_snntorch(NETS[0].build().train(), (10,))


def test_hard_reset_network_becomes_a_float_network() -> None:
    net = next(n for n in NETS if n.name == "scalars-zero-True")
    network = to_float(from_snntorch(prepared(net), net.shape), 10)
    assert [p.name for p in network.populations] == ["input", "lif_1", "lif_3", "readout"]
    late = next(n for n in NETS if n.name == "scalars-subtract-True")
    loops = [
        j for j in to_float(from_snntorch(prepared(late), late.shape), 10).projections if j.is_loop
    ]
    assert [j.source for j in loops] == ["lif_1", "lif_3"]
