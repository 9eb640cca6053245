"""The arithmetic of quantization, at every range's edges: a short part here, 10,800 cases in
``make campaign-quantization``. Each property is held against plain Python numbers or a peer."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tssd.arrays import FloatArray
from tssd.calibration.integer import (
    DECAY_ONE,
    STATE_LIMIT,
    clip_voltage,
    decay_toward_zero,
    shift,
    wrap_current,
    wrap_sum,
)
from tssd.calibration.layer import Form, nearest, to_float, to_integers
from tssd.calibration.precision import LOIHI, Precision
from tssd.train.handover.float_network import (
    FloatPopulation,
    FloatProjection,
    PopulationKind,
    ProjectionKind,
    Reset,
)
from tssd.train.quantization.graph.layers import forgotten
from tssd.train.quantization.weights import first_step, next_step, rounded
from tssd.train.quantization.widths import ChipWidths, WeightBits

Rng = np.random.Generator
CHANNELS, INPUTS = 4, 6
FEW, MANY = 12, 1800  # cases of each property: with the fast tests, in the campaign


def at_edges(rng: Rng, limit: float, size: tuple[int, ...]) -> FloatArray:
    """Numbers around 0, the halves and the ends of a range, and beyond it."""
    corners = [0.0, 0.5, -0.5, 1.0, limit - 0.5, limit, limit + 0.5, limit + 1, 3 * limit]
    near = rng.choice(corners, size) * rng.choice([-1.0, 1.0], size)
    slight = rng.choice([0.0, 0.0, 1e-9, -1e-9], size)
    spread = rng.normal(0, limit, size)
    return np.where(rng.random(size) < 0.5, near + slight, spread)


def precision_of(rng: Rng) -> Precision:
    return replace(LOIHI, weight_bits=int(rng.integers(2, 17)), decay_bits=int(rng.integers(1, 13)))


def layer_of(
    rng: Rng, precision: Precision, scale: float
) -> tuple[FloatPopulation, FloatProjection]:
    """Weights, thresholds, biases and amounts around the edges of their fields at *scale*."""
    reset = Reset(rng.choice([r.value for r in Reset]))
    amount = np.abs(at_edges(rng, precision.vth_max, (CHANNELS,))) / scale
    population = FloatPopulation(
        "n",
        (CHANNELS,),
        PopulationKind.LIF,
        reset,
        rng.choice([0.0, 0.5, 1.0, 1e-4, 1 - 1e-4, rng.random()], CHANNELS),
        np.abs(at_edges(rng, precision.vth_max, (CHANNELS,))) / scale,
        at_edges(rng, precision.bias_mant_max, (CHANNELS,)) / scale,
        rng.choice([0.0, 0.3, 1.0, rng.random()], CHANNELS),
        amount if reset is Reset.SOFT else None,
    )
    weight = at_edges(rng, precision.weight_max, (CHANNELS, INPUTS)) / scale
    return population, FloatProjection("input", "n", ProjectionKind.DENSE, weight)


def a_layer_in_integers(rng: Rng) -> None:
    """Rounded, clipped, and what was clipped is counted; each field holds its numbers."""
    precision, scale = precision_of(rng), float(2.0 ** rng.integers(-8, 9))
    population, projection = layer_of(rng, precision, scale)
    made = to_integers(population, (projection,), (1.0,), scale, Form(precision, 6))
    exact = [math.floor(scale * w + 0.5) for w in projection.weight.ravel()]
    limit = precision.weight_max
    assert made.weights[0].ravel().tolist() == [min(max(n, -limit), limit) for n in exact]
    theta = [min(math.floor(scale * x), precision.vth_max) for x in population.threshold]
    assert made.vth.tolist() == theta
    most = precision.bias_mant_max
    bias = [min(max(math.floor(scale * b + 0.5), -most), most) for b in population.bias]
    assert made.bias_mant.tolist() == bias
    step = DECAY_ONE >> precision.decay_bits
    for decay, field in ((population.decay, made.dv), (population.synapse_decay, made.du)):
        assert decay is not None
        wanted = [math.floor((1 - d) * DECAY_ONE / step + 0.5) * step for d in decay]
        assert field.tolist() == wanted
    beyond = {
        "weights from input": sum(abs(n) > limit for n in exact),
        "thresholds": sum(math.floor(scale * x) > precision.vth_max for x in population.threshold),
    }
    clipped = {clip.quantity: clip.count for clip in made.clips}
    assert all(clipped.get(name, 0) == count for name, count in beyond.items())


def what_integers_mean(rng: Rng) -> None:
    """Back in float nothing is off by more than half a weight unit, a threshold by less than 1."""
    precision, scale = precision_of(rng), float(2.0 ** rng.integers(-6, 7))
    population, projection = layer_of(rng, precision, 4 * scale)
    projection = replace(projection, weight=projection.weight / 16)
    quiet = replace(population, bias=population.bias / 16, threshold=population.threshold / 16)
    if quiet.reset_by is not None:
        quiet = replace(quiet, reset_by=quiet.reset_by / 16)
    made = to_integers(quiet, (projection,), (1.0,), scale, Form(precision, 6))
    if made.clips:
        return
    meant, (weights,) = to_float(made, quiet, (projection,), (1.0,))
    unit = 1 / scale
    slack = 1e-9 * (1 + np.abs(projection.weight).max(initial=0))
    assert np.abs(weights.weight - projection.weight).max() <= unit / 2 + slack
    assert np.abs(meant.bias - quiet.bias).max() <= unit / 2 + 1e-9 * np.abs(quiet.bias).max()
    above = meant.threshold - quiet.threshold
    assert above.max() <= unit / 64 + 1e-9 * quiet.threshold.max()
    assert above.min() > -unit * (1 + 1e-9)


def whole_states(rng: Rng) -> None:
    """Decay toward zero, the turn of 24 bits, saturation and shifts, beside Python's numbers."""
    ends = [0, 1, 63, 64, 4095, 4096, STATE_LIMIT - 1, STATE_LIMIT, STATE_LIMIT + 1]
    x = rng.choice([*ends, *rng.integers(0, STATE_LIMIT, 5)], 24) * rng.choice([-1, 1], 24)
    x = x.astype(np.int64)
    decay = rng.choice([0, 1, 2047, 2048, 4095, 4096], 24).astype(np.int64)
    pairs = [(int(a), int(d)) for a, d in zip(x, decay, strict=True)]
    kept = [int(math.copysign(abs(a) * (4096 - d) // 4096, a)) for a, d in pairs]
    assert decay_toward_zero(x, decay).tolist() == kept
    turn = 2 * STATE_LIMIT
    turned = [a - turn * (a > STATE_LIMIT) + turn * (a <= -STATE_LIMIT) for a, _ in pairs]
    assert wrap_current(x).tolist() == turned
    held = [min(max(int(a), 1 - STATE_LIMIT), STATE_LIMIT - 1) for a in x]
    assert clip_voltage(x).tolist() == held
    assert wrap_sum(x).tolist() == [(int(a) + STATE_LIMIT) % turn - STATE_LIMIT for a in x]
    for e in (-7, -1, 0, 1, 7):
        assert shift(x, e).tolist() == [math.floor(int(a) * 2.0**e) for a in x]


def weights_in_training(rng: Rng) -> None:
    """Training and calibration round alike; a step is never worse than the one it follows."""
    bits = WeightBits(max((1 << (int(rng.integers(1, 17)) - 1)) - 1, 1))
    step = torch.tensor(2.0 ** rng.integers(-6, 3, CHANNELS), dtype=torch.float64)
    exact = np.round(at_edges(rng, bits.largest, (CHANNELS, INPUTS)) * 64) / 64
    weight = torch.tensor(exact) * step[:, None]
    found = rounded(weight, step, bits)
    wanted = np.clip(nearest(exact), -bits.largest, bits.largest)
    np.testing.assert_array_equal(found.numpy(), wanted)

    def error(q: torch.Tensor) -> torch.Tensor:
        return (rounded(weight, step, bits) * q[:, None] - weight).square().sum(1)

    followed = next_step(weight, step, bits)
    assert bool((error(followed) <= error(step) * (1 + 1e-9) + 1e-12).all())
    first = first_step(weight, bits, False)
    largest = weight.abs().amax(1) / bits.largest
    at_first = (rounded(weight, first, bits) * first[:, None] - weight).square().sum(1)
    plain = torch.where(largest > 0, largest, torch.ones_like(largest))
    at_plain = (rounded(weight, plain, bits) * plain[:, None] - weight).square().sum(1)
    assert bool((at_first <= at_plain * (1 + 1e-9) + 1e-12).all())


def decays_in_training(rng: Rng) -> None:
    """Training forgets what calibration writes, for every width of a decay."""
    precision = precision_of(rng)
    population, projection = layer_of(rng, precision, 1.0)
    made = to_integers(population, (projection,), (1.0,), 1.0, Form(precision, 6))
    chip = ChipWidths(decay_bits=precision.decay_bits)
    np.testing.assert_array_equal(forgotten(population.decay, chip), made.dv)
    assert population.synapse_decay is not None
    np.testing.assert_array_equal(forgotten(population.synapse_decay, chip), made.du)


def thresholds_between_whole_numbers(rng: Rng) -> None:
    """v > floor(S theta) is H >= theta for whole membranes, unless S theta is whole itself."""
    level = float(np.abs(at_edges(rng, LOIHI.vth_max, (1,)))[0])
    vth = math.floor(level)
    for v in (vth - 1, vth, vth + 1, vth + 2):
        assert (v > vth) == (v >= level) or level == vth
    assert vth + 1 > level >= vth


PROPERTIES: dict[str, Callable[[Rng], None]] = {
    made.__name__: made
    for made in (
        a_layer_in_integers,
        what_integers_mean,
        whole_states,
        weights_in_training,
        decays_in_training,
        thresholds_between_whole_numbers,
    )
}
SEEDS = st.integers(0, 2**32 - 1)


@pytest.mark.parametrize("name", PROPERTIES)
@settings(max_examples=FEW, deadline=None)
@given(seed=SEEDS)
def test_at_the_edges(name: str, seed: int) -> None:
    PROPERTIES[name](np.random.default_rng(seed))


@pytest.mark.campaign
@pytest.mark.parametrize("name", PROPERTIES)
@settings(max_examples=MANY, deadline=None)
@given(seed=SEEDS)
def test_thousands_at_the_edges(name: str, seed: int) -> None:
    PROPERTIES[name](np.random.default_rng(seed))


def test_the_campaign_is_of_ten_thousand_cases() -> None:
    assert len(PROPERTIES) * MANY >= 10_000
