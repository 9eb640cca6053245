"""Graphs rewritten for a platform: read by that platform's own rule they fire as before."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import random_conv_network, random_inputs, residual_network

from tssd.calibration.int_network import Reset
from tssd.errors import ConfigError, NetworkError
from tssd.export.nir_write import write_nir
from tssd.export.nirio.dialects import DEFAULT_DT, write_for
from tssd.export.nirio.graph import Graph, Node
from tssd.export.nirio.read import read_graph
from tssd.export.nirio.rules import PROFILES, RESETS, Answers, Profile
from tssd.export.nirio.run import run

HARD = [name for name, p in PROFILES.items() if RESETS[p.reset] is Reset.HARD]
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
    word = {"reset": profile.reset, "reset_delay": profile.late}
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


@pytest.mark.parametrize("platform", READERS)
@given(seed=st.integers(0, 2**32 - 1), kind=st.sampled_from(["IF", "LIF", "CubaLIF"]))
@settings(max_examples=4, deadline=None)
def test_a_rewritten_graph_fires_as_before(
    platform: str, seed: int, kind: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    rng = np.random.default_rng(seed)
    graph = random_graph(rng, PROFILES[platform], kind)
    path = tmp_path_factory.mktemp("n") / "n.nir"
    write_for(graph, path, platform)
    frames = rng.random((20, 2, 5)) * 2
    before = run(graph, frames, record=["n"]).nodes["n"]
    after = run(read_graph(path), frames, answers(platform), record=["n"]).nodes["n"]
    assert np.mean(after != before) < 1e-3  # rounding alone


@pytest.mark.parametrize("platform", HARD)
@pytest.mark.parametrize("make", [random_conv_network, residual_network])
def test_integers_fire_alike_under_every_platforms_rule(
    platform: str, make: type, tmp_path: Path
) -> None:
    network = make(3, Reset.HARD)
    write_nir(network, tmp_path / "ours.nir")
    graph = read_graph(tmp_path / "ours.nir")
    write_for(graph, tmp_path / "theirs.nir", platform)
    inputs = random_inputs(network, 1).astype(np.float64)
    before, after = (
        run(g, inputs, told).output
        for g, told in ((graph, None), (read_graph(tmp_path / "theirs.nir"), answers(platform)))
    )
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


def test_rockpools_import_is_refused_by_name(tmp_path: Path) -> None:
    write_nir(random_conv_network(3, Reset.SOFT), tmp_path / "n.nir")
    with pytest.raises(NetworkError, match="found rockpool as the reader"):
        write_for(read_graph(tmp_path / "n.nir"), tmp_path / "m.nir", "rockpool")


def test_early_readers_get_no_late_fields(tmp_path: Path) -> None:
    write_nir(random_conv_network(3, Reset.SOFT), tmp_path / "n.nir")
    write_for(read_graph(tmp_path / "n.nir"), tmp_path / "m.nir", "sinabs")
    with h5py.File(tmp_path / "m.nir") as file:
        found: list[str] = []
        file.visit(found.append)
    assert not [name for name in found if name.endswith(("v_reset", "metadata"))]
    assert any(name.endswith("v_threshold") for name in found)
