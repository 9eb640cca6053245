"""Numba kernels: normalisation, the recurrence of ``tssd.train.neuron``, pooling, in one pass.

Arrays are channels-last in memory, (T, B, H, W, C); a dense layer has H = W = 1. The input
current is ``gain[c] * x + shift[c]`` (1 and 0 without batch normalisation), computed while the
membrane is at hand, and so is the average pooling that follows: neither the normalised current
nor the full-size spikes are ever stored. No fused multiply-add and no reassociation: in the same
float type the spikes are those of the plain recurrence, bit for bit. A call handles some samples
of the batch and releases the interpreter lock, so that threads can share a batch.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

Array = npt.NDArray[Any]


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
    hard: bool,
    pool: int,
    integrated: Array,  # (T, B, H, W, C) out: H before the reset; T = 0 to keep nothing
    spikes: Array,  # (T, B, H // pool, W // pool, C) out: mean spikes per window
) -> None:
    steps, _, rows, _, channels = spikes.shape
    height, width = x.shape[2], x.shape[3]
    keep = integrated.shape[0] > 0
    one, zero = membrane.dtype.type(1), membrane.dtype.type(0)
    share = membrane.dtype.type(1.0 / (pool * pool))
    row = np.empty(width * channels, membrane.dtype)
    gains, shifts = tiled(gain, width), tiled(shift, width)
    for b in range(first, end):
        for t in range(steps):
            source = 0 if x.shape[0] == 1 else t
            for i in range(height):
                drive, state = x[source, b, i].reshape(-1), membrane[b, i].reshape(-1)
                kept = integrated[t, b, i].reshape(-1) if keep else row
                fired = spikes[t, b, i].reshape(-1) if pool == 1 else row
                for k in range(len(row)):
                    h = decay * state[k] + (drive[k] * gains[k] + shifts[k])
                    s = one if h >= threshold else zero
                    state[k] = h - s * (h if hard else threshold)
                    if keep:
                        kept[k] = h
                    fired[k] = s
                if pool > 1 and i // pool < rows:
                    pool_row(fired, spikes[t, b, i // pool], pool, share, i % pool == 0)


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
def lif_backward(
    first: int,
    end: int,  # samples first..end of the batch
    spike_gradient: Array,  # (T, B, H // pool, W // pool, C)
    integrated: Array,  # (T, B, H, W, C)
    carry: Array,  # (B, H, W, C): in the gradient of the last membrane, out of the first
    decay: Any,
    threshold: Any,
    width: Any,
    hard: bool,
    detach: bool,
    pool: int,
    gradient: Array,  # (T or 1, B, H, W, C) out: of the current
) -> None:
    steps, _, rows, columns, channels = spike_gradient.shape
    height, breadth = integrated.shape[2], integrated.shape[3]
    static = gradient.shape[0] == 1
    one, zero = carry.dtype.type(1), carry.dtype.type(0)
    share = carry.dtype.type(1.0 / (pool * pool))
    half, slope = carry.dtype.type(width / 2), carry.dtype.type(1 / width)
    for b in range(first, end):
        for step in range(steps):
            t = steps - 1 - step
            target = 0 if static else t
            add = static and step > 0
            for i in range(height):
                for j in range(breadth):
                    row, column = i // pool, j // pool
                    inside = row < rows and column < columns
                    for c in range(channels):
                        h = integrated[t, b, i, j, c]
                        after = carry[b, i, j, c]
                        s = one if h >= threshold else zero
                        to_spike = spike_gradient[t, b, row, column, c] * share if inside else zero
                        if not detach:
                            to_spike -= after * (h if hard else threshold)
                        kept = after * (one - s) if hard else after
                        window = slope if np.abs(h - threshold) < half else zero
                        g = kept + to_spike * window
                        if add:
                            gradient[target, b, i, j, c] += g
                        else:
                            gradient[target, b, i, j, c] = g
                        carry[b, i, j, c] = decay * g


@njit(cache=True, nogil=True)
def gradient_sums(first: int, end: int, gradient: Array, x: Array, sums: Array) -> None:
    """``sums[0, b, c]``, ``sums[1, b, c]``: the sums of g and g x of each sample, in float64."""
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
                        g = gradient[t, b, i, j, c]
                        row[0, c] += g
                        row[1, c] += g * x[t, b, i, j, c]
                for c in range(channels):
                    sums[0, b, c] += row[0, c]
                    sums[1, b, c] += row[1, c]


@njit(cache=True, nogil=True)
def gradient_of_input(
    first: int, end: int, gradient: Array, x: Array, gain: Array, slope: Array, offset: Array
) -> None:
    """In place: gradient <- gradient * gain + x * slope + offset, per channel."""
    steps, _, height, width, channels = x.shape
    for b in range(first, end):
        for t in range(steps):
            for i in range(height):
                for j in range(width):
                    for c in range(channels):
                        g = gradient[t, b, i, j, c] * gain[c]
                        gradient[t, b, i, j, c] = g + (x[t, b, i, j, c] * slope[c] + offset[c])
