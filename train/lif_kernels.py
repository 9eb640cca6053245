"""Numba kernels: the recurrence of ``tssd.train.neuron`` over all T steps in one pass.

Arrays are channels-last in memory, (T, B, H, W, C); a dense layer has H = W = 1. The average
pooling that follows a layer is summed up while the spikes are at hand, so the full-size spikes
are never stored. No fused multiply-add and no reassociation: in the same float type the results
are those of the plain recurrence, bit for bit. A call handles some samples of the batch and
releases the interpreter lock, so that threads can share a batch.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

Array = npt.NDArray[Any]


@njit(cache=True, nogil=True)
def lif_forward(
    first: int,
    end: int,  # samples first..end of the batch
    current: Array,  # (T or 1, B, H, W, C)
    membrane: Array,  # (B, H, W, C): in the start, out the state after the last step
    decay: Any,
    threshold: Any,
    hard: bool,
    pool: int,
    integrated: Array,  # (T, B, H, W, C) out: H before the reset; T = 0 to keep nothing
    spikes: Array,  # (T, B, H // pool, W // pool, C) out: mean spikes per window
) -> None:
    steps, _, rows, columns, channels = spikes.shape
    height, width = current.shape[2], current.shape[3]
    static = current.shape[0] == 1
    keep = integrated.shape[0] > 0
    one, zero = membrane.dtype.type(1), membrane.dtype.type(0)
    share = membrane.dtype.type(1.0 / (pool * pool))
    for b in range(first, end):
        for t in range(steps):
            source = 0 if static else t
            for i in range(height):
                for j in range(width):
                    row, column = i // pool, j // pool
                    inside = row < rows and column < columns
                    fresh = i % pool == 0 and j % pool == 0
                    for c in range(channels):
                        h = decay * membrane[b, i, j, c] + current[source, b, i, j, c]
                        s = one if h >= threshold else zero
                        membrane[b, i, j, c] = h - s * (h if hard else threshold)
                        if keep:
                            integrated[t, b, i, j, c] = h
                        if inside:
                            if fresh:
                                spikes[t, b, row, column, c] = s * share
                            else:
                                spikes[t, b, row, column, c] += s * share


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
    gradient: Array,  # (T or 1, B, H, W, C) out, zeroed by the caller
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
                        gradient[target, b, i, j, c] += g
                        carry[b, i, j, c] = decay * g
