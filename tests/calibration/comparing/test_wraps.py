"""Turns of currents and sums are those that the definition itself makes."""

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import extreme_network, random_conv_network, random_inputs, recurrent_case

from tssd.calibration import neuron, synapse
from tssd.calibration.comparing.wraps import may_wrap, wraps
from tssd.calibration.int_network import IntNetwork, Reset
from tssd.calibration.integer import IntArray, wrap_current, wrap_sum
from tssd.calibration.payloads import payload_bounds
from tssd.calibration.simulate import layerwise


def turned_while_running(network: IntNetwork, inputs: IntArray) -> tuple[Any, int]:
    """The run, and the turns counted where they are made."""
    turns = Counter[str]()

    def counting(rule: Any) -> Any:
        def counted(x: IntArray) -> IntArray:
            y: IntArray = rule(x)
            turns["all"] += int((x != y).sum())
            return y

        return counted

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neuron, "wrap_current", counting(wrap_current))
        patch.setattr(synapse, "wrap_sum", counting(wrap_sum))
        return layerwise(network, inputs), turns["all"]


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_turns_are_the_definitions(seed: int) -> None:
    network = extreme_network(seed, Reset.SOFT)
    activity, turned = turned_while_running(network, random_inputs(network, seed))
    assert sum(wraps(network, activity).values()) == turned


def test_they_happen_and_in_loops_too() -> None:
    found = 0
    for seed in range(6):
        case = recurrent_case(seed)
        activity, turned = turned_while_running(case.network, case.inputs)
        assert sum(wraps(case.network, activity).values()) == turned
        network = extreme_network(seed, Reset.HARD)
        found += sum(wraps(network, layerwise(network, random_inputs(network, seed))).values())
    assert found > 0


def test_small_weights_cannot_reach_that_far_and_are_not_looked_at() -> None:
    network = random_conv_network(1, Reset.SOFT)
    bounds = payload_bounds(network)
    assert not any(may_wrap(network, p, bounds) for p in network.populations)
    activity = layerwise(network, random_inputs(network, 1))
    assert set(wraps(network, activity).values()) == {0}


@pytest.mark.parametrize(("weight", "turns"), [(131_071, 0), (131_072, 0), (131_073, 1)])
def test_the_edge_of_a_current(weight: int, turns: int) -> None:
    """2**23 = 131,072 * 64 itself stays; one weight unit more turns."""
    network = random_conv_network(1, Reset.SOFT, time_steps=1)
    last = network.projections[-1]
    heavy = np.zeros_like(last.weight)
    heavy[0, 0] = weight
    network = replace(network, projections=(*network.projections[:-1], replace(last, weight=heavy)))
    activity = layerwise(network, random_inputs(network, 1, batch=1))
    name = last.source
    fires = np.zeros_like(activity.spikes[name])
    fires.reshape(-1)[0] = 1
    spikes = {**activity.spikes, name: fires}
    assert wraps(network, replace(activity, spikes=spikes))["readout"] == turns
