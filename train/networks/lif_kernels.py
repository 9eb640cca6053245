"""Numba kernels: normalisation, the recurrence of ``neuron.py``, pooling, in one pass.

Arrays are channels-last in memory and seen as rows, (T, B, H, W * C); a dense layer is one row.
The input current is ``gain[c] * x + shift[c]`` (1 and 0 without batch normalisation), computed
while the membrane is at hand, and so is the average pooling that follows: neither the normalised
current nor the full-size spikes are ever stored. No fused multiply-add and no reassociation: in
the same float type the spikes are those of the plain recurrence, bit for bit. A call handles some
samples of the batch and releases the interpreter lock, so that threads can share a batch.

These kernels move memory more than they compute. All steps of one row (with pooling: of one row of
windows) come before the next row, so that its membranes stay in the nearest cache. Where the
backward pass needs no more of H than whether the neuron fired and whether H lay inside the
rectangular window, it is kept as one byte (``FIRED``, ``INSIDE``); otherwise as it is.
"""

from typing import Any

import numpy as np

from tssd.arrays import Array
from tssd.compiling import kernel

FIRED, INSIDE = 1, 2  # bits of a kept byte
RECTANGULAR, TRIANGULAR, SIGMOID, ATAN = range(4)  # then fast-sigmoid


@kernel
def channel_sums(first: int, end: int, x: Array, sums: Array) -> None:
    """``sums[0, b, c]``, ``sums[1, b, c]``: the sums of x and x^2 of each sample, in float64.

    The rows of one step are summed in x's own type before they are added up: they are few.
    """
    steps, _, height, size = x.shape
    row = np.empty((2, size), x.dtype)
    for b in range(first, end):
        sums[:, b] = 0
        for t in range(steps):
            row[:] = 0
            for i in range(height):
                add_moments(x[t, b, i], x[t, b, i], row[0], row[1])
            fold_row(row, sums[:, b])


@kernel
def add_moments(a: Array, b: Array, first: Array, second: Array) -> None:
    """first <- first + a, second <- second + a b."""
    for k in range(len(a)):
        first[k] += a[k]
        second[k] += a[k] * b[k]


