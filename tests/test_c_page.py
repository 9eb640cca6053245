"""The tables about plain C say what their rows say, and the campaign counts what differs."""

from dataclasses import replace

import pytest
from activities import assert_same
from c_networks import c_case

from benchmarks import c_campaign, c_page
from benchmarks.harness import Row, at_most, report
from tssd.calibration.simulate import layerwise
from tssd.hw_targets.c.engine import compiler


def rows(name: str, flash_kb: float) -> list[Row]:
    return [
        at_most(f"{name}: flash", flash_kb, 64, "KiB", "code, constants; cc"),
        at_most(f"{name}: RAM", 12.3, 16, "KiB", "static arrays"),
        report(f"{name}: constant tables", 23.25, "KiB", "as the header says"),
        report(f"{name}: accuracy", 94.722, "%", "360 samples"),
        report(f"{name}: instructions", 1_880_000.0, "an inference", "valgrind"),
    ]


def test_each_width_is_a_line_and_engines_stand_below() -> None:
    more = [report("c over torch", 7.25, "x", "in turn"), report("steps", 9.0, "steps/s", "")]
    made = c_page.widths([*rows("digits, 8 bits", 25.04), *rows("digits, 4", 70), *more], "make x")
    assert "| digits, 8 bits | 25.0 KiB | 12.3 KiB | 23.2 KiB | 94.7 % | 1.88 M |" in made
    assert "| digits, 4 | **70.0 KiB** |" in made
    assert "flash <= 64 KiB" in made
    assert "`make x`" in made
    assert "- c over torch: 7.2 x (in turn)" in made
    assert "steps" not in made


def test_blocks_are_added_up_and_features_counted() -> None:
    blocks = [
        {"networks": 2, "differing": 0, "values": 10, "has relay": 1},
        {"networks": 2, "differing": 1, "values": 30, "has relay": 2, "has loop": 1},
    ]
    found = {row.name: row for row in c_campaign.rows(blocks)}
    assert found["plain C: random networks"].value == 4
    assert found["plain C: networks that differ"].met is False
    assert found["plain C: values compared"].value == 40
    assert found["plain C: networks with relay"].value == 3
    made = c_page.campaign(list(found.values()), "make y")
    assert "| random networks | 4 | >= 1000 |" in made
    assert "loop 1, relay 3" in made


def test_a_difference_is_named() -> None:
    case = c_case(1)
    expected = layerwise(case.network, case.inputs)
    name = case.network.readout.name
    changed = {**expected.spikes, name: expected.spikes[name] + 1}
    found = list(c_campaign.differences(expected, replace(expected, spikes=changed)))
    assert found == [f"{name} spikes"]
    assert not list(c_campaign.differences(expected, expected))
    assert_same(expected, expected)


@pytest.mark.skipif(compiler() is None, reason="no C compiler")
def test_one_network_of_the_campaign() -> None:
    found = c_campaign.of_network(7)
    assert (found["networks"], found["differing"]) == (1, 0)
    assert found["values"] > 0
    assert sum(key.startswith("has ") for key in found) > 5
