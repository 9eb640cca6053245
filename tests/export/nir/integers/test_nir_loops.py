"""Recurrence within a population: graph, float network and integers, step for step."""

from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
import snntorch as snn
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from recorded_graphs import graph_of
from strategies import random_conv_network, random_inputs
from torch import nn

from tssd.calibration.encode import encode
from tssd.calibration.int_network import IntNetwork, Projection, ProjectionKind, Reset
from tssd.calibration.precision import Precision
from tssd.calibration.quantizing.fold import align, fold
from tssd.calibration.quantizing.observe import observe
from tssd.calibration.quantizing.quantize import quantize
from tssd.calibration.simulate import fires_early, layerwise, pipelined, reference
from tssd.chain.torch_module import FloatModule
from tssd.errors import NetworkError
from tssd.export.nir.graphs.graph import Graph, Node
from tssd.export.nir.graphs.profiles import Answers
from tssd.export.nir.graphs.run import run
from tssd.export.nir.graphs.to_float import to_float
from tssd.export.nir.integers.graph import NirMode
from tssd.export.onnx.float_graph import scan_bytes
from tssd.hw_targets.onnx import engine as onnx
from tssd.train.handover import float_run
from tssd.train.handover.float_activity import ImageArray
from tssd.train.handover.float_network import FloatNetwork

STEPS = 10
TOLD = Answers(dt_seconds=1.0, rule="euler", reset="zero")


def recurrent(rng: np.random.Generator, steps: int = 0) -> Graph:
    """input -> w -> LIF -> back (a Delay of *steps*, 0: none) -> LIF; LIF -> output."""
    n = 5
    params = {"tau": 3.0, "r": 3.0, "v_leak": 0.0, "v_threshold": 0.7, "v_reset": 0.0}
    nodes = {
        "input": Node("Input", {"shape": (4,)}),
        "w": Node("Affine", {"weight": rng.normal(0, 1, (n, 4)), "bias": rng.normal(0, 0.2, n)}),
        "lif": Node("LIF", {k: np.full(n, v) for k, v in params.items()}),
        "back": Node("Affine", {"weight": rng.normal(0, 1, (n, n)), "bias": rng.normal(0, 0.1, n)}),
        "output": Node("Output", {"shape": (n,)}),
    }
    ring = [("lif", "back"), ("back", "lif")]
    if steps:
        nodes["wait"] = Node("Delay", {"delay": np.full(n, float(steps))})
        ring = [("lif", "wait"), ("wait", "back"), ("back", "lif")]
    edges = (("input", "w"), ("w", "lif"), *ring, ("lif", "output"))
    return Graph(nodes, edges)


def pictures(rng: np.random.Generator, *shape: int) -> ImageArray:
    return rng.integers(0, 256, shape).astype(np.uint8)


def busy_conv() -> nn.Conv2d:
    """1 -> 2 channels, strong enough that the neurons behind it fire."""
    torch.manual_seed(0)
    layer = nn.Conv2d(1, 2, 3)
    layer.weight.data *= 6
    return layer


def quantized(network: FloatNetwork, images: ImageArray) -> IntNetwork:
    folded = align(fold(network))
    return quantize(folded, Precision(), observe(folded, images))


@given(st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 2]))
@settings(max_examples=20, deadline=None)
def test_the_float_network_is_the_graph(seed: int, delay: int) -> None:
    rng = np.random.default_rng(seed)
    graph, images = recurrent(rng, delay), pictures(rng, 4, 4)
    network = to_float(graph, STEPS, TOLD)
    assert [j.delay for j in network.projections if j.is_loop] == [max(delay - 1, 0)]
    ours = float_run.run(network, images, dtype="float64", keep_spikes=True).spikes["lif"]
    frames = np.broadcast_to(images / 255, (STEPS, *images.shape))
    np.testing.assert_array_equal(ours, run(graph, frames, TOLD, record=["lif"]).nodes["lif"])


@given(st.integers(0, 2**32 - 1), st.sampled_from(list(Reset)), st.integers(0, 2))
@settings(max_examples=25, deadline=None)
def test_a_loop_layer_by_layer_is_the_chip_in_its_own_order(
    seed: int, reset: Reset, delay: int
) -> None:
    """One sample at a time, with biases that do not fire before data arrives: a spike under way to
    its own past outlives a window."""
    network = random_conv_network(seed, reset, memory=True)
    quiet = [replace(p, bias_mant=-np.abs(p.bias_mant)) for p in network.populations]
    network = replace(network, populations=tuple(quiet))
    first = network.populations[1]
    back = np.random.default_rng(seed).integers(-127, 128, (first.neurons, first.neurons))
    loop = Projection(first.name, first.name, ProjectionKind.DENSE, back, 1, delay=delay)
    network = replace(network, projections=(*network.projections, loop))
    inputs = random_inputs(network, seed + 1, batch=2)
    assert fires_early(network) == []
    whole = layerwise(network, inputs)
    for b in range(2):
        chip = pipelined(network, inputs[:, b : b + 1])
        for name in whole.spikes:
            np.testing.assert_array_equal(whole.spikes[name][:, b], chip.spikes[name][:, 0])
        np.testing.assert_array_equal(whole.readout[b], chip.readout[0])


