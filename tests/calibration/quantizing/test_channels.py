"""A scale per channel: exact in float, never coarser than one for the layer, kept in every form."""

from dataclasses import replace

import numpy as np
import pytest
from float_nets import images, small_residual, small_vgg
from hypothesis import given, settings
from hypothesis import strategies as st

from tssd.calibration.comparing.sensitivity import dequantize
from tssd.calibration.encode import encode
from tssd.calibration.int_network import IntNetwork
from tssd.calibration.precision import LOIHI, Precision
from tssd.calibration.quantizing.channels import Granularity, Search, enlarged, rows_of, sizes
from tssd.calibration.quantizing.fold import align, fold
from tssd.calibration.quantizing.observe import observe
from tssd.calibration.quantizing.quantize import apply
from tssd.calibration.quantizing.scales import Options, Rounding, Scales, Tuning, choose
from tssd.calibration.serial import from_arrays, to_arrays
from tssd.calibration.simulate import layerwise
from tssd.errors import NetworkError
from tssd.train.handover.float_network import FloatArray, FloatNetwork, PopulationKind, Reset
from tssd.train.handover.float_run import run

ALONE = Options(rounding=Rounding.NEAREST, tuning=Tuning.NONE)  # what scales do by themselves
PER_CHANNEL = replace(ALONE, granularity=Granularity.CHANNEL)
PER_LAYER = replace(ALONE, granularity=Granularity.LAYER)


def quantized(
    network: FloatNetwork, precision: Precision = LOIHI, options: Options = PER_CHANNEL
) -> tuple[IntNetwork, Scales]:
    scales = choose(network, observe(network, images(network, 8)), precision, options)
    return apply(network, scales), scales


def uneven(seed: int, reset: Reset = Reset.SOFT) -> FloatNetwork:
    """A folded network whose channels differ in size by up to 100, as gains of norms make them."""
    network = align(fold(small_vgg(seed, reset, side=8)))
    rng = np.random.default_rng(seed)
    changed = {}
    for population in network.populations:
        if population.kind is PopulationKind.LIF:
            by = rng.uniform(0.1, 10, population.shape[0])
            changed[population.name] = enlarged(population, network.incoming(population.name), by)
    populations = tuple(changed[p.name][0] if p.name in changed else p for p in network.populations)
    projections = tuple(
        changed[j.target][1][0] if j.target in changed else j for j in network.projections
    )
    return replace(network, populations=populations, projections=projections)


@settings(deadline=None, max_examples=8)
@given(st.integers(0, 10_000), st.sampled_from([Reset.SOFT, Reset.HARD]))
def test_enlarged_channels_fire_the_same_spikes(seed: int, reset: Reset) -> None:
    """Powers of two, so that float arithmetic is exact too."""
    network = small_vgg(seed, reset, side=8)
    network = align(fold(network))
    conv2, incoming = network.population("conv2"), network.incoming("conv2")
    by = np.ldexp(1.0, np.random.default_rng(seed).integers(-3, 7, conv2.shape[0]))
    larger, rows = enlarged(conv2, incoming, by)
    other = replace(
        network,
        populations=tuple(larger if p is conv2 else p for p in network.populations),
        projections=tuple(rows[0] if j is incoming[0] else j for j in network.projections),
    )
    x = images(network, 3)
    ours, theirs = (run(n, x, dtype="float64", keep_spikes=True) for n in (network, other))
    for name in ours.spikes:
        np.testing.assert_array_equal(ours.spikes[name], theirs.spikes[name])


@pytest.mark.parametrize("search", list(Search))
def test_channels_of_any_size_round_alike(search: Search) -> None:
    """Rounding with a scale per channel does not see by what a channel is multiplied: the integers
    of a network and of one with enlarged channels are the same."""
    plain, other = align(fold(small_vgg(3, side=8))), uneven(3)
    options = replace(PER_CHANNEL, search=search)
    first, second = (quantized(n, Precision(weight_bits=5), options)[0] for n in (plain, other))
    for a, b in zip(first.projections, second.projections, strict=True):
        assert np.mean(a.weight != b.weight) < 0.02, a.name  # ties and limits of other scales
    for population in second.populations[1:-1]:
        assert len(population.channel_scales) == population.shape[0]
    assert second.readout.channel_scales == ()


def unlike(network: FloatNetwork, integers: IntNetwork) -> float:
    x = images(network, 12, seed=99)
    wanted = run(network, x, dtype="float64", keep_spikes=True).spikes
    found = layerwise(integers, encode(integers, x)).spikes
    names = [p.name for p in network.populations if p.kind is PopulationKind.LIF]
    return float(np.mean([np.mean(wanted[n] != found[n]) for n in names]))


