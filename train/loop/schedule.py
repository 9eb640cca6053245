"""The optimizer of a run and its learning rate over the run."""

import math
from typing import assert_never

import torch
from torch import nn

from tssd.train.config import Optimizer, Schedule, TrainConfig

RISE = 0.15  # of a run, to the full rate of one-cycle


def make_optimizer(net: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    parameters = list(net.parameters())
    lr, weight_decay = config.lr, config.weight_decay
    match config.optimizer:
        case Optimizer.SGD:
            return torch.optim.SGD(parameters, lr, momentum=0.9, weight_decay=weight_decay)
        case Optimizer.ADAM:
            return torch.optim.Adam(parameters, lr, weight_decay=weight_decay)
        case Optimizer.ADAMW:
            return torch.optim.AdamW(parameters, lr, weight_decay=weight_decay)
        case _:
            assert_never(config.optimizer)


def rate(config: TrainConfig, done: float) -> float:
    """The learning rate's factor when the share *done* of the run has passed.

    one-cycle: linear from 0.1 to 1 over the first 15 %, then a half cosine to 0; cosine: a half
    cosine from 1 to 0; step: a factor 0.1 after each third.
    """
    match config.schedule:
        case Schedule.CONSTANT:
            return 1.0
        case Schedule.STEP:
            return float(0.1 ** int(3 * done))
        case Schedule.COSINE:
            return _half_cosine(done, 0.0)
        case Schedule.ONE_CYCLE:
            return 0.1 + 0.9 * done / RISE if done < RISE else _half_cosine(done, RISE)
        case _:
            assert_never(config.schedule)


def _half_cosine(done: float, begin: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * (done - begin) / (1 - begin)))
