"""Graphs rewritten for a platform: read by that platform's own rule they fire as before."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import random_conv_network, random_inputs, residual_network

from tssd.calibration.int_network import Reset
from tssd.errors import ConfigError, NetworkError
from tssd.export.nir.graphs.dialects import DEFAULT_DT, TO_BE_ADDED, rewritten, write_for
from tssd.export.nir.graphs.graph import Graph, Node
from tssd.export.nir.graphs.profiles import PROFILES, RESETS, Answers, Profile, SteppingRule
from tssd.export.nir.graphs.read import read_graph
from tssd.export.nir.graphs.readers import as_walked, late_edges, walk
from tssd.export.nir.graphs.run import run
from tssd.export.nir.integers.write import write_nir

HARD = [name for name, p in PROFILES.items() if RESETS[p.reset] is Reset.HARD]
UNIFORM = ("spikingjelly",)  # takes one number for a layer
READERS = [name for name in PROFILES if name != "rockpool"]
SOFT = [name for name in READERS if name not in HARD]
FLOAT_DT = 1e-4


def answers(platform: str) -> Answers:
    """What this platform assumes of any file."""
    return Answers(platform, PROFILES[platform].dt_seconds or DEFAULT_DT[platform])


def random_graph(rng: np.random.Generator, profile: Profile, kind: str) -> Graph:
    """input -> Linear -> neurons with parameters of their own -> Linear -> I -> output."""
    n = 6
    params = {
        "r": rng.uniform(1, 3, n),
        "v_threshold": rng.uniform(0.4, 1.0, n),
        "v_reset": np.full(n, 0.1),
    }
    if kind == "CubaLIF":
        times = {"tau_syn": rng.uniform(1.2, 5, n), "tau_mem": rng.uniform(1.2, 5, n)}
        params |= {k: v * FLOAT_DT for k, v in times.items()} | {"w_in": rng.uniform(1, 3, n)}
        params["v_leak"] = np.full(n, 0.1)
    elif kind == "LIF":
        params |= {"tau": rng.uniform(1.2, 5, n) * FLOAT_DT, "v_leak": np.full(n, 0.1)}
    else:
        params["r"] = params["r"] / FLOAT_DT
    word = {"reset": profile.reset, "reset_delay": profile.late and kind != "CubaLIF"}
    nodes = {
        "input": Node("Input", {"shape": (5,)}),
        "w": Node("Linear", {"weight": rng.normal(0, 1, (n, 5))}),
        "n": Node(kind, params, word),
        "w2": Node("Linear", {"weight": rng.normal(0, 1, (3, n))}),
        "sum": Node("I", {"r": np.full(3, 1 / FLOAT_DT)}),
        "output": Node("Output", {"shape": (3,)}),
    }
    names = list(nodes)
    meta = {"dt": FLOAT_DT, "discretisation": "euler", "reset": "per node"}
    return Graph(nodes, tuple(zip(names[:-1], names[1:], strict=True)), meta)


def uniform(graph: Graph) -> Graph:
    """The same with the first neuron's constants in all of them."""
    params = {k: np.full_like(v, v.flat[0]) for k, v in graph.nodes["n"].params.items()}
    return replace(graph, nodes={**graph.nodes, "n": replace(graph.nodes["n"], params=params)})


@pytest.mark.parametrize("platform", READERS)
@given(seed=st.integers(0, 2**32 - 1), kind=st.sampled_from(["IF", "LIF", "CubaLIF"]))
@settings(max_examples=4, deadline=None)
def test_a_rewritten_graph_fires_as_before(platform: str, seed: int, kind: str) -> None:
    rng = np.random.default_rng(seed)
    graph = random_graph(rng, PROFILES[platform], kind)
    graph = uniform(graph) if platform in UNIFORM else graph
    frames = rng.random((20, 2, 5)) * 2
    before = run(graph, frames, record=["n"]).nodes["n"]
    there = rewritten(graph, platform)
    after = run(there, frames, answers(platform), record=["n"]).nodes["n"]
    assert np.mean(after != before) < 1e-3  # rounding alone


@pytest.mark.parametrize("platform", HARD)
@pytest.mark.parametrize("make", [random_conv_network, residual_network])
def test_integers_fire_alike_under_every_platforms_rule(
    platform: str, make: type, tmp_path: Path
) -> None:
    network = make(3, Reset.HARD)
    write_nir(network, tmp_path / "ours.nir")
    graph = read_graph(tmp_path / "ours.nir")
    there = rewritten(graph, platform)
    inputs = random_inputs(network, 1).astype(np.float64)
    before = run(graph, inputs).output
    after = run(there, inputs, answers(platform)).output
    if there.metadata.get("output") == TO_BE_ADDED:
        after = np.cumsum(after, axis=0)
    scale = np.abs(before).max() / np.abs(after).max()  # a readout whose r is not read
    np.testing.assert_allclose(after * scale, before, atol=1e-6 * np.abs(before).max())


