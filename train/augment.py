"""Augmentation of uint8 images, once per sample: every time step sees the same image."""

import numpy as np

from tssd.train.data import ByteArray


def augment(
    images: ByteArray, generator: np.random.Generator, *, flip: bool, shift: int
) -> ByteArray:
    """Mirror half of *images* (B, C, H, W), shift each by up to *shift* pixels, zeros moving in."""
    result = images.copy()
    if flip:
        mirrored = generator.random(len(images)) < 0.5
        result[mirrored] = result[mirrored][..., ::-1]
    return _shifted(result, generator, shift) if shift else result


def _shifted(images: ByteArray, generator: np.random.Generator, shift: int) -> ByteArray:
    count, _, height, width = images.shape
    padded = np.pad(images, ((0, 0), (0, 0), (shift, shift), (shift, shift)))
    corners = generator.integers(0, 2 * shift + 1, (count, 2))
    rows = corners[:, :1] + np.arange(height)
    columns = corners[:, 1:] + np.arange(width)
    sample = np.arange(count)[:, None, None]
    moved: ByteArray = padded[sample, :, rows[:, :, None], columns[:, None, :]]
    return np.ascontiguousarray(moved.transpose(0, 3, 1, 2))
