"""Delay nodes: graph, float network, integers and engines, each as many steps late."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tssd.calibration.encode import encode
from tssd.calibration.precision import Precision
from tssd.calibration.quantizing.fold import align, fold
from tssd.calibration.quantizing.observe import observe
from tssd.calibration.quantizing.quantize import quantize
from tssd.calibration.simulate import layerwise
from tssd.errors import NetworkError
from tssd.export.nir.graphs.graph import Edge, Graph, Node
from tssd.export.nir.graphs.profiles import Answers
from tssd.export.nir.graphs.run import run
from tssd.export.nir.graphs.to_float import to_float
from tssd.hw_targets.gpu import engine as gpu
from tssd.hw_targets.onnx import engine as onnx
from tssd.hw_targets.sim.functional import activity, simulate
from tssd.hw_targets.sim.program import prepare
from tssd.train.handover import float_run

N, STEPS = 5, 9
TOLD = Answers(dt_seconds=1.0, rule="euler", reset="zero")


def graph_of(place: str, steps: int, rng: np.random.Generator) -> Graph:
    """input -> a -> b -> c -> output, each behind weights, and a -> c; a Delay at *place*."""
    params = {"tau": 3.0, "r": 3.0, "v_leak": 0.0, "v_threshold": 0.6, "v_reset": 0.0}
    nodes = {"input": Node("Input", {"shape": (N,)}), "output": Node("Output", {"shape": (N,)})}
    edges: list[Edge] = [("c", "output")]
    for name in "abc":
        nodes[name] = Node("LIF", {k: np.full(N, v) for k, v in params.items()})
    for source, target in (("input", "a"), ("a", "b"), ("b", "c"), ("a", "c")):
        way = f"{source}_{target}"
        nodes[way] = Node("Linear", {"weight": rng.normal(0.3, 1, (N, N))})
        edges += [(way, target)]
        if way == place:
            nodes["wait"] = Node("Delay", {"delay": np.full(N, float(steps))})
            edges += [(source, "wait"), ("wait", way)]
        else:
            edges += [(source, way)]
    return Graph(nodes, tuple(edges))


@pytest.mark.parametrize("place", ["input_a", "a_b", "b_c", "a_c"])
@given(seed=st.integers(0, 2**32 - 1), steps=st.integers(1, 4))
@settings(max_examples=5, deadline=None)
def test_the_float_network_and_the_folded_one_are_the_graph(
    place: str, seed: int, steps: int
) -> None:
    """Also where the delayed way skips a population, and so is late by one on the chip already."""
    rng = np.random.default_rng(seed)
    graph = graph_of(place, steps, rng)
    images = rng.integers(0, 256, (3, N)).astype(np.uint8)
    frames = np.repeat(images[None] / 255, STEPS, axis=0)
    wanted = run(graph, frames, TOLD, record=["c"]).nodes["c"]
    network = to_float(graph, STEPS, TOLD)
    for form in (network, align(fold(network))):
        found = float_run.run(form, images, dtype="float64", keep_spikes=True).spikes["c"]
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize(("place", "delay"), [("a_b", 2), ("a_c", 3)])
def test_every_engine_delays_alike(place: str, delay: int) -> None:
    rng = np.random.default_rng(5)
    images = rng.integers(0, 256, (6, N)).astype(np.uint8)
    folded = align(fold(to_float(graph_of(place, 2, rng), STEPS, TOLD)))
    integers = quantize(folded, Precision(), observe(folded, images))
    source, target = place.split("_")
    assert next(j.delay for j in integers.projections if j.name == f"{source} -> {target}") == delay
    inputs = encode(integers, images)
    expected = layerwise(integers, inputs)
    simulated = activity(integers, simulate(prepare(integers), inputs))
    for found in (gpu.run(integers, inputs), onnx.run(integers, inputs), simulated):
        np.testing.assert_array_equal(found.spikes["c"], expected.spikes["c"])
    assert 0 < expected.spikes["c"].mean() < 1


def test_a_bias_behind_a_delay_acts_at_once() -> None:
    rng = np.random.default_rng(0)
    graph = graph_of("a_b", 2, rng)
    params = {**graph.nodes["a_b"].params, "bias": rng.normal(0, 0.3, N)}
    biased = Graph({**graph.nodes, "a_b": Node("Affine", params)}, graph.edges)
    network = to_float(biased, STEPS, TOLD)
    np.testing.assert_allclose(network.population("b").bias, params["bias"])
    images = rng.integers(0, 256, (3, N)).astype(np.uint8)
    frames = np.repeat(images[None] / 255, STEPS, axis=0)
    wanted = run(biased, frames, TOLD, record=["b"]).nodes["b"]
    found = float_run.run(network, images, dtype="float64", keep_spikes=True).spikes["b"]
    np.testing.assert_array_equal(found, wanted)


def test_a_bias_in_front_of_a_delay_and_a_delay_that_is_too_long_are_refused() -> None:
    rng = np.random.default_rng(0)
    graph = graph_of("a_b", 2, rng)
    params = {"weight": np.eye(N), "bias": np.ones(N)}
    kept = [e for e in graph.edges if "wait" not in e and "a_b" not in e]
    turned = (*kept, ("a", "a_b"), ("a_b", "wait"), ("wait", "b"))
    biased = Graph({**graph.nodes, "a_b": Node("Affine", params)}, turned)
    with pytest.raises(NetworkError, match="node wait: found a bias in front of a Delay"):
        to_float(biased, STEPS, TOLD)
    long = to_float(graph_of("a_b", 7, rng), STEPS, TOLD)
    with pytest.raises(NetworkError, match="a -> b: found a delay of 7 steps; allowed: <= 6"):
        align(fold(long), 6)


def test_a_bias_that_fires_into_a_delayed_way_too_early_is_refused() -> None:
    """On a chip it fires before the data comes, and the delay brings that into the window."""
    rng = np.random.default_rng(0)
    graph = graph_of("b_c", 2, rng)
    params = dict(graph.nodes["b"].params) | {"v_leak": np.full(N, 9.0)}
    loud = Graph({**graph.nodes, "b": Node("LIF", params)}, graph.edges)
    images = rng.integers(0, 256, (4, N)).astype(np.uint8)
    folded = align(fold(to_float(loud, STEPS, TOLD)))
    with pytest.raises(NetworkError, match="b: found a bias .* into the delayed way to c"):
        quantize(folded, Precision(), observe(folded, images))