def test_a_bias_that_fires_into_its_own_loop_too_early_is_refused() -> None:
    rng = np.random.default_rng(1)
    graph, images = recurrent(rng), pictures(rng, 6, 4)
    params = {"weight": graph.nodes["w"].params["weight"], "bias": np.full(5, 0.8)}
    loud = replace(graph, nodes={**graph.nodes, "w": Node("Affine", params)})
    with pytest.raises(NetworkError, match=r"population lif: found a bias that lets it fire bef"):
        quantized(to_float(loud, STEPS, TOLD), images)


def test_onnx_runs_the_loop_alike() -> None:
    rng = np.random.default_rng(1)
    images = pictures(rng, 6, 4)
    integers = quantized(to_float(recurrent(rng), STEPS, TOLD), images)
    inputs = encode(integers, images)
    expected, found = reference(integers, inputs), onnx.run(integers, inputs)
    np.testing.assert_array_equal(found.spikes["lif"], expected.spikes["lif"])
    np.testing.assert_array_equal(found.readout, expected.readout)
    assert 0 < expected.spikes["lif"].mean() < 1


@pytest.mark.parametrize("mode", list(NirMode))
def test_snntorchs_default_reset_subtracts_more_in_the_step_of_the_spike(mode: NirMode) -> None:
    """v falls by theta one step after the spike, behind the leak: by theta / beta before it."""
    neuron = snn.Leaky(beta=0.8, init_hidden=True)
    module = nn.Sequential(busy_conv(), neuron, nn.Flatten(), nn.Linear(32, 3)).eval()
    graph = graph_of(module, (1, 6, 6), mode=mode)
    images = pictures(np.random.default_rng(0), 8, 1, 6, 6)
    network = to_float(graph, STEPS)
    ours = float_run.run(network, images, keep_spikes=True)
    with torch.no_grad():
        frame = torch.tensor(images) / 255
        logits = torch.stack([module(frame) for _ in range(STEPS)]).mean(0).numpy()
    np.testing.assert_allclose(ours.logits, logits, atol=1e-5)
    assert 0.05 < ours.spikes["lif_1"].mean() < 0.9
    integers = quantized(network, images)
    assert not any(j.is_loop for j in integers.projections)
    lif = integers.population("lif_1")  # the threshold is 1
    np.testing.assert_array_equal(lif.subtracted, np.floor(lif.scale / 0.8 + 0.5))
    fired = layerwise(integers, encode(integers, images)).spikes["lif_1"]
    assert np.mean(fired != ours.spikes["lif_1"]) < 0.03


def test_a_maximum_of_spikes_is_a_neuron_that_forgets() -> None:
    hard = snn.Leaky(beta=0.5, init_hidden=True, reset_mechanism="zero")
    layers = (busy_conv(), hard, nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8, 3))
    module = nn.Sequential(*layers).eval()
    network = to_float(graph_of(module, (1, 6, 6)), STEPS)
    images = pictures(np.random.default_rng(0), 6, 1, 6, 6)
    ours = float_run.run(network, images)
    with torch.no_grad():
        frame = torch.tensor(images) / 255
        logits = torch.stack([module(frame) for _ in range(STEPS)]).mean(0).numpy()
    np.testing.assert_allclose(ours.logits, logits, atol=1e-5)
    assert (quantized(network, images).populations[2].dv == 4096).all()


def test_recurrence_between_populations_is_refused_by_name() -> None:
    inner = recurrent(np.random.default_rng(0))
    second = {"w2": Node("Linear", {"weight": np.eye(5)}), "lif2": inner.nodes["lif"]}
    edges = [e for e in inner.edges if e not in (("lif", "back"), ("lif", "output"))]
    edges += [("lif", "w2"), ("w2", "lif2"), ("lif2", "back"), ("lif2", "output")]
    graph = Graph({**inner.nodes, **second}, tuple(edges))
    with pytest.raises(NetworkError, match=r"way lif2 -> lif: found recurrence between pop"):
        to_float(graph, STEPS, TOLD)


def test_the_torch_module_and_the_float_onnx_graph_run_the_loop_alike() -> None:
    rng = np.random.default_rng(4)
    network, images = to_float(recurrent(rng), STEPS, TOLD), pictures(rng, 5, 4)
    expected = float_run.run(network, images, keep_spikes=True)
    module = FloatModule(network)
    with torch.no_grad():
        spikes = module.spikes(module.inputs(images))["lif"].numpy()
    np.testing.assert_array_equal(spikes, expected.spikes["lif"])
    model = onnxruntime.InferenceSession(scan_bytes(network), providers=["CPUExecutionProvider"])
    frames = np.repeat(images[None].astype(np.float32) / 255, STEPS, axis=0)
    names = [o.name for o in model.get_outputs()]
    found = dict(zip(names, model.run(None, {model.get_inputs()[0].name: frames}), strict=True))
    np.testing.assert_array_equal(found["lif.spikes.series"], expected.spikes["lif"])
