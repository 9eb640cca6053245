"""What enters, and the bits that a first layer keeps behind it."""

from dataclasses import replace

import numpy as np
import pytest
from dense_nets import HIDDEN, STEPS, events, grey, mlp
from float_nets import small_vgg

from tssd.calibration.comparing.agreement import layer_agreement
from tssd.calibration.comparing.kept import kept
from tssd.calibration.encode import encode
from tssd.calibration.int_network import InputCoding, IntNetwork
from tssd.calibration.precision import LOIHI
from tssd.calibration.quantizing.entering import BiasRoute, Entry, coding_of, entries
from tssd.calibration.quantizing.fold import align, fold
from tssd.calibration.quantizing.observe import observe
from tssd.calibration.quantizing.quantize import apply, check_integers
from tssd.calibration.quantizing.scales import Exponents, Options, Scales, Search, choose
from tssd.calibration.simulate import reference
from tssd.calibration.tally import tally
from tssd.errors import DataError, NetworkError
from tssd.hw_targets.gpu.engine import run as gpu
from tssd.hw_targets.onnx.engine import run as onnx
from tssd.hw_targets.sim.functional import activity, simulate
from tssd.hw_targets.sim.program import prepare
from tssd.train.handover.float_activity import ImageArray
from tssd.train.handover.float_network import FloatNetwork, Reset
from tssd.train.handover.float_run import run


def integers(
    network: FloatNetwork, images: ImageArray, options: Options | None = None
) -> tuple[IntNetwork, Scales]:
    scales = choose(network, observe(network, images), LOIHI, options)
    return apply(network, scales), scales


def ratio(network: FloatNetwork, quantized: IntNetwork, images: ImageArray) -> float:
    """Hidden spikes, integer over float."""
    found = tally(reference(quantized, encode(quantized, images)))
    (row,) = layer_agreement(run(network, images), found)
    assert row.ratio is not None
    return row.ratio


