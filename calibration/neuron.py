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

from collections.abc import Collection, Mapping
from typing import assert_never

import numpy as np

from tssd.arrays import BoolArray
from tssd.calibration.int_network import Population, Reset
from tssd.calibration.integer import (
    DECAY_ONE,
    WEIGHT_SHIFT,
    IntArray,
    clip_voltage,
    decay_toward_zero,
    wrap_current,
)
from tssd.errors import NetworkError

# Synaptic current u and membrane v after a step (v after the reset), by ``Population.states``.
State = Mapping[str, IntArray]


PARAMETERS = ("keep_u", "keep_v", "threshold", "subtracted")


def parameters(population: Population, read: Collection[str] = PARAMETERS) -> dict[str, IntArray]:
    """What ``step`` reads of a population beside its bias, in the units of its states: decays as
    what is kept, in 4096ths, and levels in membrane units.

    ``read``: those that the caller acts on; what a neuron has of them comes in that order. A rule
    that needs another is refused: no engine runs a neuron of which it knows only half.
    """
    known = {"keep_u": DECAY_ONE - population.du, "keep_v": DECAY_ONE - population.dv}
    known |= {name: level << WEIGHT_SHIFT for name, level in population.levels.items()}
    for name in known:
        if name not in read:
            raise NetworkError(
                f"population {population.name}",
                found=f"a neuron with {name}",
                allowed=f"{', '.join(read)}: what runs here",
                hint="an engine that has the whole rule; the definition itself does",
            )
    return {name: known[name] for name in read if name in known}


def rest(population: Population, batch: int) -> State:
    """The state after a reset: zero."""
    zero = np.zeros((batch, *population.shape), np.int64)
    return dict.fromkeys(population.states, zero)


def step(
    population: Population, state: State, a: IntArray, bias: IntArray
) -> tuple[State, IntArray]:
    """One step of a LIF or READOUT population: (state, spikes) from activation and bias."""
    u = wrap_current(decay_toward_zero(state["u"], population.du) + (a << WEIGHT_SHIFT))
    v = clip_voltage(decay_toward_zero(state["v"], population.dv) + u + bias)
    if population.kind.reads_out:
        return {"u": u, "v": v}, np.zeros_like(v)
    threshold = population.vth << WEIGHT_SHIFT
    spikes = v > threshold
    return {"u": u, "v": _reset(population, v, spikes)}, spikes.astype(np.int64)


def _reset(population: Population, v: IntArray, spikes: BoolArray) -> IntArray:
    match population.reset:
        case Reset.HARD:
            return np.where(spikes, 0, v)
        case Reset.SOFT:
            return v - spikes * (population.subtracted << WEIGHT_SHIFT)
        case Reset.NONE:
            return v
        case _:
            assert_never(population.reset)
