"""Channels that are taken out are gone from every layer; the others fire as with them silent."""

import float_nets
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import random_conv_network, random_inputs, residual_network

from tssd.budget.channels import masked, same_without, without_channels
from tssd.calibration.encode import encode
from tssd.calibration.int_network import IntNetwork, Reset
from tssd.calibration.integer import IntArray
from tssd.calibration.precision import Precision
from tssd.calibration.quantizing.fold import align, fold
from tssd.calibration.quantizing.observe import Observation
from tssd.calibration.quantizing.options import Options
from tssd.calibration.quantizing.quantize import apply
from tssd.calibration.quantizing.scales import Granularity, choose
from tssd.calibration.simulate import layerwise
from tssd.errors import NetworkError


def some(rng: np.random.Generator, channels: int) -> IntArray:
    """A few of the channels, at least one."""
    count = int(rng.integers(1, channels + 1))
    chosen: IntArray = np.sort(rng.permutation(channels)[:count])
    return chosen


def draw_kept(network: IntNetwork, rng: np.random.Generator) -> dict[str, IntArray]:
    """Channels of every population that fires; those behind a convolution in groups follow it."""
    kept: dict[str, IntArray] = {}
    for p in network.populations:
        if not p.kind.fires:
            continue
        grouped = [j for j in network.incoming(p.name) if j.kind.spatial and j.groups > 1]
        if not grouped:
            kept[p.name] = some(rng, p.shape[0])
            continue
        (j,) = grouped
        every = np.arange(network.population(j.source).shape[0])
        per_out = p.shape[0] // j.groups
        groups = np.unique(kept.get(j.source, every) // j.weight.shape[1])
        kept[p.name] = (groups[:, None] * per_out + np.arange(per_out)).ravel()
    return kept


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_every_neuron_that_stays_fires_the_same_spikes(seed: int) -> None:
    """Beside the definition itself, with strides, paddings, groups and both resets."""
    rng = np.random.default_rng(seed)
    network = random_conv_network(seed, (Reset.SOFT, Reset.HARD)[seed % 2])
    kept = draw_kept(network, rng)
    inputs = random_inputs(network, seed)
    ours = layerwise(without_channels(network, kept), inputs)
    theirs = layerwise(masked(network, kept), inputs)
    np.testing.assert_array_equal(ours.readout, theirs.readout)
    for name, spikes in ours.spikes.items():
        channels = kept.get(name, np.arange(theirs.spikes[name].shape[2]))
        np.testing.assert_array_equal(spikes, theirs.spikes[name][:, :, channels], err_msg=name)
    found = same_without(network, kept, inputs)
    assert found.status == "pass"
    assert str(found.found).startswith("0 of ")


def test_a_skip_that_adds_channels_loses_them_on_both_sides() -> None:
    network = residual_network(3, Reset.SOFT)
    names = [p.name for p in network.populations if p.kind.fires]
    channels = network.population(names[0]).shape[0]
    half = dict.fromkeys(names, np.arange(0, channels, 2))
    inputs = random_inputs(network, 1)
    assert same_without(network, half, inputs).status == "pass"
    smaller = without_channels(network, half)
    assert {smaller.population(name).shape[0] for name in names} == {len(half[names[0]])}


def test_a_mask_that_is_wrong_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    network = next(
        x
        for x in (random_conv_network(seed, Reset.SOFT) for seed in range(20))
        if x.populations[1].shape[0] > 1 and all(j.groups == 1 for j in x.projections)
    )
    name, channels = network.populations[1].name, network.populations[1].shape[0]
    wrong = {name: np.arange(1, channels)}
    monkeypatch.setattr("tssd.budget.channels.masked", lambda network, kept: masked(network, wrong))
    found = same_without(network, {name: np.arange(channels - 1)}, random_inputs(network, 5))
    assert found.status == "fail"
    assert str(found.where).startswith("first in ")


def test_scales_per_channel_norms_and_pixels_of_a_matrix_go_along() -> None:
    """Float: the columns of a matrix behind an image and a pool; integers: a scale per channel."""
    network = float_nets.small_vgg(2, side=8)
    kept = {"conv1": np.array([1, 2]), "conv3": np.array([0, 3, 7])}
    smaller = without_channels(network, kept)
    first, second, third, last = smaller.projections
    np.testing.assert_array_equal(first.weight, network.projections[0].weight[[1, 2]])
    np.testing.assert_array_equal(second.weight, network.projections[1].weight[:, [1, 2]])
    assert third.norm is not None
    assert network.projections[2].norm is not None
    np.testing.assert_array_equal(third.norm.gain, network.projections[2].norm.gain[[0, 3, 7]])
    pixels = network.projections[3].weight.reshape(10, 8, -1)[:, [0, 3, 7]].reshape(10, -1)
    np.testing.assert_array_equal(last.weight, pixels)
    assert [p.shape[0] for p in smaller.populations] == [1, 2, 6, 3, 10]
    folded = align(fold(network))
    seen = float_nets.images(network, 8)
    options = Options(granularity=Granularity.CHANNEL)
    scales = choose(folded, Observation(seen, {}), Precision(weight_bits=4), options)
    integers = apply(folded, scales)
    assert same_without(integers, kept, encode(integers, seen)).status == "pass"
    scaled = without_channels(integers, kept).population("conv3").channel_scales
    whole = integers.population("conv3").channel_scales
    assert scaled == (whole[0], whole[3], whole[7])


def test_channels_that_cannot_go_alone_are_refused() -> None:
    network = float_nets.small_residual(0)
    with pytest.raises(NetworkError, match=r"projection stem -> b: found group 0 of 4 with inputs"):
        without_channels(network, {"b": np.array([1, 2])})
    with pytest.raises(NetworkError, match="population a: found no channel that stays"):
        without_channels(network, {"a": np.array([], np.int64)})
    tied = {"b": np.array([1, 2]), "stem": np.array([1, 2])}
    assert without_channels(network, tied).projections[3].groups == 2
