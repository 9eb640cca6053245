"""What calibration cannot learn from is refused or told: samples, layers, ranges."""

from dataclasses import replace

import numpy as np
import pytest
from float_nets import images, small_vgg

from tssd.calibration.comparing.folding import compare_folded
from tssd.calibration.comparing.kept import notes
from tssd.calibration.precision import Precision
from tssd.calibration.quantizing.checks import check_calibration
from tssd.calibration.quantizing.fold import align, fold
from tssd.calibration.quantizing.observe import Observation
from tssd.calibration.quantizing.options import Options
from tssd.calibration.quantizing.quantize import apply
from tssd.calibration.quantizing.scales import choose
from tssd.errors import ConfigError, DataError, NetworkError
from tssd.hw_targets.gpu.engine import count
from tssd.train.handover.float_activity import ImageArray
from tssd.train.handover.float_network import FloatNetwork

FOLDED = align(fold(small_vgg(3, side=8)))
SEEN = images(FOLDED, 4)


def with_weights(name: str, factor: float) -> FloatNetwork:
    """The network with the weights into one population times *factor*."""
    projections = tuple(
        replace(j, weight=j.weight * factor) if j.target == name else j for j in FOLDED.projections
    )
    return replace(FOLDED, projections=projections)


@pytest.mark.parametrize(
    ("shown", "said"),
    [
        (SEEN[:0], "calibration samples: found none; allowed: samples that differ"),
        (np.full_like(SEEN, 7), "found 4 samples of the one value 7; allowed: samples that differ"),
        (np.zeros_like(SEEN[:1]), "found 1 sample of the one value 0"),
        (np.repeat(SEEN[:1], 3, axis=0), "found 3 samples of one picture; allowed: samples that"),
    ],
)
def test_samples_that_tell_nothing_are_refused(shown: ImageArray, said: str) -> None:
    with pytest.raises(DataError, match=said):
        check_calibration(shown)


def test_samples_that_differ_are_taken() -> None:
    check_calibration(SEEN)
    check_calibration(SEEN[:1])


def test_membranes_that_are_no_numbers_are_refused_by_layer() -> None:
    """Weights that are finite alone, whose products float32 does not hold."""
    with pytest.raises(
        NetworkError, match=r"population conv2: found membranes that are NaN or infinite on 4 of 4"
    ):
        choose(with_weights("conv2", 1e39), Observation(SEEN, {}), Precision())


def told(network: FloatNetwork) -> str:
    scales = choose(network, Observation(SEEN, {}), Precision())
    integers = apply(network, scales)
    events = compare_folded(network, network, SEEN).events
    return "\n".join(notes(integers, scales, events, count(integers, SEEN)))


def with_threshold(name: str, threshold: float) -> FloatNetwork:
    populations = tuple(
        replace(p, threshold=0 * p.threshold + threshold) if p.name == name else p
        for p in FOLDED.populations
    )
    return replace(FOLDED, populations=populations)


def test_a_layer_that_never_fires_is_told() -> None:
    assert "conv3: no neuron fires in float on 4 samples" in told(with_threshold("conv3", 500.0))
    assert "no scale is better" not in told(FOLDED)


def test_a_layer_that_always_fires_is_told() -> None:
    weak = with_weights("conv1", 1e-3)
    populations = tuple(
        replace(p, bias=0 * p.bias + 1.5) if p.name == "conv1" else p for p in weak.populations
    )
    always = replace(weak, populations=populations)
    assert "conv1: every neuron fires in every step in float on 4 samples" in told(always)


def test_a_width_of_no_layer_is_refused() -> None:
    with pytest.raises(ConfigError, match="width of weights: found unknown layer 'conv9'"):
        choose(FOLDED, Observation(SEEN, {}), Precision(), Options(layer_bits={"conv9": 4}))
    with pytest.raises(ConfigError, match="width of weights: found unknown layer 'input'"):
        choose(FOLDED, Observation(SEEN, {}), Precision(), Options(layer_bits={"input": 4}))


def test_a_range_that_no_field_holds_names_its_layer() -> None:
    """A threshold far above what any weight of 8 bits reaches."""
    network = with_weights("conv2", 1e-9)
    with pytest.raises(NetworkError, match="conv2"):
        choose(network, Observation(SEEN, {}), Precision())
