"""The optimizer of a run and its learning rate over the run."""

import math

import torch
from torch import nn

from tssd.train.config import Optimizer, Schedule, TrainConfig


def make_optimizer(net: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    parameters = list(net.parameters())
    if config.optimizer is Optimizer.SGD:
        return torch.optim.SGD(
            parameters, config.lr, momentum=0.9, weight_decay=config.weight_decay
        )
    kind = torch.optim.AdamW if config.optimizer is Optimizer.ADAMW else torch.optim.Adam
    return kind(parameters, config.lr, weight_decay=config.weight_decay)


def rate(config: TrainConfig, done: float) -> float:
    """The learning rate's factor when the share *done* of the run has passed.

    one-cycle: linear from 0.1 to 1 over the first 15 %, then a half cosine to 0; cosine: a half
    cosine from 1 to 0; step: a factor 0.1 after each third.
    """
    if config.schedule is Schedule.CONSTANT:
        return 1.0
    if config.schedule is Schedule.STEP:
        return float(0.1 ** int(3 * done))
    rise = 0.15 if config.schedule is Schedule.ONE_CYCLE else 0.0
    if done < rise:
        return 0.1 + 0.9 * done / rise
    return 0.5 * (1 + math.cos(math.pi * (done - rise) / (1 - rise)))