def test_frames_of_two_values_are_spikes_with_payload_1_and_keep_the_weights_bits() -> None:
    network, shown = mlp(), events(8)
    quantized, _ = integers(network, shown)
    assert (quantized.input_coding, quantized.input_max) == (InputCoding.SPIKES, 1)
    sent = encode(quantized, shown)
    np.testing.assert_array_equal(sent, shown.swapaxes(0, 1) // 255)
    assert kept(quantized)[0].bits > 7.9
    assert quantized.projections[0].weight_exp == 0
    assert abs(ratio(network, quantized, events(8, seed=9)) - 1) < 0.01


def test_stills_of_two_values_have_payload_1_at_every_step() -> None:
    network = mlp()
    shown = np.where(grey(6) > 0, 255, 0).astype(np.uint8)
    quantized, _ = integers(network, shown)
    assert (quantized.input_coding, quantized.input_max) == (InputCoding.GRADED, 1)
    sent = encode(quantized, shown)
    np.testing.assert_array_equal(sent, np.repeat(shown[None] // 255, STEPS, axis=0))
    assert kept(quantized)[0].bits > 7


@pytest.mark.parametrize("shown", [events(2), np.where(grey(2) > 0, 255, 0).astype(np.uint8)])
def test_other_values_for_a_binary_input_are_refused(shown: ImageArray) -> None:
    quantized, _ = integers(mlp(), shown)
    odd = shown.copy()
    odd[0, ..., 3:5] = 128
    with pytest.raises(DataError, match=r"found [0-9,]+ of [0-9,]+ values between 0 and 255"):
        encode(quantized, odd)


def test_what_was_asked_for_is_done_whatever_the_samples_are() -> None:
    shown = events(4)
    network = mlp()
    assert coding_of(network, shown, InputCoding.GRADED) == (InputCoding.GRADED, True)
    assert coding_of(network, grey(2), InputCoding.SPIKES) == (InputCoding.SPIKES, True)
    assert coding_of(network, grey(2), None) == (InputCoding.GRADED, False)
    assert coding_of(network, np.zeros_like(shown), None) == (InputCoding.GRADED, False)


def test_a_dense_first_layer_of_784_pixels_keeps_its_bits_behind_an_exponent() -> None:
    network = mlp()
    quantized, scales = integers(network, grey(16))
    check_integers(quantized, LOIHI)
    first, second = quantized.projections
    assert (first.weight_exp, second.weight_exp) == (-6, 0)
    assert quantized.input_max == 255
    assert min(row.bits for row in kept(quantized)) >= 7
    assert not scales.clips
    assert scales.limits == {"hidden": None, "readout": None}
    assert abs(ratio(network, quantized, grey(16, seed=9)) - 1) < 0.01


def test_every_engine_shifts_a_dense_sum_as_the_definition_does() -> None:
    quantized, _ = integers(mlp(), grey(4))
    inputs = encode(quantized, grey(3, seed=5))
    wanted = reference(quantized, inputs)
    simulated = activity(quantized, simulate(prepare(quantized), inputs, record=True))
    for found in (gpu(quantized, inputs), onnx(quantized, inputs), simulated):
        np.testing.assert_array_equal(found.spikes["hidden"], wanted.spikes["hidden"])
        np.testing.assert_array_equal(found.readout, wanted.readout)


def test_without_exponents_fewer_levels_are_taken_where_they_are_nearer_to_float() -> None:
    network, shown = mlp(Reset.HARD), grey(16)
    few, _ = integers(network, shown, Options(exponents=Exponents.NEVER))
    all_levels = Options(exponents=Exponents.NEVER, bias_route=BiasRoute.SCALE)
    whole, scales = integers(network, shown, all_levels)
    assert few.input_max < 255 == whole.input_max
    assert all(j.weight_exp == 0 for j in (*few.projections, *whole.projections))
    assert kept(few)[0].bits > kept(whole)[0].bits
    assert scales.limits["hidden"] == "the worst-case current"
    unseen = grey(16, seed=9)
    assert abs(ratio(network, few, unseen) - 1) < abs(ratio(network, whole, unseen) - 1)


@pytest.mark.parametrize("search", list(Search))
def test_exponents_that_cost_a_net_are_taken_where_they_halve_the_error(search: Search) -> None:
    network, shown = mlp(Reset.HARD), grey(16)
    worth, scales = integers(network, shown, Options(exponents=Exponents.WORTH, search=search))
    _, without = integers(network, shown, Options(exponents=Exponents.NEVER, search=search))
    assert worth.projections[0].weight_exp < 0
    assert kept(worth)[0].bits >= 7
    if search.compares:
        assert scales.score("hidden") < 0.5 * without.score("hidden")


def test_exponents_that_cost_a_net_and_gain_little_are_left_out() -> None:
    """Events leave the weights whole but for a bias a little beyond its mantissa."""
    network, shown = mlp(Reset.HARD, bias=0.03), events(8)
    hidden = network.populations[1]
    scale = LOIHI.weight_max / np.abs(network.projections[0].weight).max()
    bias = hidden.bias * (1.1 * LOIHI.bias_mant_max / scale / np.abs(hidden.bias).max())
    populations = (network.populations[0], replace(hidden, bias=bias), network.populations[2])
    heavy = replace(network, populations=populations)
    always, _ = integers(heavy, shown, Options(exponents=Exponents.ALWAYS))
    worth, scales = integers(heavy, shown, Options(exponents=Exponents.WORTH))
    assert scales.limits["hidden"] == "the bias"
    assert (always.projections[0].weight_exp, worth.projections[0].weight_exp) == (-1, 0)


def test_weights_that_are_small_beside_the_threshold_keep_their_bits_too() -> None:
    """At the largest threshold their scale would round them all to zero."""
    tiny = mlp(Reset.HARD, weight=0.02, bias=0.045)
    quantized, _ = integers(tiny, grey(8), Options(exponents=Exponents.NEVER))
    assert quantized.projections[0].weight_exp < 0
    assert kept(quantized)[0].bits > 5
    none = mlp(Reset.HARD, weight=1e-7)
    with pytest.raises(NetworkError, match="try: larger weights, or a lower threshold"):
        integers(none, grey(8))


def test_a_convolution_has_no_exponent() -> None:
    """Lava ignores it there."""
    network = align(fold(small_vgg(2, side=8)))
    images = np.random.default_rng(0).integers(0, 256, (6, 1, 8, 8)).astype(np.uint8)
    quantized, _ = integers(network, images)
    assert all(j.weight_exp == 0 for j in quantized.projections)


def test_ways_in_by_route() -> None:
    def made(route: BiasRoute, binary: bool = False) -> list[Entry]:
        return list(entries(InputCoding.GRADED, binary, LOIHI, route))

    graded = InputCoding.GRADED
    assert made(BiasRoute.AUTO, binary=True) == [Entry(graded, 1)]
    assert [e.input_max for e in made(BiasRoute.LEVELS)] == [255, 127, 63, 31, 15, 7]
    assert made(BiasRoute.SCALE) == [Entry(graded, 255)]
    assert made(BiasRoute.CONSTANT) == [Entry(graded, 255, constant=True)]
    assert made(BiasRoute.EXPONENT) == [Entry(graded, 255, bias_exp=7)]
    assert [e.constant for e in made(BiasRoute.AUTO)] == [False] * 6 + [True] * 6


def test_hidden_layers_with_many_inputs_keep_their_bits() -> None:
    """5,000 spikes at once would overflow a current at full weights."""
    network = mlp()
    wide = type(network.projections[0])(
        "hidden", "readout", network.projections[1].kind, np.ones((10, HIDDEN)) * 3
    )
    changed = type(network)(network.populations, (network.projections[0], wide), STEPS)
    quantized, _ = integers(changed, grey(4))
    assert quantized.projections[1].weight.max() == 127
