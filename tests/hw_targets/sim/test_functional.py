"""The functional engine against the living definition: every spike, every state."""

from dataclasses import replace

import numpy as np
import pytest
from activities import assert_same
from hypothesis import given, settings
from hypothesis import strategies as st
from reset_amounts import with_amount
from strategies import Case, cases, random_conv_network, random_inputs

from tssd.calibration.int_network import (
    InputCoding,
    IntNetwork,
    Population,
    PopulationKind,
    Projection,
    ProjectionKind,
    Reset,
    constant,
    plain_population,
)
from tssd.calibration.integer import IntArray
from tssd.calibration.simulate import layerwise
from tssd.errors import DataError, NetworkError
from tssd.hw_targets.sim import program
from tssd.hw_targets.sim.functional import activity, simulate
from tssd.hw_targets.sim.program import prepare


@given(cases())
@settings(max_examples=40, deadline=None)
def test_every_spike_and_state_equals_the_living_definition(case: Case) -> None:
    check(case)


def check(case: Case) -> None:
    expected = layerwise(case.network, case.inputs)
    found = activity(case.network, simulate(prepare(case.network), case.inputs, record=True))
    assert_same(found, expected)


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


def test_a_stored_synapse_of_weight_zero_counts_only_if_it_is_asked_to() -> None:
    network = one_wire(0)
    inputs = np.ones((network.time_steps, 1, 4), np.int64)
    for stored in (False, True):
        events = simulate(prepare(network, stored_zeros=stored), inputs)[0]["lif"]
        assert events.active.all() == stored
        assert events.active.any() == stored
        assert not events.states["v"].any()


def test_inputs_of_another_shape_are_refused() -> None:
    network = random_conv_network(0, Reset.SOFT)
    with pytest.raises(DataError, match="inputs: found shape"):
        simulate(prepare(network), random_inputs(network, 0)[:, :, :1, :2])


@st.composite
def loud_cases(draw: st.DrawFn) -> Case:
    """Numbers of every size up to the limits: sums that wrap, membranes that saturate, biases and
    currents that need more than 32 bits; two wires of different exponents and delays; a relay."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = (2, int(rng.integers(3, 7)), int(rng.integers(3, 7)))
    populations = (
        plain_population("input", shape, PopulationKind.INPUT),
        _loud(rng, "a", shape, draw(st.sampled_from([Reset.HARD, Reset.SOFT]))),
        plain_population("relay", shape, PopulationKind.RELAY),
        _loud(rng, "b", shape, draw(st.sampled_from([Reset.HARD, Reset.SOFT]))),
        replace(_loud(rng, "out", (3,), Reset.NONE), kind=PopulationKind.READOUT),
    )
    exponents = rng.integers(-3, draw(st.sampled_from([1, 8, 16])), 5)
    wires = [("input", "a", 0), ("a", "relay", 0), ("relay", "b", 0), ("a", "b", 1)]
    projections = [
        Projection(
            source, target, ProjectionKind.CONV2D, rng.integers(-127, 128, (2, 2, 3, 3)), int(e),
            padding=(2, 2), dilation=(2, 2), delay=delay,
        )
        for (source, target, delay), e in zip(wires, exponents, strict=False)
    ]  # fmt: skip
    dense = rng.integers(-127, 128, (3, int(np.prod(shape))))
    projections.append(Projection("b", "out", ProjectionKind.DENSE, dense, int(exponents[4])))
    payload = draw(st.sampled_from([1, 255, 1 << 16]))
    network = IntNetwork(populations, tuple(projections), 6, InputCoding.GRADED, payload)
    return Case(network, random_inputs(network, 1, batch=2))


def _loud(rng: np.random.Generator, name: str, shape: tuple[int, ...], reset: Reset) -> Population:
    size = (shape[0],) + (1,) * (len(shape) - 1)
    bits = int(rng.integers(4, 18))
    drawn = Population(
        name,
        shape,
        PopulationKind.LIF,
        reset,
        du=rng.choice([0, 1, 2000, 4095, 4096], size),
        dv=rng.choice([0, 1, 2000, 4095, 4096], size),
        vth=rng.integers(0, 1 << int(rng.integers(4, 18)), size),
        bias_mant=rng.integers(-(1 << bits), 1 << bits, shape),
        bias_exp=int(rng.integers(0, 13)),
    )
    return with_amount(drawn)


@given(loud_cases())
@settings(max_examples=60, deadline=None)
def test_numbers_at_the_limits_equal_the_living_definition_too(case: Case) -> None:
    check(case)


@given(cases())
@settings(max_examples=15, deadline=None)
def test_the_width_of_the_accumulators_does_not_matter(case: Case) -> None:
    narrow = prepare(case.network)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(program, "_NARROW", 0)
        wide = prepare(case.network)
    assert all(layer.dtype is np.int64 for layer in wide.layers)
    assert any(layer.dtype is np.int32 for layer in narrow.layers)
    results = [simulate(p, case.inputs, record=True) for p in (narrow, wide)]
    for one, other in zip(*results, strict=True):
        for name, events in one.items():
            np.testing.assert_array_equal(events.spikes, other[name].spikes)
            np.testing.assert_array_equal(events.active, other[name].active)
            assert events.states.keys() == other[name].states.keys()
            for state, values in events.states.items():
                np.testing.assert_array_equal(values, other[name].states[state])


def one_wire(weight: int, neurons: int = 4, du: int = 4096, bias: int = 0) -> IntNetwork:
    """``neurons`` inputs, each with *weight* to one LIF neuron."""
    lif = Population(
        "lif", (1,), PopulationKind.LIF, Reset.HARD,
        constant(du, (1,)), constant(0, (1,)), constant(1 << 16, (1,)), constant(bias, (1,)),
    )  # fmt: skip
    given_weight: IntArray = np.full((1, neurons), weight, np.int64)
    return IntNetwork(
        (plain_population("input", (neurons,), PopulationKind.INPUT), lif),
        (Projection("input", "lif", ProjectionKind.DENSE, given_weight),),
        3,
        InputCoding.SPIKES,
        1,
    )


def test_accumulators_are_narrow_exactly_where_that_is_proven() -> None:
    """2**18 weight units turn a current once; a sum and the count beside it fill 31 bits."""

    def width(network: IntNetwork) -> int:
        return np.dtype(prepare(network).layers[1].dtype).itemsize * 8

    assert width(one_wire(1 << 16, du=0)) == 32  # 4 * 2**16 = 2**18
    assert width(one_wire((1 << 16) + 1, du=0)) == 64
    assert width(one_wire((1 << 16) + 1, du=4096)) == 32  # nothing to add it to
    assert width(one_wire(1 << 16, neurons=256)) == 64  # 2**24 and 256 synapses: 26 + 9 bits
    assert width(one_wire(1, bias=1 << 23)) == 64


def test_sums_that_no_accumulator_holds_are_refused() -> None:
    with pytest.raises(NetworkError, match=r"projection input -> lif: found sums up to 1099511627"):
        prepare(one_wire(1 << 38))


def _without_bias(network: IntNetwork) -> IntNetwork:
    silent = tuple(replace(p, bias_mant=np.zeros_like(p.bias_mant)) for p in network.populations)
    return replace(network, populations=silent)
