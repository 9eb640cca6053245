"""The samples that choose scales: a draw from the training split."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tssd.calibration.integer import IntArray
from tssd.train.data.data_sets import Dataset


def calibration_places(dataset: Dataset, samples: int, seed: int) -> IntArray:
    """A random draw from the training split, the same for the same seed."""
    rng = np.random.default_rng(seed)
    amount = min(samples, len(dataset.train))
    return np.sort(rng.choice(len(dataset.train), amount, replace=False))


def calibration_images(dataset: Dataset, samples: int, seed: int) -> Any:
    """The samples of that draw."""
    return dataset.train.images[calibration_places(dataset, samples, seed)]


def unseen_classes(classes: Sequence[str], labels: IntArray) -> tuple[str, ...]:
    """The classes that none of *labels* is of."""
    there = set(labels.tolist())
    return tuple(name for i, name in enumerate(classes) if i not in there)
