"""The living definition of the integer neuron: every other implementation must equal this one.

    u[t] = wrap24( tz(u[t-1] * (4096 - du)) + (a[t] << 6) )       du = 4096: no synaptic memory
    v[t] = clip24( tz(v[t-1] * (4096 - dv)) + u[t] + bias )       tz: >> 12, rounding toward zero
    s[t] = v[t] > (vth << 6)                                      strict
    hard reset: v <- 0 where s          soft reset: v <- v - (r << 6) where s, in the same step

``r`` is the population's ``reset_by``, which is vth unless it has one of its own.
``du`` here counts from Lava's as du = du_lava + 1. u wraps (one conditional turn), v saturates at
+-(2**23 - 1). Source of the rule: Lava 0.10 ``PyLifModelBitAcc``; soft reset is the paper's, ours
in integers. All arrays int64, shapes ``(..., *population.shape)``.
"""

from dataclasses import dataclass

import numpy as np

from tssd.calibration.int_network import Population, PopulationKind, Reset
from tssd.calibration.integer import (
    WEIGHT_SHIFT,
    IntArray,
    clip_voltage,
    decay_toward_zero,
    wrap_current,
)


@dataclass(frozen=True, eq=False)
class State:
    """Synaptic current u and membrane v after a step (v after the reset)."""

    u: IntArray
    v: IntArray


def rest(population: Population, batch: int) -> State:
    """The state after a reset: zero."""
    zero = np.zeros((batch, *population.shape), np.int64)
    return State(zero, zero)


def step(
    population: Population, state: State, a: IntArray, bias: IntArray
) -> tuple[State, IntArray]:
    """One step of a LIF or READOUT population: (state, spikes) from activation and bias."""
    u = wrap_current(decay_toward_zero(state.u, population.du) + (a << WEIGHT_SHIFT))
    v = clip_voltage(decay_toward_zero(state.v, population.dv) + u + bias)
    if population.kind is PopulationKind.READOUT:
        return State(u, v), np.zeros_like(v)
    threshold = population.vth << WEIGHT_SHIFT
    spikes = v > threshold
    subtracted = population.subtracted << WEIGHT_SHIFT
    return State(u, _reset(population.reset, v, spikes, subtracted)), spikes.astype(np.int64)


def _reset(
    reset: Reset, v: IntArray, spikes: "np.typing.NDArray[np.bool_]", subtracted: IntArray
) -> IntArray:
    if reset is Reset.HARD:
        return np.where(spikes, 0, v)
    if reset is Reset.SOFT:
        return v - spikes * subtracted
    return v
