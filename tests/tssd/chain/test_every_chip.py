"""One small network goes to every packaged chip, and to chips that lack something: exported,
verified against two engines, simulated."""

import json
from pathlib import Path

import numpy as np
import pytest
from command_line import call
from float_nets import images, small_residual

from tssd.calibration.int_network import PopulationKind
from tssd.chain.pipeline import ExportOptions, Material, deploy, write
from tssd.export.bundle.folder import Bundle
from tssd.hw_targets.chip.chips import CHIPS
from tssd.report.store import read_report

NETWORK = small_residual(5)
IMAGES = images(NETWORK, 8)
MATERIAL = Material(IMAGES, IMAGES, None, IMAGES[:2])


def export(target: str, out: Path) -> Bundle:
    options = ExportOptions(target=target)
    source = {"imported": "a residual network"}
    return write(deploy(NETWORK, MATERIAL, options), MATERIAL, out, options, source)


def answer(*words: object) -> object:
    return json.loads(call(*words, "--json"))


def check_runs(bundle: Bundle, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", inputs=IMAGES, labels=np.arange(len(IMAGES)) % 5)
    data = ("--data", tmp_path / "x.npz", "--samples", 4)
    rows = answer("verify", bundle.folder, "--against", "gpu,sim", *data)
    assert isinstance(rows, list)
    assert {row["status"] for row in rows} <= {"pass", "not run"}
    assert sum(row["name"].startswith(("gpu: ", "sim: ")) for row in rows) == 2 * len(
        bundle.network.populations
    )
    alone = {
        layer.kind: layer.accuracy_if_only_this_layer_is_quantized
        for layer in read_report(bundle.folder).layers
    }
    assert alone["lif"] is not None
    assert alone["readout"] is not None
    run = answer("simulate", bundle.folder)
    assert isinstance(run, dict)
    assert sum(layer["spikes"] for layer in run["layers"]) > 0
    assert run["totals"]["us_per_step"] > 0


@pytest.mark.parametrize("target", {file: name for name, file in CHIPS.items()}.values())
def test_a_network_is_exported_verified_and_simulated(target: str, tmp_path: Path) -> None:
    check_runs(export(target, tmp_path / "b"), tmp_path)


def chip(path: Path, section: str, name: str, value: int, unit: str) -> str:
    path.write_text(
        'name = "mine"\ntitle = "t"\ncalibrated_on = []\nextends = "loihi1"\n'
        f'[{section}]\n{name} = {{ value = {value}, unit = "{unit}", kind = "assumed",'
        ' source = "what if" }\n'
    )
    return str(path)


def test_a_chip_without_delays_gets_relays(tmp_path: Path) -> None:
    """Of spikes, so that binary ones can be relayed as well."""
    target = chip(tmp_path / "mine.toml", "limits", "delay", 0, "steps")
    bundle = export(target, tmp_path / "b")
    kinds = [p.kind for p in bundle.network.populations]
    assert kinds.count(PopulationKind.RELAY) == 1
    assert not any(j.delay for j in bundle.network.projections)
    check_runs(bundle, tmp_path)


@pytest.mark.parametrize(
    ("name", "value"),
    [("decay", 6), ("weight", 5), ("weight", 10), ("bias", 6), ("bias_exponent", 2)],
)
def test_a_narrow_or_wide_field_is_kept_to(name: str, value: int, tmp_path: Path) -> None:
    bundle = export(chip(tmp_path / "mine.toml", "bits", name, value, "bit"), tmp_path / "b")
    network = bundle.network
    match name:
        case "decay":
            assert not any((p.dv % 64).any() for p in network.populations)
        case "weight":
            largest = max(int(abs(j.weight).max()) for j in network.projections)
            assert (1 << (value - 2)) <= largest < 1 << (value - 1)
        case "bias":
            assert max(int(abs(p.bias_mant).max()) for p in network.populations) < 32
        case "bias_exponent":
            assert {p.bias_exp for p in network.populations if p.has_state} == {3}
    check_runs(bundle, tmp_path)
