"""The living definition at its edges: truncation, wrap, saturation, strict threshold, reset."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tssd.calibration.int_network import Population, PopulationKind, Reset, constant
from tssd.calibration.integer import (
    STATE_LIMIT,
    UNIT,
    clip_voltage,
    decay_toward_zero,
    wrap_current,
    wrap_sum,
)
from tssd.calibration.neuron import parameters, rest, step
from tssd.errors import NetworkError

states = st.integers(-STATE_LIMIT, STATE_LIMIT)


def one(value: int) -> "np.typing.NDArray[np.int64]":
    return np.array([value], np.int64)


def lif(
    reset: Reset, vth: int = 10, du: int = 4096, dv: int = 0, reset_by: int | None = None
) -> Population:
    shape = (1,)
    return Population(
        "n",
        shape,
        PopulationKind.LIF,
        reset,
        du=constant(du, shape),
        dv=constant(dv, shape),
        vth=constant(vth, shape),
        bias_mant=constant(0, shape),
        reset_by=None if reset_by is None else constant(reset_by, shape),
    )


@given(states, st.integers(0, 4096))
def test_decay_truncates_toward_zero(x: int, decay: int) -> None:
    exact = abs(x) * (4096 - decay) // 4096
    assert decay_toward_zero(one(x), one(decay))[0] == (exact if x >= 0 else -exact)


@given(st.integers(-3 * STATE_LIMIT + 1, 3 * STATE_LIMIT))
def test_current_wraps_into_the_half_open_range(u: int) -> None:
    wrapped = int(wrap_current(one(u))[0])
    assert -STATE_LIMIT < wrapped <= STATE_LIMIT
    assert (wrapped - u) % (2 * STATE_LIMIT) == 0


def test_current_wraps_once_only_and_keeps_the_upper_edge() -> None:
    assert wrap_current(one(STATE_LIMIT))[0] == STATE_LIMIT
    assert wrap_current(one(-STATE_LIMIT))[0] == STATE_LIMIT
    assert wrap_current(one(4 * STATE_LIMIT))[0] == 2 * STATE_LIMIT


@given(st.integers(-(2**40), 2**40))
def test_convolution_sums_are_two_s_complement(a: int) -> None:
    wrapped = int(wrap_sum(one(a))[0])
    assert -STATE_LIMIT <= wrapped < STATE_LIMIT
    assert (wrapped - a) % (2 * STATE_LIMIT) == 0


def test_voltage_saturates_symmetrically() -> None:
    assert clip_voltage(one(STATE_LIMIT))[0] == STATE_LIMIT - 1
    assert clip_voltage(one(-STATE_LIMIT))[0] == 1 - STATE_LIMIT


@pytest.mark.parametrize(("a", "fires"), [(10, 0), (11, 1)])
def test_the_threshold_is_strict(a: int, fires: int) -> None:
    _, spikes = step(lif(Reset.HARD), rest(lif(Reset.HARD), 1), one(a)[None], one(0)[None])
    assert spikes.item() == fires


@pytest.mark.parametrize(("reset", "left"), [(Reset.HARD, 0), (Reset.SOFT, 15 * UNIT)])
def test_reset_acts_in_the_step_of_the_spike(reset: Reset, left: int) -> None:
    state, spikes = step(lif(reset), rest(lif(reset), 1), one(25)[None], one(0)[None])
    assert (spikes.item(), state["v"].item()) == (1, left)


@pytest.mark.parametrize("amount", [0, 3, 10, 12, 131071, -4])
def test_a_soft_reset_subtracts_its_own_amount(amount: int) -> None:
    population = lif(Reset.SOFT, reset_by=amount)
    state, spikes = step(population, rest(population, 1), one(25)[None], one(0)[None])
    assert (spikes.item(), state["v"].item()) == (1, (25 - amount) * UNIT)
    assert state["v"].item() <= STATE_LIMIT + population.lifted
    assert -population.sunk < state["v"].item() or amount <= 10


@pytest.mark.parametrize("reset", [Reset.HARD, Reset.NONE])
def test_an_amount_without_a_soft_reset_is_refused(reset: Reset) -> None:
    with pytest.raises(NetworkError, match=r"population n: reset_by: found an amount .* reset"):
        lif(reset, reset_by=3)


def test_an_amount_of_another_shape_is_refused() -> None:
    with pytest.raises(NetworkError, match=r"population n: reset_by: found int64 array of shape"):
        replace(lif(Reset.SOFT), reset_by=np.ones((2, 1), np.int64))


@given(
    *(st.integers(-(2**16), 2**16), states, states, st.integers(0, 4096), st.integers(0, 4096)),
    st.none() | st.integers(-200, 2**17),
)
def test_a_step_equals_the_equations_in_plain_integers(
    a: int, u: int, v: int, du: int, dv: int, amount: int | None
) -> None:
    def tz(x: int) -> int:
        return x >> 12 if x >= 0 else -(-x >> 12)

    current = tz(u * (4096 - du)) + (a << 6)
    if current > STATE_LIMIT:
        current -= 2 * STATE_LIMIT
    elif current <= -STATE_LIMIT:
        current += 2 * STATE_LIMIT
    voltage = max(1 - STATE_LIMIT, min(STATE_LIMIT - 1, tz(v * (4096 - dv)) + current + 3))
    fires = voltage > 10 << 6
    population = lif(Reset.SOFT, du=du, dv=dv, reset_by=amount)
    left = voltage - fires * ((10 if amount is None else amount) << 6)
    before = {"u": one(u)[None], "v": one(v)[None]}
    state, spikes = step(population, before, one(a)[None], one(3)[None])
    assert spikes.item() == fires
    assert (state["u"].item(), state["v"].item()) == (current, left)


def test_decays_are_what_is_kept_and_levels_are_in_membrane_units() -> None:
    found = parameters(lif(Reset.SOFT, vth=10, du=1000, dv=96, reset_by=3))
    assert (found["keep_u"].item(), found["keep_v"].item()) == (3096, 4000)
    assert sorted(v.item() for k, v in found.items() if not k.startswith("keep")) == [192, 640]
