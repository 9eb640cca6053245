"""Modules as a user would write them, for `tssd export --model` and `tssd convert --model`."""

import snntorch as snn
import torch
from torch import nn


def hard() -> nn.Module:
    """1x6x6 -> conv -> hard reset -> average pool -> dense: can be deployed."""
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1),
        snn.Leaky(beta=0.5, threshold=0.5, init_hidden=True, reset_mechanism="zero"),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(27, 4),
    )


def odd() -> nn.Module:
    """A layer that no exchange format says."""
    return nn.Sequential(nn.Linear(6, 4), nn.Softmax(1), snn.Leaky(beta=0.5, init_hidden=True))


NO_MODULE = 3


def default() -> nn.Module:
    """snnTorch's default neuron, whose reset subtracts a step late."""
    torch.manual_seed(4)
    return nn.Sequential(
        nn.Linear(8, 10), snn.Leaky(beta=0.9, threshold=0.5, init_hidden=True), nn.Linear(10, 3)
    )
