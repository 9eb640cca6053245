"""What a projection delivers: integer sums of weights times source spikes or payloads.

    dense:  a = (W @ s) << weight_exp            (>> for a negative exponent, on the sum)
    conv2d: a = wrap24(W * s) << weight_exp      cross-correlation, torch's orientation, padded

The sums are carried in float64 where that is exact (every partial sum below 2**53), because
matrix products of floats are many times faster than those of integers; else in int64.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from tssd.arrays import Array
from tssd.calibration.int_network import Projection
from tssd.calibration.integer import IntArray, shift, wrap_sum
from tssd.train.handover.geometry import Axis, axes

Carrier = Array


def deliver(projection: Projection, spikes: IntArray) -> IntArray:
    """Activation at the target: ``(batch, *source shape)`` in, ``(batch, *target shape)`` out."""
    summed = total(projection, spikes)
    if projection.kind.spatial:
        summed = wrap_sum(summed)
    return shift(summed, projection.weight_exp)


def total(projection: Projection, spikes: IntArray) -> IntArray:
    """The sum of weights times what was sent, before its width and its exponent."""
    carrier = _carrier(projection.weight, spikes)
    weight, sent = projection.weight.astype(carrier), spikes.astype(carrier)
    if projection.kind.spatial:
        return _correlate(projection, weight, sent).astype(np.int64)
    summed: IntArray = (sent.reshape(len(sent), -1) @ weight.T).astype(np.int64)
    return summed


def _carrier(weight: IntArray, spikes: IntArray) -> type[np.float64] | type[np.int64]:
    """float64 if max |s| * max over outputs of sum |w| stays below 2**53, else int64."""
    per_output = np.abs(weight.reshape(len(weight), -1)).sum(axis=1, dtype=np.float64)
    bound = per_output.max(initial=0) * float(np.abs(spikes).max(initial=0))
    return np.float64 if bound < 2**53 else np.int64


def _correlate(projection: Projection, weight: Carrier, sent: Carrier) -> Carrier:
    """Grouped two-dimensional cross-correlation: windows times kernels, group by group."""
    windows = _windows(projection, sent)  # batch, C_in, out_h, out_w, k_h, k_w
    kernels = weight.reshape(projection.groups, -1, *weight.shape[1:])
    channels = np.split(windows, projection.groups, axis=1)
    parts = [
        np.tensordot(part, kernel, axes=((1, 4, 5), (1, 2, 3)))  # batch, out_h, out_w, C_out
        for part, kernel in zip(channels, kernels, strict=True)
    ]
    return np.moveaxis(np.concatenate(parts, axis=-1), -1, 1)


def _windows(projection: Projection, sent: Carrier) -> Carrier:
    """(batch, C_in, out_h, out_w, k_h, k_w): what each tap of each output sees."""
    high, wide = axes(projection)
    image = _padded(_padded(sent, 2, high), 3, wide)
    windows = sliding_window_view(image, (high.span + 1, wide.span + 1), axis=(2, 3))
    rows, columns = (slice(None, None, axis.stride) for axis in (high, wide))
    return windows[:, :, rows, columns, :: high.dilation, :: wide.dilation]


def _padded(image: Carrier, side: int, axis: Axis) -> Carrier:
    """Zeros between the places of one side and around them; a negative padding cuts places off."""
    shape = list(image.shape)
    shape[side] = (shape[side] - 1) * axis.spread + 1 + 2 * max(axis.padding, 0)
    wide = np.zeros(shape, image.dtype)
    margin = max(axis.padding, 0)
    place: list[slice] = [slice(None)] * image.ndim
    place[side] = slice(margin, shape[side] - margin, axis.spread)
    wide[tuple(place)] = image
    place[side] = slice(max(-axis.padding, 0), shape[side] - max(-axis.padding, 0))
    return wide[tuple(place)]
