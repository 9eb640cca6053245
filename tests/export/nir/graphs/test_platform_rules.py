"""What platforms do that NIR does not say: against their own runs, and rule by rule."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import snntorch as snn
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from recorded_graphs import graph_of
from torch import nn

from tssd.arrays import FloatArray
from tssd.calibration.quantizing.fold import fold
from tssd.errors import ConfigError, NetworkError
from tssd.export.nir.graphs.dialects import rewritten
from tssd.export.nir.graphs.graph import Graph, Node
from tssd.export.nir.graphs.profiles import PROFILES, Answers, resolve
from tssd.export.nir.graphs.read import read_graph
from tssd.export.nir.graphs.readers import check_read
from tssd.export.nir.graphs.run import run
from tssd.export.nir.graphs.to_float import to_float
from tssd.export.nir.integers.graph import NirMode
from tssd.train.handover import float_run

GOLDEN = Path(__file__).resolve().parents[3] / "golden" / "nir"
SPIKINGJELLY = Answers("spikingjelly")


@pytest.fixture(scope="module")
def made() -> Any:
    """What SpikingJelly 2.0.0 gave (``make_spikingjelly.py``)."""
    return np.load(GOLDEN / "spikingjelly.npz")


def test_spikingjellys_own_graph_fires_as_its_module(made: Any) -> None:
    """IF, CubaLIF, LIF, LIF; spikes where v equals the threshold are among them."""
    graph = read_graph(GOLDEN / "spikingjelly.nir")
    frames = made["inputs"].astype(np.float64)
    found = run(graph, frames, SPIKINGJELLY).output
    np.testing.assert_array_equal(found, made["module"])
    np.testing.assert_array_equal(found, made["imported"])
    strict = replace(resolve(graph, SPIKINGJELLY), inclusive=False)
    assert (run(graph, frames, strict).output != found).any()


def test_a_threshold_that_is_met_fires_in_the_float_network_too(made: Any) -> None:
    graph = read_graph(GOLDEN / "spikingjelly.nir")
    images = made["inputs"].transpose(1, 0, 2) * np.uint8(255)
    network = fold(to_float(graph, 40, SPIKINGJELLY))
    ours = float_run.run(network, images, dtype="float64", keep_spikes=True)
    last = network.populations[-2].name
    np.testing.assert_array_equal(ours.spikes[last], made["module"])


def test_a_map_on_a_way_back_is_empty_in_the_first_step(made: Any) -> None:
    """As nirtorch runs it: what it gives waits a step, and before the first there is nothing."""
    graph = read_graph(GOLDEN / "spikingjelly_back.nir")
    frames = made["inputs"][..., :5].astype(np.float64)
    rule = resolve(graph, SPIKINGJELLY)
    np.testing.assert_array_equal(run(graph, frames, rule).output, made["back"])
    assert (run(graph, frames, replace(rule, back_empty=False)).output != made["back"]).any()
    wait = Node("Delay", {"delay": np.full(6, rule.dt_seconds)})
    edges = [e for e in graph.edges if e != ("back", "if")]
    waiting = replace(
        graph,
        nodes={**graph.nodes, "wait": wait},
        edges=(*edges, ("back", "wait"), ("wait", "if")),
    )
    late = run(waiting, frames, replace(rule, back_empty=False)).output
    np.testing.assert_array_equal(late, made["back"])


@pytest.mark.parametrize("platform", ["norse", "sinabs", "spikingjelly"])
def test_a_bias_on_a_way_back_is_not_written_for_those_that_lose_it(platform: str) -> None:
    graph = read_graph(GOLDEN / "spikingjelly_back.nir")
    reset = {"reset": PROFILES[platform].reset}
    nodes = {n: replace(x, metadata=reset) if n == "if" else x for n, x in graph.nodes.items()}
    meta = {"dt": 1e-4, "discretisation": "euler", "reset": "per node"}
    with pytest.raises(NetworkError, match=f"node back: found a bias .*{platform} leaves it out"):
        check_read(rewritten(replace(graph, nodes=nodes, metadata=meta), platform), platform)


def leaky(kind: str, **options: Any) -> nn.Module:
    """16 -> 12 -> 4, of Leaky or of Synaptic, every neuron with constants of its own."""
    layers: list[nn.Module] = []
    for inputs, outputs in ((16, 12), (12, 4)):
        theta, beta = torch.linspace(0.3, 0.8, outputs), torch.linspace(0.5, 0.95, outputs)
        how: dict[str, Any] = {"beta": beta, "threshold": theta, "init_hidden": True, **options}
        how["spike_grad"] = lambda u: (u > 0).to(u.dtype)
        cell = snn.Leaky(**how) if kind == "Leaky" else snn.Synaptic(alpha=0.6, **how)
        linear = nn.Linear(inputs, outputs, bias=False)
        linear.weight.data = 3 * linear.weight.data + 0.1  # so that all fire
        layers += [linear, cell]
    return nn.Sequential(*layers).double().eval()


def as_exported(module: nn.Module) -> Graph:
    """Plain LIF or CubaLIF nodes that do not say their reset, as snnTorch's exporter writes."""
    graph = graph_of(module, (16,), mode=NirMode.COMPATIBLE)
    nodes = {n: replace(node, metadata={}) for n, node in graph.nodes.items()}
    return replace(graph, nodes=nodes, metadata={})


