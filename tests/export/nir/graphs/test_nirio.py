"""Graphs of our own making: primitives, feedback, delays, soft resets, refusals."""

from pathlib import Path

import h5py
import nir
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import random_conv_network, random_inputs, residual_network

from tssd.calibration.int_network import Reset
from tssd.calibration.simulate import layerwise
from tssd.errors import FileFormatError, NetworkError
from tssd.export.nir.graphs.graph import Edge, Graph, Node, schedule
from tssd.export.nir.graphs.profiles import Answers
from tssd.export.nir.graphs.read import read_graph
from tssd.export.nir.graphs.run import run
from tssd.export.nir.graphs.to_float import to_float
from tssd.export.nir.integers.graph import NirMode
from tssd.export.nir.integers.write import write_nir
from tssd.train.handover import float_run

CUBA = ("tau_syn", "tau_mem", "r", "v_leak", "w_in")
TOLD = Answers(dt_seconds=1.0, rule="euler", reset="zero")


def lif(tau: float, theta: float, n: int, leak: float = 0.0, v_reset: float = 0.0) -> Node:
    full = {"tau": tau, "r": tau, "v_leak": leak, "v_threshold": theta, "v_reset": v_reset}
    return Node("LIF", {k: np.full((n,), v) for k, v in full.items()})


def chain(*nodes: tuple[str, Node], extra: tuple[Edge, ...] = (), n: int = 3) -> Graph:
    """input -> nodes in a row -> output, plus extra edges."""
    inner = dict(nodes)
    names = ["input", *inner, "output"]
    ends = {"input": Node("Input", {"shape": (n,)}), "output": Node("Output", {"shape": (n,)})}
    edges = tuple(zip(names[:-1], names[1:], strict=True)) + extra
    return Graph(ends | inner, edges)


@pytest.mark.parametrize("mode", list(NirMode))
@pytest.mark.parametrize("reset", [Reset.HARD, Reset.SOFT])
@pytest.mark.parametrize("make", [random_conv_network, residual_network])
def test_our_exports_fire_the_same_when_read_as_any_graph(
    tmp_path: Path, make: type, reset: Reset, mode: NirMode
) -> None:
    """The only difference left is the decay's truncation, so few slots may differ."""
    network = make(5, reset)
    write_nir(network, tmp_path / "n.nir", mode)
    inputs = random_inputs(network, 1)
    names = [p.name for p in network.populations if p.kind == "lif"]
    got = run(read_graph(tmp_path / "n.nir"), inputs.astype(np.float64), record=names)
    expected = layerwise(network, inputs).spikes
    differing = sum(int((got.nodes[n] != expected[n]).sum()) for n in names)
    assert differing <= 0.02 * sum(expected[n].size for n in names)
    assert any(expected[n].any() for n in names)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=15, deadline=None)
def test_converted_network_fires_as_the_graph(seed: int) -> None:
    rng = np.random.default_rng(seed)
    weight, back = rng.normal(0, 1.5, (4, 3)), rng.normal(0, 1.5, (3, 4))
    graph = chain(
        ("w1", Node("Affine", {"weight": weight, "bias": rng.normal(0, 0.1, 4)})),
        ("n1", lif(float(rng.uniform(1, 9)), 0.6, 4, leak=0.2)),
        ("w2", Node("Linear", {"weight": back})),
        ("n2", lif(float(rng.uniform(1, 9)), 0.4, 3, v_reset=0.1)),
    )
    images = rng.integers(0, 256, (5, 3)).astype(np.uint8)
    network = to_float(graph, 12, TOLD)
    ours = float_run.run(network, images, dtype="float64", keep_spikes=True)
    inputs = np.broadcast_to(images / 255, (12, *images.shape))
    theirs = run(graph, inputs, TOLD, record=["n1", "n2"])
    for name in ("n1", "n2"):
        np.testing.assert_array_equal(ours.spikes[name], theirs.nodes[name])


def test_recurrent_bias_acts_from_the_first_step() -> None:
    back = Node("Affine", {"weight": np.zeros((1, 1)), "bias": np.array([2.0])})
    graph = chain(("n", lif(2.0, 1.0, 1)), n=1)
    graph = Graph(dict(graph.nodes) | {"r": back}, (*graph.edges, ("n", "r"), ("r", "n")))
    assert schedule(graph).feedback == {("n", "r")}
    assert run(graph, np.zeros((2, 1, 1)), TOLD).output[:, 0, 0].tolist() == [1, 1]


def test_a_feedback_edge_takes_one_step_and_a_delay_its_own() -> None:
    graph = chain(("d", Node("Delay", {"delay": np.full((1,), 3.0)})), n=1)
    pulse = np.zeros((6, 1, 1))
    pulse[0] = 1
    assert run(graph, pulse, TOLD).output[:, 0, 0].tolist() == [0, 0, 0, 1, 0, 0]
    ring = Graph(
        {**graph.nodes, "s": Node("Scale", {"scale": np.full((1,), 0.5)})},
        (*graph.edges, ("d", "s"), ("s", "d")),
    )
    assert run(ring, np.concatenate([pulse] * 2), TOLD).output[:, 0, 0].tolist() == [
        *[0, 0, 0, 1, 0, 0, 0.5, 0, 0, 1.25, 0, 0]
    ]


