"""Float to integers: every constraint holds, what is clipped is said, the outputs stay close."""

from dataclasses import replace
from typing import Any

import networks
import numpy as np
import pytest
from float_nets import images, small_residual, small_vgg
from hypothesis import given, settings
from hypothesis import strategies as st

from tssd.calibration.encode import encode
from tssd.calibration.int_network import InputCoding, IntNetwork, Projection, plain_population
from tssd.calibration.precision import LOIHI, Precision
from tssd.calibration.quantizing.fold import Pooling, align, fold
from tssd.calibration.quantizing.observe import observe
from tssd.calibration.quantizing.quantize import _with_constant, apply, check_integers, quantize
from tssd.calibration.quantizing.scales import BiasRoute, Options, Scales, Search, choose
from tssd.calibration.simulate import layerwise
from tssd.errors import ConfigError, DataError, NetworkError
from tssd.train.handover.float_network import (
    FloatNetwork,
    FloatProjection,
    PopulationKind,
    ProjectionKind,
    Reset,
)
from tssd.train.handover.float_run import run


def folded_vgg(seed: int, reset: Reset = Reset.SOFT, pooling: Pooling = "fold") -> FloatNetwork:
    return align(fold(small_vgg(seed, reset, side=10), pooling))


def integers(
    network: FloatNetwork, precision: Precision = LOIHI, options: Options | None = None
) -> tuple[IntNetwork, Scales]:
    scales = choose(network, observe(network, images(network, 8)), precision, options)
    return apply(network, scales), scales


def unlike_slots(network: FloatNetwork, quantized: IntNetwork, grain: int = 1) -> float:
    """Share of LIF spike slots that differ between float and integer, over unseen images whose
    pixels are multiples of ``grain``."""
    samples = images(network, 12, seed=99) // grain * grain
    wanted = run(network, samples, dtype="float64", keep_spikes=True).spikes
    found = layerwise(quantized, encode(quantized, samples)).spikes
    names = [p.name for p in network.populations if p.kind is PopulationKind.LIF]
    return float(np.mean([np.mean(wanted[n] != found[n]) for n in names]))


@pytest.mark.parametrize("turned", [False, True])
def test_kernels_and_a_matrix_enter_one_population(turned: bool) -> None:
    """Integers from elsewhere may have both into one image: its channels and its neurons. Each
    neuron of channel 1 gets up to 9 * 100 over kernels, of one the matrix adds 36 * 100."""
    source = plain_population("input", (1, 6, 6), PopulationKind.INPUT)
    both, readout = networks.lif("both", (2, 6, 6)), networks.lif("out", (3,), Reset.NONE)
    kernel = np.full((2, 1, 3, 3), -5)
    kernel[1] = 100
    matrix = np.zeros((72, 36), np.int64)
    matrix[40], matrix[3] = 100, -100
    ways = (
        Projection("input", "both", ProjectionKind.CONV2D, kernel, padding=(1, 1)),
        Projection("input", "both", ProjectionKind.DENSE, matrix),
    )
    joins = (*ways[:: -1 if turned else 1], networks.dense(both, readout, np.random.default_rng(0)))
    network = IntNetwork((source, both, readout), joins, 2, InputCoding.GRADED, 29)
    check_integers(network, LOIHI)  # 130,500 of 131,071
    with pytest.raises(NetworkError, match="both: found a worst-case activation of 135000"):
        check_integers(replace(network, input_max=30), LOIHI)


@pytest.mark.parametrize("pooling", ["fold", "population"])
@pytest.mark.parametrize("reset", [Reset.SOFT, Reset.HARD])
def test_eight_bits_stay_close_to_float(pooling: Pooling, reset: Reset) -> None:
    network = folded_vgg(5, reset, pooling)
    quantized, _ = integers(network)
    assert unlike_slots(network, quantized) < 0.02


def test_wide_weights_are_almost_float() -> None:
    """With 12 bits, wide biases and an input on exactly 16 levels only near-ties are left."""
    wide = Precision(weight_bits=12, bias_mant_max=1 << 20, payload_bits=4)
    network = folded_vgg(5)
    quantized, _ = integers(network, wide)
    assert quantized.input_max == 15
    assert unlike_slots(network, quantized, grain=17) < 0.001


def test_fewer_bits_cost_more() -> None:
    network = folded_vgg(5)
    cost = [unlike_slots(network, integers(network, Precision(weight_bits=b))[0]) for b in (8, 3)]
    assert cost[0] < cost[1]


