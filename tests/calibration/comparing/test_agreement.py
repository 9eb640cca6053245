"""Float against integer: counts, the first difference, saturation, one layer at a time."""

from dataclasses import replace

import numpy as np
import pytest
from float_nets import images, small_vgg

from tssd.calibration.comparing.agreement import (
    accuracy_contract,
    first_divergence,
    layer_agreement,
    saturations,
)
from tssd.calibration.comparing.sensitivity import (
    accuracy_if_only_this_layer_is_quantized,
    dequantize,
)
from tssd.calibration.encode import encode
from tssd.calibration.int_network import Activity, IntNetwork
from tssd.calibration.precision import LOIHI
from tssd.calibration.quantizing.fold import align, fold
from tssd.calibration.quantizing.observe import observe
from tssd.calibration.quantizing.quantize import quantize
from tssd.calibration.quantizing.scales import BiasRoute, Options, Search
from tssd.calibration.simulate import layerwise
from tssd.calibration.tally import tally
from tssd.errors import DataError
from tssd.train.handover.float_network import FloatNetwork, Reset
from tssd.train.handover.float_run import FloatActivity, ImageArray, run


def pair(
    reset: Reset = Reset.SOFT, route: BiasRoute = BiasRoute.SCALE
) -> tuple[FloatNetwork, IntNetwork, ImageArray]:
    """A folded float network with a strong first bias, its integers, and images."""
    network = align(fold(small_vgg(6, reset, side=8)))
    biased = replace(network.populations[1], bias=network.populations[1].bias + 0.4)
    network = replace(
        network, populations=(network.populations[0], biased, *network.populations[2:])
    )
    samples = images(network, 10)
    options = Options(search=Search.MAX_ABS, bias_route=route)
    return network, quantize(network, LOIHI, observe(network, samples), options), samples


def both(
    network: FloatNetwork, integers: IntNetwork, samples: ImageArray
) -> tuple[FloatActivity, Activity]:
    return (
        run(network, samples, dtype="float64", keep_spikes=True),
        layerwise(integers, encode(integers, samples)),
    )


def test_layers_are_compared_by_totals_and_cosine() -> None:
    activity, found = both(*pair())
    rows = layer_agreement(activity, tally(found))
    assert [r.name for r in rows] == ["conv1", "conv2", "conv3"]
    for row in rows:
        assert row.float_spikes == activity.spike_total(row.name)
        assert row.integer_spikes == found.spikes[row.name].sum()
        assert row.ratio == pytest.approx(1, abs=0.05)
        assert row.cosine == pytest.approx(1, abs=0.01)


def test_a_silent_layer_has_no_ratio() -> None:
    activity, found = both(*pair())
    silent = {**activity.events, "conv2": np.zeros_like(activity.events["conv2"])}
    row = layer_agreement(replace(activity, events=silent), tally(found))[1]
    assert (row.ratio, row.cosine) == (None, None)


@pytest.mark.parametrize(
    ("samples", "wrong", "status"),
    [
        (1000, 10, "pass"),  # 1.0 point lost: the tolerance itself
        (1000, 17, "pass"),  # 1.7 +- 0.8: chance explains it
        (1000, 20, "fail"),  # 2.0 +- 0.87
        (100, 2, "pass"),  # 2.0 +- 2.7: a hundred samples cannot prove one point
        (100_000, 1100, "fail"),  # 1.1 +- 0.06
    ],
)
def test_the_loss_may_exceed_the_tolerance_by_chance_alone(
    samples: int, wrong: int, status: str
) -> None:
    before = np.ones(samples, bool)
    after = np.arange(samples) >= wrong
    row = accuracy_contract(before, after, tolerance=1.0)
    assert row.status == status
    assert row.allowed == "at most 1 lost"
    assert str(row.found).startswith(f"{100 - 100 * wrong / samples:.2f} % (float 100.00 %)")


