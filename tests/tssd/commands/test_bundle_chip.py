"""A chip of the user's own: it travels in the bundle, and what is wrong with one ends in exit 2."""

import json
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from networks import mlp
from strategies import random_conv_network, random_inputs

from tssd.calibration.int_network import Reset
from tssd.cli import main
from tssd.commands.check import asked_chip, read_subject
from tssd.errors import FileFormatError
from tssd.export.bundle.folder import read_bundle, write_bundle
from tssd.export.bundle.golden import make_golden
from tssd.export.nir.integers.write import write_nir
from tssd.hw_targets.chip.chip_copy import CHIP_FILE, bundled_chip, to_toml
from tssd.hw_targets.chip.chip_file import parse_chip
from tssd.hw_targets.chip.chips import CHIPS, chip_table, find_chip, load_chip
from tssd.hw_targets.chip.fingerprint import fingerprint
from tssd.hw_targets.mapping.placement import place
from tssd.simulating.simulation import Request, simulate_bundle

MINE = """name = "slow-synapses"
title = "Loihi 2 with slow synapses"
calibrated_on = []
extends = "below.toml"

[sources]
study = "a study"

[time_ns]
synop_conv = { value = 900, unit = "ns", kind = "assumed", source = "{study}: what if" }
"""
BELOW = 'name = "below"\ntitle = "below"\ncalibrated_on = []\nextends = "loihi2"\n'


@pytest.fixture
def chip(tmp_path: Path) -> Path:
    folder = tmp_path / "chips"
    folder.mkdir()
    (folder / "below.toml").write_text(BELOW)
    (folder / "mine.toml").write_text(MINE)
    return folder / "mine.toml"


@pytest.mark.parametrize("name", sorted(CHIPS))
def test_a_copied_chip_is_the_same_chip(name: str) -> None:
    table = chip_table(find_chip(name))
    assert parse_chip(tomllib.loads(to_toml(table)), name) == load_chip(name)


def test_a_bundle_carries_the_users_chip_and_needs_no_other_file(
    chip: Path, tmp_path: Path
) -> None:
    source, out = tmp_path / "network.nir", tmp_path / "bundle"
    write_nir(random_conv_network(5, Reset.HARD, time_steps=3), source)
    wanted = load_chip(chip)
    assert run("import", source, "--out", out, "--target", chip) == 0
    for path in chip.parent.iterdir():
        path.unlink()
    assert asked_chip(read_subject(out), None) == wanted
    assert asked_chip(read_subject(out), "loihi1") == load_chip("loihi1")
    bundle = read_bundle(out)
    assert CHIP_FILE in bundle.manifest["files"]  # with its hash
    assert str(tmp_path) not in json.dumps(bundle.manifest)
    assert bundled_chip(out, bundle.manifest) == wanted
    simulated = simulate_bundle(Request(out))
    assert simulated.chip == wanted
    quick = simulate_bundle(Request(out, chip="loihi2"))
    assert simulated.timing.us_per_step > 3 * quick.timing.us_per_step
    (out / CHIP_FILE).write_text(MINE)
    with pytest.raises(FileFormatError, match=r"chip.toml: found SHA-256"):
        read_bundle(out)


def test_a_chip_is_compared_by_its_numbers_not_by_its_name(tmp_path: Path) -> None:
    """A file of the packaged chip's name is another chip, and needs a placement of its own."""
    network = random_conv_network(5, Reset.HARD, time_steps=3)
    golden = make_golden(network, random_inputs(network, 1, 1))
    placed = place(network, load_chip("loihi2"))
    write_bundle(tmp_path / "b", network, placement=placed.to_table(), golden=golden)
    small = (
        "\n[limits]\nneurons_per_core"
        ' = { value = 40, unit = "neurons", kind = "assumed", source = "what if" }\n'
    )
    name = load_chip("loihi2").name
    head = f'name = "{name}"\ntitle = "x"\ncalibrated_on = []\nextends = "loihi2"\n'
    (tmp_path / "mine.toml").write_text(head + small)
    own = simulate_bundle(Request(tmp_path / "b"))
    other = simulate_bundle(Request(tmp_path / "b", chip=str(tmp_path / "mine.toml")))
    assert own.chip.name == other.chip.name == name
    assert fingerprint(own.chip) != fingerprint(other.chip)
    assert own.placement.to_json() == placed.to_json()
    assert other.placement.cores > own.placement.cores
    assert max(need.neurons for need in other.placement.needs) <= 40
    assert fingerprint(replace(other.chip, name="y", title="y")) == fingerprint(other.chip)


