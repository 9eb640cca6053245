"""Accuracy at every number of steps, and spike rates, of a network in evaluation mode."""

from collections.abc import Callable
from dataclasses import replace

import torch

from tssd.arrays import ByteArray
from tssd.train.data.data_sets import LabelArray, Split
from tssd.train.data.events import Framing, frames
from tssd.train.networks.coding import to_current
from tssd.train.networks.network import READOUT, Unrolled, Unrolling


def go_on() -> None:
    """Nothing stops the evaluation."""


@torch.no_grad()
def step_logits(
    net: Unrolled,
    images: ByteArray,
    steps: int,
    batch: int = 250,
    check: Callable[[], None] = go_on,
) -> torch.Tensor:
    """Logits (T, N, classes) of the main readout, computed in evaluation mode; *check* is called
    after each batch and may raise."""
    was_training = net.training
    net.eval()
    device = next(net.parameters()).device
    parts = []
    for i in range(0, len(images), batch):
        part = images[i : i + batch]
        parts.append(
            net.run(to_current(part).to(device), Unrolling(len(part), steps))[READOUT].cpu()
        )
        check()
    net.train(was_training)
    return torch.cat(parts, 1)


def accuracies(
    net: Unrolled,
    split: Split,
    steps: int,
    reslice: Framing | None = None,
    check: Callable[[], None] = go_on,
) -> list[float]:
    """Per cent right when read out after 1, 2, ... *steps* steps.

    With *reslice* a recording is cut anew, as it says, into as many frames as are read.
    """
    if reslice is not None and split.recordings is not None:
        cuts = [frames(split.recordings, replace(reslice, steps=t + 1)) for t in range(steps)]
        sums = [
            step_logits(net, images, t + 1, check=check).sum(0) for t, images in enumerate(cuts)
        ]
        return [_percent(logits, split.labels) for logits in sums]
    cumulated = step_logits(net, split.images, steps, check=check).cumsum(0)
    return [_percent(logits, split.labels) for logits in cumulated]


def _percent(logits: torch.Tensor, labels: LabelArray) -> float:
    right = (logits.argmax(-1) == torch.from_numpy(labels)).sum().item()
    return 100.0 * right / len(labels)
