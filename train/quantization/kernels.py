"""The integer neuron in numba: forward over all steps, whole numbers carried in floats.

    a = rint(many x)               many: what one unit of x stands for, per channel
    v = clip(trunc(v (4096 - dv) / 4096) + 64 a + bias)           at +-(2**23 - 1)
    s = v > vth, then v <- 0 (hard) or v - s vth (soft)           vth, bias in 1/64 weight units

Every number is whole and below 2**24, which float32 holds exactly; the decay is taken in float64,
where a product of 24 and 13 bits is exact. Backwards the kernels of the float neuron run: ``kept``
is what they need, with H = theta + (v - vth - 1) / unit, so that a spike is H >= theta.
"""

from typing import Any

import numpy as np

from tssd.arrays import Array
from tssd.compiling import kernel
from tssd.train.networks.lif_kernels import (
    add_row,
    keep_row,
    mean_windows,
    tiled,
)

LIMIT = float((1 << 23) - 1)  # of a membrane


@kernel
def integer_forward(
    first: int,
    end: int,  # samples first..end of the batch
    x: Array,  # (T or 1, B, H, W * C)
    many: Array,  # (C,)
    vth: Array,  # (C,)
    bias: Array,  # (C,)
    unit: Array,  # (C,): membrane units in a float membrane of 1
    membrane: Array,  # (B, H, W * C): in the start, out the state after the last step
    keep: float,  # (4096 - dv) / 4096
    threshold: Any,
    width: Any,
    hard: bool,
    pool: int,
    compact: bool,
    kept: Array,  # (T, B, H, W * C) out: H before the reset or its byte; T = 0 to keep nothing
    spikes: Array,  # (T, B, H // pool, (W // pool) * C) out: mean spikes per window
) -> None:
    steps, _, rows, breadth = spikes.shape
    height, size, channels = x.shape[2], x.shape[3], len(many)
    columns, keeps, kind = breadth // channels, kept.shape[0] > 0, membrane.dtype.type
    share, half = kind(1.0 / (pool * pool)), kind(width / 2)
    before, fired, total = np.empty(size, kind), np.empty(size, kind), np.empty(size, kind)
    windows = total[: columns * pool * channels].reshape(columns, pool, channels)
    times = size // channels
    manys, vths, biases = tiled(many, times), tiled(vth, times), tiled(bias, times)
    shares = tiled(kind(1.0) / unit, times)
    for b in range(first, end):
        for top in range(0, height, pool):
            for t in range(steps):
                source = 0 if x.shape[0] == 1 else t
                for i in range(top, min(top + pool, height)):
                    out = spikes[t, b, i] if pool == 1 else fired
                    drive, state = x[source, b, i], membrane[b, i]
                    fire_integers(drive, manys, vths, biases, state, before, out, keep, hard)
                    if keeps:
                        as_float(before, shares, threshold)
                        keep_row(before, threshold, half, compact, kept[t, b, i])
                    if pool > 1:
                        add_row(fired, total, i == top)
                if pool > 1 and top // pool < rows:
                    pooled = spikes[t, b, top // pool].reshape(columns, channels)
                    mean_windows(windows, share, pooled)


@kernel
def fire_integers(
    drive: Array,
    many: Array,
    vth: Array,
    bias: Array,
    state: Array,  # in v[t - 1], out v[t]
    before: Array,  # out v - vth - 1 before the reset
    fired: Array,
    keep: float,
    hard: bool,
) -> None:
    """One step of one row of neurons."""
    one, zero, unit = state.dtype.type(1), state.dtype.type(0), state.dtype.type(64)
    limit = state.dtype.type(LIMIT)
    for k in range(len(state)):
        left = state.dtype.type(np.trunc(state[k] * keep))
        v = left + (np.rint(drive[k] * many[k]) * unit + bias[k])
        v = min(max(v, -limit), limit)
        s = one if v > vth[k] else zero
        state[k] = v - s * (v if hard else vth[k])
        before[k] = v - vth[k] - one
        fired[k] = s


@kernel
def as_float(before: Array, shares: Array, threshold: Any) -> None:
    """In place: membrane units above the threshold -> the float membrane H."""
    for k in range(len(before)):
        before[k] = before[k] * shares[k] + threshold
