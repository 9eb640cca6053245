"""The matrix: snnTorch -> graph -> file -> reader -> run, 100 steps, or refused by construct."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import snntorch as snn
import torch
from snntorch_nets import NETS, Explicit, Net
from torch import Tensor, nn

from tssd.arrays import FloatArray
from tssd.calibration.precision import Precision
from tssd.calibration.quantizing.fold import align, fold
from tssd.calibration.quantizing.observe import observe
from tssd.calibration.quantizing.quantize import quantize
from tssd.errors import NetworkError
from tssd.export.nir.graphs.from_snntorch import from_snntorch
from tssd.export.nir.graphs.read import read_graph
from tssd.export.nir.graphs.run import run
from tssd.export.nir.graphs.to_float import to_float
from tssd.export.nir.graphs.write import write_graph
from tssd.train.handover import float_run

STEPS, BATCH = 100, 2


def prepared(net: Net) -> nn.Module:
    """In inference mode, with weights strong enough to fire and trained-looking statistics."""
    torch.manual_seed(0)
    module = net.build().eval()
    for name, parameter in module.named_parameters():
        if name.endswith("weight"):
            parameter.data *= 3
    layers: list[Any] = list(module.modules())
    for layer in layers:
        if isinstance(layer, snn.SpikingNeuron):  # the shipped surrogates answer in float32
            layer.spike_grad = lambda u: (u > 0).to(u.dtype)
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            layer.running_mean = torch.randn_like(layer.weight) * 0.1
            layer.running_var = torch.rand_like(layer.weight) + 0.5
    return module


def simulated(module: nn.Module, inputs: Tensor, batch: int = BATCH) -> FloatArray:
    """snnTorch itself, in float64."""
    module = module.double()
    states = [torch.zeros(batch, 12, dtype=torch.float64)] * 2
    out = []
    with torch.no_grad():
        for x in inputs:
            y = module(x, *states) if isinstance(module, Explicit) else module(x)
            if isinstance(module, Explicit):
                y, *states = y
            out.append(y)
    spikes: FloatArray = torch.stack(out).numpy()
    return spikes


def hard() -> nn.Module:
    neuron: nn.Module
    neuron = snn.Leaky(beta=0.5, threshold=0.3, init_hidden=True, reset_mechanism="zero")
    return neuron


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


DEPLOYED = 48  # of the 74; the others are refused in the module's words


def test_the_matrix_has_74_networks() -> None:
    assert len({net.name for net in NETS}) == 74
    refused = [net for net in NETS if net.refusal is not None or "subtract-False" in net.name]
    assert len(refused) == 74 - DEPLOYED


@pytest.mark.filterwarnings("ignore:Inhibition is an unstable feature")
@pytest.mark.parametrize("net", [n for n in NETS if n.refusal is None], ids=lambda n: n.name)
def test_the_matrix_ends_at_the_integers(net: Net) -> None:
    """Deployed, with the float network's spikes those of snnTorch, or refused by module."""
    module = prepared(net)
    graph = from_snntorch(module, net.shape)
    if "subtract-False" in net.name:
        with pytest.raises(NetworkError, match=r"snnTorch module: \w+: .*reset_delay=False"):
            to_float(graph, TIME)
        return
    network = fold(to_float(graph, TIME))
    shape = network.populations[0].shape
    images = np.random.default_rng(0).integers(0, 256, (4, *shape)).astype(np.uint8)
    ours = float_run.run(network, images, dtype="float64", keep_spikes=True)
    frames = np.broadcast_to(images.reshape(4, *net.shape) / 255, (TIME, 4, *net.shape))
    expected = simulated(module, torch.tensor(frames.copy()), 4)
    if net.name.startswith("readout"):
        np.testing.assert_allclose(ours.logits * TIME, expected[-1], atol=1e-9)
    else:
        last = ours.spikes[network.populations[-2].name]
        factor = 1.0 if net.name != "graded" else last.max() / max(expected.max(), 1e-9)
        np.testing.assert_array_equal(last, expected * factor)
    integers = quantize(align(network), Precision(), observe(align(network), images))
    assert [p.name for p in integers.populations] == [p.name for p in align(network).populations]


