"""uint8 images -> network inputs (T, B, *input shape): the one place that knows the coding.

GRADED  the pixel, on ``input_max`` + 1 levels, is the payload of every step; a network with one
        channel more than the image has a constant channel of ``input_max`` (it carries bias).
SPIKES  a deterministic rate code: step t (from 1) spikes where floor(t p) > floor((t - 1) p),
        p = pixel / 255. Over T steps floor(T p) spikes are sent, evenly spaced.
BIAS    is computed off-chip by a front end: see ``calibration.front_end``.
"""

import numpy as np

from tssd.calibration.int_network import InputCoding, IntNetwork
from tssd.calibration.integer import IntArray
from tssd.calibration.simulate import over_time
from tssd.errors import DataError, NetworkError
from tssd.train.float_run import PIXEL_MAX, ImageArray


def encode(network: IntNetwork, images: ImageArray) -> IntArray:
    """Inputs (T, B, *input shape) for uint8 images (B, C, H, W); a view where they are static."""
    if network.input_coding is InputCoding.BIAS:
        raise NetworkError(
            "network",
            found="input as bias, computed off-chip",
            allowed="graded or spikes here",
            hint="use the front end that was split from the float network",
        )
    shape = network.source.shape
    constant = _constant_channels(shape, images)
    if network.input_coding is InputCoding.SPIKES:
        return rate_code(images, network.time_steps)
    levels = on_levels(images, network.input_max)
    if constant:
        full = np.full((len(images), 1, *shape[1:]), network.input_max, np.int64)
        levels = np.concatenate([levels, full], axis=1)
    return over_time(levels, network.time_steps)


def _constant_channels(shape: tuple[int, ...], images: ImageArray) -> int:
    extra = shape[0] - images.shape[1] if images.ndim == len(shape) + 1 else -1
    if images.dtype != np.uint8 or extra not in (0, 1) or images.shape[2:] != shape[1:]:
        raise DataError(
            "images",
            found=f"{images.dtype} array of shape {images.shape}",
            allowed=f"uint8, (samples, {', '.join(map(str, shape))})",
        )
    return extra


def on_levels(images: ImageArray, largest: int) -> IntArray:
    """Pixels 0 .. 255 rounded to the payloads 0 .. ``largest``."""
    return (images.astype(np.int64) * largest + PIXEL_MAX // 2) // PIXEL_MAX


def rate_code(images: ImageArray, time_steps: int) -> IntArray:
    """Zeros and ones (T, B, C, H, W): floor(T p) evenly spaced spikes of a pixel p."""
    pixels = images.astype(np.int64)
    sent = [(t * pixels) // PIXEL_MAX for t in range(time_steps + 1)]
    return np.stack([after - before for before, after in zip(sent[:-1], sent[1:], strict=True)])
