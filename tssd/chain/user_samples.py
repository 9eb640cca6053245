"""Samples that a user brings: ``.npy``, or ``.npz`` with ``inputs`` and, if known, ``labels``.

inputs   (N, *input shape), or frames (N, T, *input shape); uint8 for calibration, where 255 counts
         as 1 (frames of events: 0 and 255)
labels   (N,), whole numbers
"""

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tssd.calibration.integer import IntArray
from tssd.errors import DataError, refusing
from tssd.export.reading.arrays import DAMAGE, Array, read_array, read_arrays
from tssd.train.handover.float_run import ImageArray

MAX_BYTES = 1 << 33  # of inputs and labels


@dataclass(frozen=True, eq=False)
class UserSamples:
    """At least one sample; ``labels`` None: the file does not say."""

    images: ImageArray
    labels: IntArray | None


def load_samples(path: Path, shape: tuple[int, ...]) -> UserSamples:
    """uint8 samples or frames of *shape*, and labels; anything else raises DataError."""
    images, labels = _arrays(path)
    if images.dtype != np.uint8:
        raise DataError(str(path), found=f"{images.dtype}", allowed="uint8")
    _check_shape(path, images, shape, frames=images.ndim == len(shape) + 2)
    if labels is None:
        return UserSamples(images, None)
    if labels.dtype.kind not in "iu" or labels.shape != (len(images),):
        raise DataError(
            f"{path}: labels",
            found=f"{labels.dtype} of shape {labels.shape}",
            allowed=f"{len(images)} whole numbers, one per sample",
        )
    return UserSamples(images, labels.astype(np.int64))


def load_integers(path: Path, shape: tuple[int, ...]) -> IntArray:
    """Integer samples (N, *shape), as an integer network takes them."""
    values, _ = _arrays(path)
    if values.dtype.kind not in "iub":
        raise DataError(str(path), found=f"{values.dtype}", allowed="integers")
    _check_shape(path, values, shape)
    integers: IntArray = values.astype(np.int64)
    return integers


def _check_shape(path: Path, samples: Array, shape: tuple[int, ...], frames: bool = False) -> None:
    if samples.shape[2 if frames else 1 :] != shape or not samples.size:
        size = ", ".join(map(str, shape))
        raise DataError(
            str(path),
            found=f"shape {samples.shape}",
            allowed=f"(N, {size}), or frames (N, T, {size}), one sample or more",
        )


def _arrays(path: Path) -> tuple[Array, Array | None]:
    """Inputs and labels (or None)."""
    with refusing(
        DAMAGE,
        DataError,
        str(path),
        "no array",
        allowed="an .npy file, or an .npz file with 'inputs' (and 'labels')",
    ):
        if not zipfile.is_zipfile(path):
            return read_array(path, MAX_BYTES), None
        arrays = read_arrays(path, ("inputs", "labels"), MAX_BYTES)
        return arrays["inputs"], arrays.get("labels")
