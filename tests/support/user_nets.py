"""Users' modules to train: `--model user_nets:build`."""

from collections import OrderedDict

import snntorch as snn
from torch import Tensor, nn

from tssd.train.networks.neuron import NeuronModel, spike
from tssd.train.networks.user_module import WeakHead


def boxcar(distance: Tensor) -> Tensor:
    return spike(distance, NeuronModel())


def leaky(**options: object) -> snn.Leaky:
    settings = {"beta": 0.5, "init_hidden": True, "spike_grad": boxcar, "reset_mechanism": "zero"}
    return snn.Leaky(**{**settings, **options})


class Small(nn.Module):
    """8 x 8 digits; the head's maximum pooling could not be exported, and need not be."""

    def __init__(self, neuron: dict[str, object] | None = None, marked: bool = True) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.lif1, self.lif2 = leaky(**(neuron or {})), leaky(**(neuron or {}))
        self.pool, self.fc1 = nn.AvgPool2d(2), nn.Linear(8 * 4 * 4, 32)
        self.flat, self.fc2 = nn.Flatten(), nn.Linear(32, 10)
        self.marked = marked
        head = nn.Sequential(nn.MaxPool2d(4), nn.Flatten(), nn.Linear(8 * 4, 10))
        self.weak = WeakHead(head) if marked else head

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        spikes = self.lif1(self.norm(self.conv(x)))
        weak = self.weak(spikes)
        logits = self.fc2(self.lif2(self.fc1(self.flat(self.pool(spikes)))))
        return logits if self.marked else (logits, weak)


def build() -> nn.Module:
    return Small()


def build_two_outputs() -> nn.Module:
    return Small(marked=False)


def build_soft() -> nn.Module:
    return Small({"reset_mechanism": "subtract", "reset_delay": False})


def build_late_reset() -> nn.Module:
    return Small({"reset_mechanism": "subtract"})


def build_loose_state() -> nn.Module:
    return Small({"init_hidden": False})


def build_sigmoid() -> nn.Module:
    return nn.Sequential(OrderedDict(act=nn.Sigmoid(), rest=Small()))


def build_layer_norm() -> nn.Module:
    """Every neuron's current depends on all of its layer's: no chip of this kind says that."""
    layers = (nn.Flatten(), nn.Linear(64, 32), nn.LayerNorm(32), leaky(), nn.Linear(32, 10))
    return nn.Sequential(*layers)


def build_spikes() -> nn.Module:
    """Spike counts as logits."""
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10), leaky())


def build_number() -> int:
    return 3
