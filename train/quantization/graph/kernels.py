"""The neurons of a whole graph in numba: the equations of ``neurons``, all steps in one pass.

Arrays are (T or 1, B, N): the N neurons of a population in whatever order its memory has, which
the rows of ``numbers`` share. All steps of some neurons come before the next ones, so that their
states stay in the nearest cache. Where the backward pass needs no more of a membrane than whether
it fired and whether it lay inside the rectangular window, it is kept as one byte. Loops write one
array or two, and rows are cut out one by one: with more of them, or with a stride that it does not
know, the compiler takes the neurons one at a time.
"""

from typing import Any

import numpy as np

from tssd.arrays import Array
from tssd.compiling import kernel
from tssd.train.networks.lif_kernels import FIRED, INSIDE, add_row, slope_row
from tssd.train.quantization.kernels import LIMIT

# rows of ``numbers``: shares that states keep, then 1/64 weight units; half of the surrogate's
# window, and its height
KEEP_U, KEEP_V, BIAS, VTH, RESET_BY, SIZE, WINDOW, PEAK = range(8)
HARD, SOFT, NONE = range(3)
TOGETHER = 1024  # neurons whose states stay in the nearest cache


@kernel
def graph_forward(
    first: int,
    end: int,  # samples first..end of the batch
    a: Array,  # (T or 1, B, N): sums of whole weights
    numbers: Array,  # (8, N)
    memory: bool,  # whether currents are kept
    reset: int,
    lone: Any,  # of an or-gate: the sum of one spike in 1/64 weight units; else 0
    compact: bool,
    u: Array,  # (B, N): in the start, out the state after the last step
    v: Array,  # (B, N)
    kept: Array,  # (T, B, N) out: membranes before the reset, or their bytes; T = 0 to keep nothing
    spikes: Array,  # (T, B, N) out
) -> None:
    steps, neurons = spikes.shape[0], spikes.shape[2]
    before = np.empty(min(neurons, TOGETHER), v.dtype)
    one, unit = v.dtype.type(1), v.dtype.type(64)
    for b in range(first, end):
        for start in range(0, neurons, TOGETHER):
            stop = min(start + TOGETHER, neurons)
            held, vth = before[: stop - start], numbers[VTH, start:stop]
            keeps, bias = numbers[KEEP_V, start:stop], numbers[BIAS, start:stop]
            current, state = u[b, start:stop], v[b, start:stop]
            for t in range(steps):
                fired = spikes[t, b, start:stop]
                entering = a[0 if a.shape[0] == 1 else t, b, start:stop]
                if memory or t == steps - 1:
                    arrive(entering, numbers[KEEP_U, start:stop], memory, current)
                if memory:
                    integrate(state, keeps, current, one, bias, held)
                else:
                    integrate(state, keeps, entering, unit, bias, held)
                fire_row(held, vth, numbers[RESET_BY, start:stop], reset, fired, state)
                if kept.shape[0] > 0:
                    window = numbers[WINDOW, start:stop]
                    keep_graph_row(held, vth, window, lone, compact, kept[t, b, start:stop])


@kernel
def arrive(entering: Array, keeps: Array, memory: bool, u: Array) -> None:
    """u[t - 1] -> u[t], in place."""
    unit = u.dtype.type(64)
    if memory:
        for k in range(len(u)):
            left = u.dtype.type(np.trunc(np.float64(u[k]) * np.float64(keeps[k])))
            u[k] = left + unit * entering[k]
    else:
        for k in range(len(u)):
            u[k] = unit * entering[k]


@kernel
def integrate(
    state: Array, keeps: Array, drive: Array, unit: Any, bias: Array, before: Array
) -> None:
    """v[t - 1] -> v before the reset; *drive* in *unit* of 1/64 weight units."""
    limit = state.dtype.type(LIMIT)
    for k in range(len(state)):
        left = state.dtype.type(np.trunc(np.float64(state[k]) * np.float64(keeps[k])))
        before[k] = min(max(left + unit * drive[k] + bias[k], -limit), limit)


@kernel
def fire_row(before: Array, vth: Array, by: Array, reset: int, fired: Array, state: Array) -> None:
    """What fires, and v after the reset."""
    one, zero = before.dtype.type(1), before.dtype.type(0)
    if reset == HARD:
        for k in range(len(before)):
            fired[k] = one if before[k] > vth[k] else zero
            state[k] = zero if before[k] > vth[k] else before[k]
    elif reset == SOFT:
        for k in range(len(before)):
            fired[k] = one if before[k] > vth[k] else zero
            state[k] = before[k] - (by[k] if before[k] > vth[k] else zero)
    else:
        for k in range(len(before)):
            fired[k] = one if before[k] > vth[k] else zero
            state[k] = before[k]


@kernel
def keep_graph_row(
    before: Array, vth: Array, window: Array, lone: Any, compact: bool, kept: Array
) -> None:
    """What the backward pass needs of some membranes."""
    one = before.dtype.type(1)
    if not compact:
        for k in range(len(before)):
            kept[k] = before[k]
    elif lone > 0:
        for k in range(len(before)):
            inside = (before[k] >= 0) & (before[k] <= lone)
            kept[k] = (before[k] > vth[k]) + INSIDE * inside
    else:
        for k in range(len(before)):
            inside = np.abs(before[k] - vth[k] - one) < window[k]
            kept[k] = (before[k] > vth[k]) + INSIDE * inside


