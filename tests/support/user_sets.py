"""Data sets as users have them: anything with a length and items (sample, target)."""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from tssd.arrays import Array


class Pictures(Dataset[tuple[Tensor, int]]):
    """As torchvision's with ToTensor(): floats of 0..1, class numbers."""

    def __len__(self) -> int:
        return 10

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return torch.full((1, 2, 3), index / 255), index % 3


class Recordings:
    """As tonic's with ToFrame(n_time_bins=4): frames (T, 2, 3, 3) of counts, or *what* else."""

    def __init__(self, what: str = "frames") -> None:
        self.what = what

    def __len__(self) -> int:
        return 5

    def __getitem__(self, index: int) -> Any:
        steps = 4 + (self.what == "uneven" and index == 3)
        frames: Array = np.zeros((steps, 2, 3, 3), np.int16)
        frames[0, 0, 0, 0] = 1
        if self.what == "events":
            return np.zeros(7, [("x", "i2"), ("t", "i8")]), index
        if self.what == "values":
            return frames, 0.5 * index
        return ("not an array", index) if self.what == "text" else (frames, index)


def pictures() -> Pictures:
    return Pictures()


RECORDINGS = Recordings()
NUMBER = 3
