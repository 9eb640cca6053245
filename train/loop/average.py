"""The network that is deployed where it is not the one that is trained.

An exponential average of weights and statistics over the updates (``ema``), and statistics of
batch normalisation estimated anew with T_s steps at the end (``norm_batches``).
"""

import copy
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from tssd.arrays import ByteArray
from tssd.train.data.splits import LabelArray
from tssd.train.loop.checkpoint import DEPLOYED
from tssd.train.networks.coding import to_current
from tssd.train.networks.network import Unrolled, Unrolling


class Average:
    """average <- decay * average + (1 - decay) * weights, for every float tensor of the state."""

    def __init__(self, net: nn.Module, decay: float, tensors: Mapping[str, Tensor]) -> None:
        """Begin with the average that *tensors* of a checkpoint hold, else with *net*."""
        self.decay = decay
        self.values = {
            name: tensors.get(DEPLOYED + name, value).to(value.device).detach().clone()
            for name, value in net.state_dict().items()
        }

    @torch.no_grad()
    def update(self, net: nn.Module) -> None:
        for name, value in net.state_dict().items():
            if value.is_floating_point():
                self.values[name].lerp_(value, 1 - self.decay)
            else:
                self.values[name].copy_(value)


def deployed_copy(net: Unrolled, average: Average | None, always: bool = False) -> Unrolled:
    """*net* with the averaged weights; *net* itself where there are none, unless *always*."""
    if average is None and not always:
        return net
    result = copy.deepcopy(net)
    if average is not None:
        result.load_state_dict(average.values)
    return result


@torch.no_grad()
def estimate_norms(
    net: Unrolled, batches: Iterable[tuple[ByteArray, LabelArray]], count: int, steps: int
) -> None:
    """Running statistics := their mean over *count* training batches of *steps* steps."""
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    device = next(net.parameters()).device
    net.train()
    for index, (images, _) in zip(range(count), batches, strict=False):
        for norm in norms:
            norm.momentum = 1 / (index + 1)
        net.run(to_current(images).to(device), Unrolling(len(images), steps))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    net.eval()
