"""inspect and diff: what is in a file, and where two differ first."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from strategies import random_conv_network, residual_network

from tssd.calibration.int_network import Reset
from tssd.cli import cli
from tssd.difference import diff
from tssd.errors import FileFormatError
from tssd.export.bundle import write_bundle
from tssd.export.netx import write_netx
from tssd.export.nir_write import write_nir
from tssd.export.onnx_graph import onnx_bytes
from tssd.graph_drawing import to_svg
from tssd.inspection import inspect

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "nir"


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
