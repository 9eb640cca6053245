"""What a projection delivers: integer sums of weights times source spikes or payloads.

dense:  a = (W @ s) << weight_exp            (>> for a negative exponent, on the sum)
conv2d: a = wrap24(W * s) << weight_exp      cross-correlation, torch's orientation, padded
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from tssd.calibration.int_network import Projection, ProjectionKind
from tssd.calibration.integer import IntArray, shift, wrap_sum


def deliver(projection: Projection, spikes: IntArray) -> IntArray:
    """Activation at the target: ``(batch, *source shape)`` in, ``(batch, *target shape)`` out."""
    if projection.kind is ProjectionKind.DENSE:
        total = spikes.reshape(len(spikes), -1) @ projection.weight.T
    else:
        total = wrap_sum(_correlate(projection, spikes))
    return shift(total, projection.weight_exp)


def _correlate(projection: Projection, spikes: IntArray) -> IntArray:
    """Grouped two-dimensional cross-correlation by windows and one matrix product per group."""
    windows = _windows(projection, spikes)  # batch, C_in, out_h, out_w, k_h, k_w
    out_channels = projection.weight.shape[0] // projection.groups
    in_channels = windows.shape[1] // projection.groups
    parts = [
        np.einsum(
            "bchwij,ocij->bohw",
            windows[:, g * in_channels : (g + 1) * in_channels],
            projection.weight[g * out_channels : (g + 1) * out_channels],
            optimize=True,
        )
        for g in range(projection.groups)
    ]
    return np.concatenate(parts, axis=1)


def _windows(projection: Projection, spikes: IntArray) -> IntArray:
    (pad_h, pad_w), (step_h, step_w) = projection.padding, projection.stride
    (gap_h, gap_w), (k_h, k_w) = projection.dilation, projection.weight.shape[2:]
    padded = np.pad(spikes, ((0, 0), (0, 0), (pad_h, pad_h), (pad_w, pad_w)))
    span = ((k_h - 1) * gap_h + 1, (k_w - 1) * gap_w + 1)
    windows = sliding_window_view(padded, span, axis=(2, 3))
    return windows[:, :, ::step_h, ::step_w, ::gap_h, ::gap_w]
