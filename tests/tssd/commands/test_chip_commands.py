"""``tssd targets`` and ``tssd check`` as a user calls them; the page of numbers."""

import json
from pathlib import Path

import pytest
from command_line import ran
from networks import mlp
from strategies import random_conv_network

from tssd.calibration.int_network import IntNetwork, Reset
from tssd.errors import ConfigError, FileFormatError
from tssd.export.bundle.folder import write_bundle
from tssd.export.nir.integers.write import write_nir
from tssd.hw_targets.chip.chip_page import page
from tssd.hw_targets.engines import ENGINES

ROOT = Path(__file__).resolve().parents[3]


def saved(tmp_path: Path, network: IntNetwork) -> str:
    path = tmp_path / "network.nir"
    write_nir(network, path)
    return str(path)


def test_the_page_of_numbers_is_up_to_date() -> None:

    found = (ROOT / "docs" / "numbers.md").read_text(encoding="utf-8")
    assert found == page(), "run: python -m tssd targets docs docs/numbers.md"


def test_targets_lists_every_chip_and_engine() -> None:
    text = ran("targets").output
    for name in ("loihi2", "loihi2-brief", "loihi1-davies2018", "sanafe-loihi", *ENGINES):
        assert name in text
    table = json.loads(ran("targets", "list", "--json").output)
    assert table["engines"] == list(ENGINES)
    assert table["chips"]["loihi1"] == "Loihi 1, energies fitted to measured runs"


def test_targets_show_tells_every_number_with_its_source() -> None:
    table = json.loads(ran("targets", "show", "loihi2", "--json").output)
    numbers = {row["name"]: row for row in table["numbers"]}
    assert numbers["time_ns.synop_conv"]["value"] == 1.0
    assert numbers["time_ns.synop_conv"]["kind"] == "derived"
    assert "time_ns.barrier[1]" in ran("targets", "show", "loihi2").output


def test_targets_check_reads_a_users_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    head = 'name = "mine"\ntitle = "t"\ncalibrated_on = []\nextends = "loihi2"\n'
    path.write_text(head)
    assert "mine is good" in ran("targets", "check", str(path)).output
    path.write_text(head + "[mesh]\nwidht = 3\n[buffers]\nlink = 4\n")
    with pytest.raises(ConfigError, match="2 mistake") as caught:
        ran("targets", "check", str(path))
    assert "did you mean 'width'" in str(caught.value)


def test_check_says_fits_layer_by_layer(tmp_path: Path) -> None:
    path = saved(tmp_path, random_conv_network(3, Reset.HARD))
    result = ran("check", path)
    assert result.exit_code == 0
    assert "\nfits\n" in result.output
    assert "readout" in result.output
    table = json.loads(ran("check", path, "--json").output)
    assert table["fits"] is True
    assert table["chips"] == 1


def test_check_reads_bundles(tmp_path: Path) -> None:
    write_bundle(tmp_path / "bundle", random_conv_network(3, Reset.HARD))
    assert ran("check", str(tmp_path / "bundle")).exit_code == 0


def test_check_exits_with_1_and_names_every_finding(tmp_path: Path) -> None:
    path = saved(tmp_path, random_conv_network(3, Reset.HARD))
    result = ran("check", path, "--target", "loihi1")
    assert result.exit_code == 1
    assert "input: payloads need graded spikes" in result.output
    assert "does not fit: 1 broken rule\n" in result.output


def test_check_counts_inputs_against_the_axons_of_a_core(tmp_path: Path) -> None:
    path = saved(tmp_path, mlp(5000, 3))
    result = ran("check", path, "--target", "loihi1", "--json")
    assert result.exit_code == 1
    table = json.loads(result.output)
    assert table["cores"] is None
    assert table["findings"][0]["found"] == "5,000"
    assert table["findings"][0]["limit"] == "4,096"


def test_check_shows_traffic_and_writes_the_placement(tmp_path: Path) -> None:
    path, out = saved(tmp_path, random_conv_network(3, Reset.HARD)), tmp_path / "placement.json"
    result = ran("check", path, "--traffic", "--out", str(out))
    assert "hop cost" in result.output
    assert "when every neuron fires once" in result.output
    again = ran("check", path, "--placement", str(out))
    assert "fits loihi2-n3b, hop cost" in again.output
    table = json.loads(ran("check", path, "--traffic", "--json").output)
    assert table["traffic"]["between"][-1]["target"] == "readout"


def test_check_takes_a_placement_file(tmp_path: Path) -> None:
    path = saved(tmp_path, mlp(4, 2))
    manual = tmp_path / "manual.json"
    manual.write_text(
        '{"schema": "tssd-placement/1",'
        ' "cores": [{"core": 0, "chip": 0, "x": 0, "y": 0, "slot": 0}],'
        ' "slices": [{"population": "input", "core": 0, "runs": [[0, 4]]},'
        ' {"population": "fc0", "core": 0, "runs": [[0, 2]]}]}'
    )
    result = ran("check", path, "--placement", str(manual))
    assert "fits loihi2-n3b, hop cost 0" in result.output


def test_check_refuses_what_is_no_network(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="no such file"):
        ran("check", str(tmp_path / "nothing"))


def test_the_chip_file_in_the_docs_is_good(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "targets.md").read_text(encoding="utf-8")
    path = tmp_path / "wide-mesh.toml"
    path.write_text(text.split("```toml\n")[1].split("```")[0])
    assert "wide-mesh is good" in ran("targets", "check", str(path)).output
