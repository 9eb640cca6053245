"""Augmentation of training samples, drawn once per sample.

Every time step of a still image sees the same image; a recording of events is moved, turned and
thinned as a whole before it is cut into frames.
"""

from dataclasses import replace

import numpy as np

from tssd.arrays import ByteArray
from tssd.train.config import TrainConfig
from tssd.train.data.events import augment_events, frames
from tssd.train.data.splits import LabelArray, Split
from tssd.train.loop.autoaugment import auto_augment


def training_samples(
    split: Split,
    chosen: LabelArray,
    generator: np.random.Generator,
    config: TrainConfig,
    epoch: int,
) -> ByteArray:
    """The samples numbered *chosen*, augmented: images (B, C, H, W) or frames (B, T, C, H, W).

    Where student and teacher cut a recording differently, the T_s frames of the student come
    first and the T_t frames of the teacher behind them.
    """
    if split.recordings is None:
        images = split.images[chosen]
        flip, shift, policy = config.flip, config.shift, config.autoaugment
        return augment(images, generator, flip=flip, shift=shift, policy=policy)
    moved = augment_events(split.recordings.select(chosen), generator, config.event_augmentation())
    framing = config.framing()
    if not config.teacher_runs_apart:
        return frames(moved, framing)
    cuts = [frames(moved, replace(framing, steps=steps)) for steps in config.steps(epoch)]
    return np.concatenate(cuts, axis=1)


def augment(
    images: ByteArray,
    generator: np.random.Generator,
    *,
    flip: bool,
    shift: int,
    policy: bool = False,
) -> ByteArray:
    """Mirror half of *images* (B, C, H, W), shift each by up to *shift* pixels, zeros moving in.

    With *policy*, AutoAugment's for CIFAR-10 follows.
    """
    result = images.copy()
    if flip:
        mirrored = generator.random(len(images)) < 0.5
        result[mirrored] = result[mirrored][..., ::-1]
    result = _shifted(result, generator, shift) if shift else result
    return auto_augment(result, generator) if policy else result


def _shifted(images: ByteArray, generator: np.random.Generator, shift: int) -> ByteArray:
    count, _, height, width = images.shape
    padded = np.pad(images, ((0, 0), (0, 0), (shift, shift), (shift, shift)))
    corners = generator.integers(0, 2 * shift + 1, (count, 2))
    rows = corners[:, :1] + np.arange(height)
    columns = corners[:, 1:] + np.arange(width)
    sample = np.arange(count)[:, None, None]
    moved: ByteArray = padded[sample, :, rows[:, :, None], columns[:, None, :]]
    return np.ascontiguousarray(moved.transpose(0, 3, 1, 2))
