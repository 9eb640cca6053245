"""Fan-out against the definition: push one spike through the living synapse and count."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import random_conv_network, residual_network

from tssd.calibration.int_network import IntNetwork, Projection, Reset
from tssd.calibration.integer import IntArray
from tssd.calibration.synapse import deliver
from tssd.hw_targets.mapping.fanout import box_of, fanout, synapses_per_neuron


def brute_force(network: IntNetwork, projection: Projection) -> IntArray:
    """(sources, targets): 1 where the target hears the source, by one spike at a time."""
    source = network.population(projection.source)
    ones = replace(projection, weight=(projection.weight != 0).astype(np.int64), weight_exp=0)
    spikes = np.eye(source.neurons, dtype=np.int64).reshape(-1, *source.shape)
    return deliver(ones, spikes).reshape(source.neurons, -1)


def sparse(network: IntNetwork, seed: int) -> IntNetwork:
    """Half of the weights set to zero."""
    rng = np.random.default_rng(seed)
    thin = [
        replace(j, weight=j.weight * rng.integers(0, 2, j.weight.shape))
        for j in network.projections
    ]
    return replace(network, projections=tuple(thin))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), residual=st.booleans(), scattered=st.booleans())
def test_equals_counting_single_spikes(seed: int, residual: bool, scattered: bool) -> None:
    make = residual_network if residual else random_conv_network
    network = sparse(make(seed, Reset.HARD), seed)
    rng = np.random.default_rng(seed)
    for projection in network.projections:
        target = network.population(projection.target)
        heard = brute_force(network, projection)
        order = rng.permutation(target.neurons) if scattered else np.arange(target.neurons)
        parts = [(k, np.sort(p)) for k, p in enumerate(np.array_split(order, 3)) if len(p)]
        result = fanout(
            projection, network.population(projection.source).shape, target.shape, parts
        )
        table = np.zeros((len(heard), 3), np.int64)
        table[result.source, result.core] = result.synapses
        expected = np.stack([heard[:, neurons].sum(axis=1) for _, neurons in parts], axis=1)
        assert np.array_equal(table[:, : len(parts)], expected)
        assert np.array_equal(result.synapses_per_neuron(), heard.sum(axis=1))
        assert np.array_equal(result.cores_per_neuron(), (expected > 0).sum(axis=1))
        assert result.starts()[-1] == len(result.core)


def test_padding_has_no_synapses() -> None:
    network = residual_network(1, Reset.HARD)
    counts = synapses_per_neuron(network.projections[0], (2, 5, 5), (2, 5, 5)).reshape(2, 5, 5)
    full = np.count_nonzero(network.projections[0].weight)
    assert counts[:, 2, 2].sum() == full  # the middle neuron of a channel uses every tap
    assert counts[:, 0, 0].sum() < full * 5 / 9


@pytest.mark.parametrize(
    ("neurons", "box", "full"),
    [([0, 1, 5, 6], ((0, 1), (0, 2), (0, 2)), True), ([0, 6], ((0, 1), (0, 2), (0, 2)), False)],
)
def test_boxes(neurons: list[int], box: tuple[tuple[int, int], ...], full: bool) -> None:
    found, taken = box_of(np.array(neurons), (2, 5, 5))
    assert found == box
    assert bool(taken.all()) is full
