"""Placements by hand: the same rules, every mistake at once."""

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from networks import mlp, random_tally
from strategies import residual_network

from tssd.calibration.int_network import Reset
from tssd.errors import FileFormatError, TargetError
from tssd.hw_targets.chip.chips import load_chip
from tssd.hw_targets.mapping.manual import manual_placement, read_placement
from tssd.hw_targets.mapping.placement import place

CHIP = load_chip("loihi2")
NETWORK = mlp(10, 6)


@pytest.fixture
def table() -> dict[str, Any]:
    return {
        "schema": "tssd-placement/1",
        "cores": [
            {"core": 0, "chip": 0, "x": 0, "y": 0, "slot": 0},
            {"core": 1, "chip": 0, "x": 2, "y": 1, "slot": 3},
        ],
        "slices": [
            {"population": "input", "core": 0, "runs": [[0, 10]]},
            {"population": "fc0", "core": 1, "box": [[0, 6], [0, 1], [0, 1]]},
        ],
    }


def test_a_placement_by_hand_is_taken_and_priced(table: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "manual.json"
    path.write_text(json.dumps(table))
    placement = read_placement(path, NETWORK, CHIP)
    assert placement.sites.tolist() == [[0, 0, 0, 0], [0, 2, 1, 3]]
    assert placement.hop_cost == pytest.approx(10 * (2 + 6.5 / 4.1))
    assert placement.needs[1].axons_in == 10
    assert placement.needs[0].axons_out == 10


@pytest.mark.parametrize("chip", [CHIP, CHIP.with_value("limits.neurons_per_core", 20)])
def test_our_own_placements_pass_and_stay_the_same(chip: Any) -> None:
    network = residual_network(4, Reset.HARD)
    tally = random_tally(network, 0)
    ours = place(network, chip, tally)
    again = manual_placement(ours.to_table(), network, chip, tally)
    assert np.array_equal(again.sites, ours.sites)
    assert again.hop_cost == pytest.approx(ours.hop_cost)
    for mine, theirs in zip(again.needs, ours.needs, strict=True):
        assert mine.axons_in <= theirs.axons_in  # ours counts every tile as an inner one
        assert (mine.neurons, mine.axons_out) == (theirs.neurons, theirs.axons_out)


def test_two_populations_may_share_a_core(table: dict[str, Any]) -> None:
    table["cores"] = table["cores"][:1]
    table["slices"][1]["core"] = 0
    placement = manual_placement(table, NETWORK, CHIP)
    assert placement.needs[0].groups == 2
    assert placement.needs[0].neurons == 16
    alone = CHIP.with_value("limits.neuron_groups_per_core", 1)
    with pytest.raises(TargetError, match="core 0: only so many populations share a core"):
        manual_placement(table, NETWORK, alone)


def test_all_mistakes_are_reported_together(table: dict[str, Any]) -> None:
    wrong = copy.deepcopy(table)
    wrong["cores"] += [
        {"core": 1, "chip": 0, "x": 8, "y": 0, "slot": 0},
        {"core": 5, "chip": 0, "x": 0, "y": 0, "slot": 0},
    ]
    wrong["slices"] = [
        {"population": "input", "core": 0, "runs": [[0, 7]]},
        {"population": "input", "core": 1, "runs": [[6, 9]]},
        {"population": "fc9", "core": 1, "runs": [[0, 1]]},
        {"population": "fc0", "core": 7, "runs": [[0, 6]]},
        {"population": "fc0", "core": 1, "box": [[0, 99], [0, 1], [0, 1]]},
    ]
    with pytest.raises(TargetError, match="broken rule") as caught:
        manual_placement(wrong, NETWORK, CHIP)
    for text in (
        "core 1: a core is named once: found 2 times",
        "cores: cores are numbered from 0: found 5; limit 0 .. 3",
        "core 1: x: a core sits on the mesh: found 8; limit 0 .. 7",
        "chip 0, x 0, y 0, slot 0: a place holds one core: found 2 cores",
        "fc9: a slice is of a population: found unknown; limit input, fc0",
        "fc0: a slice is on a core: found core 7",
        "fc0 on core 1: a slice is a part of its population: found box",
        "input: every neuron sits on exactly one core: found 1 of 10 missing, first neuron 9",
        "input: every neuron sits on exactly one core: found 1 of 10 on several cores, first",
        "fc0: every neuron sits on exactly one core: found 6 of 6 missing",
    ):
        assert text in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "no valid JSON"), ("[]", "found a list; allowed: an object"),
     ('{"schema": "x"}', "schema 'x'; allowed: tssd-placement/1"),
     ('{"schema": "tssd-placement/1", "cores": []}', "cores: .* allowed: a list of a length >= 1"),
     ('{"schema": "tssd-placement/1", "cores": [{"core": -1}]}', r"cores\[0\].core: found -1")],
)  # fmt: skip
def test_other_files_are_refused(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "manual.json"
    path.write_text(text)
    with pytest.raises(FileFormatError, match=message):
        read_placement(path, NETWORK, CHIP)
