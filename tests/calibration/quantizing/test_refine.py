"""Layers refined one after the other: nearer to the float network, within every limit."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from float_nets import images, small_residual, small_vgg
from hypothesis import given, settings
from hypothesis import strategies as st

from tssd.calibration.int_network import IntNetwork
from tssd.calibration.precision import Precision
from tssd.calibration.quantizing import refine
from tssd.calibration.quantizing.fold import Pooling, align, fold
from tssd.calibration.quantizing.front_end import quantize_behind_front_end
from tssd.calibration.quantizing.observe import observe
from tssd.calibration.quantizing.options import FEW, WHOLE, Decided
from tssd.calibration.quantizing.quantize import apply, check_integers, quantize
from tssd.calibration.quantizing.scales import Granularity, Options, Rounding, Tuning, chooser
from tssd.calibration.simulate import layerwise
from tssd.chain.entering import encoder
from tssd.hw_targets.gpu.counting import identities
from tssd.train.handover.float_network import FloatNetwork, Reset
from tssd.train.handover.float_run import run

PLAIN = Options(rounding=Rounding.NEAREST, tuning=Tuning.NONE)


def quantized(network: FloatNetwork, bits: int, options: Options | None = None) -> IntNetwork:
    shown = observe(network, images(network, 24))
    return quantize(network, Precision(weight_bits=bits), shown, options or Options())


def unlike(network: FloatNetwork, integers: IntNetwork) -> float:
    """The share of spike slots that differ on other samples, in the mean of the layers."""
    x = images(network, 24, seed=99)
    wanted = run(network, x, dtype="float64", keep_spikes=True).spikes
    found = layerwise(integers, encoder(integers, lambda: network)(x)).spikes
    names = [p.name for p in integers.populations if p.kind.fires]
    return float(np.mean([np.mean(wanted[n] != found[n]) for n in names]))


@pytest.mark.parametrize("build", [small_vgg, small_residual])
def test_refined_layers_are_nearer_to_float(build: Callable[[int, Reset], FloatNetwork]) -> None:
    """With 2 bits, in the mean of random networks: one of them may well be unlucky."""
    networks = [align(fold(build(seed, Reset.HARD))) for seed in range(3)]
    found = [[unlike(n, quantized(n, 2, o)) for n in networks] for o in (Options(), PLAIN)]
    assert np.mean(found[0]) < 0.95 * np.mean(found[1])


@pytest.mark.parametrize("pooling", ["fold", "population"])
def test_relays_pass_on_what_the_integers_send(pooling: Pooling) -> None:
    network = align(fold(small_vgg(4, side=8), pooling))
    assert unlike(network, quantized(network, 2)) < unlike(network, quantized(network, 2, PLAIN))


@settings(deadline=None, max_examples=10)
@given(
    st.integers(0, 10_000),
    st.sampled_from(list(Granularity)),
    st.sampled_from(list(Rounding)),
    st.sampled_from(list(Tuning)),
    st.integers(2, 8),
)
def test_every_choice_keeps_every_limit(
    seed: int, granularity: Granularity, rounding: Rounding, tuning: Tuning, bits: int
) -> None:
    network = align(fold(small_vgg(seed, side=8)))
    options = Options(granularity=granularity, rounding=rounding, tuning=tuning)
    made = quantized(network, bits, options)
    check_integers(made, Precision(weight_bits=bits))
    if granularity is Granularity.LAYER:
        assert all(p.vth.size == 1 for p in made.populations[1:-1])


def test_a_layer_behind_a_front_end_is_tuned_to_what_it_gets() -> None:
    network = align(fold(small_vgg(5, side=8)))
    seen, precision = observe(network, images(network, 24)), Precision(weight_bits=2)
    parts = [quantize_behind_front_end(network, precision, seen, o)[1] for o in (Options(), PLAIN)]
    refined, plain = (unlike(network, part) for part in parts)
    assert refined < plain


def test_weights_that_could_wrap_a_current_are_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    network = align(fold(small_vgg(6, side=8)))
    options = Options(rounding=Rounding.COMPENSATED, tuning=Tuning.NONE)
    monkeypatch.setattr(refine, "compensated", lambda j, *_: np.full(j.weight.shape, 1e6))
    made, plain = quantized(network, 4, options), quantized(network, 4, PLAIN)
    for a, b in zip(made.projections, plain.projections, strict=True):
        np.testing.assert_array_equal(a.weight, b.weight)


def test_a_projection_does_not_fall_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    network = align(fold(small_vgg(6, side=8)))
    options = Options(rounding=Rounding.COMPENSATED, tuning=Tuning.NONE)
    monkeypatch.setattr(refine, "compensated", lambda j, *_: np.zeros(j.weight.shape))
    assert all(j.weight.any() for j in quantized(network, 4, options).projections)


@pytest.mark.parametrize(("bits", "usual"), [(2, FEW), (7, FEW), (8, WHOLE), (12, WHOLE)])
def test_what_is_left_open_follows_the_width_of_the_weights(bits: int, usual: Decided) -> None:
    precision = Precision(weight_bits=bits)
    assert Options().decided(precision) == usual
    own = Options(granularity=Granularity.LAYER, tuning=Tuning.BIAS).decided(precision)
    assert own == replace(usual, granularity=Granularity.LAYER, tuning=Tuning.BIAS)


def test_refining_draws_nothing_from_the_caller_s_random_numbers() -> None:
    network = align(fold(small_vgg(7, side=8)))
    torch.manual_seed(1)
    first = quantized(network, 3)
    torch.manual_seed(2)
    second = quantized(network, 3)
    for a, b in zip(first.projections, second.projections, strict=True):
        np.testing.assert_array_equal(a.weight, b.weight)


WIDTHS = st.dictionaries(st.sampled_from(["conv1", "conv2", "conv3", "readout"]), st.integers(2, 8))


@settings(deadline=None, max_examples=2)
@given(st.integers(0, 10_000), st.lists(WIDTHS, min_size=2, max_size=3))
def test_one_choice_after_the_other_is_each_choice_alone(
    seed: int, widths: list[dict[str, int]]
) -> None:
    """What is kept from choice to choice changes no integer."""
    network, precision = align(fold(small_vgg(seed, side=8))), Precision()
    shown = observe(network, images(network, 8))
    chosen = chooser(network, shown.images, precision)
    for few in widths:
        options = Options(layer_bits=few)
        again = apply(network, chosen(options))
        fresh = quantize(network, precision, shown, options)
        assert identities(again) == identities(fresh)
