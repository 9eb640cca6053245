"""A user's own samples as a data set to train on: ``tssd train --data my.npz``.

    inputs, labels                      (N, C, H, W), (N, values) or frames (N, T, C, H, W)
    test_inputs, test_labels            if the file has them; else a fifth is held back

By one fixed shuffle an eighth of the rest is for validation. A torch Dataset goes by its name,
``--data pkg.module:name``.
"""

from pathlib import Path

import numpy as np

from tssd.arrays import IntArray
from tssd.chain.user_data import Given, gather, test_of
from tssd.errors import ConfigError, DataError
from tssd.train.config import TrainConfig
from tssd.train.data.data_sets import Dataset, load
from tssd.train.data.splits import Split
from tssd.train.handover.input_map import InputMap

OWN = "own"  # the data set's name in a configuration
TEST_SHARE, VALIDATION_SHARE = 5, 8
FEWEST = 10  # samples that can be split


def data_of(
    config: TrainConfig, data: Path | None, download: bool = False, entry: InputMap | None = None
) -> Dataset:
    """The data set of a run: one by name, or the user's own at *data*, on the levels of *entry*."""
    if config.dataset != OWN:
        return load(config.dataset, data, download, config.framing())
    if data is None:
        raise ConfigError(
            "--data", found="nothing", allowed="the samples of this run", hint="--data my.npz"
        )
    dataset = own(data, entry)
    _check_fits(dataset, config)
    return dataset


def _check_fits(dataset: Dataset, config: TrainConfig) -> None:
    """Frames for every step; a built-in network sees images."""
    images, steps = dataset.train.images, max(config.steps(config.epochs))
    if images.ndim == 5 and images.shape[1] < steps:
        raise ConfigError(
            "training: steps",
            found=f"{steps} steps and {images.shape[1]} frames",
            allowed=f"student_steps and teacher_steps up to {images.shape[1]}",
        )
    if len(dataset.shape) == 1 and ":" not in config.model:
        raise ConfigError(
            f"training: model {config.model!r}",
            found=f"samples of {dataset.shape[0]} values",
            allowed="images (N, C, H, W)",
            hint="--model pkg.module:build, which takes samples as they are",
        )


def is_own(data: Path | None) -> bool:
    """Whether *data* names samples rather than the folder of a known data set."""
    return data is not None and (data.suffix in (".npz", ".npy") or ":" in data.name)


def own(source: Path | str, entry: InputMap | None = None) -> Dataset:
    """The samples of *source* in three splits, as 255ths, or on the levels of *entry*."""
    given = gather(source)
    test = test_of(source)
    order = np.random.default_rng(0).permutation(len(given))
    whole = _split(given, order, entry)
    held = 0 if test is not None else len(order) // TEST_SHARE
    rest = whole.part(held, None)
    cut = len(rest) // VALIDATION_SHARE
    if cut < 1 or len(order) < FEWEST:
        raise DataError(given.origin, found=f"{len(given)} samples", allowed=f">= {FEWEST}")
    tested = whole.part(0, held) if test is None else _split(test, np.arange(len(test)), entry)
    if tested.images.shape[1:] != whole.images.shape[1:]:
        raise DataError(
            f"{given.origin}: test_inputs",
            found=f"shape {tested.images.shape}",
            allowed=f"(N, {', '.join(map(str, whole.images.shape[1:]))}), as inputs",
        )
    top = max(int(whole.labels.max()), int(tested.labels.max()))
    names = tuple(str(number) for number in range(top + 1))
    return Dataset(OWN, rest.part(cut, None), rest.part(0, cut), tested, names)


def _split(given: Given, order: IntArray, entry: InputMap | None) -> Split:
    if given.labels is None:
        raise DataError(
            given.origin, found="no labels", allowed="'labels' beside 'inputs', to train on"
        )
    if given.inputs.ndim == 3:
        raise DataError(
            given.origin,
            found=f"samples of shape {given.inputs.shape[1:]}",
            allowed="(values,), (C, H, W) or frames (T, C, H, W)",
            hint="a series of values: x[:, :, :, None, None] is T frames, x[:, :, None] an image",
        )
    mapped = entry is not None and not entry.is_plain
    images = entry.to_bytes(given.as_seen()) if entry and mapped else given.as_bytes()
    return Split(images[order], given.labels[order])