TIME = 12


def test_training_mode_is_refused() -> None:
    with pytest.raises(NetworkError, match="found training mode"):
        from_snntorch(NETS[0].build().train(), (10,))


def test_hard_reset_network_becomes_a_float_network() -> None:
    net = next(n for n in NETS if n.name == "scalars-zero-True")
    network = to_float(from_snntorch(prepared(net), net.shape), 10)
    assert [p.name for p in network.populations] == ["input", "lif_1", "lif_3", "readout"]
    late = next(n for n in NETS if n.name == "scalars-subtract-True")
    subtracting = to_float(from_snntorch(prepared(late), late.shape), 10)
    assert not any(j.is_loop for j in subtracting.projections)
    for p in subtracting.populations[1:-1]:
        assert p.reset_by is not None
        np.testing.assert_allclose(p.reset_by, p.threshold / p.decay, rtol=1e-12)


def test_normalisation_is_folded_and_the_network_deploys() -> None:
    layers: tuple[nn.Module, ...] = (
        *(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), hard(), nn.Flatten()),
        *(nn.Linear(3 * 4 * 5, 6, bias=False), nn.BatchNorm1d(6), hard(), nn.Linear(6, 4)),
    )
    module = prepared(Net("norms", lambda: nn.Sequential(*layers), (2, 6, 7)))
    spikes: dict[str, list[Tensor]] = {"2": [], "6": []}
    for name, sent in spikes.items():
        layer = module.get_submodule(name)
        layer.register_forward_hook(lambda _, __, y, sent=sent: sent.append(y))
    graph = from_snntorch(module, (2, 6, 7))
    assert {graph.nodes[name].type for name in graph.nodes} == {
        *("Input", "Conv2d", "LIF", "Flatten", "Affine", "Output")
    }
    network = to_float(graph, 8)
    assert [p.name for p in network.populations] == ["input", "lif_2", "lif_6", "readout"]
    images = np.random.default_rng(0).integers(0, 256, (5, 2, 6, 7)).astype(np.uint8)
    ours = float_run.run(network, images, dtype="float64", keep_spikes=True)
    with torch.no_grad():
        for _ in range(8):
            module.double()(torch.tensor(images).double() / 255)
    for name, sent in spikes.items():
        expected = torch.stack(sent).numpy()
        assert 0.02 < expected.mean() < 0.98
        np.testing.assert_array_equal(ours.spikes[f"lif_{name}"], expected)


@pytest.mark.parametrize("kernel", [(2, 2), (2, 3), (1, 4), (3, 2)])
def test_even_and_non_square_kernels_arrive_and_deploy(
    kernel: tuple[int, int], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(2, 3, kernel, stride=(1, 2), padding=(1, 0))
    module = nn.Sequential(conv, hard(), nn.Flatten(), nn.LazyLinear(4)).eval()
    module(torch.zeros(1, 2, 6, 7))
    graph = from_snntorch(module, (2, 6, 7))
    write_graph(graph, tmp_path / "n.nir")
    images = np.random.default_rng(0).integers(0, 256, (3, 2, 6, 7)).astype(np.uint8)
    frames = np.repeat(images[None] / 255, 8, axis=0)
    again = read_graph(tmp_path / "n.nir")
    expected = run(graph, frames, record=["1"])
    assert expected.nodes["1"].any()
    np.testing.assert_array_equal(run(again, frames).output, expected.output)
    ours = float_run.run(fold(to_float(again, 8)), images, dtype="float64", keep_spikes=True)
    np.testing.assert_array_equal(ours.spikes["lif_1"], expected.nodes["1"])


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
def test_same_padding_of_an_even_kernel_is_refused_for_deployment() -> None:
    layers = (nn.Conv2d(2, 3, 2, padding="same"), snn.Leaky(beta=0.5, init_hidden=True))
    graph = from_snntorch(nn.Sequential(*layers).eval(), (2, 6, 6))
    with pytest.raises(NetworkError, match="padding 'same' of an even kernel"):
        to_float(graph, 4)
