"""Synaptic currents and leaky readouts: graph -> float network -> integers, spike for spike."""

import numpy as np
import snntorch as snn
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from recorded_graphs import graph_of
from torch import nn

from tssd.calibration.encode import encode
from tssd.calibration.int_network import IntNetwork
from tssd.calibration.precision import Precision
from tssd.calibration.quantizing.fold import align, fold
from tssd.calibration.quantizing.observe import observe
from tssd.calibration.quantizing.quantize import quantize
from tssd.calibration.simulate import layerwise
from tssd.export.nir.graphs.graph import Graph, Node
from tssd.export.nir.graphs.profiles import Answers
from tssd.export.nir.graphs.run import run
from tssd.export.nir.graphs.to_float import to_float
from tssd.hw_targets.gpu import engine as gpu
from tssd.hw_targets.onnx import engine as onnx
from tssd.hw_targets.sim import functional
from tssd.hw_targets.sim.program import prepare
from tssd.train.handover import float_run
from tssd.train.handover.float_activity import ImageArray
from tssd.train.handover.float_network import FloatNetwork
from tssd.train.handover.float_serial import from_arrays, to_arrays

STEPS = 12


def nodes(rng: np.random.Generator, *, v_reset: float = 0.0) -> dict[str, Node]:
    """input -> w1 -> CubaLIF -> w2 -> CubaLI -> output, all parameters per neuron but the last."""
    n = 6
    cuba = {
        "tau_syn": rng.uniform(1.0, 5.0, n),
        "tau_mem": rng.uniform(1.0, 9.0, n),
        "r": rng.uniform(0.5, 2.0, n),
        "w_in": rng.uniform(0.5, 2.0, n),
        "v_leak": rng.uniform(-0.1, 0.1, n),
        "v_threshold": rng.uniform(0.1, 0.3, n),
        "v_reset": np.full(n, v_reset),
    }
    last = {"tau_syn": 2.0, "tau_mem": 4.0, "r": 1.0, "w_in": 1.0, "v_leak": 0.0}
    return {
        "input": Node("Input", {"shape": (5,)}),
        "w1": Node("Linear", {"weight": rng.normal(0, 1.0, (n, 5))}),
        "cuba": Node("CubaLIF", cuba),
        "w2": Node("Linear", {"weight": rng.normal(0, 1.0, (3, n))}),
        "li": Node("CubaLI", {k: np.full(3, v) for k, v in last.items()}),
        "output": Node("Output", {"shape": (3,)}),
    }


def chain(inner: dict[str, Node]) -> Graph:
    names = list(inner)
    return Graph(inner, tuple(zip(names[:-1], names[1:], strict=True)))


def images(rng: np.random.Generator, count: int = 24) -> ImageArray:
    return rng.integers(0, 256, (count, 5)).astype(np.uint8)


def integers_of(network: FloatNetwork, pictures: ImageArray) -> tuple[FloatNetwork, IntNetwork]:
    folded = align(fold(network))
    return folded, quantize(folded, Precision(), observe(folded, pictures))


@given(st.integers(0, 2**32 - 1), st.sampled_from(["zero", "subtract"]))
@settings(max_examples=15, deadline=None)
def test_the_float_network_is_the_graph(seed: int, reset: str) -> None:
    rng = np.random.default_rng(seed)
    graph, told = (
        chain(nodes(rng, v_reset=0.05)),
        Answers(dt_seconds=1.0, rule="exact", reset=reset),
    )
    pictures = images(rng, 4)
    ours = float_run.run(to_float(graph, STEPS, told), pictures, dtype="float64", keep_spikes=True)
    frames = np.broadcast_to(pictures / 255, (STEPS, *pictures.shape))
    theirs = run(graph, frames, told, record=["cuba", "li"])
    np.testing.assert_array_equal(ours.spikes["cuba"], theirs.nodes["cuba"])
    gain = (1 - np.exp(-1 / 2)) * (1 - np.exp(-1 / 4))
    np.testing.assert_allclose(gain * ours.membranes["readout"], theirs.output, atol=1e-9)


@given(st.integers(0, 2**32 - 1), st.sampled_from(["zero", "subtract"]))
@settings(max_examples=10, deadline=None)
def test_the_integers_remember_like_the_float_network(seed: int, reset: str) -> None:
    """du and dv are the decays to 1/4096, and nearly all spikes stay."""
    rng = np.random.default_rng(seed)
    graph, told = chain(nodes(rng)), Answers(dt_seconds=1.0, rule="euler", reset=reset)
    network, pictures = to_float(graph, STEPS, told), images(rng)
    folded, integers = integers_of(network, pictures)
    cuba, last = integers.population("cuba"), integers.readout
    tau = graph.nodes["cuba"].params["tau_syn"]
    np.testing.assert_allclose(cuba.du / 4096, 1 / tau, atol=1 / 4096)
    assert np.all(last.du == 2048)
    assert np.all(last.dv == 1024)
    wanted = float_run.run(folded, pictures, keep_spikes=True).spikes["cuba"]
    found = layerwise(integers, encode(integers, pictures)).spikes["cuba"]
    assert np.mean(wanted != found) <= 0.05
    assert wanted.any()


