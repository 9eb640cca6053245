"""inspect and diff: what is in a file, and where two differ first."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from strategies import random_conv_network, residual_network

from tssd.calibration.int_network import Reset
from tssd.cli import cli
from tssd.errors import FileFormatError
from tssd.export.bundle.folder import write_bundle
from tssd.export.netx.write import write_netx
from tssd.export.nir.graphs.graph import Graph, Node
from tssd.export.nir.graphs.profiles import Answers
from tssd.export.nir.graphs.read import read_graph
from tssd.export.nir.graphs.write import write_graph
from tssd.export.nir.integers.write import write_nir
from tssd.export.onnx.graph import onnx_bytes
from tssd.inspecting.deployability import TargetRow, of_graph, values_per_step
from tssd.inspecting.difference import diff
from tssd.inspecting.graph_drawing import to_svg
from tssd.inspecting.inspection import inspect

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "nir"


def test_a_bundle_shows_layers_and_targets(tmp_path: Path) -> None:
    network = residual_network(1, Reset.SOFT)
    write_bundle(tmp_path / "b", network, extra_files=onnx_bytes(network))
    found = inspect(tmp_path / "b")
    assert [(r.name, r.reset) for r in found.layers] == [
        ("input", None),
        ("a", "soft"),
        ("b", "soft"),
        ("c", "soft"),
        ("readout", "none"),
    ]
    targets = {t.target: t for t in found.targets}
    assert targets["loihi2"].takes
    assert targets["onnx"].takes
    assert not targets["netx (lava-dl)"].takes
    assert any("reset" in reason for reason in targets["netx (lava-dl)"].why_not)
    onnx = inspect(tmp_path / "b" / "network.onnx")
    assert onnx.kind == "ONNX"
    assert [r.name for r in onnx.layers] == ["input", "a", "b", "c", "readout"]


def test_a_foreign_graph_says_what_is_missing() -> None:
    found = inspect(GOLDEN / "cnn_sinabs.nir")
    assert found.missing == ("dt", "reset", "rule")
    assert sum(r.parameters for r in found.layers if r.kind == "Conv2d") == 4296
    braille = inspect(GOLDEN / "braille_noDelay_bias_zero.nir")
    for svg in (to_svg(found), to_svg(braille)):
        assert svg.count("<rect") in (len(found.layers), len(braille.layers))


def targets(name: str, profile: str | None) -> dict[str, TargetRow]:
    rows = inspect(GOLDEN / f"{name}.nir", Answers(profile=profile)).targets
    return {row.target: row for row in rows}


def test_a_foreign_graph_is_judged_for_every_target() -> None:
    """As the import would, without samples; nothing is said that depends on what is not said."""
    cnn = targets("cnn_sinabs", "sinabs")
    assert cnn["loihi2"].takes
    assert cnn["onnx"].takes
    assert cnn["loihi1"].takes  # its pixels enter as spikes there
    assert "soft reset" in cnn["netx (lava-dl)"].why_not[0]
    unsaid = targets("cnn_sinabs", None)
    assert unsaid.keys() == cnn.keys()
    assert {row.takes for row in unsaid.values()} == {None}
    assert unsaid["loihi2"].why_not[0].startswith("depends on dt, reset, rule: name the --profile")


@pytest.fixture
def integrating(tmp_path: Path) -> Path:
    """input -> w -> I -> w2 -> LIF: an integrator inside, which sends no spikes."""
    one, eye = np.ones(3), {"weight": np.eye(3)}
    lif = {"tau": 2 * one, "r": one, "v_leak": 0 * one, "v_threshold": one, "v_reset": 0 * one}
    nodes = {
        "input": Node("Input", {"shape": (3,)}),
        "w": Node("Linear", eye),
        "inside": Node("I", {"r": one}),
        "w2": Node("Linear", eye),
        "lif": Node("LIF", lif),
        "output": Node("Output", {"shape": (3,)}),
    }
    names = list(nodes)
    graph = Graph(nodes, tuple(zip(names[:-1], names[1:], strict=True)))
    write_graph(graph, tmp_path / "i.nir", Answers("nengo", 1.0))
    return tmp_path / "i.nir"


def test_what_no_target_takes_is_told_by_node(integrating: Path) -> None:
    rows = inspect(integrating, Answers("nengo", 1.0)).targets
    assert {row.takes for row in rows} == {False}
    assert all("inside: found an integrator inside the network" in r.why_not[0] for r in rows)
    recurrent = targets("braille_noDelay_noBias_subtract", "snntorch")
    assert recurrent["loihi2"].takes
    assert "recurrence" in recurrent["netx (lava-dl)"].why_not[0]


def test_what_is_too_large_to_try_is_not_tried(integrating: Path) -> None:
    """A file of a few bytes may ask for any amount of memory."""
    graph = read_graph(integrating)
    big = {**graph.nodes, "input": Node("Input", {"shape": (3, 5000, 5000)})}
    rows = of_graph(Graph(big, graph.edges), Answers("nengo", 1.0))
    assert {row.takes for row in rows} == {None}
    assert "4,194,304 values a step are not tried" in rows[0].why_not[0]
    pool = {"kernel_size": (2, 2), "stride": (1, 1), "padding": (4000, 4000)}
    nodes = {
        "input": Node("Input", {"shape": (1, 4, 4)}),
        "pool": Node("SumPool2d", pool),
        "output": Node("Output", {"shape": (1, 8003, 8003)}),
    }
    wide = Graph(nodes, (("input", "pool"), ("pool", "output")))
    assert values_per_step(wide) > 8000**2


def test_numbers_beyond_all_use_are_refused_by_name(integrating: Path) -> None:
    graph = read_graph(integrating)
    params = dict(graph.nodes["lif"].params) | {"v_threshold": np.full(3, 1e300)}
    kept = {n: x for n, x in graph.nodes.items() if n not in ("inside", "w2")}
    edges = (("input", "w"), ("w", "lif"), ("lif", "output"))
    loud = Graph(kept | {"lif": Node("LIF", params)}, edges)
    rows = of_graph(loud, Answers("nengo", 1.0))
    assert all("lif: found numbers up to" in row.why_not[0] for row in rows)


def test_targets_alike_are_shown_together(integrating: Path) -> None:
    told = ["inspect", str(integrating), "--profile", "nengo", "--dt", "1"]
    shown = CliRunner().invoke(cli, told)
    assert shown.exit_code == 0
    (line,) = [x for x in shown.output.splitlines() if x.endswith(": refuses it")]
    assert line.startswith("loihi1, ")
    assert "onnx" in line


def test_netx_and_checkpoints_are_read(tmp_path: Path) -> None:
    write_netx(random_conv_network(1, Reset.HARD), tmp_path / "n.net")
    assert inspect(tmp_path / "n.net").kind == "lava-dl netx"
    header = json.dumps({"w": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}}).encode()
    file = tmp_path / "c.safetensors"
    file.write_bytes(len(header).to_bytes(8, "little") + header + bytes(24))
    assert inspect(file).layers[0].parameters == 6


@pytest.mark.parametrize("name", ["a.onnx", "a.safetensors", "a.net", "a.nir", "a.txt"])
def test_other_content_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\xff\x00 not what the name says")
    with pytest.raises(FileFormatError, match="found"):
        inspect(tmp_path / name)


def test_the_first_difference_comes_first(tmp_path: Path) -> None:
    write_nir(residual_network(1, Reset.SOFT), tmp_path / "a.nir")
    write_nir(residual_network(1, Reset.HARD), tmp_path / "b.nir")
    assert diff(tmp_path / "a.nir", tmp_path / "a.nir") == []
    first = diff(tmp_path / "a.nir", tmp_path / "b.nir")[0]
    assert (first.where, first.a, first.b) == ("a: reset", "soft", "hard")
    result = CliRunner().invoke(cli, ["diff", str(tmp_path / "a.nir"), str(tmp_path / "b.nir")])
    assert result.exit_code == 1
    assert result.output.startswith("a: reset: soft | hard")


def test_spike_records_differ_at_a_step(tmp_path: Path) -> None:
    spikes = np.zeros((5, 2, 3), np.int8)
    np.savez(tmp_path / "a.npz", conv=spikes)
    spikes[3, 1, 2] = 1
    np.savez(tmp_path / "b.npz", conv=spikes)
    found = diff(tmp_path / "a.npz", tmp_path / "b.npz")
    assert [(d.where, d.a, d.b, d.differing) for d in found] == [
        ("conv: values[3, 1, 2]", "0", "1", 1)
    ]


def test_inspect_draws_and_prints(tmp_path: Path) -> None:
    arguments = ["inspect", str(GOLDEN / "cnn_sinabs.nir"), "--svg", str(tmp_path / "g.svg")]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0
    assert "not said: dt, reset, rule" in result.output
    assert (tmp_path / "g.svg").read_text().startswith("<svg")