@given(
    seed=st.integers(0, 2**32 - 1),
    bits=st.integers(3, 8),
    route=st.sampled_from(list(BiasRoute)),
    search=st.sampled_from(list(Search)),
    residual=st.booleans(),
)
@settings(max_examples=8, deadline=None)
def test_every_choice_gives_a_deployable_network(
    seed: int, bits: int, route: BiasRoute, search: Search, residual: bool
) -> None:
    network = align(
        fold(small_residual(seed) if residual else small_vgg(seed, side=8))
    ).with_time_steps(2)
    precision = Precision(weight_bits=bits)
    quantized, scales = integers(network, precision, Options(bias_route=route, search=search))
    check_integers(quantized, precision)
    for projection in quantized.projections:
        assert np.abs(projection.weight).max() <= 2 ** (bits - 1) - 1
        assert projection.weight_exp == 0
    for population in quantized.populations[1:]:
        assert population.du.min() == 4096
        assert population.vth.max() <= 131071
        assert np.abs(population.bias_mant).max() <= 4095
        assert population.bias_exp == 6 or route is BiasRoute.EXPONENT
    assert (quantized.source.shape[0] > network.populations[0].shape[0]) == (
        scales.constant_channel
    )


def test_parameters_are_the_rounded_floats() -> None:
    network = folded_vgg(7)
    quantized, scales = integers(network, options=Options(bias_route=BiasRoute.SCALE))
    conv2, layer = quantized.population("conv2"), scales.layers["conv2"]
    projection, source = quantized.incoming("conv2")[0], network.incoming("conv2")[0]
    assert conv2.scale == layer.scale
    assert conv2.dv.item() == 2048
    assert quantized.readout.dv.item() == 0
    above = (1 / 2 + (2 - 0.5 ** (network.time_steps - 1)) / 4) / 64  # see above_whole
    assert conv2.vth.item() + above == pytest.approx(layer.scale)
    exact = np.clip(layer.scale * source.weight, -127, 127)
    np.testing.assert_allclose(projection.weight, exact, atol=0.5 + 1e-9)
    np.testing.assert_allclose(
        conv2.bias_mant, layer.scale * network.population("conv2").bias, atol=0.5 + 1e-9
    )
    first = quantized.incoming("conv1")[0]
    np.testing.assert_allclose(
        first.weight,
        np.clip(
            quantized.population("conv1").scale / 255 * network.incoming("conv1")[0].weight,
            -127,
            127,
        ),
        atol=0.5 + 1e-9,
    )


def big_bias(seed: int) -> FloatNetwork:
    """A first layer whose bias is far beyond its mantissa at the scale of its weights."""
    network = folded_vgg(seed)
    rng = np.random.default_rng(seed)
    conv1 = replace(network.populations[1], bias=rng.uniform(-0.9, 0.9, (4, 1, 1)))
    populations = (network.populations[0], conv1, *network.populations[2:])
    return replace(network, populations=populations)


def test_a_constant_channel_carries_the_coarse_bias_exactly() -> None:
    network = big_bias(1)
    quantized, scales = integers(network, options=Options(bias_route=BiasRoute.CONSTANT))
    conv1, channel = quantized.population("conv1"), quantized.projections[0].weight[:, 1]
    assert quantized.source.shape == (2, 10, 10)
    assert scales.layers["conv1"].form.constant == 255
    carried = channel.sum((1, 2)) * 255 + conv1.bias_mant.ravel()
    np.testing.assert_allclose(
        carried, conv1.scale * network.population("conv1").bias.ravel(), atol=0.5 + 1e-9
    )
    assert unlike_slots(network, quantized) < 0.02


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"padding": (2, 2)}, r"groups 1, padding \(2, 2\), kernel \(3, 3\)"),
        ({"dilation": (2, 2)}, r"groups 1, padding \(1, 1\), kernel \(3, 3\)"),
    ],
)
def test_a_channel_that_some_outputs_cannot_read_is_refused(
    changes: dict[str, Any], found: str
) -> None:
    """A kernel of 3 over 2 of padding: at the corner no place inside is behind one tap for all."""
    network = big_bias(1)
    _, scales = integers(network, options=Options(bias_route=BiasRoute.CONSTANT))
    odd = replace(network.projections[0], **changes)
    with pytest.raises(NetworkError, match=f"found {found}; allowed: groups 1, no dilation and"):
        apply(replace(network, projections=(odd, *network.projections[1:])), scales)


def test_the_place_of_a_constant_goes_by_row_and_column() -> None:
    kernel = np.arange(18).reshape(1, 1, 6, 3) + 1
    weight = kernel.astype(np.float64)
    way = FloatProjection("input", "a", ProjectionKind.CONV2D, weight, padding=(2, 1))
    [[image, channel]] = _with_constant(way, kernel, np.array([[[7]]]), (1, 9, 9))
    assert image.tolist() == kernel[0, 0].tolist()
    assert channel[2, 1] == channel.sum() == 7