def test_accuracy_of_other_samples_is_refused() -> None:
    with pytest.raises(DataError, match="found 9 samples against 10"):
        accuracy_contract(np.ones(10, bool), np.ones(9, bool))


@pytest.mark.parametrize("reset", [Reset.SOFT, Reset.HARD])
def test_the_first_divergence_is_the_first(reset: Reset) -> None:
    network, integers, samples = pair(reset)
    activity, found = both(network, integers, samples)
    place = first_divergence(network, integers, activity, found)
    assert place is not None
    slot = (place.step, place.sample, *place.neuron)
    unlike = activity.spikes[place.layer] != found.spikes[place.layer]
    assert unlike[slot]
    assert not unlike[:, : place.sample].any()
    assert not unlike[: place.step, place.sample].any()
    assert {place.float_spike, place.integer_spike} == {0.0, 1.0}
    assert f"sample {place.sample}, step {place.step}: float sent" in str(place)
    spikes = {name: s.astype(np.int64) for name, s in activity.spikes.items()}
    assert first_divergence(network, integers, activity, replace(found, spikes=spikes)) is None


def test_membranes_of_float_and_integer_are_in_the_same_units() -> None:
    """Before anything differs the two membranes agree to the weights' rounding."""
    network, integers, samples = pair()
    activity, found = both(network, integers, samples)
    flipped = found.spikes["conv1"].copy()
    flipped[0, 0, 2, 3, 4] = 1 - flipped[0, 0, 2, 3, 4]
    flipped[:, 0, :2] = activity.spikes["conv1"][:, 0, :2]
    spikes = {**activity.spikes, "conv1": activity.spikes["conv1"].copy()}
    spikes["conv1"][0, 0, 2, 3, 4] = 1 - flipped[0, 0, 2, 3, 4]
    altered = replace(found, spikes={**found.spikes, "conv1": flipped})
    place = first_divergence(network, integers, activity, altered)
    assert place is not None
    assert (place.layer, place.sample, place.step) == ("conv1", 0, 0)
    assert place.float_membrane == pytest.approx(place.integer_membrane, abs=0.05)


def test_saturated_membranes_are_counted() -> None:
    network, integers, samples = pair()
    assert set(saturations(integers, both(network, integers, samples)[1]).values()) == {0}
    loud = replace(integers.populations[1], bias_exp=20)
    populations = (integers.populations[0], loud, *integers.populations[2:])
    shouting = replace(integers, populations=populations)
    found = layerwise(shouting, encode(shouting, samples))
    counts = saturations(shouting, found)
    assert counts["conv1"] > 0
    assert counts["conv2"] == 0


@pytest.mark.parametrize("route", [BiasRoute.SCALE, BiasRoute.CONSTANT])
@pytest.mark.parametrize("reset", [Reset.SOFT, Reset.HARD])
def test_all_layers_dequantized_fire_like_the_integers(reset: Reset, route: BiasRoute) -> None:
    """What is left is the truncation of the decayed membrane to 1/64 of a weight unit."""
    network, integers, samples = pair(reset, route)
    assert (integers.source.shape[0] == 2) == (route is BiasRoute.CONSTANT)
    every = [p.name for p in network.populations[1:]]
    meant = run(dequantize(network, integers, every), samples, dtype="float64", keep_spikes=True)
    found = layerwise(integers, encode(integers, samples))
    for name in every[:-1]:
        assert np.mean(meant.spikes[name] != found.spikes[name]) < 1e-3, name


def test_one_layer_alone() -> None:
    network, integers, samples = pair()
    labels = run(network, samples).classes()
    alone = accuracy_if_only_this_layer_is_quantized(network, integers, samples, labels)
    assert list(alone) == ["conv1", "conv2", "conv3", "readout"]
    assert min(alone.values()) >= 80
    only = dequantize(network, integers, {"conv2"})
    assert only.population("conv2").threshold != network.population("conv2").threshold
    assert only.population("conv1") is network.population("conv1")
    assert only.projections[0] is network.projections[0]