def test_every_engine_takes_memory_and_a_leaky_readout() -> None:
    rng = np.random.default_rng(3)
    pictures = images(rng, 6)
    told = Answers(dt_seconds=1.0, rule="euler", reset="zero")
    _, integers = integers_of(to_float(chain(nodes(rng)), STEPS, told), pictures)
    inputs = encode(integers, pictures)
    expected = layerwise(integers, inputs)
    program = prepare(integers)
    simulated = functional.activity(integers, functional.simulate(program, inputs, record=True))
    for found in (gpu.run(integers, inputs), onnx.run(integers, inputs), simulated):
        np.testing.assert_array_equal(found.spikes["cuba"], expected.spikes["cuba"])
        np.testing.assert_array_equal(found.readout, expected.readout)
    assert expected.spikes["cuba"].any()


def test_memory_survives_the_float_file() -> None:
    told = Answers(dt_seconds=1.0, rule="euler", reset="zero")
    network = to_float(chain(nodes(np.random.default_rng(0))), STEPS, told)
    again = from_arrays(*to_arrays(network))
    for before, after in zip(network.populations, again.populations, strict=True):
        assert (before.synapse_decay is None) == (after.synapse_decay is None)
        if before.synapse_decay is not None and after.synapse_decay is not None:
            np.testing.assert_array_equal(before.synapse_decay, after.synapse_decay)


@given(st.integers(0, 2**32 - 1), st.sampled_from(["zero", "subtract"]))
@settings(max_examples=10, deadline=None)
def test_a_bias_through_a_synapse_comes_from_a_neuron_that_always_fires(
    seed: int, reset: str
) -> None:
    """Its current rises as the bias's would, in float exactly; integers and engines follow."""
    rng = np.random.default_rng(seed)
    inner, pictures = nodes(rng), images(rng, 6)
    for name, size in (("w1", 6), ("w2", 3)):
        inner[name] = Node("Affine", {**inner[name].params, "bias": rng.normal(0, 0.3, size)})
    told = Answers(dt_seconds=1.0, rule="euler", reset=reset)
    network = to_float(chain(inner), STEPS, told)
    folded, integers = integers_of(network, pictures)
    before, after = (
        float_run.run(x, pictures, dtype="float64", keep_spikes=True) for x in (network, folded)
    )
    assert after.spikes["constant"].all()
    assert np.mean(before.spikes["cuba"] != after.spikes["cuba"]) < 1e-3  # the order of a sum
    inputs = encode(integers, pictures)
    expected = layerwise(integers, inputs)
    assert expected.spikes["constant"].all()
    assert np.mean(expected.spikes["cuba"] != after.spikes["cuba"]) < 0.05
    simulated = functional.activity(integers, functional.simulate(prepare(integers), inputs))
    for found in (gpu.run(integers, inputs), simulated):
        np.testing.assert_array_equal(found.spikes["cuba"], expected.spikes["cuba"])
        np.testing.assert_array_equal(found.readout, expected.readout)


def test_a_bias_through_a_synapse_of_an_image() -> None:
    """snnTorch's Synaptic behind a convolution with bias: one neuron, weights per pixel."""
    torch.manual_seed(2)
    neuron = snn.Synaptic(
        alpha=0.75, beta=0.5, init_hidden=True, reset_mechanism="zero", reset_delay=False
    )
    layer = nn.Conv2d(1, 2, 3)
    layer.weight.data *= 4
    module = nn.Sequential(layer, neuron, nn.Flatten(), nn.Linear(32, 3)).eval()
    network = to_float(graph_of(module, (1, 6, 6)), STEPS)
    pictures = np.random.default_rng(0).integers(0, 256, (4, 1, 6, 6)).astype(np.uint8)
    folded, integers = integers_of(network, pictures)
    ours = float_run.run(folded, pictures, keep_spikes=True)
    with torch.no_grad():
        frame = torch.tensor(pictures) / 255
        logits = torch.stack([module(frame) for _ in range(STEPS)]).mean(0).numpy()
    np.testing.assert_allclose(ours.logits, logits, atol=1e-5)
    weight = next(j.weight for j in integers.projections if j.name == "constant -> lif_1")
    assert weight.shape == (2, 1, 4, 4)
    assert len(np.unique(weight)) == 2
    inputs = encode(integers, pictures)
    expected = layerwise(integers, inputs)
    simulated = functional.activity(integers, functional.simulate(prepare(integers), inputs))
    np.testing.assert_array_equal(gpu.run(integers, inputs).readout, expected.readout)
    np.testing.assert_array_equal(simulated.readout, expected.readout)


def test_snntorchs_synaptic_neuron_becomes_one_population() -> None:
    torch.manual_seed(1)
    neuron = snn.Synaptic(
        alpha=0.75, beta=0.5, init_hidden=True, reset_mechanism="zero", reset_delay=False
    )
    module = nn.Sequential(nn.Linear(5, 6, bias=False), neuron, nn.Linear(6, 3)).eval()
    network = to_float(graph_of(module, (5,)), STEPS)
    assert [p.name for p in network.populations] == ["input", "lif_1", "readout"]
    memory = network.populations[1].synapse_decay
    assert memory is not None
    np.testing.assert_allclose(memory, 0.75)
