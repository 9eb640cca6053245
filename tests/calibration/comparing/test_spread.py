"""Weights and membranes of both networks on one scale, in closed form."""

from dataclasses import replace

import numpy as np
import pytest
from strategies import random_conv_network, random_inputs, residual_network

from tssd.calibration.comparing.histogram import HALF, Histogram, histogram
from tssd.calibration.comparing.spread import (
    HALF_STEP,
    after_reset,
    float_weights,
    in_thresholds,
    integer_membranes,
    integer_weights,
)
from tssd.calibration.int_network import MEMBRANE, IntNetwork
from tssd.calibration.simulate import layerwise
from tssd.train.handover.float_network import (
    FloatNetwork,
    FloatPopulation,
    FloatProjection,
    PopulationKind,
    Reset,
)

SKIP = ("a", "c")  # of the residual network


def steps(found: Histogram) -> dict[int, int]:
    """Whole number -> how often, of a histogram of whole numbers plus a half."""
    return {int(i) - HALF: int(found.counts[i]) for i in np.flatnonzero(found.counts)}


def test_every_stored_weight_is_counted_once() -> None:
    network = random_conv_network(1, Reset.SOFT)
    found = integer_weights(network)
    for population in network.populations[1:]:
        incoming = network.incoming(population.name)
        values, counts = np.unique(
            np.concatenate([j.weight.ravel() for j in incoming]), return_counts=True
        )
        wanted = dict(zip(values.tolist(), counts.tolist(), strict=True))
        assert steps(found[population.name]) == wanted


def in_float(network: IntNetwork) -> FloatNetwork:
    """The float network whose weights are exactly the integers', at each layer's scale."""
    populations = tuple(
        FloatPopulation(
            p.name,
            p.shape,
            p.kind,
            p.reset,
            1 - p.dv / 4096,
            p.vth / p.scales,
            np.zeros(p.bias.shape),
        )
        for p in network.populations
    )
    projections = []
    for j in network.projections:
        source, target = network.population(j.source), network.population(j.target)
        payload = 1.0 if source.kind.fires else source.scale
        per = target.scales.reshape(-1, *(1,) * (j.weight.ndim - 1))
        weight = j.weight * 2.0**j.weight_exp * payload / per
        projections.append(FloatProjection(j.source, j.target, j.kind, weight))
    return FloatNetwork(populations, tuple(projections), network.time_steps)


@pytest.mark.parametrize("per_channel", [False, True])
def test_floats_that_are_the_integers_have_their_histogram(per_channel: bool) -> None:
    network = residual_network(2, Reset.SOFT)
    network = replace(
        network,
        populations=tuple(
            replace(
                p,
                scale=255.0 if p.kind.enters else 48.0,
                channel_scales=tuple(2.0 ** np.arange(p.shape[0]))
                if per_channel and p.kind.fires
                else (),
            )
            for p in network.populations
        ),
        projections=tuple(replace(j, weight_exp=i) for i, j in enumerate(network.projections)),
    )
    ours, theirs = integer_weights(network), float_weights(network, in_float(network))
    assert ours.keys() == theirs.keys()
    for name, found in ours.items():
        assert steps(theirs[name]) == steps(found), name


def test_other_projections_are_not_set_beside() -> None:
    network = residual_network(2, Reset.SOFT)
    theirs = in_float(network)
    fewer = replace(
        theirs, projections=tuple(j for j in theirs.projections if (j.source, j.target) != SKIP)
    )
    assert set(float_weights(network, theirs)) == {"a", "b", "c", "readout"}
    assert set(float_weights(network, fewer)) == {"a", "b", "readout"}


def test_membranes_are_told_in_thresholds_of_their_neurons() -> None:
    network = residual_network(3, Reset.SOFT)
    activity = layerwise(network, random_inputs(network, 1, batch=4))
    found = integer_membranes(network, activity)
    for p in network.populations:
        if p.has_state:
            v = activity.states[MEMBRANE][p.name]
            unit = p.vth if p.kind.fires else p.scales
            wanted = histogram(v / (64 * unit), -10)
            np.testing.assert_array_equal(found[p.name].counts, wanted.counts)
            assert in_thresholds(p) == p.kind.fires
    assert not in_thresholds(replace(network.populations[1], vth=network.populations[1].vth * 0))


@pytest.mark.parametrize(
    ("reset", "left"), [(Reset.HARD, 0.0), (Reset.SOFT, 0.5), (Reset.NONE, 1.5)]
)
def test_what_a_reset_leaves(reset: Reset, left: float) -> None:
    one = np.ones(1)
    kind = PopulationKind.READOUT if reset is Reset.NONE else PopulationKind.LIF
    population = FloatPopulation("x", (2,), kind, reset, one, one, one)
    before = np.array([[1.5, 0.25]])
    assert after_reset(population, before, np.array([[1.0, 0.0]])).tolist() == [[left, 0.25]]


def test_whole_numbers_stand_in_the_middle_of_their_bins() -> None:
    assert HALF_STEP == 0.5
    assert steps(histogram(np.array([-1, 0, 1]) + HALF_STEP, 0)) == {-1: 1, 0: 1, 1: 1}