@pytest.mark.parametrize("bits", [3, 4, 8])
def test_a_scale_per_channel_is_nearer_to_float_where_channels_differ(bits: int) -> None:
    network = uneven(5)
    precision = Precision(weight_bits=bits)
    channel, _ = quantized(network, precision)
    layer, _ = quantized(network, precision, PER_LAYER)
    assert unlike(network, channel) < 0.7 * unlike(network, layer)


def test_the_smallest_channels_use_every_bit() -> None:
    """And thresholds of the channels stay whole numbers within their field."""
    integers, scales = quantized(uneven(7), Precision(weight_bits=4), replace(
        PER_CHANNEL, search=Search.MAX_ABS
    ))  # fmt: skip
    weight = integers.incoming("conv2")[0].weight
    assert (np.abs(weight).reshape(len(weight), -1).max(axis=1) == 7).all()
    vth = integers.population("conv2").vth
    assert vth.size == 6
    assert 1 <= vth.min() <= vth.max() <= LOIHI.vth_max
    assert scales.layers["conv2"].level is not None


def test_serial_form_keeps_the_scales_and_names_its_schema() -> None:
    integers, _ = quantized(uneven(1))
    header, arrays = to_arrays(integers)
    assert '"tssd-int/3"' in header
    again = from_arrays(header, arrays)
    for a, b in zip(integers.populations, again.populations, strict=True):
        assert a.channel_scales == b.channel_scales
    one, _ = quantized(uneven(1), options=Options())
    assert '"tssd-int/1"' in to_arrays(one)[0]


def test_dequantized_layers_fire_as_the_integers_do() -> None:
    """Float weights, thresholds and biases of the integers, channel by channel."""
    network = uneven(2)
    integers, _ = quantized(network, Precision(weight_bits=4, payload_bits=4))
    names = [p.name for p in network.populations if p.kind is PopulationKind.LIF]
    x = images(network, 6) // 17 * 17
    floats = run(dequantize(network, integers, names), x, dtype="float64", keep_spikes=True).spikes
    found = layerwise(integers, encode(integers, x)).spikes
    for name in names:  # all but the truncation of decayed membranes to 1/64
        assert np.mean(floats[name] != found[name]) < 0.01, name


def test_a_skip_and_a_dense_layer_have_scales_per_channel_too() -> None:
    network = align(fold(small_residual(4)))
    integers, _ = quantized(network, Precision(weight_bits=6))
    assert len(integers.population("b").channel_scales) == 4
    assert unlike(network, integers) < 0.05


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 127))
def test_sizes(seed: int, largest: int) -> None:
    rows = np.random.default_rng(seed).normal(0, 1, (5, 40))
    top = np.abs(rows).max(axis=1)
    assert (sizes(rows, Search.MAX_ABS, largest) == top).all()
    assert (sizes(rows, Search.PERCENTILE, largest) <= top).all()
    best = sizes(rows, Search.WEIGHT_MSE, largest)
    assert (best <= top).all()
    assert (best >= 0.29 * top).all()
    assert (sizes(0 * rows, Search.PERCENTILE, largest) == 0).all()

    def error(size: FloatArray) -> FloatArray:
        step = size[:, None] / largest
        rounded = np.clip(np.round(rows / step), -largest, largest) * step
        squares: FloatArray = ((rounded - rows) ** 2).sum(axis=1)
        return squares

    assert (error(best) <= error(top) + 1e-9).all()


def test_the_percentile_of_a_layer_clips_one_weight_of_a_hundred() -> None:
    network = align(fold(small_vgg(8, side=8)))
    conv3 = network.incoming("conv3")[0]
    weight = conv3.weight.copy()
    weight.flat[0] = 50 * np.abs(weight).max()
    wild = replace(
        network,
        projections=tuple(
            replace(j, weight=weight) if j is conv3 else j for j in network.projections
        ),
    )
    by_max, by_share = (
        quantized(wild, options=Options(search=how))[0].incoming("conv3")[0].weight
        for how in (Search.MAX_ABS, Search.PERCENTILE)
    )
    assert np.abs(by_max.ravel()[1:]).max() <= 4
    assert np.abs(by_share.ravel()[1:]).max() > 100
    assert rows_of(wild.population("conv3"), wild.incoming("conv3"), (1.0,)).shape[0] == 8


def test_as_many_scales_as_channels() -> None:
    integers, _ = quantized(uneven(1))
    with pytest.raises(NetworkError, match=r"conv1: channel_scales: found 1.*each of 4 channels"):
        replace(integers.population("conv1"), channel_scales=(1.0,))