def stepped(module: nn.Module, frames: FloatArray) -> FloatArray:
    with torch.no_grad():
        return torch.stack([module(x) for x in torch.tensor(frames)]).numpy()


@pytest.mark.parametrize("late", [True, False])
@pytest.mark.parametrize("kind", ["Leaky", "Synaptic"])
@given(seed=st.integers(0, 2**31 - 1))
@settings(max_examples=4, deadline=None)
def test_both_subtractions_of_snntorch_as_options(kind: str, late: bool, seed: int) -> None:
    torch.manual_seed(seed)
    module = leaky(kind, reset_mechanism="subtract", reset_delay=late)
    graph = as_exported(module)
    frames = np.random.default_rng(seed).random((60, 3, 16))
    told = Answers("snntorch", reset="subtract-late" if late else "subtract-no-delay")
    expected = stepped(module, frames)
    np.testing.assert_array_equal(run(graph, frames, told).output, expected)
    assert expected.any()


def test_a_late_subtraction_deploys_as_an_amount_of_its_own() -> None:
    torch.manual_seed(1)
    module = leaky("Leaky")
    images = np.random.default_rng(0).integers(0, 256, (5, 16)).astype(np.uint8)
    graph = as_exported(module)
    network = to_float(graph, 60, Answers("snntorch", reset="subtract-late"))
    assert all(p.reset_by is not None for p in network.populations[1:-1])
    ours = float_run.run(network, images, dtype="float64", keep_spikes=True)
    expected = stepped(module, np.broadcast_to(images / 255, (60, 5, 16)).copy())
    np.testing.assert_array_equal(ours.spikes[network.populations[-2].name], expected)
    zero = to_float(graph, 60, Answers("snntorch"))
    other = float_run.run(zero, images, dtype="float64", keep_spikes=True)
    assert (other.spikes[network.populations[-2].name] != expected).any()


def test_no_delay_is_refused_in_snntorchs_words() -> None:
    with pytest.raises(NetworkError, match="snnTorch's subtract with reset_delay=False"):
        to_float(as_exported(leaky("Leaky")), 8, Answers("snntorch", reset="subtract-no-delay"))


def one_lif(kind: str = "LIF") -> Graph:
    """tau = 4 steps of 1, r = 3: a gain of 3 / 4 by the graph."""
    params = {"r": np.full(1, 3.0), "v_threshold": np.full(1, 100.0), "v_reset": np.zeros(1)}
    if kind == "LIF":
        params |= {"tau": np.full(1, 4.0), "v_leak": np.zeros(1)}
    nodes = {
        "input": Node("Input", {"shape": (1,)}),
        "n": Node(kind, params),
        "output": Node("Output", {"shape": (1,)}),
    }
    return Graph(nodes, (("input", "n"), ("n", "output")))


@pytest.mark.parametrize(
    ("profile", "kind", "gain", "first"),
    [
        (None, "LIF", None, 0.75),
        (None, "LIF", "graph", 0.75),
        (None, "LIF", "unit", 1.0),
        (None, "IF", "unit", 1.0),
        (None, "IF", None, 3.0),
        ("sinabs", "LIF", None, 1.0),
        ("sinabs", "LIF", "graph", 0.25),  # which does not read r
        ("norse", "IF", "graph", 1.0),  # r is not read, dt is 1
        ("spinnaker2", "LIF", None, 0.75),
    ],
)
def test_the_gain_is_the_users_else_the_platforms(
    profile: str | None, kind: str, gain: str | None, first: float
) -> None:
    told = Answers(profile, 1.0, "zero", "euler", gain)
    v = run(one_lif(kind), np.ones((1, 1, 1)), told, record=["n"]).v["n"]
    assert v[0, 0, 0] == pytest.approx(first)
    with pytest.raises(ConfigError, match="gain: found unknown 'double'"):
        resolve(one_lif(kind), replace(told, gain="double"))


def test_norse_is_asked_for_its_own_length_of_a_step() -> None:
    """Its export writes tau = dt / tau_mem_inv, which its rule divides dt by once more."""
    with pytest.raises(ConfigError, match=r"does not say its dt(.|\n)*its own to_nir that squared"):
        resolve(one_lif(), Answers("norse"))
    tau_mem_inv, dt = 100.0, 1e-3
    graph = one_lif()
    params = {**graph.nodes["n"].params, "tau": np.full(1, dt / tau_mem_inv)}
    nodes = {**graph.nodes, "n": replace(graph.nodes["n"], params=params)}
    drive = np.ones((2, 1, 1))
    v = run(replace(graph, nodes=nodes), drive, Answers("norse", dt**2), record=["n"]).v["n"]
    first = dt * tau_mem_inv
    np.testing.assert_allclose(v[:, 0, 0], [first, first + dt * tau_mem_inv * (1 - first)])