def test_the_constant_of_an_image_read_flat_is_one_channel_more() -> None:
    """A dense layer on (2, 3, 4): twelve columns behind the others, the first of them not zero."""
    weight = np.arange(5 * 24).reshape(5, 24)
    way = FloatProjection("input", "a", ProjectionKind.DENSE, weight.astype(np.float64))
    coarse = np.array([[3], [0], [-7], [1], [2]])
    wide = _with_constant(way, weight, coarse, (2, 3, 4))
    assert wide.shape == (5, 3 * 3 * 4)
    assert wide[:, :24].tolist() == weight.tolist()
    assert wide[:, 24:].tolist() == [[value] + [0] * 11 for value in (3, 0, -7, 1, 2)]


def test_what_is_no_input_counts_in_spikes() -> None:
    """A pool behind spikes adds them up as they are; one behind pixels, as so many levels."""
    quantized, scales = integers(folded_vgg(1, pooling="population"))
    found = {p.name: p.scale for p in quantized.populations if p.kind.relays}
    assert set(found.values()) == {1.0}
    assert quantized.source.scale == scales.input_max == 255


def test_fewer_levels_and_a_smaller_scale_fit_a_large_bias() -> None:
    network = big_bias(2)
    levels, _ = integers(network, options=Options(bias_route=BiasRoute.LEVELS))
    assert levels.input_max < 255
    for route in (BiasRoute.LEVELS, BiasRoute.SCALE):
        quantized, _ = integers(network, options=Options(bias_route=route))
        assert unlike_slots(network, quantized) < 0.05


def test_a_large_first_bias_costs_no_bits_by_default() -> None:
    """A smaller scale would leave 22 to 49 of 127, and clip a bias."""
    unlike = {"small": 0.0, "found": 0.0}
    for seed in (1, 2, 4, 5):
        network = big_bias(seed)
        small, _ = integers(network, options=Options(bias_route=BiasRoute.SCALE))
        found, scales = integers(network)
        assert np.abs(small.projections[0].weight).max() < 64
        assert np.abs(found.projections[0].weight[:, :1]).max() > 120
        assert not [clip for clip in scales.clips if clip.quantity == "bias mantissas"]
        unlike["small"] += unlike_slots(network, small)
        unlike["found"] += unlike_slots(network, found)
    assert unlike["found"] < 0.5 * unlike["small"]


def test_what_is_clipped_is_said() -> None:
    network = folded_vgg(3)
    outlier = network.projections[1].weight.copy()
    outlier[0, 0, 0, 0] = 20.0
    bad = replace(network.projections[1], weight=outlier)
    network = replace(network, projections=(network.projections[0], bad, *network.projections[2:]))
    _, scales = integers(network)
    said = [str(c) for c in scales.clips if c.layer == "conv2"]
    assert len(said) == 1
    assert "conv2: 1 of 216 weights from conv1 beyond 127 (largest" in said[0]
    _, plain = integers(network, options=Options(search=Search.MAX_ABS))
    assert not plain.clips


def test_rate_coded_input_is_binary() -> None:
    network = folded_vgg(4).with_time_steps(16)
    quantized, _ = integers(network, options=Options(input_coding=InputCoding.SPIKES))
    samples = images(network, 3)
    sent = encode(quantized, samples)
    assert set(np.unique(sent)) == {0, 1}
    np.testing.assert_array_equal(sent.sum(0), 16 * samples.astype(np.int64) // 255)


def test_unfolded_and_unsupported_networks_are_refused() -> None:
    network = small_vgg(0)
    samples = observe(network, images(network, 2))
    with pytest.raises(NetworkError, match="input -> conv1: found a norm that is not folded"):
        quantize(network, LOIHI, samples)
    quantized, _ = integers(folded_vgg(0))
    with pytest.raises(DataError, match=r"found uint8 array of shape \(2, 1, 9, 10\)"):
        encode(quantized, np.zeros((2, 1, 9, 10), np.uint8))
    with pytest.raises(ConfigError, match="weight_bits: found 1; allowed: 2 .. 16"):
        Precision(weight_bits=1)


def test_integers_out_of_range_are_named() -> None:
    quantized, _ = integers(folded_vgg(0))
    heavy = replace(quantized.projections[1], weight=quantized.projections[1].weight * 2)
    bad = replace(
        quantized, projections=(quantized.projections[0], heavy, *quantized.projections[2:])
    )
    with pytest.raises(NetworkError, match="projection conv1 -> conv2: found a weight of 2"):
        check_integers(bad, LOIHI)
    narrow = Precision(vth_max=50)
    with pytest.raises(NetworkError, match=r"population conv1: found a threshold of .*\+-50"):
        check_integers(quantized, narrow)
    wide = replace(quantized, input_max=100_000)
    with pytest.raises(NetworkError, match="population conv1: found a worst-case activation"):
        check_integers(wide, LOIHI)
