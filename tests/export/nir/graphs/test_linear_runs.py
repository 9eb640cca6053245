"""Several linear nodes in a row become one projection that gives the same."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tssd.calibration.quantizing.fold import fold
from tssd.errors import NetworkError
from tssd.export.nir.graphs.graph import Graph, Node
from tssd.export.nir.graphs.profiles import Answers
from tssd.export.nir.graphs.run import run
from tssd.export.nir.graphs.to_float import to_float
from tssd.train.handover import float_run

STEPS = 6
TOLD = Answers(dt_seconds=1.0, rule="euler", reset="zero")
PLAIN: dict[str, Any] = {"stride": (1,), "padding": (1,), "dilation": (1,), "groups": 1}


def chain(shape: tuple[int, ...], *nodes: Node, out: tuple[int, ...] = (5,)) -> Graph:
    """input -> nodes -> LIF -> output."""
    cells = {"tau": 3.0, "r": 3.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0}
    inner = {f"{i}_{node.type}": node for i, node in enumerate(nodes)}
    whole = {
        "input": Node("Input", {"shape": shape}),
        **inner,
        "cells": Node("LIF", {k: np.full((), v) for k, v in cells.items()}),
        "output": Node("Output", {"shape": out}),
    }
    names = list(whole)
    return Graph(whole, tuple(zip(names[:-1], names[1:], strict=True)))


def scale(value: Any) -> Node:
    return Node("Scale", {"scale": np.asarray(value, np.float64)})


def runs(rng: np.random.Generator) -> dict[str, tuple[tuple[int, ...], list[Node]]]:
    """Input shape and the nodes of each kind of run."""
    image, flat = (2, 6, 6), Node("Flatten", {"start_dim": 0, "end_dim": -1})

    def affine(out: int, inputs: int) -> Node:
        return Node(
            "Affine", {"weight": rng.normal(0, 1, (out, inputs)), "bias": rng.normal(0, 0.3, out)}
        )

    def conv(out: int, inputs: int) -> Node:
        weight = rng.normal(0, 0.5, (out, inputs, 3, 3))
        return Node("Conv2d", {"weight": weight, "bias": rng.normal(0, 0.2, out), **PLAIN})

    pool = {"kernel_size": (3,), "stride": (2,), "padding": (1,)}
    padded, plain = Node("SumPool2d", pool), Node("SumPool2d", {**pool, "padding": (0,)})
    halves = Node("SumPool2d", {"kernel_size": (2,), "stride": (2,), "padding": (0,)})
    return {
        "two matrices": ((7,), [affine(6, 7), affine(5, 6)]),
        "matrix, per neuron, matrix": ((7,), [affine(6, 7), scale(rng.random(6)), affine(5, 6)]),
        "numbers around": ((7,), [scale(np.full(7, 0.3)), affine(5, 7), scale(np.full(5, 2.0))]),
        "per neuron in front": ((7,), [scale(rng.random(7)), affine(5, 7)]),
        "padded pool": (image, [padded, flat, affine(5, 18)]),
        "two pools": (image, [halves, halves, flat, affine(5, 2)]),
        "pool, number, matrix": (image, [plain, scale(np.full((), 0.2)), flat, affine(5, 8)]),
        "two convolutions": (image, [conv(3, 2), conv(2, 3), flat, affine(5, 72)]),
        "convolution, pool": (image, [conv(3, 2), plain, flat, affine(5, 12)]),
        "late": ((7,), [Node("Delay", {"delay": np.full(7, 2.0)}), affine(6, 7), affine(5, 6)]),
    }


KINDS = list(runs(np.random.default_rng(0)))


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=3, deadline=None)
def test_a_run_gives_what_its_nodes_give(kind: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape, nodes = runs(rng)[kind]
    graph = chain(shape, *nodes)
    images = rng.integers(0, 256, (4, *shape)).astype(np.uint8)
    network = fold(to_float(graph, STEPS, TOLD))
    assert len(network.incoming("cells")) == 1
    ours = float_run.run(network, images, dtype="float64", keep_spikes=True)
    frames = np.broadcast_to(images / 255, (STEPS, *images.shape))
    expected = run(graph, frames, TOLD, record=["cells"]).nodes["cells"]
    np.testing.assert_array_equal(ours.spikes["cells"], expected)


def test_two_convolutions_into_an_image_are_refused() -> None:
    rng = np.random.default_rng(0)
    graph = chain((2, 6, 6), *runs(rng)["two convolutions"][1][:2], out=(2, 6, 6))
    with pytest.raises(NetworkError, match=r"node 1_Conv2d: found a second linear map.* an image"):
        to_float(graph, STEPS, TOLD)


def test_a_bias_in_front_of_a_delay_is_refused_in_a_run_too() -> None:
    rng = np.random.default_rng(0)
    first, second = runs(rng)["two matrices"][1]
    graph = chain((7,), first, Node("Delay", {"delay": np.full(6, 1.0)}), second)
    with pytest.raises(NetworkError, match="node 1_Delay: found a bias in front of a Delay"):
        to_float(graph, STEPS, TOLD)


def test_a_matrix_on_an_image_is_refused() -> None:
    """It would act on the columns alone; a network that is flattened first says otherwise."""
    linear = Node("Linear", {"weight": np.ones((5, 4))})
    graph = chain((2, 3, 4), linear, Node("Flatten", {"start_dim": 0, "end_dim": -1}), out=(30,))
    with pytest.raises(NetworkError, match=r"node 0_Linear: found Linear on .*\n.*a Flatten"):
        to_float(graph, STEPS, TOLD)


def test_a_graph_without_a_neuron_is_refused() -> None:
    nodes = {
        "input": Node("Input", {"shape": (4,)}),
        "a": Node("Linear", {"weight": np.ones((3, 4))}),
        "output": Node("Output", {"shape": (3,)}),
    }
    graph = Graph(nodes, (("input", "a"), ("a", "output")))
    with pytest.raises(NetworkError, match="no neuron that fires"):
        to_float(graph, STEPS, TOLD)
