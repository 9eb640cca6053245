"""Chip files: every number has unit, source and kind; every mistake is reported at once."""

import copy
import math
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tssd.errors import ConfigError
from tssd.hw_targets.chip.chip_file import parse_chip
from tssd.hw_targets.chip.chips import CHIPS, chip_table, find_chip, load_chip
from tssd.hw_targets.chip.spec import Kind, Level, whole_cycles


@pytest.fixture
def table() -> dict[str, Any]:
    return copy.deepcopy(chip_table(find_chip("loihi2")))


@pytest.mark.parametrize("name", CHIPS)
def test_packaged_chips_read_and_every_number_names_its_origin(name: str) -> None:
    chip = load_chip(name)
    for label, quantity in chip.quantities():
        assert quantity.low <= quantity.value <= quantity.high, label
        assert len(quantity.source) > 4, label
        assert "{" not in quantity.source, label


def test_published_values_arrive_in_the_units_of_their_fields() -> None:
    chip = load_chip("loihi2")
    assert chip.time_ns.barrier.at(7) == 1164.0  # written as 1.164 us
    assert chip.time_ns.barrier.at(7, Level.LOW) == 1162.0
    assert chip.time_ns.synop_conv.kind is Kind.DERIVED
    assert chip.energy_pj.message_out.at(Level.HIGH) == 180.0
    davies = load_chip("loihi1-davies2018")
    assert davies.energy_pj.synop_conv.value == 23.6
    assert davies.time_ns.barrier.at(1) == 113.0
    assert davies.time_ns.barrier.at(40) == 465.0


def test_a_curve_is_linear_between_its_points() -> None:
    barrier = load_chip("loihi1").time_ns.barrier
    assert [barrier.at(n) for n in (1, 2, 3, 4, 29, 32)] == [600, 1000, 1200, 1400, 1800, 1800]


def test_latencies_become_whole_cycles() -> None:
    chip = load_chip("loihi1")
    assert chip.cycles(chip.time_ns.hop_ew) == 41
    assert chip.cycles(chip.time_ns.spike) == 300
    assert chip.cycles(chip.time_ns.memory_read) == 0
    assert whole_cycles(0.01, 0.1) == 1  # never free unless it is 0


def test_a_file_may_extend_another(tmp_path: Path) -> None:
    path = tmp_path / "wide.toml"
    path.write_text(
        'name = "wide"\ntitle = "t"\ncalibrated_on = []\nextends = "loihi2"\n[mesh]\n'
        'width = { value = 16, unit = "routers", kind = "assumed", source = "what if" }\n'
    )
    chip = load_chip(path)
    assert chip.mesh.width.value == 16
    assert chip.mesh.height.value == 4
    assert chip.calibrated_on == ()  # a changed chip is not calibrated by its base's runs


