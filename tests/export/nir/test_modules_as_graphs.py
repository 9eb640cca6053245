"""The matrix: snnTorch -> what it does -> graph -> file -> reader -> run, 100 steps."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import snntorch as snn
import torch
from recorded_graphs import graph_of, recorded
from snntorch_nets import NETS, REFUSED, Explicit, Net
from snntorch_nets import prepared as in_inference
from torch import Tensor, nn

from tssd.arrays import FloatArray
from tssd.calibration.quantizing.fold import fold
from tssd.export.nir.graphs.read import read_graph
from tssd.export.nir.graphs.run import run
from tssd.export.nir.graphs.to_float import to_float
from tssd.export.nir.graphs.write import write_graph
from tssd.export.nir.integers.graph import NirMode
from tssd.train.handover import float_run

STEPS, BATCH, TIME = 100, 2, 8


def prepared(net: Net) -> nn.Module:
    """As the matrix prepares it, in float64."""
    module: nn.Module = in_inference(net)
    layers: list[Any] = list(module.modules())
    for layer in layers:
        if isinstance(layer, snn.SpikingNeuron):  # the shipped surrogates answer in float32
            layer.spike_grad = lambda u: (u > 0).to(u.dtype)
    return module.double()


def stepped(module: nn.Module, inputs: Tensor) -> FloatArray:
    """snnTorch itself, in float64, from rest."""
    states = [torch.zeros(inputs.shape[1], 12, dtype=torch.float64)] * 2
    out = []
    with torch.no_grad():
        for x in inputs:
            y = module(x, *states) if isinstance(module, Explicit) else module(x)
            if isinstance(module, Explicit):
                y, *states = y
            out.append(y)
    spikes: FloatArray = torch.stack(out).flatten(2).numpy()
    return spikes


def hard() -> nn.Module:
    neuron: nn.Module
    neuron = snn.Leaky(beta=0.5, threshold=0.3, init_hidden=True, reset_mechanism="zero")
    return neuron


def test_the_matrix_has_74_networks() -> None:
    names = {net.name for net in NETS}
    assert len(names) == 74
    assert len(REFUSED) == 20
    assert REFUSED.keys() < names


@pytest.mark.parametrize("net", [n for n in NETS if n.name not in REFUSED], ids=lambda n: n.name)
def test_round_trip_is_identical(net: Net, tmp_path: Path) -> None:
    module = prepared(net)
    graph = graph_of(module, net.shape)
    write_graph(graph, tmp_path / "n.nir")
    inputs = torch.rand(STEPS, BATCH, *net.shape, dtype=torch.float64)
    entering = inputs.reshape(STEPS, BATCH, *graph.nodes["input"].params["shape"])
    got = run(read_graph(tmp_path / "n.nir"), entering.numpy()).output.reshape(STEPS, BATCH, -1)
    expected = stepped(module, inputs)
    if net.name.startswith("readout"):  # a membrane, added up in another order
        np.testing.assert_allclose(got, expected, atol=1e-9)
    else:
        np.testing.assert_array_equal(got, expected)
    assert np.mean(expected != 0) > 0.002


def test_normalisation_is_multiplied_out() -> None:
    layers: tuple[nn.Module, ...] = (
        *(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), hard(), nn.Flatten()),
        *(nn.Linear(3 * 4 * 5, 6, bias=False), nn.BatchNorm1d(6), hard(), nn.Linear(6, 4)),
    )
    module = prepared(Net("norms", lambda: nn.Sequential(*layers), (2, 6, 7)))
    graph = graph_of(module, (2, 6, 7), mode=NirMode.COMPATIBLE)
    kinds = {node.type for node in graph.nodes.values()}
    assert kinds - {"Scale"} == {"Input", "Conv2d", "LIF", "Flatten", "Affine", "Output"}
    inputs = torch.rand(TIME, BATCH, 2, 6, 7, dtype=torch.float64)
    got = run(graph, inputs.numpy(), record=["lif_2", "lif_6"])
    np.testing.assert_allclose(got.output, stepped(module, inputs), atol=1e-9)
    assert all(0.02 < spikes.mean() < 0.98 for spikes in got.nodes.values())


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("padding", [(1, 0), "same"], ids=str)
@pytest.mark.parametrize("kernel", [(2, 2), (2, 3), (1, 4), (3, 2)], ids=str)
def test_even_and_non_square_kernels_arrive_and_deploy(
    kernel: tuple[int, int], padding: Any, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    stride = 1 if padding == "same" else (1, 2)
    conv = nn.Conv2d(2, 3, kernel, stride=stride, padding=padding)
    neuron: Any = hard()
    module = nn.Sequential(conv, neuron, nn.Flatten(), nn.LazyLinear(4)).eval()
    module(torch.zeros(1, 2, 6, 7))
    network = recorded(module, (2, 6, 7), TIME)
    images = np.random.default_rng(0).integers(0, 256, (3, 2, 6, 7)).astype(np.uint8)
    write_graph(graph_of(module, (2, 6, 7)), tmp_path / "n.nir")
    again = to_float(read_graph(tmp_path / "n.nir"), TIME)
    found = [
        float_run.run(fold(n), images, dtype="float64", keep_spikes=True) for n in (network, again)
    ]
    sent: list[Tensor] = []
    neuron.register_forward_hook(lambda _, __, y: sent.append(y))
    with torch.no_grad():
        neuron.reset_mem()
        for _ in range(TIME):
            module(torch.tensor(images) / 255)
    expected = torch.stack(sent).numpy()
    assert 0.01 < expected.mean() < 0.99
    for activity in found:
        np.testing.assert_array_equal(activity.spikes["lif_1"], expected)
