"""Numba kernels: normalisation, the recurrence of ``tssd.train.neuron``, pooling, in one pass.

Arrays are channels-last in memory, (T, B, H, W, C); a dense layer has H = W = 1. The input
current is ``gain[c] * x + shift[c]`` (1 and 0 without batch normalisation), computed while the
membrane is at hand, and so is the average pooling that follows: neither the normalised current
nor the full-size spikes are ever stored. No fused multiply-add and no reassociation: in the same
float type the spikes are those of the plain recurrence, bit for bit. A call handles some samples
of the batch and releases the interpreter lock, so that threads can share a batch.

These kernels move memory more than they compute. Where the backward pass needs no more of H than
whether the neuron fired and whether H lay inside the rectangular window, it is kept as one byte
(``FIRED``, ``INSIDE``); otherwise as it is.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

Array = npt.NDArray[Any]
FIRED, INSIDE = 1, 2  # bits of a kept byte
RECTANGULAR, TRIANGULAR, SIGMOID, ATAN = range(4)  # then fast-sigmoid


@njit(cache=True, nogil=True)
def channel_sums(first: int, end: int, x: Array, sums: Array) -> None:
    """``sums[0, b, c]``, ``sums[1, b, c]``: the sums of x and x^2 of each sample, in float64.

    Rows are summed in x's own type before they are added up, as a row is short.
    """
    steps, _, height, width, channels = x.shape
    row = np.empty((2, channels), x.dtype)
    for b in range(first, end):
        sums[0, b, :] = 0
        sums[1, b, :] = 0
        for t in range(steps):
            for i in range(height):
                row[:] = 0
                for j in range(width):
                    for c in range(channels):
                        value = x[t, b, i, j, c]
                        row[0, c] += value
                        row[1, c] += value * value
                for c in range(channels):
                    sums[0, b, c] += row[0, c]
                    sums[1, b, c] += row[1, c]


@njit(cache=True, nogil=True)
def lif_forward(
    first: int,
    end: int,  # samples first..end of the batch
    x: Array,  # (T or 1, B, H, W, C)
    gain: Array,  # (C,)
    shift: Array,  # (C,)
    membrane: Array,  # (B, H, W, C): in the start, out the state after the last step
    decay: Any,
    threshold: Any,
    width: Any,
    hard: bool,
    pool: int,
    compact: bool,
    kept: Array,  # (T, B, H, W, C) out: H before the reset or its byte; T = 0 to keep nothing
    spikes: Array,  # (T, B, H // pool, W // pool, C) out: mean spikes per window
) -> None:
    steps, _, rows, _, channels = spikes.shape
    height, breadth = x.shape[2], x.shape[3]
    keep = kept.shape[0] > 0
    one, zero = membrane.dtype.type(1), membrane.dtype.type(0)
    share, half = membrane.dtype.type(1.0 / (pool * pool)), membrane.dtype.type(width / 2)
    row = np.empty(breadth * channels, membrane.dtype)
    before = np.empty(breadth * channels, membrane.dtype)
    gains, shifts = tiled(gain, breadth), tiled(shift, breadth)
    for b in range(first, end):
        for t in range(steps):
            source = 0 if x.shape[0] == 1 else t
            for i in range(height):
                drive, state = x[source, b, i].reshape(-1), membrane[b, i].reshape(-1)
                fired = spikes[t, b, i].reshape(-1) if pool == 1 else row
                for k in range(len(row)):
                    h = decay * state[k] + (drive[k] * gains[k] + shifts[k])
                    s = one if h >= threshold else zero
                    state[k] = h - s * (h if hard else threshold)
                    before[k] = h
                    fired[k] = s
                if keep:
                    keep_row(before, threshold, half, compact, kept[t, b, i].reshape(-1))
                if pool > 1 and i // pool < rows:
                    pool_row(fired, spikes[t, b, i // pool], pool, share, i % pool == 0)


@njit(cache=True, nogil=True)
def keep_row(before: Array, threshold: Any, half: Any, compact: bool, kept: Array) -> None:
    """What the backward pass needs of one row of membranes."""
    if compact:
        for k in range(len(before)):
            inside = np.abs(before[k] - threshold) < half
            kept[k] = (before[k] >= threshold) + INSIDE * inside
    else:
        for k in range(len(before)):
            kept[k] = before[k]


@njit(cache=True, nogil=True)
def tiled(values: Array, times: int) -> Array:
    """*values* repeated *times* times, one after the other."""
    result = np.empty(len(values) * times, values.dtype)
    for i in range(times):
        result[i * len(values) : (i + 1) * len(values)] = values
    return result


@njit(cache=True, nogil=True)
def pool_row(fired: Array, pooled: Array, pool: int, share: Any, fresh: bool) -> None:
    """Add one row of spikes (W * C,) to its windows (W // pool, C); *fresh* starts them."""
    columns, channels = pooled.shape
    for column in range(columns):
        start = column * pool * channels
        window = pooled[column]
        if fresh:
            window[:] = 0
        for d in range(pool):
            part = fired[start + d * channels : start + (d + 1) * channels]
            for c in range(channels):
                window[c] += part[c] * share


@njit(cache=True, nogil=True)
def spread_row(pooled: Array, pool: int, share: Any, row: Array) -> None:
    """The reverse of ``pool_row``: each window's gradient to its members, 0 to those outside."""
    columns, channels = pooled.shape
    for column in range(columns):
        window = pooled[column]
        for d in range(pool):
            start = (column * pool + d) * channels
            for c in range(channels):
                row[start + c] = window[c] * share
    row[columns * pool * channels :] = 0


@njit(cache=True, nogil=True)
def slope_row(before: Array, threshold: Any, width: Any, surrogate: int, slopes: Array) -> None:
    """dS/dH of ``tssd.train.neuron`` for one row of membranes."""
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


@njit(cache=True, nogil=True)
def decode_row(kept: Array, height: Any, fired: Array, slopes: Array) -> None:
    """Spikes and slopes of one row of kept bytes."""
    one, zero = fired.dtype.type(1), fired.dtype.type(0)
    for k in range(len(fired)):
        byte = np.uint8(kept[k])
        fired[k] = one if byte & FIRED else zero
        slopes[k] = height if byte & INSIDE else zero


@njit(cache=True, nogil=True)
def lif_backward(
    first: int,
    end: int,  # samples first..end of the batch
    spike_gradient: Array,  # (T, B, H // pool, W // pool, C)
    kept: Array,  # (T, B, H, W, C): of lif_forward
    carry: Array,  # (B, H, W, C): in the gradient of the last membrane, out of the first
    decay: Any,
    threshold: Any,
    width: Any,
    hard: bool,
    detach: bool,
    pool: int,
    surrogate: int,
    compact: bool,
    gradient: Array,  # (T or 1, B, H, W, C) out: of the current
    x: Array,  # (T or 1, B, H, W, C) for the sums, or nothing (T = 0)
    sums: Array,  # (2, B, C) out: the sums of g and g x of each sample
    start: Array,  # (B, H, W, C) the first membrane, to learn the leak, or nothing (B = 0)
    leak: Array,  # (B,) out: the gradient of the decay
) -> None:
    steps, _, rows, _, channels = spike_gradient.shape
    height = kept.shape[2]
    static, summed, learn = gradient.shape[0] == 1, x.shape[0] > 0, start.shape[0] > 0
    kind, size = carry.dtype.type, kept.shape[3] * channels
    one, zero, share, top = kind(1), kind(0), kind(1.0 / (pool * pool)), kind(1 / width)
    spread, fired, slopes, now, before = (
        np.empty(size, carry.dtype),
        np.empty(size, carry.dtype),
        np.empty(size, carry.dtype),
        np.empty(size, carry.dtype),
        np.empty(size, carry.dtype),
    )
    sums[:, first:end] = 0
    leak[first:end] = 0
    for b in range(first, end):
        for step in range(steps):
            t = steps - 1 - step
            for i in range(height):
                held, after = kept[t, b, i].reshape(-1), carry[b, i].reshape(-1)
                if compact:
                    decode_row(held, top, fired, slopes)
                else:
                    for k in range(size):
                        before[k] = held[k]
                        fired[k] = one if before[k] >= threshold else zero
                    slope_row(before, threshold, width, surrogate, slopes)
                inside = i // pool < rows
                if not inside:
                    spread[:] = 0
                elif pool > 1:
                    spread_row(spike_gradient[t, b, i // pool], pool, share, spread)
                from_spikes = spike_gradient[t, b, i].reshape(-1) if pool == 1 else spread
                for k in range(size):
                    to_spike = from_spikes[k]
                    if not detach:
                        to_spike -= after[k] * (before[k] if hard else threshold)
                    g = after[k] * (one - fired[k]) if hard else after[k]
                    now[k] = g + to_spike * slopes[k]
                    after[k] = decay * now[k]
                if learn:
                    leak[b] += leak_row(kept, start, t, b, i, now, threshold, hard)
                row = gradient[0 if static else t, b, i].reshape(-1)
                if static and step > 0:
                    for k in range(size):
                        row[k] += now[k]
                else:
                    row[:] = now
                if summed:
                    sum_row(now, x[0 if x.shape[0] == 1 else t, b, i], sums[:, b])


@njit(cache=True, nogil=True)
def leak_row(
    kept: Array, start: Array, t: int, b: int, i: int, now: Array, threshold: Any, hard: bool
) -> float:
    """The sum over one row of dL/dH[t] times the membrane after the reset of step t - 1."""
    total = 0.0
    if t == 0:
        first = start[b, i].reshape(-1)
        for k in range(len(now)):
            total += now[k] * first[k]
        return total
    past = kept[t - 1, b, i].reshape(-1)
    for k in range(len(now)):
        h = now.dtype.type(past[k])
        reset = h if hard else threshold
        total += now[k] * (h - reset if h >= threshold else h)
    return total


@njit(cache=True, nogil=True)
def sum_row(g: Array, x: Array, sums: Array) -> None:
    """Add the sums of g (W * C,) and g x (x is (W, C)) over the row to *sums* (2, C)."""
    breadth, channels = x.shape
    row = np.zeros((2, channels), x.dtype)
    for j in range(breadth):
        part = g[j * channels : (j + 1) * channels]
        for c in range(channels):
            row[0, c] += part[c]
            row[1, c] += part[c] * x[j, c]
    for c in range(channels):
        sums[0, c] += row[0, c]
        sums[1, c] += row[1, c]


@njit(cache=True, nogil=True)
def gradient_of_input(
    first: int, end: int, gradient: Array, x: Array, gain: Array, slope: Array, offset: Array
) -> None:
    """In place: gradient <- gradient * gain + x * slope + offset, per channel."""
    steps, _, height, width, channels = x.shape
    gains, slopes, offsets = tiled(gain, width), tiled(slope, width), tiled(offset, width)
    for b in range(first, end):
        for t in range(steps):
            for i in range(height):
                g, values = gradient[t, b, i].reshape(-1), x[t, b, i].reshape(-1)
                for k in range(width * channels):
                    g[k] = g[k] * gains[k] + (values[k] * slopes[k] + offsets[k])


@njit(cache=True, nogil=True)
def pool_forward(first: int, end: int, x: Array, pool: int, pooled: Array) -> None:
    """Means over ``pool x pool`` windows; incomplete ones are dropped."""
    steps, _, rows, _, _ = pooled.shape
    share = pooled.dtype.type(1.0 / (pool * pool))
    for b in range(first, end):
        for t in range(steps):
            for i in range(rows * pool):
                row = x[t, b, i].reshape(-1)
                pool_row(row, pooled[t, b, i // pool], pool, share, i % pool == 0)


@njit(cache=True, nogil=True)
def pool_backward(first: int, end: int, pooled: Array, pool: int, gradient: Array) -> None:
    """The reverse of ``pool_forward``."""
    steps, _, rows, _, _ = pooled.shape
    share = pooled.dtype.type(1.0 / (pool * pool))
    for b in range(first, end):
        for t in range(steps):
            for i in range(gradient.shape[2]):
                row = gradient[t, b, i].reshape(-1)
                if i // pool < rows:
                    spread_row(pooled[t, b, i // pool], pool, share, row)
                else:
                    row[:] = 0
