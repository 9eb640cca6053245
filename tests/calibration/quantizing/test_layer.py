"""One layer in numbers that can be checked in the head."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tssd.calibration import neuron
from tssd.calibration.int_network import Population, Projection, ProjectionKind
from tssd.calibration.integer import UNIT
from tssd.calibration.layer import (
    Clip,
    Form,
    LayerIntegers,
    above_whole,
    memory_gain,
    nearest,
    to_float,
    to_integers,
    worst_activation,
)
from tssd.calibration.precision import LOIHI, Precision
from tssd.train.handover.float_network import (
    FloatPopulation,
    FloatProjection,
    PopulationKind,
    Reset,
)

EXACT = Form(LOIHI, 0)


def population(**changes: Any) -> FloatPopulation:
    """Two neurons: leaks 1/4 and 1/2, thresholds 1.06 and 2, biases 0.31 and -0.5."""
    decay, threshold, bias = (np.array(x) for x in ([0.75, 0.5], [1.06, 2.0], [0.31, -0.5]))
    made = FloatPopulation("b", (2,), PopulationKind.LIF, Reset.SOFT, decay, threshold, bias)
    return replace(made, **changes)


def dense(weight: list[list[float]], source: str = "a", target: str = "b") -> FloatProjection:
    return FloatProjection(source, target, ProjectionKind.DENSE, np.array(weight))


def layer(
    weight: list[list[float]], form: Form = EXACT, scale: float = 10.0, **changes: Any
) -> LayerIntegers:
    return to_integers(population(**changes), [dense(weight)], [1.0], scale, form)


def test_every_number_of_a_layer_is_its_float_times_the_scale() -> None:
    found = layer([[0.5, -0.24], [0.16, 1.0]])
    assert found.weights[0].tolist() == [[5, -2], [2, 10]]
    assert found.exponents == (0,)
    assert found.vth.tolist() == [10, 20]  # floor(10.6): v > 10 is v >= 10.6 on whole numbers
    assert found.bias_mant.tolist() == [3 * 64, -5 * 64]
    assert found.dv.tolist() == [1024, 2048]
    assert found.du.tolist() == [4096, 4096]  # no synaptic memory
    assert found.amounts == {}
    assert found.clips == ()


def test_halves_go_up() -> None:
    assert nearest(np.array([0.5, -0.5, 1.4, -1.6])).tolist() == [1, 0, 1, -2]


def test_a_memory_and_an_amount_of_a_reset_are_numbers_of_their_own() -> None:
    found = layer([[1.0, 0]], synapse_decay=np.array([0.5, 0.0]), reset_by=np.array([0.7, 1.2]))
    assert found.du.tolist() == [2048, 4096]
    assert found.amounts["reset_by"].tolist() == [7, 12]


def test_what_the_integers_mean_in_float() -> None:
    """Thresholds are met a 64th of a weight unit above their integer: v > vth in such steps."""
    given = population(synapse_decay=np.array([0.5, 0.25]), reset_by=np.array([0.7, 1.2]))
    incoming = [dense([[0.5, -0.24], [0.16, 1.0]])]
    found = to_integers(given, incoming, [0.5], 10.0, EXACT)
    back, (projection,) = to_float(found, given, incoming, [0.5])
    np.testing.assert_allclose(projection.weight, [[0.6, -0.2], [0.2, 1.0]])  # 2.5 -> 3, -1.2 -> -1
    np.testing.assert_allclose(back.threshold, [(10 + 1 / 64) / 10, (20 + 1 / 64) / 10])
    np.testing.assert_allclose(back.bias, [0.3, -0.5])
    np.testing.assert_allclose(back.decay, [0.75, 0.5])
    assert back.synapse_decay is not None
    np.testing.assert_allclose(back.synapse_decay, [0.5, 0.25])
    assert back.reset_by is not None
    np.testing.assert_allclose(back.reset_by, [0.7, 1.2])


def test_what_a_layer_lacks_it_lacks_in_float() -> None:
    given = population()
    back, _ = to_float(to_integers(given, [], [], 10.0, EXACT), given, [], [])
    assert back.synapse_decay is None
    assert back.reset_by is None


@pytest.mark.parametrize(("bias_exp", "mantissas"), [(0, [192, -320]), (6, [3, -5]), (7, [2, -2])])
def test_a_bias_is_a_mantissa_behind_an_exponent(bias_exp: int, mantissas: list[int]) -> None:
    form = Form(LOIHI, bias_exp)
    found = layer([[1.0, 0.0]], form)
    assert found.bias_mant.tolist() == mantissas
    back, _ = to_float(found, population(), [dense([[1.0, 0.0]])], [1.0])
    expected = np.array(mantissas) * 2.0**bias_exp / 64 / 10
    np.testing.assert_allclose(back.bias, expected)


def test_a_constant_input_takes_the_coarse_part_of_a_bias() -> None:
    """31 weight units are 4 times a payload of 7, and 3 more; -5 are -1 times and 2 more."""
    found = layer([[1.0, 0.0]], Form(LOIHI, 6, constant=7), bias=np.array([3.1, -0.5]))
    assert found.coarse.tolist() == [4, -1]
    assert found.bias_mant.tolist() == [3, 2]
    back, _ = to_float(found, population(), [dense([[1.0, 0.0]])], [1.0])
    np.testing.assert_allclose(back.bias, [3.1, -0.5])


@pytest.mark.parametrize(
    ("largest", "exponent"),
    [(12.7, 0), (12.8, 1), (25.4, 1), (25.5, 2), (50.8, 2), (6.35, -1), (0.1, -3), (0.0, -3)],
)
def test_a_loop_has_the_least_shift_at_which_its_weights_fit(largest: float, exponent: int) -> None:
    """Scale 10, weights up to 127, at most 3 bits finer: 12.7 just fits without a shift."""
    loop = dense([[largest, 0.0], [0.0, -largest / 2]], "b", "b")
    found = to_integers(population(), [loop], [1.0], 10.0, Form(LOIHI, 0, finer=3))
    assert found.exponents == (exponent,)
    assert found.clips == ()
    exact = 10 * np.array(loop.weight) / 2.0**exponent
    assert np.abs(found.weights[0] - exact).max() <= 0.5
    np.testing.assert_allclose(found.shifted[0], found.weights[0] * 2.0**exponent)


def test_weights_that_may_not_shift_are_as_fine_as_the_form_says() -> None:
    found = layer([[0.5, 0.0], [0.0, 1.0]], Form(LOIHI, 0, finer=2))
    assert found.exponents == (-2,)
    assert found.weights[0].tolist() == [[20, 0], [0, 40]]


def test_of_two_projections_that_with_the_larger_unit_may_shift() -> None:
    """Graded values count a 255th: beside them spikes may have coarser weights, not they."""
    pair = [dense([[20.0, 0.0]], "spikes"), dense([[20.0, 0.0]], "pixels")]
    found = to_integers(population(), pair, [1.0, 1 / 255], 10.0, EXACT)
    assert found.exponents == (1, 0)
    assert found.weights[0].tolist() == [[100, 0]]
    assert found.weights[1].tolist() == [[1, 0]]


def test_what_does_not_fit_is_clipped_and_said() -> None:
    found = layer([[13.0, -20.0], [12.7, 1.0]], threshold=np.array([1.0, 20_000.0]))
    assert found.weights[0].tolist() == [[127, -127], [127, 10]]
    assert found.vth.tolist() == [10, 131071]
    assert found.clips == (
        Clip("b", "weights from a", 2, 4, 200.0, 127),
        Clip("b", "thresholds", 1, 2, 200_000.0, 131071),
    )
    assert str(found.clips[0]) == "b: 2 of 4 weights from a beyond 127 (largest 200.0)"


@pytest.mark.parametrize(("bits", "dv"), [(12, 1024), (2, 1024), (1, 2048)])
def test_decays_are_multiples_of_their_width(bits: int, dv: int) -> None:
    """A leak of 1/4 is exact with two bits; with one, halves go up."""
    found = layer([[1.0, 0.0]], Form(Precision(decay_bits=bits), 0))
    assert found.dv.tolist() == [dv, 2048]


@pytest.mark.parametrize(
    ("exponents", "worst"), [((), 14), ((0, 0), 14), ((1, 0), 22), ((-1, 0), 10), ((0, -2), 10)]
)
def test_the_worst_activation_meets_every_weight_of_one_sign(
    exponents: tuple[int, ...], worst: int
) -> None:
    """Payloads 1 and 2. Row 1: +7, -2 and +0, -6; row 2: +8, -1 and +6, -2: 14 at most. A right
    shift counts its remainder: 7 / 2 is 4, 6 / 4 is 2."""
    weights = [np.array([[3, 4, -2], [8, 0, -1]]), np.array([[0, -3], [3, -1]])]
    maps = [Projection(n, "b", ProjectionKind.DENSE, w) for n, w in zip("ac", weights, strict=True)]
    assert worst_activation(maps, weights, [1, 2], exponents) == worst


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(("exponents", "worst"), [((), 20), ((1, 0), 28), ((-2, 0), 14)])
def test_the_worst_activation_of_kernels_and_a_matrix_into_one_image(
    exponents: tuple[int, ...], worst: int, turned: bool
) -> None:
    """Kernels give up to 5 to channel 0 and 8 to channel 1, of two places each; the matrix adds
    5 and 0 to the one's, 9 and 12 to the other's: 20 at most. Of 8, two bits less are 2."""
    kernel = np.array([[2, 3], [8, -1]])[:, :, None, None]
    matrix = np.array([[5], [0], [9], [12]])
    maps = [
        Projection("a", "b", ProjectionKind.CONV2D, kernel),
        Projection("c", "b", ProjectionKind.DENSE, matrix),
    ]
    step = -1 if turned else 1
    found = worst_activation(maps[::step], [kernel, matrix][::step], [1, 1], exponents[::step])
    assert found == worst


def test_the_worst_activation_may_be_negative_and_of_nothing_is_zero() -> None:
    weight = np.array([[1, -9]])
    projection = Projection("a", "b", ProjectionKind.DENSE, weight)
    assert worst_activation([projection], [weight], [3]) == 27
    assert worst_activation([], [], []) == 0


@pytest.mark.parametrize(
    ("du", "steps", "gain"),
    [([4096], 5, 1.0), ([2048], 3, 1.75), ([0], 6, 6.0), ([4096, 1024, 2048], 2, 1.75)],
)
def test_memory_piles_up_the_sum_of_its_powers(du: list[int], steps: int, gain: float) -> None:
    """1 + 1/2 + 1/4; without forgetting one per step; of several neurons the largest."""
    assert memory_gain(np.array(du), steps) == pytest.approx(gain)


@pytest.mark.parametrize(
    ("dv", "du", "steps", "above"),
    [
        ([0], [4096], 9, 0.5),
        ([4096], [4096], 9, 0.5),
        ([2048], [4096], 3, (1 / 2 + 1.75 / 4) / 64),
        ([0], [2048], 2, (1 / 2 + 1.5 * 2 / 4) / 64),
        ([2048], [1024], 2, (1 / 2 + 1.5 / 4 + 1.75 * 1.5 * 3 / 8) / 64),
        ([40, 0], [4096], 1000, 0.5),
    ],
)
def test_how_far_a_threshold_lies_above_its_whole_number(
    dv: list[int], du: list[int], steps: int, above: float
) -> None:
    assert above_whole(np.array(dv), np.array(du), steps) == pytest.approx(above)


@pytest.mark.parametrize(("dv", "du"), [(2048, 4096), (410, 4096), (410, 1024), (2048, 2048)])
def test_a_threshold_lies_where_what_decays_drop_puts_it(dv: int, du: int) -> None:
    """The definition's membranes behind positive inputs, below those of exact arithmetic by what
    truncation takes: half of 1/64 less than the place of the threshold."""
    rng, steps = np.random.default_rng(0), 100
    whole = np.full((1,), 1 << 16)
    quiet = Population(
        "p",
        (400,),
        PopulationKind.LIF,
        Reset.NONE,
        np.array([du]),
        np.array([dv]),
        whole,
        0 * whole,
    )
    state, u, v = neuron.rest(quiet, 1), np.zeros((1, 400)), np.zeros((1, 400))
    for _ in range(steps):
        a = rng.integers(0, 40, (1, 400))
        state, _ = neuron.step(quiet, state, a, np.zeros(1, np.int64))
        u = u * (1 - du / 4096) + a
        v = v * (1 - dv / 4096) + u
    lost = float((v - state["v"] / UNIT).mean())
    above = above_whole(np.array([dv]), np.array([du]), steps)
    assert above == pytest.approx(lost + 0.5 / UNIT, rel=0.05)


def test_a_shift_follows_from_weights_and_the_unit_of_their_source() -> None:
    """Scale 10 and a unit of 1/2: 127 are 25.4 of a loop's weights."""
    for largest, exponent in ((25.4, 0), (25.6, 1)):
        loop = dense([[largest, 0.0], [0.0, 1.0]], "b", "b")
        found = to_integers(population(), [loop], [0.5], 10.0, EXACT)
        assert found.exponents == (exponent,)
