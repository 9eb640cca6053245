"""Lava's own models against the living definition: spikes, u and v of every population and step."""

from dataclasses import replace

import pytest
from activities import assert_same
from lava_environment import differences, needs_lava
from lava_networks import lava_case
from strategies import random_conv_network, random_inputs, residual_network

from tssd.calibration.int_network import PopulationKind, Reset, constant
from tssd.calibration.simulate import layerwise, pipelined
from tssd.hw_targets.lava import engine
from tssd.hw_targets.lava.engine import LavaOptions

pytestmark = [pytest.mark.lava, needs_lava("light")]


@pytest.mark.parametrize("reset", [Reset.HARD, Reset.SOFT])
def test_a_residual_network_in_lavas_runtime(reset: Reset) -> None:
    network = residual_network(1, reset)
    inputs = random_inputs(network, 2, batch=4)
    found = engine.run(network, inputs, mode="process")
    assert differences(layerwise(network, inputs), found) == []
    assert found.spikes["c"].any()


@pytest.mark.parametrize("seed", [3, 8, 14])
def test_a_drawn_network_in_lavas_runtime_and_without_it(seed: int) -> None:
    """Recurrence, delays, relays, bias input: the direct calls equal the runtime."""
    case = lava_case(seed)
    runtime = engine.run(case.network, case.inputs, mode="process")
    direct = engine.run(case.network, case.inputs, mode="inprocess")
    assert differences(runtime, direct) == []
    assert differences(pipelined(case.network, case.inputs), runtime) == []


def test_a_longer_interval_leaves_silent_steps_between_samples() -> None:
    network = random_conv_network(5, Reset.HARD, memory=True)
    inputs = random_inputs(network, 6)
    found = engine.run(network, inputs, mode="process", options=LavaOptions(interval=8))
    assert differences(layerwise(network, inputs), found) == []


@pytest.mark.parametrize("last", [PopulationKind.READOUT, PopulationKind.LIF])
def test_without_states_the_spikes_are_the_same(last: PopulationKind) -> None:
    """The membranes of the last population are the answer, whether it can fire or not."""
    network = residual_network(4, Reset.SOFT)
    end = replace(network.readout, kind=last, reset=Reset.HARD, vth=constant(40, (5,)))
    if last is PopulationKind.LIF:
        network = replace(network, populations=(*network.populations[:-1], end))
    inputs = random_inputs(network, 5)
    found = engine.run(network, inputs, mode="process", options=LavaOptions(states=False))
    expected = layerwise(network, inputs)
    assert not found.states
    assert_same(found, expected, states=False)


@pytest.mark.parametrize("first", range(0, 1200, 300))
def test_random_networks(first: int) -> None:
    """1,200 networks: weights, decays, thresholds, biases, strides, groups, padding, delays,
    recurrence, all resets and codings, values at the edge of 24 bits."""
    cases = [lava_case(seed) for seed in range(first, first + 300)]
    found = engine.run_many([(case.network, case.inputs) for case in cases], mode="inprocess")
    broken = {
        first + i: told
        for i, (case, activity) in enumerate(zip(cases, found, strict=True))
        if (told := differences(pipelined(case.network, case.inputs), activity))
    }
    assert broken == {}
