"""Pixels as the currents that enter a network."""

import torch

from tssd.arrays import ByteArray


def to_current(images: ByteArray) -> torch.Tensor:
    """Direct coding, pixel / 255 as float32: (B, C, H, W), the same at every step, as it is;
    frames (B, T, C, H, W) time first."""
    pixels = torch.from_numpy(images)
    if images.ndim == 5:
        pixels = pixels.transpose(0, 1)
    return pixels.float().div_(255)