@pytest.mark.parametrize("platform", SOFT)
def test_a_reset_that_the_platform_does_not_do_is_refused(platform: str, tmp_path: Path) -> None:
    write_nir(random_conv_network(3, Reset.HARD), tmp_path / "n.nir")
    graph = read_graph(tmp_path / "n.nir")
    with pytest.raises(NetworkError, match=f"found a hard reset; allowed: a soft.*{platform}"):
        write_for(graph, tmp_path / "m.nir", platform)
    with pytest.raises(ConfigError, match="platform: found unknown 'loihi'"):
        write_for(graph, tmp_path / "m.nir", "loihi")


def subtracting(amount: float) -> Graph:
    """input -> LIF that subtracts *amount* of a threshold of 1, decay 1/2 -> output."""
    params = {"tau": np.full(1, 2.0), "r": np.full(1, 2.0), "v_leak": np.zeros(1)}
    params |= {"v_threshold": np.ones(1), "v_reset": np.zeros(1)}
    about = {"reset": "subtract", "reset_by": np.full(1, amount)}
    nodes = {
        "input": Node("Input", {"shape": (1,)}),
        "n": Node("LIF", params, about),
        "output": Node("Output", {"shape": (1,)}),
    }
    meta = {"dt": 1.0, "discretisation": "euler", "reset": "per node"}
    return Graph(nodes, (("input", "n"), ("n", "output")), meta)


def test_a_platform_gets_a_reset_of_an_amount_that_it_subtracts_itself() -> None:
    """Spyx subtracts theta a step late, behind the leak: theta / decay in the step of the spike."""
    frames = np.random.default_rng(0).random((40, 1, 1)) * 2
    graph = subtracting(2.0)
    before = run(graph, frames, record=["n"]).nodes["n"]
    after = run(rewritten(graph, "spyx"), frames, answers("spyx"), record=["n"]).nodes["n"]
    np.testing.assert_array_equal(before, after)
    assert not np.array_equal(before, run(subtracting(1.0), frames, record=["n"]).nodes["n"])
    with pytest.raises(NetworkError, match="a soft reset of an amount of its own; allowed: a soft"):
        rewritten(graph, "sinabs")
    with pytest.raises(NetworkError, match="found a soft reset of an amount"):
        rewritten(subtracting(1.5), "spyx")


@pytest.mark.parametrize("amount", ["much", np.full(2, 1.0), np.full(1, np.inf)])
def test_a_damaged_amount_is_refused(amount: object) -> None:
    graph = subtracting(1.0)
    node = replace(graph.nodes["n"], metadata={"reset": "subtract", "reset_by": amount})
    damaged = replace(graph, nodes={**graph.nodes, "n": node})
    with pytest.raises(NetworkError, match="node n"):
        run(damaged, np.zeros((1, 1, 1)))


def test_rockpools_import_is_refused_by_name(tmp_path: Path) -> None:
    write_nir(random_conv_network(3, Reset.SOFT), tmp_path / "n.nir")
    with pytest.raises(NetworkError, match="found rockpool as the reader"):
        write_for(read_graph(tmp_path / "n.nir"), tmp_path / "m.nir", "rockpool")


def test_early_readers_get_no_late_fields(tmp_path: Path) -> None:
    graph = random_graph(np.random.default_rng(0), PROFILES["sinabs"], "LIF")
    write_for(graph, tmp_path / "m.nir", "sinabs")
    with h5py.File(tmp_path / "m.nir") as file:
        found: list[str] = []
        file.visit(found.append)
    assert not [name for name in found if name.endswith(("v_reset", "metadata"))]
    assert any(name.endswith("v_threshold") for name in found)


def chain(*names: tuple[str, str], edges: tuple[tuple[str, str], ...] = ()) -> Graph:
    """Nodes (name, type) one after the other from the Input to the Output, and more edges."""
    n = 3
    params: dict[str, dict[str, Any]] = {
        "Linear": {"weight": np.eye(n)},
        "Scale": {"scale": np.full(n, 2.0)},
        "LIF": {
            "tau": np.full(n, 2e-3),
            "r": np.ones(n),
            "v_leak": np.zeros(n),
            "v_threshold": np.ones(n),
            "v_reset": np.zeros(n),
        },
    }
    nodes = {"input": Node("Input", {"shape": (n,)})}
    nodes |= {name: Node(kind, params[kind], {"reset": "hard"}) for name, kind in names}
    nodes["output"] = Node("Output", {"shape": (n,)})
    line = list(nodes)
    meta = {"dt": 1e-3, "discretisation": "euler", "reset": "per node"}
    return Graph(nodes, (*zip(line[:-1], line[1:], strict=True), *edges), meta)


