"""Values of a data set: images or recordings of events with their labels, in three splits."""

from dataclasses import dataclass
from typing import cast

import numpy as np

from tssd.arrays import ByteArray, IntArray
from tssd.train.data.events import Recordings
from tssd.train.data.pictures import Pictures

LabelArray = IntArray


@dataclass(frozen=True, eq=False)
class Split:
    """Images (N, C, H, W) of 0..255, or frames of events (N, T, C, H, W), and their labels (N,).

    Images of a folder are read when indexed (``train.pictures``); to all who index they are an
    array. ``recordings`` are the events that the frames were made of: training augments those.
    """

    images: ByteArray
    labels: LabelArray
    recordings: Recordings | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def first(self, count: int) -> "Split":
        """The first *count* samples; all of them if *count* is 0."""
        return self.part(0, count) if count else self

    def part(self, start: int, stop: int | None) -> "Split":
        """The samples from *start* up to *stop*."""
        kept = np.arange(len(self))[start:stop]
        recordings = self.recordings.select(kept) if self.recordings is not None else None
        held: object = self.images
        if isinstance(held, Pictures):
            images = cast(ByteArray, held.part(start, stop))
        else:
            images = self.images[start:stop]
        return Split(images, self.labels[start:stop], recordings)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Three disjoint splits; ``classes`` are the names in the order of the labels."""

    name: str
    train: Split
    val: Split
    test: Split
    classes: tuple[str, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, H, W) of an image or of a frame, (values,) of a plain sample."""
        return self.train.images.shape[1:][-3:]
