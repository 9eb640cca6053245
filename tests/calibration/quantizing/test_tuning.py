"""Thresholds and biases of a rounded layer that follow the float network."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tssd.calibration.layer import Form, to_float, to_integers
from tssd.calibration.precision import LOIHI
from tssd.calibration.quantizing.channels import Tuning, per_channel
from tssd.calibration.quantizing.search import TOGETHER, miscounted
from tssd.calibration.quantizing.search import differing as differing_slots
from tssd.calibration.quantizing.tuning import RoundedPopulation, by_channel, tuned
from tssd.train.handover.float_layers import current
from tssd.train.handover.float_network import (
    FloatPopulation,
    FloatProjection,
    PopulationKind,
    ProjectionKind,
    Reset,
)

CHANNELS, STEPS, SAMPLES, SCALE = 5, 4, 64, 20.0


def layer(
    seed: int, kind: PopulationKind = PopulationKind.LIF, *, level: bool = True
) -> RoundedPopulation:
    """A layer of currents that are whole weight units, and its integers."""
    rng = np.random.default_rng(seed)
    one = np.ones((1, 1, 1))
    reset = Reset.SOFT if kind.fires else Reset.NONE
    population = FloatPopulation(
        "a", (CHANNELS, 3, 3), kind, reset, 0.5 * one if kind.fires else one, one,
        rng.uniform(-0.3, 0.5, (CHANNELS, 1, 1)),
    )  # fmt: skip
    incoming = (
        FloatProjection("x", "a", ProjectionKind.CONV2D, rng.normal(0, 0.2, (CHANNELS, 2, 1, 1))),
    )
    made = to_integers(population, incoming, (1.0,), SCALE, Form(LOIHI, LOIHI.bias_exp))
    made = replace(made, level=np.ones(CHANNELS) if level else None)
    whole, _ = to_float(replace(made, scale=1.0), population, incoming, (1.0,))
    arrived = torch.tensor(rng.normal(4, 9, (STEPS, SAMPLES, CHANNELS, 3, 3))).round().float()
    return RoundedPopulation(made, whole, arrived, STEPS)


def follow(rounded: RoundedPopulation, wanted: RoundedPopulation, how: Tuning) -> RoundedPopulation:
    mean = by_channel(current(wanted.population, [wanted.arrived], STEPS))
    membrane, spikes = wanted.run()
    goal = spikes if wanted.population.kind.fires else membrane
    return tuned(rounded, lambda: mean, goal, how)


def differing(one: RoundedPopulation, other: RoundedPopulation) -> float:
    return float((one.run()[1] != other.run()[1]).double().mean())


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000))
def test_what_was_moved_comes_back(seed: int) -> None:
    """Biases off by a quarter of the threshold: most spikes are right again."""
    wanted, still = layer(seed), np.zeros(CHANNELS)
    off = wanted.moved(still, np.random.default_rng(seed).choice([-5.0, 5.0], CHANNELS))
    found = follow(off, wanted, Tuning.SPIKES)
    assert differing(found, wanted) <= 0.5 * differing(off, wanted)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.booleans())
def test_no_channel_gets_worse(seed: int, level: bool) -> None:
    """Whatever the other layer does, each channel differs in as many slots or fewer."""
    rounded, wanted = layer(seed, level=level), layer(seed + 1)
    found = follow(rounded, wanted, Tuning.SPIKES)
    before, after = (by_channel(x.run()[1] != wanted.run()[1]) for x in (rounded, found))
    assert (after <= before).all()


def test_one_scale_keeps_one_threshold() -> None:
    rounded, wanted = layer(1, level=False), layer(2)
    found = follow(rounded, wanted, Tuning.SPIKES).integers
    np.testing.assert_array_equal(found.vth, rounded.integers.vth)
    assert not np.array_equal(found.bias_mant, rounded.integers.bias_mant)


def test_bias_correction_restores_the_mean_current() -> None:
    rounded, wanted = layer(3), layer(4)
    found = follow(rounded, wanted, Tuning.BIAS)
    means = [by_channel(current(x.population, [x.arrived], STEPS)) for x in (found, wanted)]
    np.testing.assert_allclose(means[0], means[1], atol=0.5 + 1e-6)  # a bias is a whole weight unit
    np.testing.assert_array_equal(found.integers.vth, rounded.integers.vth)


@pytest.mark.parametrize("how", [Tuning.BIAS, Tuning.SPIKES])
def test_a_read_out_gets_its_mean_membrane(how: Tuning) -> None:
    rounded, wanted = (layer(seed, PopulationKind.READOUT) for seed in (5, 6))
    found = follow(rounded, wanted, how)
    means = [by_channel(x.run()[0][-1:]) for x in (found, wanted)]
    np.testing.assert_allclose(means[0], means[1], atol=0.5 * STEPS + 1e-6)


def test_none_leaves_the_layer_alone() -> None:
    rounded = layer(7)
    assert follow(rounded, layer(8), Tuning.NONE) is rounded


def test_moves_end_at_the_fields_edges() -> None:
    rounded = layer(9)
    far = np.full(CHANNELS, 1e6)
    up, down = rounded.moved(far, far).integers, rounded.moved(-far, -far).integers
    assert (up.vth == LOIHI.vth_max).all()
    assert (up.bias_mant == LOIHI.bias_mant_max).all()
    assert (down.vth == 1).all()
    assert (down.bias_mant == -LOIHI.bias_mant_max).all()


def test_the_population_is_what_its_integers_mean() -> None:
    """After a move the floats and the integers still say the same."""
    moved = layer(10).moved(np.array([3.0, -2, 0, 1, -3]), np.array([-1.0, 2, 3, -3, 0]))
    threshold = per_channel(moved.population, moved.population.threshold)
    vth = per_channel(moved.population, moved.integers.vth.astype(np.float64))
    np.testing.assert_allclose(threshold, vth + 1 / 64)
    np.testing.assert_allclose(moved.population.bias, moved.integers.bias_mant * 1.0)


@pytest.mark.parametrize("samples", [1, TOGETHER, 2 * TOGETHER + 3])
def test_samples_taken_a_few_at_a_time_count_as_all_at_once(samples: int) -> None:
    rng = np.random.default_rng(samples)
    sent, wanted = (
        torch.from_numpy(rng.integers(0, 2, (STEPS, samples, CHANNELS, 3, 3))) for _ in range(2)
    )
    found = differing_slots(lambda part: sent[:, part], wanted)
    np.testing.assert_array_equal(found, (sent != wanted).sum((0, 1, 3, 4)).numpy())
    counted = miscounted(lambda part: sent[:, part], wanted)
    apart = (sent.sum(0) - wanted.sum(0)).abs().sum((0, 2, 3)).numpy()
    np.testing.assert_array_equal(counted, apart)
    assert (counted <= found).all()


def test_a_spike_that_comes_later_is_counted_as_the_same() -> None:
    """Two neurons: one fires a step late, the other once too often."""
    wanted = torch.tensor([[[1, 1]], [[0, 0]], [[0, 1]]])  # (T, samples, channels)
    sent = torch.tensor([[[0, 1]], [[1, 1]], [[0, 1]]])
    assert differing_slots(lambda part: sent[:, part], wanted).tolist() == [2, 1]
    assert miscounted(lambda part: sent[:, part], wanted).tolist() == [0, 1]
