"""The first layer's current computed off-chip: close to the graded network, refused where unfit."""

from dataclasses import replace

import numpy as np
import pytest
from float_nets import images, small_vgg

from tssd.calibration.encode import encode
from tssd.calibration.int_network import InputCoding
from tssd.calibration.precision import LOIHI, Precision
from tssd.calibration.quantizing.fold import align, fold
from tssd.calibration.quantizing.front_end import quantize_behind_front_end
from tssd.calibration.quantizing.observe import observe
from tssd.calibration.quantizing.scales import Options, Search
from tssd.calibration.simulate import layerwise, pipelined
from tssd.errors import NetworkError
from tssd.train.handover.float_network import FloatNetwork, ProjectionKind, Reset
from tssd.train.handover.float_run import run

PLAIN = Options(search=Search.MAX_ABS)


@pytest.mark.parametrize("reset", [Reset.SOFT, Reset.HARD])
def test_the_network_behind_the_front_end_fires_like_the_float_one(reset: Reset) -> None:
    network = align(fold(small_vgg(2, reset, side=8)))
    samples = images(network, 8)
    front, behind, _ = quantize_behind_front_end(network, LOIHI, observe(network, samples), PLAIN)
    assert behind.input_coding is InputCoding.BIAS
    assert [p.name for p in behind.populations] == ["conv1", "conv2", "conv3", "readout"]
    sent = front.encode(samples)
    assert sent.shape == (4, 8, 4, 8, 8)
    assert np.abs(sent).max() <= 4095
    assert np.abs(sent).max() > 3500  # the mantissa is used, up to the step of the threshold
    wanted = run(network, samples, dtype="float64", keep_spikes=True)
    found = layerwise(behind, sent)
    assert np.mean(found.spikes["conv1"] != wanted.spikes["conv1"]) < 0.003
    assert np.mean(found.spikes["conv2"] != wanted.spikes["conv2"]) < 0.02


def test_it_runs_pipelined_too() -> None:
    network = align(fold(small_vgg(3, side=6)))
    samples = images(network, 3)
    front, behind, _ = quantize_behind_front_end(network, LOIHI, observe(network, samples), PLAIN)
    whole, chip = (run_(behind, front.encode(samples)) for run_ in (layerwise, pipelined))
    np.testing.assert_array_equal(whole.readout, chip.readout)


def two_targets(network: FloatNetwork) -> FloatNetwork:
    """The input also feeds the second layer."""
    extra = replace(network.projections[0], target="conv2")
    weight = np.repeat(network.projections[0].weight, 2, axis=0)[:6]
    extra = replace(extra, weight=weight, kind=ProjectionKind.CONV2D)
    return replace(network, projections=(*network.projections, extra))


def test_what_has_no_front_end_is_refused() -> None:
    network = align(fold(small_vgg(0, side=8)))
    samples = images(network, 2)
    forked = two_targets(network)
    with pytest.raises(NetworkError, match="front end: found an input that feeds conv1, conv2"):
        quantize_behind_front_end(forked, LOIHI, observe(forked, samples), PLAIN)
    narrow = Precision(bias_mant_max=1)
    with pytest.raises(NetworkError, match="population conv1: found currents up to"):
        quantize_behind_front_end(network, narrow, observe(network, samples), PLAIN)
    _, behind, _ = quantize_behind_front_end(network, LOIHI, observe(network, samples), PLAIN)
    with pytest.raises(NetworkError, match="found input as bias, computed off-chip"):
        encode(behind, samples)