@kernel
def fold_row(row: Array, sums: Array) -> None:
    """Add *row* (2, W * C) to the *sums* (2, C) of its channels."""
    channels = sums.shape[1]
    for j in range(row.shape[1] // channels):
        for c in range(channels):
            sums[0, c] += row[0, j * channels + c]
            sums[1, c] += row[1, j * channels + c]


@kernel
def lif_forward(
    first: int,
    end: int,  # samples first..end of the batch
    x: Array,  # (T or 1, B, H, W * C)
    gain: Array,  # (C,)
    shift: Array,  # (C,)
    membrane: Array,  # (B, H, W * C): in the start, out the state after the last step
    decay: Any,
    threshold: Any,
    width: Any,
    hard: bool,
    pool: int,
    compact: bool,
    kept: Array,  # (T, B, H, W * C) out: H before the reset or its byte; T = 0 to keep nothing
    spikes: Array,  # (T, B, H // pool, (W // pool) * C) out: mean spikes per window
) -> None:
    steps, _, rows, breadth = spikes.shape
    height, size, channels = x.shape[2], x.shape[3], len(gain)
    columns, keep, kind = breadth // channels, kept.shape[0] > 0, membrane.dtype.type
    share, half = kind(1.0 / (pool * pool)), kind(width / 2)
    before, fired, total = np.empty(size, kind), np.empty(size, kind), np.empty(size, kind)
    windows = total[: columns * pool * channels].reshape(columns, pool, channels)
    gains, shifts = tiled(gain, size // channels), tiled(shift, size // channels)
    for b in range(first, end):
        for top in range(0, height, pool):
            for t in range(steps):
                source = 0 if x.shape[0] == 1 else t
                for i in range(top, min(top + pool, height)):
                    out = spikes[t, b, i] if pool == 1 else fired
                    drive, state = x[source, b, i], membrane[b, i]
                    fire_row(drive, gains, shifts, state, before, out, decay, threshold, hard)
                    if keep:
                        keep_row(before, threshold, half, compact, kept[t, b, i])
                    if pool > 1:
                        add_row(fired, total, i == top)
                if pool > 1 and top // pool < rows:
                    pooled = spikes[t, b, top // pool].reshape(columns, channels)
                    mean_windows(windows, share, pooled)


@kernel
def fire_row(
    drive: Array,
    gains: Array,
    shifts: Array,
    state: Array,  # in V[t - 1], out V[t]
    before: Array,  # out H[t]
    fired: Array,  # out S[t]
    decay: Any,
    threshold: Any,
    hard: bool,
) -> None:
    """One step of one row of neurons."""
    one, zero = state.dtype.type(1), state.dtype.type(0)
    for k in range(len(state)):
        h = decay * state[k] + (drive[k] * gains[k] + shifts[k])
        s = one if h >= threshold else zero
        state[k] = h - s * (h if hard else threshold)
        before[k] = h
        fired[k] = s


@kernel
def keep_row(before: Array, threshold: Any, half: Any, compact: bool, kept: Array) -> None:
    """What the backward pass needs of one row of membranes."""
    if compact:
        for k in range(len(before)):
            inside = np.abs(before[k] - threshold) < half
            kept[k] = (before[k] >= threshold) + INSIDE * inside
    else:
        for k in range(len(before)):
            kept[k] = before[k]


@kernel
def tiled(values: Array, times: int) -> Array:
    """*values* repeated *times* times, one after the other."""
    result = np.empty(len(values) * times, values.dtype)
    for i in range(times):
        result[i * len(values) : (i + 1) * len(values)] = values
    return result


@kernel
def add_row(row: Array, total: Array, fresh: bool) -> None:
    """total <- total + row; *fresh* begins a total."""
    if fresh:
        for k in range(len(row)):
            total[k] = row[k]
    else:
        for k in range(len(row)):
            total[k] += row[k]


@kernel
def mean_windows(total: Array, share: Any, pooled: Array) -> None:
    """Summed rows (W // pool, pool, C) -> pooled (W // pool, C), times *share*."""
    columns, pool, channels = total.shape
    if pool == 2:
        for j in range(columns):
            for c in range(channels):
                pooled[j, c] = (total[j, 0, c] + total[j, 1, c]) * share
        return
    for j in range(columns):
        for c in range(channels):
            summed = total[j, 0, c]
            for d in range(1, pool):
                summed += total[j, d, c]
            pooled[j, c] = summed * share


@kernel
def spread_windows(pooled: Array, share: Any, row: Array) -> None:
    """The reverse: each window's gradient (W // pool, C), times *share*, to its members."""
    columns, pool, channels = row.shape
    for j in range(columns):
        for d in range(pool):
            for c in range(channels):
                row[j, d, c] = pooled[j, c] * share


@kernel
def slope_row(before: Array, threshold: Any, width: Any, surrogate: int, slopes: Array) -> None:
    """dS/dH of ``tssd.train.networks.neuron`` for one row of membranes."""
    kind = slopes.dtype.type
    one, zero, height, steep = kind(1), kind(0), kind(1 / width), kind(4 / width)
    if surrogate == RECTANGULAR:
        half = kind(width / 2)
        for k in range(len(slopes)):
            slopes[k] = height if np.abs(before[k] - threshold) < half else zero
    elif surrogate == TRIANGULAR:
        for k in range(len(slopes)):
            slopes[k] = max(one - np.abs(before[k] - threshold) * height, zero) * height
    elif surrogate == SIGMOID:
        for k in range(len(slopes)):
            s = one / (one + np.exp(-steep * (before[k] - threshold)))
            slopes[k] = steep * s * (one - s)
    elif surrogate == ATAN:
        scaled = kind(np.pi / width)
        for k in range(len(slopes)):
            x = scaled * (before[k] - threshold)
            slopes[k] = height / (one + x * x)
    else:
        double = kind(2 / width)
        for k in range(len(slopes)):
            x = one + double * np.abs(before[k] - threshold)
            slopes[k] = height / (x * x)


@kernel
def lif_backward(
    first: int,
    end: int,  # samples first..end of the batch
    spike_gradient: Array,  # (T, B, H // pool, (W // pool) * C)
    kept: Array,  # (T, B, H, W * C): of lif_forward
    carry: Array,  # (B, H, W * C): in the gradient of the last membrane, out of the first
    decay: Any,
    threshold: Any,
    width: Any,
    hard: bool,
    detach: bool,
    pool: int,
    surrogate: int,
    compact: bool,
    gradient: Array,  # (T or 1, B, H, W * C) out: of the current
    x: Array,  # (T or 1, B, H, W * C) for the sums, or nothing (T = 0)
    sums: Array,  # (2, B, C) out: the sums of g and g x of each sample
    start: Array,  # (B, H, W * C) the first membrane, to learn the leak, or nothing (B = 0)
    leak: Array,  # (B,) out: the gradient of the decay
) -> None:
    steps, _, rows, breadth = spike_gradient.shape
    height, size, channels = kept.shape[2], kept.shape[3], sums.shape[2]
    columns, kind = breadth // channels, carry.dtype.type
    static, summed, learn = gradient.shape[0] == 1, x.shape[0] > 0, start.shape[0] > 0
    share, peak = kind(1.0 / (pool * pool)), kind(1 / width)
    now, before, slopes = np.empty(size, kind), np.empty(size, kind), np.empty(size, kind)
    fired, spread, moments = np.empty(size, kind), np.zeros(size, kind), np.empty((2, size), kind)
    windows = spread[: columns * pool * channels].reshape(columns, pool, channels)
    sums[:, first:end] = 0
    leak[first:end] = 0
    for b in range(first, end):
        for top in range(0, height, pool):
            moments[:] = 0
            if top // pool >= rows:
                spread[:] = 0
            for step in range(steps):
                t = steps - 1 - step
                if pool > 1 and top // pool < rows:
                    pooled = spike_gradient[t, b, top // pool].reshape(columns, channels)
                    spread_windows(pooled, share, windows)
                for i in range(top, min(top + pool, height)):
                    received = spike_gradient[t, b, i] if pool == 1 else spread
                    held, after = kept[t, b, i], carry[b, i]
                    if compact:
                        step_back_bytes(received, held, peak, after, now, hard)
                    else:
                        unpack_row(held, threshold, before, fired)
                        slope_row(before, threshold, width, surrogate, slopes)
                        settings = (threshold, hard, detach)
                        step_back(received, before, fired, slopes, after, now, *settings)
                    if learn:
                        leak[b] += leak_row(kept, start, t, b, i, now, threshold, hard)
                    for k in range(size):
                        after[k] = decay * now[k]
                    add_row(now, gradient[0 if static else t, b, i], step == 0 or not static)
                    if summed:
                        driven = x[0 if x.shape[0] == 1 else t, b, i]
                        add_moments(now, driven, moments[0], moments[1])
            if summed:
                fold_row(moments, sums[:, b])


@kernel
def step_back_bytes(
    received: Array, kept: Array, peak: Any, after: Array, now: Array, hard: bool
) -> None:
    """``step_back`` from kept bytes: a rectangular surrogate of height *peak*, a detached reset."""
    zero = now.dtype.type(0)
    if hard:
        for k in range(len(now)):
            through = zero if np.uint8(kept[k]) & FIRED else after[k]
            now[k] = through + received[k] * (peak if np.uint8(kept[k]) & INSIDE else zero)
    else:
        for k in range(len(now)):
            now[k] = after[k] + received[k] * (peak if np.uint8(kept[k]) & INSIDE else zero)


@kernel
def unpack_row(kept: Array, threshold: Any, before: Array, fired: Array) -> None:
    """Membranes and spikes of one row of kept membranes."""
    one, zero = fired.dtype.type(1), fired.dtype.type(0)
    for k in range(len(fired)):
        before[k] = kept[k]
        fired[k] = one if before[k] >= threshold else zero


@kernel
def step_back(
    received: Array,  # the gradient of the spikes
    before: Array,  # H[t], read only where the reset is not detached
    fired: Array,
    slopes: Array,
    after: Array,  # the gradient of V[t]
    now: Array,  # out the gradient of H[t], which is that of the current
    threshold: Any,
    hard: bool,
    detach: bool,
) -> None:
    """One step backwards of one row of neurons."""
    one = now.dtype.type(1)
    if detach and not hard:
        for k in range(len(now)):
            now[k] = after[k] + received[k] * slopes[k]
    elif detach:
        for k in range(len(now)):
            now[k] = after[k] * (one - fired[k]) + received[k] * slopes[k]
    else:
        for k in range(len(now)):
            reset = before[k] if hard else threshold
            through = after[k] * (one - fired[k]) if hard else after[k]
            now[k] = through + (received[k] - after[k] * reset) * slopes[k]


@kernel
def leak_row(
    kept: Array, start: Array, t: int, b: int, i: int, now: Array, threshold: Any, hard: bool
) -> float:
    """The sum over one row of dL/dH[t] times the membrane after the reset of step t - 1."""
    total = 0.0
    if t == 0:
        for k in range(len(now)):
            total += now[k] * start[b, i, k]
        return total
    for k in range(len(now)):
        h = now.dtype.type(kept[t - 1, b, i, k])
        reset = h if hard else threshold
        total += now[k] * (h - reset if h >= threshold else h)
    return total


@kernel
def gradient_of_input(
    first: int, end: int, gradient: Array, x: Array, gain: Array, slope: Array, offset: Array
) -> None:
    """In place: gradient <- gradient * gain + x * slope + offset, per channel."""
    steps, _, height, size = x.shape
    times = size // len(gain)
    gains, slopes, offsets = tiled(gain, times), tiled(slope, times), tiled(offset, times)
    for b in range(first, end):
        for t in range(steps):
            for i in range(height):
                g, values = gradient[t, b, i], x[t, b, i]
                for k in range(size):
                    g[k] = g[k] * gains[k] + (values[k] * slopes[k] + offsets[k])


@kernel
def pool_forward(first: int, end: int, x: Array, channels: int, pool: int, pooled: Array) -> None:
    """Means over ``pool x pool`` windows; incomplete ones are dropped."""
    steps, _, rows, breadth = pooled.shape
    columns, kind = breadth // channels, pooled.dtype.type
    total, share = np.empty(x.shape[3], kind), kind(1.0 / (pool * pool))
    windows = total[: columns * pool * channels].reshape(columns, pool, channels)
    for b in range(first, end):
        for t in range(steps):
            for r in range(rows):
                for d in range(pool):
                    add_row(x[t, b, r * pool + d], total, d == 0)
                mean_windows(windows, share, pooled[t, b, r].reshape(columns, channels))


@kernel
def pool_backward(
    first: int, end: int, pooled: Array, channels: int, pool: int, gradient: Array
) -> None:
    """The reverse of ``pool_forward``."""
    steps, _, rows, breadth = pooled.shape
    columns, kind = breadth // channels, pooled.dtype.type
    spread, share = np.zeros(gradient.shape[3], kind), kind(1.0 / (pool * pool))
    windows = spread[: columns * pool * channels].reshape(columns, pool, channels)
    for b in range(first, end):
        for t in range(steps):
            for r in range(rows):
                spread_windows(pooled[t, b, r].reshape(columns, channels), share, windows)
                for d in range(pool):
                    add_row(spread, gradient[t, b, r * pool + d], True)
            gradient[t, b, rows * pool :] = 0