@kernel
def graph_backward(
    first: int,
    end: int,  # samples first..end of the batch
    received: Array,  # (T, B, N): the gradient of the spikes
    kept: Array,  # (T, B, N): of graph_forward
    numbers: Array,  # (8, N)
    memory: bool,
    reset: int,
    detach: bool,
    width: Any,
    surrogate: int,
    lone: Any,
    compact: bool,
    to_u: Array,  # (B, N): in the gradient of the last state, out of the first
    to_v: Array,  # (B, N)
    entering: Array,  # (T or 1, B, N) out: of the sums
    total: Array,  # (B, N) out: of v, summed over the steps
) -> None:
    steps, neurons = received.shape[0], received.shape[2]
    room = np.empty((3, min(neurons, TOGETHER)), to_v.dtype)
    for b in range(first, end):
        for start in range(0, neurons, TOGETHER):
            stop = min(start + TOGETHER, neurons)
            vth, by = numbers[VTH, start:stop], numbers[RESET_BY, start:stop]
            size, sums = numbers[SIZE, start:stop], total[b, start:stop]
            after_u, after_v, count = to_u[b, start:stop], to_v[b, start:stop], stop - start
            slopes, through, felt = room[0, :count], room[1, :count], room[2, :count]
            sums[:] = 0
            for step in range(steps):
                t = steps - 1 - step
                held = kept[t, b, start:stop]
                arrives = received[t, b, start:stop]
                if compact:
                    peak = numbers[PEAK, start:stop]
                    feel_bytes(after_v, held, arrives, peak, reset == HARD, felt)
                else:
                    slope_of(held, vth, size, width, surrogate, lone, through, slopes)
                    through_reset(held, vth, by, slopes, reset, detach, through)
                    feel(after_v, through, arrives, slopes, felt)
                alike = entering.shape[0] == 1
                out, fresh = entering[0 if alike else t, b, start:stop], step == 0 or not alike
                if memory or step == 0:
                    add_row(felt, after_u, False)
                    give(after_u, felt, sums, out, fresh)
                    scale(after_u, numbers[KEEP_U, start:stop], after_u)
                else:
                    give(felt, felt, sums, out, fresh)
                scale(felt, numbers[KEEP_V, start:stop], after_v)


@kernel
def feel(after: Array, through: Array, arrives: Array, slopes: Array, felt: Array) -> None:
    """dL/dv before the reset."""
    for k in range(len(felt)):
        felt[k] = after[k] * through[k] + arrives[k] * slopes[k]


@kernel
def feel_bytes(
    after: Array, held: Array, arrives: Array, peak: Array, hard: bool, felt: Array
) -> None:
    """The same from kept bytes: the reset is detached."""
    zero = felt.dtype.type(0)
    if hard:
        for k in range(len(felt)):
            through = zero if np.uint8(held[k]) & FIRED else after[k]
            felt[k] = through + arrives[k] * (peak[k] if np.uint8(held[k]) & INSIDE else zero)
    else:
        for k in range(len(felt)):
            felt[k] = after[k] + arrives[k] * (peak[k] if np.uint8(held[k]) & INSIDE else zero)


@kernel
def give(current: Array, felt: Array, sums: Array, entering: Array, fresh: bool) -> None:
    """The gradients of the bias, summed, and of the sums, added up unless *fresh*."""
    unit = felt.dtype.type(64)
    if fresh:
        for k in range(len(felt)):
            sums[k] += felt[k]
            entering[k] = unit * current[k]
    else:
        for k in range(len(felt)):
            sums[k] += felt[k]
            entering[k] += unit * current[k]


@kernel
def scale(values: Array, shares: Array, scaled: Array) -> None:
    """What of *values* stays."""
    for k in range(len(scaled)):
        scaled[k] = values[k] * shares[k]


@kernel
def slope_of(
    held: Array,
    vth: Array,
    size: Array,
    width: Any,
    surrogate: int,
    lone: Any,
    x: Array,  # out: the distance from the threshold, in thresholds
    slopes: Array,
) -> None:
    """ds/dv of kept membranes."""
    one, zero = slopes.dtype.type(1), slopes.dtype.type(0)
    if lone > 0:
        for k in range(len(held)):
            slopes[k] = one / lone if held[k] >= 0 and held[k] <= lone else zero
        return
    for k in range(len(held)):
        x[k] = (held[k] - vth[k] - one) / size[k]
    slope_row(x, zero, width, surrogate, slopes)
    for k in range(len(held)):
        slopes[k] = slopes[k] / size[k]


@kernel
def through_reset(
    held: Array, vth: Array, by: Array, slopes: Array, reset: int, detach: bool, through: Array
) -> None:
    """d(v after the reset)/dv of kept membranes."""
    one, zero = slopes.dtype.type(1), slopes.dtype.type(0)
    for k in range(len(held)):
        felt = zero if detach else slopes[k]
        fired = one if held[k] > vth[k] else zero
        if reset == HARD:
            through[k] = one - fired - held[k] * felt
        elif reset == SOFT:
            through[k] = one - by[k] * felt
        else:
            through[k] = one