def test_a_cycle_without_state_is_refused() -> None:
    half = Node("Scale", {"scale": np.full((1,), 0.5)})
    graph = chain(("a", half), ("b", half), extra=(("b", "a"),), n=1)
    with pytest.raises(NetworkError, match="a cycle without a neuron or delay"):
        run(graph, np.zeros((1, 1, 1)), TOLD)


def test_the_feedback_of_a_threshold_is_a_reset_or_a_loop() -> None:
    beta, theta = 0.5, 1.0
    membrane = Node("LI", {k: np.full((1,), v) for k, v in (("tau", 2.0), ("r", 2.0))})
    membrane = Node("LI", {**membrane.params, "v_leak": np.zeros(1)})
    fire = Node("Threshold", {"threshold": np.full((1,), theta)})

    def loop(factor: float) -> Graph:
        back = Node("Scale", {"scale": np.full((1,), -factor)})
        graph = chain(("m", membrane), ("s", fire), n=1)
        return Graph({**graph.nodes, "b": back}, (*graph.edges, ("s", "b"), ("b", "m")))

    same_step = to_float(loop(beta * theta), 4, TOLD)
    assert same_step.populations[1].reset is Reset.SOFT
    assert not any(j.is_loop for j in same_step.projections)
    late = to_float(loop(theta), 4, TOLD)
    assert late.populations[1].reset is Reset.SOFT
    assert late.populations[1].subtracted.item() == theta / beta
    assert not any(j.is_loop for j in late.projections)
    other = to_float(loop(0.3), 4, TOLD)
    assert other.populations[1].reset is Reset.NONE
    assert [j.weight.item() for j in other.projections if j.is_loop] == [-0.3]


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (Node("CubaLI", dict.fromkeys(CUBA, np.ones(3))), "an integrator inside the network"),
        (Node("Delay", {"delay": np.full(3, 0.5)}), "a delay of 0.5 with dt 1"),
        (Node("AvgPool2d", {"kernel_size": (2,), "stride": (2,), "padding": (1,)}), "padding"),
        (Node("Affine", {"weight": np.ones((3, 4)), "bias": np.zeros(3)}), "an input of shape"),
        (Node("Scale", {"scale": np.ones((2, 2))}), "the layer's shape"),
    ],
)
def test_what_has_no_counterpart_is_refused_by_name(node: Node, message: str) -> None:
    with pytest.raises(NetworkError, match=message):
        to_float(chain(("odd", node), ("n", lif(2.0, 1.0, 3))), 4, TOLD)


def test_nested_graphs_are_spliced(tmp_path: Path) -> None:
    inner = nir.NIRGraph.from_list(
        nir.Affine(np.eye(2), np.zeros(2)),
        nir.LIF(np.full(2, 2.0), np.full(2, 2.0), np.zeros(2), np.ones(2), np.zeros(2)),
    )
    nodes = {
        "in": nir.Input(np.array([2])),
        "sub": inner,
        "out": nir.Output(np.array([2])),
    }
    nir.write(tmp_path / "n.nir", nir.NIRGraph(nodes, [("in", "sub"), ("sub", "out")]))
    graph = read_graph(tmp_path / "n.nir")
    assert {"sub.affine", "sub.lif"} <= set(graph.nodes)
    assert run(graph, np.full((1, 1, 2), 3.0), TOLD).output.tolist() == [[[1.0, 1.0]]]


def small_file(path: Path) -> Path:
    write_nir(random_conv_network(1, Reset.HARD), path)
    return path


def test_hostile_files_are_refused(tmp_path: Path) -> None:
    """A link to another file, a group that contains itself, a data set of 2**40 values."""
    path = small_file(tmp_path / "a.nir")
    with h5py.File(path, "a") as file:
        del file["node/nodes/readout/v_leak" if "v_leak" in file["node/nodes/readout"] else "node"]
    with pytest.raises(FileFormatError, match="found"):
        read_graph(path)
    path = small_file(tmp_path / "b.nir")
    with h5py.File(path, "a") as file:
        file["node/nodes/evil"] = h5py.ExternalLink("/etc/passwd", "/")
    with pytest.raises(FileFormatError, match="nothing, or a link"):
        read_graph(path)
    path = small_file(tmp_path / "c.nir")
    with h5py.File(path, "a") as file:
        for name in ("x", "y", "z"):
            file[f"node/nodes/{name}"] = file["node"]
    with pytest.raises(FileFormatError, match="nested deeper than"):
        read_graph(path)
    path = small_file(tmp_path / "d.nir")
    with h5py.File(path, "a") as file:
        del file["node/nodes/conv0/v_threshold"]
        file["node/nodes/conv0"].create_dataset("v_threshold", (1 << 20, 1 << 20), "f8")
    with pytest.raises(FileFormatError, match="no more than the file can hold"):
        read_graph(path)
