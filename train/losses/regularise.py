"""Penalties that trade accuracy for energy and for few bits; pure functions of tensors.

    rate    mean over populations of (spikes per neuron and step - target)^2
    synops  max(0, synaptic operations per inference / budget - 1)
    range   mean over layers of mean (max(0, |w| / rms(w) - limit)^2)

All three are *ours*. The number of operations is that of the deployed network at T_s steps: rate x
neurons x mean connections per neuron, summed over the populations; the input's operations do not
depend on the weights and are left out. The range is relative to the layer's root mean square: an
outlier widens the step of the quantized weights, the scale of a whole layer does not.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from tssd.train.config import TrainConfig
from tssd.train.networks import distributed
from tssd.train.quantization.graph.network import QuantizedGraph


@dataclass(frozen=True)
class Penalties:
    """Unweighted terms, their weighted total, and the operations per inference."""

    rate: Tensor
    synops: Tensor
    range: Tensor
    total: Tensor
    operations: Tensor


def rate_penalty(rates: Iterable[Tensor], target: float) -> Tensor:
    """How far the populations' spike rates (0..1) are from *target*."""
    return (torch.stack(list(rates)) - target).square().mean()


def synop_penalty(operations: Tensor, budget: float) -> Tensor:
    """The share by which *operations* exceed *budget*; 0 within it."""
    return functional.relu(operations / budget - 1)


def range_penalty(weights: Iterable[Tensor], limit: float) -> Tensor:
    """How far single weights exceed *limit* times their layer's root mean square."""
    parts = []
    for weight in weights:
        size = weight.abs() / weight.square().mean().sqrt().clamp_min(1e-12)
        parts.append(functional.relu(size - limit).square().mean())
    return torch.stack(parts).mean()


def operations(rates: Mapping[str, Tensor], reach: Mapping[str, float], steps: int) -> Tensor:
    """Synaptic operations per inference; *reach* is what one neuron per population connects to,
    times the number of neurons."""
    parts = [rate * (steps * reach[name]) for name, rate in rates.items()]
    return torch.stack(parts).sum()


def layer_weights(net: nn.Module) -> list[Tensor]:
    """The weights of convolutions and linear layers."""
    if isinstance(net, QuantizedGraph):
        return net.learned_weights()
    return [m.weight for m in net.modules() if isinstance(m, nn.Conv2d | nn.Linear)]


def penalties(
    net: nn.Module, rates: Mapping[str, Tensor], connected: Mapping[str, float], config: TrainConfig
) -> Penalties:
    """The terms of *config*; what has weight 0 is not computed."""
    zero = next(iter(rates.values())).new_zeros(())
    spent = operations(rates, connected, config.student_steps) if connected else zero
    rate = rate_penalty(rates.values(), config.rate_target) if config.rate_weight else zero
    synops = synop_penalty(spent, config.synop_budget) if config.synop_weight else zero
    wide = range_penalty(layer_weights(net), config.range_limit) if config.range_weight else zero
    # Every process computes this one from the same weights: one of them gives its gradient.
    wide = wide if distributed.rank() == 0 else wide.detach()
    total = config.rate_weight * rate + config.synop_weight * synops + config.range_weight * wide
    return Penalties(rate, synops, wide, total, spent)
