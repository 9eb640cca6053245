"""A core of Loihi 1 keeps eight different thresholds: layers with more are cut, and it is said."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import mlp
from strategies import residual_network

from tssd.calibration.int_network import IntNetwork, Reset
from tssd.errors import TargetError
from tssd.hw_targets.chip.chips import load_chip
from tssd.hw_targets.mapping.choices import NO_CHOICE
from tssd.hw_targets.mapping.fit import fit, told_of_fit
from tssd.hw_targets.mapping.manual import manual_placement
from tssd.hw_targets.mapping.partition import partition

LOIHI1, LOIHI2 = load_chip("loihi1"), load_chip("loihi2")
KEPT = 8


def with_thresholds(network: IntNetwork, name: str, values: Any) -> IntNetwork:
    """*network* whose population *name* has a threshold for each channel."""
    changed = []
    for p in network.populations:
        size = (-1,) + (1,) * (len(p.shape) - 1)
        vth = np.array(values, np.int64).reshape(size) if p.name == name else p.vth
        changed.append(replace(p, vth=vth))
    return replace(network, populations=tuple(changed))


def cores_of(network: IntNetwork, name: str, chip: Any) -> int:
    return sum(s.population == name for s in partition(network, chip).slices)


def test_a_layer_is_cut_until_its_thresholds_fit() -> None:
    """24 neurons of 24 thresholds need three cores, of 8 one; of 9 two, although they would fit."""
    network = mlp(10, 24)
    assert cores_of(network, "fc0", LOIHI1) == 1
    for different, cores in ((1, 1), (8, 1), (9, 3), (24, 3)):
        own = with_thresholds(network, "fc0", 100 + np.arange(24) * different // 24)
        found = cores_of(own, "fc0", LOIHI1)
        assert len(np.unique(own.population("fc0").vth)) == different
        assert (found > 1) == (different > KEPT)
        assert found <= cores
        assert cores_of(own, "fc0", LOIHI2) == 1
        fitting = fit(own, LOIHI1)
        assert not fitting.findings
        lines = told_of_fit(own, LOIHI1, NO_CHOICE, fitting)
        said = [line for line in lines if "keeps 8 different thresholds" in line]
        assert bool(said) == (different > KEPT)
        assert all(f"fc0 {different}" in line and "--scales layer" in line for line in said)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40))
def test_no_core_holds_more_than_it_keeps(seed: int, channels: int) -> None:
    rng = np.random.default_rng(seed)
    network = with_thresholds(mlp(6, channels), "fc0", rng.integers(1, 30, channels))
    parts = partition(network, LOIHI1)
    vth = network.population("fc0").vth
    for s, need in zip(parts.slices, parts.needs, strict=True):
        if s.population == "fc0":
            assert need.thresholds == len(np.unique(vth[s.neurons])) <= KEPT


def test_an_image_is_cut_by_its_channels() -> None:
    network = residual_network(4, Reset.HARD)
    name = next(p.name for p in network.populations if p.kind.fires and len(p.shape) == 3)
    channels = network.population(name).shape[0]
    own = with_thresholds(network, name, 50 + np.arange(channels))
    few = LOIHI1.with_value("limits.thresholds_per_core", 1)
    parts = partition(own, few)
    assert sum(s.population == name for s in parts.slices) >= channels
    assert all(need.thresholds == 1 for need in parts.needs)


def test_on_a_shared_core_equal_thresholds_count_once() -> None:
    table: dict[str, Any] = {
        "schema": "tssd-placement/1",
        "cores": [{"core": 0, "chip": 0, "x": 0, "y": 0, "slot": 0}],
        "slices": [
            {"population": "input", "core": 0, "runs": [[0, 10]]},
            {"population": "fc0", "core": 0, "runs": [[0, 6], [6, 12]]},
        ],
    }
    network = with_thresholds(mlp(10, 12), "fc0", np.arange(12) % 6)
    found = manual_placement(table, network, LOIHI2)
    assert found.needs[0].thresholds == 6  # the input's 0 is one of them
    few = LOIHI2.with_value("limits.thresholds_per_core", 5)
    with pytest.raises(TargetError, match=r"core 0: a core keeps only so many different.*found 6"):
        manual_placement(table, network, few)