@pytest.mark.parametrize("base", ["x" * 400, f"{'x' * 400}.toml", "a\\u0000b.toml", "", "."])
def test_what_cannot_be_the_name_of_a_chip_is_none(base: str, tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(f'name = "a"\nextends = "{base}"\n')
    with pytest.raises(ConfigError, match="unknown chip|no valid TOML|extends: found no file"):
        load_chip(tmp_path / "a.toml")


def test_a_circle_of_extensions_is_refused(tmp_path: Path) -> None:
    for one, other in (("a", "b"), ("b", "a")):
        (tmp_path / f"{one}.toml").write_text(f'extends = "{other}.toml"\n')
    with pytest.raises(ConfigError, match="a circle through"):
        load_chip(tmp_path / "a.toml")


def test_all_mistakes_are_reported_together(table: dict[str, Any]) -> None:
    table["limits"]["neuron_per_core"] = table["limits"].pop("neurons_per_core")
    table["time_ns"]["hop_ew"] = 4.1
    table["time_ns"]["spike"]["value"] = -3
    table["time_ns"]["message_in"]["unit"] = "pJ"
    table["energy_pj"]["hop_ew"]["kind"] = "guess"
    del table["energy_pj"]["hop_ns"]["source"]
    table["link"]["message"]["low"] = 40
    table["bits"]["weight"]["value"] = "nine"
    table["energy"] = {}
    with pytest.raises(ConfigError, match="10 mistake") as caught:
        parse_chip(table, "mine.toml")
    for text in (
        "limits.neuron_per_core: unknown; did you mean 'neurons_per_core'",
        "limits.neurons_per_core: missing; needed: a number in neurons",
        "time_ns.hop_ew: found 4.1 without unit, source and kind",
        "time_ns.spike.value: found -3; allowed: a number >= 0",
        "time_ns.message_in: found unit 'pJ'; allowed: ns, ps, us",
        "energy_pj.hop_ew.kind: found 'guess'; allowed: measured",
        "energy_pj.hop_ns: no source",
        "link.message: found low, value, high = 40, 32, 64",
        "bits.weight.value: found 'nine'; allowed: a number",
        "section or key 'energy': unknown; did you mean 'energy_pj'?",
    ):
        assert text in str(caught.value)


@pytest.mark.parametrize(
    ("section", "key", "value", "message"),
    [
        ("buffers", "link", 0, "buffers.link: found 0; allowed: above 0"),
        ("mesh", "width", 2, "120 on a mesh with 32 places"),
        ("limits", "neurons_per_core", 10.5, "allowed: a whole number"),
        ("time_ns", "cycle", 3.0, r"time_ns.hop_ew: 4.1 ns is 1.37 cycles of 3 ns"),
    ],
)
def test_contradictions_between_numbers_are_found(
    table: dict[str, Any], section: str, key: str, value: float, message: str
) -> None:
    table[section][key] |= {"value": value, "low": value, "high": value}
    with pytest.raises(ConfigError, match=message):
        parse_chip(table, "mine.toml")


def test_a_missing_section_and_an_unknown_source_are_named(table: dict[str, Any]) -> None:
    del table["buffers"]
    table["link"]["bandwidth"]["source"] = "{nobody}, Table 1"
    with pytest.raises(ConfigError, match=r"\[buffers\]: found nothing") as caught:
        parse_chip(table, "mine.toml")
    assert "'{nobody}, Table 1' names no text 'nobody' of [sources]" in str(caught.value)


def test_one_number_can_be_changed() -> None:
    chip = load_chip("loihi2").with_value("buffers.link", 4)
    assert chip.buffers.link.value == 4
    assert chip.buffers.link.kind is Kind.ASSUMED
    with pytest.raises(ConfigError, match="did you mean 'buffers.link'"):
        chip.with_value("buffers.lnk", 4)
    with pytest.raises(ConfigError, match="allowed: above 0"):
        chip.with_value("buffers.link", 0)
    assert chip.with_value("time_ns.barrier", 50).time_ns.barrier.at(9) == 50


def test_installed_packages_can_add_chips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package beside ours, as pip would install it: a module and its entry points."""
    package = tmp_path / "acme"
    package.mkdir()
    (package / "__init__.py").touch()
    head = 'name = "acme-1"\ntitle = "t"\ncalibrated_on = []\nextends = "loihi2"\n'
    (package / "acme.toml").write_text(head)
    info = tmp_path / "acme-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[tssd.chips]\nacme-1 = acme:acme.toml\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert load_chip("acme-1").title == "t"


def test_unknown_chip_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'loihi2'"):
        load_chip("loihi3")


@pytest.mark.parametrize(
    ("was", "now", "message"),
    [
        ('source = "', 'source = "{a:>2000000000}', "names no text 'a:>2000000000' of [sources]"),
        ("value = ", f"value = {'9' * 400} # ", "mesh.width.value: found 999"),
    ],
)
def test_a_number_cannot_take_the_memory(was: str, now: str, message: str) -> None:
    """A format of 15 letters made a text of 2 GB."""
    table = 'width = { value = 8, unit = "routers", kind = "assumed", source = "us" }'
    text = f"name = 'x'\ntitle = 'x'\ncalibrated_on = []\n[mesh]\n{table.replace(was, now)}"
    if "#" in now:
        text = text.replace("# 8", "")
    with pytest.raises(ConfigError) as caught:
        parse_chip(tomllib.loads(text), "mine.toml")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("name",), 3, "name: found 3; allowed: a text"),
        (("title",), None, "title: missing"),
        (("calibrated_on",), ["a", 1], "calibrated_on: [1]: found 1; allowed: a text"),
        (("barrier_follows",), "no", "barrier_follows: found 'no'; allowed: true or false"),
        (("sources", "own"), 1, "sources.own: found 1; allowed: a text"),
        (("boards",), {"b": 1}, "boards.b: found 1; allowed: an object"),
        (("boards",), {"b": {"barrier": 1}}, "boards.b: no title"),
        (("boards",), {"b": {"title": "t"}}, "boards.b.barrier: missing; needed: a number in ns"),
        (("time_ns", "spike", "value"), math.nan, "time_ns.spike.value: found nan; allowed: a"),
        (("time_ns", "spike", "value"), math.inf, "time_ns.spike.value: found inf; allowed: a"),
        (("time_ns", "spike", "value"), True, "time_ns.spike.value: found true; allowed: a number"),
        (("time_ns", "spike", "high"), "9", "time_ns.spike.high: found '9'; allowed: a number"),
        (("time_ns", "spike", "unit"), 9, "time_ns.spike.unit: found 9; allowed: a text"),
        (("time_ns", "spike", "source"), " ", "time_ns.spike: found source ' '; allowed: a text"),
        (("time_ns", "spike", "sources"), "x", "spike.sources: unknown; did you mean 'source'?"),
        (("time_ns", "barrier", 0, "count"), 0, "time_ns.barrier[0].count: found 0; allowed: a"),
        (("time_ns", "barrier", 0, "count"), None, "time_ns.barrier[0]: no count"),
        (("fit",), {"data_sha256": 1}, "fit: data_sha256: found 1; allowed: a text"),
    ],
)
def test_a_value_of_another_kind_hides_no_other_mistake(
    table: dict[str, Any], place: tuple[Any, ...], value: object, message: str
) -> None:
    """None: the key is left out."""
    table.setdefault("sources", {})
    inner: Any = table
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    if value is None:
        del inner[place[-1]]
    table["power_w"]["static_per_chip"]["kind"] = "guess"
    with pytest.raises(ConfigError, match=r"\d mistakes") as caught:
        parse_chip(table, "mine.toml")
    assert message in str(caught.value)
    assert "power_w.static_per_chip.kind: found 'guess'" in str(caught.value)


def test_counts_of_a_curve_rise(table: dict[str, Any]) -> None:
    table["time_ns"]["barrier"] *= 2
    with pytest.raises(ConfigError, match=r"time_ns.barrier: found counts \[1, .*allowed: rising"):
        parse_chip(table, "mine.toml")


@pytest.mark.parametrize("name", ["mesh.width", "limits.chips", "buffers.link", "buffers.synapse"])
def test_sizes_are_not_believed_before_memory_is_taken(name: str) -> None:
    with pytest.raises(ConfigError, match=r"found [\d,]+; allowed: up to"):
        load_chip("loihi2").with_value(name, 1e9)
