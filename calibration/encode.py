"""uint8 images or frames -> network inputs (T, B, *input shape): the one place for the coding.

GRADED  the pixel, on ``input_max`` + 1 levels, is the payload of every step; a network with one
        channel more than the image has a constant channel of ``input_max`` (it carries bias).
        With ``input_max`` 1 the samples hold 0 and 255 only; others are refused.
SPIKES  a still image is a deterministic rate code: step t (from 1) spikes where floor(t p) >
        floor((t - 1) p), p = pixel / 255. Over T steps floor(T p) spikes are sent, evenly spaced.
        Frames hold 0 and 255 only, which is one spike in that step; others are refused.
BIAS    is computed off-chip by a front end: see ``calibration.quantizing.front_end``.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from tssd.calibration.int_network import IntNetwork
from tssd.calibration.integer import IntArray
from tssd.errors import DataError, NetworkError
from tssd.train.handover.float_activity import PIXEL_MAX, ImageArray, over_steps

Encoder = Callable[[ImageArray], IntArray]  # uint8 images or frames -> inputs (T, B, *shape)


@dataclass(frozen=True, eq=False)
class Inputs:
    """Network inputs that are coded when they are taken, so that a large set needs no more memory
    than a small one. ``part(first, last)`` gives (T, last - first, *input shape)."""

    samples: int
    part: Callable[[int, int], IntArray]

    def batches(self, size: int) -> Iterator[tuple[int, IntArray]]:
        """All samples in order, ``size`` at a time, with the number of the first."""
        for first in range(0, self.samples, size):
            yield first, self.part(first, min(first + size, self.samples))

    def first(self, count: int) -> "Inputs":
        """The first *count* of them."""
        return Inputs(count, self.part)

    def whole(self) -> IntArray:
        """(T, samples, *input shape)."""
        return self.part(0, self.samples)


def as_inputs(inputs: IntArray | Inputs) -> Inputs:
    """Arrays (T, B, *input shape), which are coded already, too."""
    if isinstance(inputs, Inputs):
        return inputs
    return Inputs(inputs.shape[1], lambda first, last: inputs[:, first:last])


def encode(network: IntNetwork, images: ImageArray) -> IntArray:
    """Inputs (T, B, *input shape) for uint8 images (B, C, H, W), a view as they are static, or for
    frames (B, T, C, H, W), the first of them where there are more than steps."""
    if network.input_coding.as_bias:
        raise NetworkError(
            "network",
            found="input as bias, computed off-chip",
            allowed="graded or spikes here",
            hint="give the mantissas themselves, or export the float network with --input bias",
        )
    shape = network.source.shape
    constant = _constant_channels(shape, images, network.time_steps)
    shown = over_steps(images, shape, network.time_steps)
    if network.input_coding.binary and is_still(images, shape):
        return rate_code(images, network.time_steps)
    if network.input_max == 1:
        _check_two_values(shown)
    levels = on_levels(shown, network.input_max)
    if constant:
        full = np.full((*shown.shape[:2], 1, *shape[1:]), network.input_max, np.int64)
        levels = np.concatenate([levels, full], axis=2)
    return np.broadcast_to(levels, (network.time_steps, *levels.shape[1:]))


def _constant_channels(shape: tuple[int, ...], images: ImageArray, time_steps: int) -> int:
    still, framed = images.ndim == len(shape) + 1, images.ndim == len(shape) + 2
    ends = images.shape[-len(shape) :]
    extra = shape[0] - ends[0] if still or framed else -1
    short = framed and images.shape[1] < time_steps
    if images.dtype != np.uint8 or extra not in (0, 1) or ends[1:] != shape[1:] or short:
        size = ", ".join(map(str, shape))
        raise DataError(
            "images",
            found=f"{images.dtype} array of shape {images.shape}",
            allowed=f"uint8, (samples, {size}), or frames (samples, T >= {time_steps}, {size})",
        )
    return extra


def two_valued(images: ImageArray) -> bool:
    """Whether samples hold 0 and 255 only, as frames of events do."""
    return bool(((images == 0) | (images == PIXEL_MAX)).all())


def is_still(images: ImageArray, shape: tuple[int, ...]) -> bool:
    """One image for all steps; frames have one more axis."""
    return images.ndim == len(shape) + 1


def _check_two_values(shown: ImageArray) -> None:
    if not two_valued(shown):
        between = int(((shown > 0) & (shown < PIXEL_MAX)).sum())
        raise DataError(
            "images",
            found=f"{between:,} of {shown.size:,} values between 0 and {PIXEL_MAX}",
            allowed=f"0 and {PIXEL_MAX}: the input of this network is binary spikes",
            hint="export with samples like these, or with graded input",
        )


def on_levels(images: ImageArray, largest: int) -> IntArray:
    """Pixels 0 .. 255 rounded to the payloads 0 .. ``largest``."""
    return (images.astype(np.int64) * largest + PIXEL_MAX // 2) // PIXEL_MAX


def rate_code(images: ImageArray, time_steps: int) -> IntArray:
    """Zeros and ones (T, B, C, H, W): floor(T p) evenly spaced spikes of a pixel p."""
    pixels = images.astype(np.int64)
    sent = [(t * pixels) // PIXEL_MAX for t in range(time_steps + 1)]
    return np.stack([after - before for before, after in zip(sent[:-1], sent[1:], strict=True)])
