"""Parts that strange networks are made of: what hides, raises, or changes while it runs."""

from collections.abc import Callable
from typing import Any

import torch
from odd_parts import cell, dense
from torch import Tensor, nn
from torch.nn.utils import prune

Forward = Callable[[Any, Tensor], Any]


class Held(nn.Module):
    """Neurons where torch does not find them."""

    def __init__(self, *, made_late: bool) -> None:
        super().__init__()
        self.into, self.known = nn.Linear(36, 12), cell()
        self.hidden = [] if made_late else [cell()]
        if not made_late:
            del self.known

    def forward(self, x: Tensor) -> Any:
        neuron = self.hidden[0] if self.hidden else cell()
        return neuron(self.into(x))


class OwnError(Exception):
    """Of the author."""


def stops(error: BaseException) -> Forward:
    def forward(net: Any, x: Tensor) -> Any:
        raise error

    return forward


class Window(torch.autograd.Function):
    """Fires between two thresholds."""

    @staticmethod
    def forward(ctx: Any, v: Tensor) -> Tensor:
        return ((v > 0) & (v < 30)).float()

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        return grad_outputs[0]


def changing(change: Callable[[Any], None]) -> Callable[[], nn.Module]:
    """A hook changes the first neuron in every step."""

    def build() -> nn.Module:
        net = dense()
        net[1].register_forward_hook(lambda neuron, given, sent: change(neuron))
        return net

    return build


def higher(neuron: Any) -> None:
    neuron.threshold = neuron.threshold + 0.05


def higher_in_place(neuron: Any) -> None:
    neuron.threshold.data.add_(0.05)


def pruned() -> nn.Module:
    net = dense()
    prune.random_unstructured(net[0], "weight", 0.5)  # type: ignore[no-untyped-call]
    return net
