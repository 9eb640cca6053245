"""Accuracy at every number of steps, and spike rates, of a network in evaluation mode."""

import torch

from tssd.train.data import ByteArray, LabelArray, Split
from tssd.train.network import READOUT, Run, SpikingNet


def to_current(images: ByteArray) -> torch.Tensor:
    """Direct coding: pixel / 255 as float32, the same at every step."""
    return torch.from_numpy(images).float().div_(255)


@torch.no_grad()
def step_logits(net: SpikingNet, images: ByteArray, steps: int, batch: int = 250) -> torch.Tensor:
    """Logits (T, N, classes) of the main readout, computed in evaluation mode."""
    was_training = net.training
    net.eval()
    parts = [
        net.run(to_current(part), Run(len(part), steps))[READOUT]
        for part in (images[i : i + batch] for i in range(0, len(images), batch))
    ]
    net.train(was_training)
    return torch.cat(parts, 1)


def accuracies(net: SpikingNet, split: Split, steps: int) -> list[float]:
    """Per cent right when read out after 1, 2, ... *steps* steps."""
    cumulated = step_logits(net, split.images, steps).cumsum(0)
    return [_percent(logits, split.labels) for logits in cumulated]


def _percent(logits: torch.Tensor, labels: LabelArray) -> float:
    right = (logits.argmax(-1) == torch.from_numpy(labels)).sum().item()
    return 100.0 * right / len(labels)