def test_a_packaged_chip_is_only_named(tmp_path: Path) -> None:
    write_nir(mlp(4, 2), tmp_path / "network.nir")
    assert run("import", tmp_path / "network.nir", "--out", tmp_path / "bundle") == 0
    bundle = read_bundle(tmp_path / "bundle")
    assert CHIP_FILE not in bundle.manifest["files"]
    assert bundled_chip(bundle.folder, bundle.manifest) == load_chip("loihi2")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("buffers.link = { value = 0", "buffers.link: found 0"),
        ("time_ns.spike = { value = -3", "time_ns.spike.value: found -3"),
        ("mesh.width = { value = 2", "120 on a mesh with 32 places"),
        ("mesh.widht = { value = 8", "mesh.widht: unknown; did you mean 'width'"),
    ],
)
def test_a_bad_chip_ends_in_exit_2(
    line: str, message: str, chip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = line.split(" ")[0]
    units = {"buffers.link": "messages", "time_ns.spike": "ns"}
    unit = units.get(key, "routers")
    rest = f', unit = "{unit}", kind = "assumed", source = "why not" }}\n'
    chip.write_text(
        f'name = "x"\ntitle = "x"\ncalibrated_on = []\nextends = "loihi2"\n{line}{rest}'
    )
    write_nir(mlp(4, 2), tmp_path / "network.nir")
    assert run("targets", "check", chip) == 2
    assert run("import", tmp_path / "network.nir", "--out", tmp_path / "b", "--target", chip) == 2
    assert capsys.readouterr().err.count(message) == 2
    assert not (tmp_path / "b").exists()


def test_a_placement_that_names_a_core_twice_ends_in_exit_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = random_conv_network(5, Reset.HARD, time_steps=3)
    golden = make_golden(network, random_inputs(network, 1, 1))
    write_bundle(tmp_path / "bundle", network, golden=golden)
    table = place(network, load_chip("loihi2")).to_table()
    table["cores"].append(table["cores"][0])
    (tmp_path / "twice.json").write_text(json.dumps(table))
    assert run("simulate", tmp_path / "bundle", "--placement", tmp_path / "twice.json") == 2
    said = capsys.readouterr().err
    assert "a core is named once: found 2 times" in said
    assert "a place holds one core: found 2 cores" in said


@pytest.mark.parametrize("command", ["simulate", "verify"])
def test_a_bundle_s_own_placement_is_believed_no_more(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two cores on one place are no chip, whoever wrote the file and its hash."""
    network = random_conv_network(5, Reset.HARD, time_steps=3)
    table = json.loads(place(network, load_chip("loihi2")).to_json())
    table["cores"][1] |= {key: table["cores"][0][key] for key in ("chip", "x", "y", "slot")}
    golden = make_golden(network, random_inputs(network, 1, 1))
    write_bundle(tmp_path / "b", network, golden=golden, placement=table)
    assert run(command, tmp_path / "b", *(["--against", "sim"] * (command == "verify"))) == 2
    assert "a place holds one core: found 2 cores" in capsys.readouterr().err


def test_a_network_that_cannot_fit_says_which_rule_which_layer_and_by_how_much(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = mlp(4, 40, 2)
    write_bundle(tmp_path / "b", network, golden=make_golden(network, random_inputs(network, 1, 1)))
    few = ("--set", "limits.cores_per_chip=1", "--set", "limits.chips=1")
    small = (*few, "--set", "limits.neurons_per_core=20")
    assert run("simulate", tmp_path / "b", *small) == 2
    said = capsys.readouterr().err
    assert "the cores" in said
    assert "limit 1" in said
    tight = ("--set", "limits.synaptic_memory_per_core=8")
    assert run("simulate", tmp_path / "b", *tight) == 2
    said = capsys.readouterr().err
    assert "fc0, one neuron alone: the synapses of a core fit its synaptic memory" in said
    assert "limit 8;" in said
    assert "fewer input channels or inputs" in said


def run(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(a) for a in arguments])
    return ended.value.code if isinstance(ended.value.code, int) else 0
