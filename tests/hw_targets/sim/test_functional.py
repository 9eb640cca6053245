"""The functional engine against the living definition: every spike, every state."""

import numpy as np
import pytest
from hypothesis import given, settings
from strategies import Case, cases, random_conv_network, random_inputs

from tssd.calibration.int_network import InputCoding, IntNetwork, Reset
from tssd.calibration.simulate import layerwise
from tssd.errors import DataError
from tssd.hw_targets.sim.functional import activity, prepare, simulate


@given(cases())
@settings(max_examples=40, deadline=None)
def test_every_spike_and_state_equals_the_living_definition(case: Case) -> None:
    expected = layerwise(case.network, case.inputs)
    found = activity(case.network, simulate(prepare(case.network), case.inputs, record=True))
    for population in case.network.populations:
        name = population.name
        np.testing.assert_array_equal(found.spikes[name], expected.spikes[name], err_msg=name)
        if population.has_state:
            np.testing.assert_array_equal(found.u[name], expected.u[name], err_msg=name)
            np.testing.assert_array_equal(found.v[name], expected.v[name], err_msg=name)
    np.testing.assert_array_equal(found.readout, expected.readout)


def test_a_neuron_is_active_if_it_met_a_synapse_has_a_bias_or_was_not_at_rest() -> None:
    network = random_conv_network(3, Reset.HARD, coding=InputCoding.SPIKES)
    inputs = np.zeros((network.time_steps, 1, *network.source.shape), np.int64)
    silent = simulate(prepare(_without_bias(network)), inputs)[0]
    assert not any(events.active.any() for events in silent.values())
    inputs[1, 0, 0, 2, 2] = 1
    events = simulate(prepare(_without_bias(network)), inputs)[0]
    assert events["input"].active.sum() == 1
    weights = network.incoming("conv0")[0].weight
    first = events["conv0"].active[1].sum()
    assert 0 < first <= np.count_nonzero(weights)
    assert not events["conv0"].active[0].any()


def test_inputs_of_another_shape_are_refused() -> None:
    network = random_conv_network(0, Reset.SOFT)
    with pytest.raises(DataError, match="inputs: found shape"):
        simulate(prepare(network), random_inputs(network, 0)[:, :, :1, :2])


def _without_bias(network: IntNetwork) -> IntNetwork:
    from dataclasses import replace

    silent = tuple(replace(p, bias_mant=np.zeros_like(p.bias_mant)) for p in network.populations)
    return replace(network, populations=silent)