@pytest.mark.parametrize("platform", ["norse", "snntorch"])
def test_nodes_that_a_platform_would_leave_out_are_refused(platform: str, tmp_path: Path) -> None:
    graph = chain(("w", "Linear"), ("lif", "LIF"), ("double", "Scale"))
    with pytest.raises(NetworkError, match=f"node double: found Scale.*{platform} has a module"):
        write_for(graph, tmp_path / "n.nir", platform)
    assert not (tmp_path / "n.nir").exists()


def test_branches_that_join_are_refused_for_norse(tmp_path: Path) -> None:
    """Its walk meets the end of one branch before the other; a loop is met in its own time."""
    skip = chain(("w", "Linear"), ("lif", "LIF"), ("w2", "Linear"), ("last", "LIF"))
    branch = {"again": Node("Linear", {"weight": np.eye(3)})}
    joined = Graph(
        {**skip.nodes, **branch},
        (*skip.edges, ("lif", "again"), ("again", "last")),
        skip.metadata,
    )
    assert late_edges(joined, walk(joined)) == [("again", "last")]
    with pytest.raises(NetworkError, match="edge again -> last: found a branch that joins another"):
        write_for(joined, tmp_path / "n.nir", "norse")
    write_for(joined, tmp_path / "n.nir", "snntorch")


def test_a_walk_goes_down_each_branch_first_and_ends_where_it_ends() -> None:
    graph = chain(("a", "Linear"), ("b", "LIF"), ("c", "Linear"), edges=(("a", "c"),))
    assert walk(graph) == ["input", "a", "b", "c", "output"]
    assert walk(graph, ["LIF"]) == ["input", "a", "c", "output"]
    assert late_edges(graph, walk(graph)) == []
    cut = as_walked(
        chain(("a", "Linear"), ("b", "LIF"), ("c", "Linear")), ["LIF"], 1e-3, {"a": (3,)}
    )
    assert cut.edges == (("input", "a"), ("a", "output"))


def test_what_a_platform_cannot_add_up_is_left_to_its_user(tmp_path: Path) -> None:
    """Neither norse nor snnTorch has an integrator: the output is what it would have summed."""
    network = random_conv_network(3, Reset.HARD)
    write_nir(network, tmp_path / "n.nir")
    graph = read_graph(tmp_path / "n.nir")
    note = write_for(graph, tmp_path / "m.nir", "norse")
    assert note == "norse has no integrator: add its output up over time"
    inputs = random_inputs(network, 1).astype(np.float64)
    whole = run(graph, inputs).output
    parts = run(read_graph(tmp_path / "m.nir"), inputs, answers("norse")).output
    np.testing.assert_allclose(np.cumsum(parts, axis=0), whole, atol=1e-9)
    assert write_for(graph, tmp_path / "l.nir", "lava") is None


def test_the_walked_graph_brings_the_later_branch_a_step_late() -> None:
    """Two ways into one node, of which the walk meets the second after that node; the end of the
    walk is its output."""
    line = chain(("a", "Linear"), ("sum", "Linear"))
    nodes = {**line.nodes, "b": Node("Linear", {"weight": 10 * np.eye(3)})}
    graph = Graph(nodes, (*line.edges, ("input", "b"), ("b", "sum")), line.metadata)
    frames = np.arange(1.0, 5.0)[:, None, None] * np.ones((4, 1, 3))
    whole = run(graph, frames, record=["sum"])
    np.testing.assert_array_equal(whole.nodes["sum"][:, 0, 0], [11, 22, 33, 44])
    there = as_walked(graph, [], 1e-3, whole.shapes)
    found = run(there, frames, record=["sum"])
    np.testing.assert_array_equal(found.nodes["sum"][:, 0, 0], [1, 12, 23, 34])
    np.testing.assert_array_equal(found.output[:, 0, 0], [10, 20, 30, 40])


def test_several_spikes_in_a_step() -> None:
    """As many as thresholds fit into v, all subtracted; an IF stays above -v_threshold."""
    graph = chain(("lif", "LIF"))
    theta, tau = graph.nodes["lif"].params["v_threshold"], graph.nodes["lif"].params["tau"]
    node = Node("IF", {"r": tau / tau, "v_threshold": 2 * theta, "v_reset": 0 * theta})
    graph = Graph({**graph.nodes, "lif": node}, graph.edges)
    rule = SteppingRule(1.0, "euler", Reset.SOFT, several=True)
    frames = np.array([7.0, 1.0, -9.0, 4.0])[:, None, None] * np.ones((4, 1, 3))
    found = run(graph, frames, rule, record=["lif"])
    np.testing.assert_array_equal(found.nodes["lif"][:, 0, 0], [3, 1, 0, 1])
    np.testing.assert_array_equal(found.v["lif"][:, 0, 0], [1, 0, -2, 0])
