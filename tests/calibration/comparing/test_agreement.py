"""Float against integer: counts, one layer at a time."""

from dataclasses import replace

import numpy as np
import pytest
from float_nets import images, small_vgg

from tssd.calibration.comparing.agreement import (
    accuracy_contract,
    layer_agreement,
)
from tssd.calibration.comparing.sensitivity import (
    answers_by_layer,
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
from tssd.train.handover.float_activity import FloatActivity, ImageArray
from tssd.train.handover.float_network import FloatNetwork, Reset
from tssd.train.handover.float_run import run


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
        (1000, 16, "pass"),  # 0.99 to 2.58: chance explains it
        (1000, 17, "fail"),  # 1.06 to 2.71
        (100, 2, "pass"),  # -1.77 to 7.0: a hundred samples cannot prove one point
        (100_000, 1100, "fail"),  # 1.04 to 1.17
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
    alone = answers_by_layer(network, integers, samples, "integers")
    assert list(alone) == ["conv1", "conv2", "conv3", "readout"]
    assert min(np.mean(classes == labels) for classes in alone.values()) >= 0.8
    only = dequantize(network, integers, {"conv2"})
    assert only.population("conv2").threshold != network.population("conv2").threshold
    assert only.population("conv1") is network.population("conv1")
    assert only.projections[0] is network.projections[0]


@pytest.mark.parametrize("broken", ["conv2", "conv3", "readout"])
def test_one_layer_that_answers_otherwise_is_the_one_that_float_mends(broken: str) -> None:
    """Its weights are negated: alone in integers it changes answers, and alone in float none. (The
    classes of this network do not hang on its first layer.)"""
    network, integers, samples = pair()
    exact = dequantize(network, integers, [p.name for p in network.populations[1:]])
    wanted = run(exact, samples).classes()
    negated = replace(
        integers,
        projections=tuple(
            replace(j, weight=-j.weight) if j.target == broken else j for j in integers.projections
        ),
    )
    alone = answers_by_layer(exact, negated, samples, "integers")
    mended = answers_by_layer(exact, negated, samples, "float")
    assert all((alone[name] == wanted).all() == (name != broken) for name in alone)
    assert all((mended[name] == wanted).all() == (name == broken) for name in mended)
