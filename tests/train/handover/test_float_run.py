"""The float reference: closed forms of the recurrence, shapes, errors."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from float_nets import images, lif, small_residual, small_vgg, stateless

from tssd.errors import DataError, NetworkError
from tssd.train.handover.float_network import (
    FloatArray,
    FloatNetwork,
    FloatProjection,
    PopulationKind,
    ProjectionKind,
    Reset,
)
from tssd.train.handover.float_run import run


def one_neuron(weight: float, reset: Reset, *, bias: float = 0.0, steps: int = 6) -> FloatNetwork:
    """pixel -> LIF (decay 1/2, threshold 1) -> readout of weight 1."""
    neuron = replace(lif("n", (1,), reset), bias=np.array([bias]))
    populations = (
        stateless("input", (1, 1, 1), PopulationKind.INPUT),
        neuron,
        stateless("readout", (1,), PopulationKind.READOUT),
    )
    one: FloatArray = np.ones((1, 1))
    projections = (
        FloatProjection("input", "n", ProjectionKind.DENSE, weight * one),
        FloatProjection("n", "readout", ProjectionKind.DENSE, one),
    )
    return FloatNetwork(populations, projections, steps)


BRIGHT = np.full((1, 1, 1, 1), 255, np.uint8)


@pytest.mark.parametrize(
    ("reset", "train"),
    [
        # H = .75, 1.125*, hard -> 0: period 2;  soft -> .125: .8125, 1.156*, .828, 1.164*
        (Reset.HARD, [0, 1, 0, 1, 0, 1]),
        (Reset.SOFT, [0, 1, 0, 1, 0, 1]),
        (Reset.NONE, [0, 1, 1, 1, 1, 1]),
    ],
)
def test_spike_train_of_one_neuron(reset: Reset, train: list[int]) -> None:
    activity = run(one_neuron(0.75, reset), BRIGHT, keep_spikes=True)
    np.testing.assert_array_equal(activity.spikes["n"].ravel(), train)
    assert activity.spike_total("n") == sum(train)
    np.testing.assert_allclose(activity.logits, sum(train) / 6, rtol=1e-6)


def test_a_subtraction_a_step_late_is_a_larger_one_in_the_step_of_the_spike() -> None:
    """snnTorch's default: v[t] = beta v[t-1] + I - theta s[t-1] fires as v - theta / beta does."""
    beta, drive, steps = 0.5, 0.9, 12
    plain = one_neuron(drive, Reset.SOFT, steps=steps)
    own = replace(plain.populations[1], reset_by=np.array([1 / beta]))
    network = replace(plain, populations=(plain.populations[0], own, plain.populations[2]))
    v, fired, late = 0.0, 0.0, []
    for _ in range(steps):
        v = beta * v + drive - fired
        fired = float(v >= 1)
        late.append(fired)
    sent = run(network, BRIGHT, dtype="float64", keep_spikes=True).spikes["n"].ravel()
    assert sent.tolist() == late
    assert 0 < sum(late) < run(plain, BRIGHT).spike_total("n")


def test_an_amount_without_a_soft_reset_is_refused() -> None:
    with pytest.raises(NetworkError, match="population n: reset_by: found an amount to subtract"):
        replace(lif("n", (1,), Reset.HARD), reset_by=np.ones(1))


def test_the_threshold_itself_fires() -> None:
    assert run(one_neuron(1.0, Reset.SOFT), BRIGHT).spike_total("n") == 6
    assert run(one_neuron(0.999, Reset.SOFT, steps=1), BRIGHT).spike_total("n") == 0


def test_soft_reset_keeps_the_residue_of_a_strong_input() -> None:
    # H = 2.6 -> 1.6;  .8 + 2.6 = 3.4 -> 2.4;  1.2 + 2.6 = 3.8
    activity = run(one_neuron(2.6, Reset.SOFT, steps=3), BRIGHT, keep_ranges=True, dtype="float64")
    assert activity.ranges["n"].membrane_max == pytest.approx(3.8)
    assert activity.ranges["n"].current_max == pytest.approx(2.6)


def test_a_bias_acts_every_step() -> None:
    activity = run(one_neuron(0.5, Reset.HARD, bias=0.6, steps=4), BRIGHT)
    assert activity.spike_total("n") == 4


@pytest.mark.parametrize("network", [small_vgg(3), small_residual(3)])
def test_batches_and_widths_do_not_change_the_spikes(network: FloatNetwork) -> None:
    samples = images(network, 7)
    whole = run(network, samples, dtype="float64", keep_spikes=True)
    parts = run(network, samples, dtype="float64", batch=3, keep_spikes=True)
    single = run(network, samples, dtype="float32", keep_spikes=True)
    for name, spikes in whole.spikes.items():
        np.testing.assert_array_equal(parts.spikes[name], spikes)
        assert np.mean(single.spikes[name] != spikes.astype(np.float32)) < 1e-3
        np.testing.assert_array_equal(whole.events[name], np.count_nonzero(spikes, axis=(0, 1)))
    np.testing.assert_allclose(parts.logits, whole.logits)
    assert whole.accuracy(whole.classes()) == 100.0


def test_an_explicit_delay_makes_a_path_late() -> None:
    """The same skip with a delay beyond its alignment arrives one local step late."""
    network = small_residual(4)
    skip = network.projections[3]
    aligned = replace(
        network,
        projections=(*network.projections[:3], replace(skip, delay=1)) + (network.projections[4:]),
    )
    late = replace(
        network,
        projections=(*network.projections[:3], replace(skip, delay=2)) + (network.projections[4:]),
    )
    samples = images(network, 4)
    plain, same, other = (
        run(n, samples, keep_spikes=True).spikes["b"] for n in (network, aligned, late)
    )
    np.testing.assert_array_equal(plain, same)
    assert (plain != other).any()


def test_wrong_images_are_refused() -> None:
    network = small_vgg(0)
    whole: Any = np.zeros((2, 1, 14, 14), np.int64)
    with pytest.raises(DataError, match="allowed: uint8 or float"):
        run(network, whole)
    with pytest.raises(DataError, match=r"shape \(2, 1, 14, 13\)"):
        run(network, np.zeros((2, 1, 14, 13), np.uint8))
    with pytest.raises(NetworkError, match="0 time steps"):
        run(network.with_time_steps(0), images(network, 1))


def test_shapes_that_do_not_fit_name_the_projection() -> None:
    network = small_vgg(0)
    narrow = replace(network.projections[1], padding=(0, 0))
    bad = replace(network, projections=(network.projections[0], narrow, *network.projections[2:]))
    with pytest.raises(NetworkError, match="projection conv1 -> conv2: found an output of shape"):
        run(bad, images(network, 1))
    wide = replace(network.projections[3], weight=np.zeros((10, 5)))
    bad = replace(network, projections=(*network.projections[:3], wide))
    with pytest.raises(NetworkError, match="projection conv3 -> readout: found weight"):
        run(bad, images(network, 1))
