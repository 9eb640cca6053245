"""74 small snnTorch networks: every construct that an exporter meets, right or refused."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import snntorch as snn
import torch
from torch import Tensor, nn
from torch.nn import functional

Builder = Callable[[], nn.Module]


@dataclass(frozen=True)
class Net:
    """One step per call, but for ``time-loop``."""

    name: str
    build: Builder
    shape: tuple[int, ...] = (10,)


def leaky(n: int | tuple[int, ...] | None = 12, beta: Any = 0.9, **options: Any) -> snn.Leaky:
    """A hidden-state Leaky; *n*: full vectors for beta and threshold, None: scalars."""
    theta = options.pop("threshold", 1.0)
    if n is not None:
        beta, theta = torch.full(_shape(n), float(beta)), torch.full(_shape(n), float(theta))
    return snn.Leaky(beta=beta, threshold=theta, init_hidden=True, **options)


def _shape(n: int | tuple[int, ...]) -> tuple[int, ...]:
    return (n,) if isinstance(n, int) else n


def flat(*neurons: nn.Module, bias: bool = True) -> nn.Module:
    """10 -> 12 -> ... -> 12, one Linear before each neuron."""
    layers: list[nn.Module] = []
    for i, neuron in enumerate(neurons):
        layers += [nn.Linear(12 if i else 10, 12, bias=bias), neuron]
    return nn.Sequential(*layers)


def conv(*layers: nn.Module) -> nn.Module:
    return nn.Sequential(*layers)


def synaptic(**options: Any) -> snn.Synaptic:
    return snn.Synaptic(alpha=0.8, beta=0.9, init_hidden=True, **options)


def rleaky(**options: Any) -> snn.RLeaky:
    return snn.RLeaky(beta=0.9, linear_features=12, init_hidden=True, **options)


def rsynaptic(**options: Any) -> snn.RSynaptic:
    return snn.RSynaptic(alpha=0.8, beta=0.9, linear_features=12, init_hidden=True, **options)


def _two(
    first: Callable[..., nn.Module], second: Callable[..., nn.Module], how: dict[str, Any]
) -> Builder:
    """Two layers with these options."""
    return lambda: flat(first(**how), second(**how))


class Two(nn.Module):
    """Two branches joined by *join*."""

    def __init__(self, join: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(10, 12), nn.Linear(10, 12)
        self.n1, self.n2 = leaky(), leaky()
        self.join = join

    def forward(self, x: Tensor) -> Any:
        return self.n2(self.join(self.n1(self.a(x)), self.b(x)))


class Explicit(nn.Module):
    """States passed in and out."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(10, 12), nn.Linear(12, 12)
        self.lif1 = snn.Leaky(beta=0.9, **options)
        self.lif2 = snn.Leaky(beta=0.8, **options)

    def forward(self, x: Tensor, mem1: Tensor, mem2: Tensor) -> Any:
        spk1, mem1 = self.lif1(self.fc1(x), mem1)
        spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
        return spk2, mem1, mem2


class TimeLoop(nn.Module):
    """The tutorial's idiom: the loop over time inside forward."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.lif = nn.Linear(10, 12), snn.Leaky(beta=0.9)

    def forward(self, x: Tensor) -> Any:
        mem, spikes = self.lif.init_leaky(), []
        for _ in range(5):
            spk, mem = self.lif(self.fc(x), mem)
            spikes.append(spk)
        return torch.stack(spikes)


class Shared(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc, self.mid, self.n1, self.n2 = nn.Linear(10, 12), nn.Linear(12, 12), leaky(), leaky()

    def forward(self, x: Tensor) -> Any:
        return self.n2(self.mid(self.mid(self.n1(self.fc(x)))))


class Functional(nn.Module):
    """conv -> neuron -> a function -> dense."""

    def __init__(self, function: Callable[[Tensor], Tensor], features: int) -> None:
        super().__init__()
        self.conv, self.n1 = nn.Conv2d(2, 4, 3), leaky((4, 8, 8))
        self.fc, self.n2, self.function = nn.Linear(features, 12), leaky(), function

    def forward(self, x: Tensor) -> Any:
        return self.n2(self.fc(self.function(self.n1(self.conv(x)))))


class Branching(nn.Module):
    """Control flow on data."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.n = nn.Linear(10, 12), leaky()

    def forward(self, x: Tensor) -> Any:
        return self.n(self.fc(x if x.sum() > 0 else -x))


class Readout(nn.Module):
    """The last membrane as the output."""

    def __init__(self, reset: str) -> None:
        super().__init__()
        self.fc, self.n, self.out = nn.Linear(10, 12), leaky(), nn.Linear(12, 5)
        self.last = snn.Leaky(beta=0.95, reset_mechanism=reset, init_hidden=True, output=True)

    def forward(self, x: Tensor) -> Any:
        _, mem = self.last(self.out(self.n(self.fc(x))))
        return mem


def _changed_late() -> nn.Module:
    neuron = leaky()
    neuron.reset_mechanism = "zero"
    return flat(neuron)


def _nets() -> list[Net]:
    nets: list[Net] = []
    for reset in ("zero", "subtract", "none"):
        for late in (True, False):
            tag = f"{reset}-{late}"
            how: dict[str, Any] = {"reset_mechanism": reset, "reset_delay": late}
            nets += [
                Net(f"vectors-{tag}", _two(leaky, leaky, how)),
                Net(f"scalars-{tag}", _two(partial(leaky, None), partial(leaky, None), how)),
                Net(f"beta-one-{tag}", _two(partial(leaky, beta=1.0), leaky, how)),
                Net(f"thresholds-{tag}", _two(_per_neuron, leaky, how)),
                Net(f"explicit-{tag}", partial(Explicit, **how)),
                Net(f"synaptic-{tag}", _two(synaptic, synaptic, how)),
                Net(f"rleaky-{tag}", _two(rleaky, leaky, how)),
            ]
    for reset in ("subtract", "none", "zero"):
        nets.append(Net(f"rsynaptic-{reset}", _two(rsynaptic, leaky, {"reset_mechanism": reset})))
    image = (2, 10, 10)
    nets += [
        Net(
            "beta-above-one-is-clamped", lambda: flat(leaky(beta=1.2), leaky(beta=-0.1), bias=False)
        ),
        Net("thirteen-layers", lambda: flat(*[leaky(threshold=0.5) for _ in range(13)])),
        Net("learned", lambda: flat(leaky(None, learn_beta=True, learn_threshold=True))),
        Net("graded", lambda: flat(leaky(graded_spikes_factor=0.5), leaky())),
        Net("rleaky-one-to-one", lambda: flat(_one_to_one(), leaky())),
        Net("inhibition", lambda: flat(leaky(inhibition=True))),
        Net("state-quant", lambda: flat(leaky(state_quant=lambda x: x))),
        Net("reset-changed-late", _changed_late),
        Net("add", lambda: Two(lambda a, b: a + b)),
        Net("add-to-itself", lambda: Two(lambda a, b: a + a)),
        Net("add-constant", lambda: Two(lambda a, b: a + 0.9)),  # 1 is the threshold
        Net("scaled-branch", lambda: Two(lambda a, b: 0.5 * a + b)),
        Net("product", lambda: Two(lambda a, b: a * b)),
        Net("cat", lambda: Two(lambda a, b: torch.cat([a, b], 1))),
        Net("time-loop", TimeLoop),
        Net("shared-module", Shared),
        Net("branching", Branching),
        Net("readout-membrane", lambda: Readout("none")),
        Net(
            "conv-scalar-pool",
            lambda: conv(
                nn.Conv2d(2, 4, 3, stride=(1, 2)),
                leaky(None),
                nn.AvgPool2d(2),
                nn.Flatten(),
                nn.Linear(32, 12),
                leaky(),
            ),
            image,
        ),
        Net(
            "conv-groups-non-square-max-norm",
            lambda: conv(
                nn.Conv2d(2, 4, (3, 5), groups=2, padding=1, dilation=(1, 2)),
                nn.BatchNorm2d(4),
                leaky((4, 10, 4)),
                nn.MaxPool2d(2),
                nn.Dropout(0.5),
                nn.Flatten(),
                nn.Linear(40, 12),
                nn.BatchNorm1d(12),
                nn.Identity(),
                leaky(),
            ),
            image,
        ),
        Net(
            "conv-per-channel-padded-average",
            lambda: conv(
                nn.Conv2d(2, 4, 3, padding="same"),
                _per_channel(),
                nn.AvgPool2d(3, 2, 1),
                nn.Flatten(),
                nn.Linear(100, 12),
                leaky(),
            ),
            image,
        ),
        Net(
            "conv1d",
            lambda: conv(
                nn.Conv1d(2, 3, 3, padding=1), leaky(None), nn.Flatten(), nn.Linear(30, 12), leaky()
            ),
            (2, 10),
        ),
        Net(
            "max-of-values",
            lambda: conv(nn.MaxPool2d(2), nn.Flatten(), nn.Linear(50, 4)),
            image,
        ),
        Net(
            "ceil-mode",
            lambda: conv(
                nn.Conv2d(2, 4, 2),
                leaky(None),
                nn.AvgPool2d(2, ceil_mode=True),
                nn.Flatten(),
                nn.Linear(100, 4),
                leaky(4),
            ),
            image,
        ),
        Net(
            "functional-max-flatten",
            lambda: Functional(lambda x: functional.max_pool2d(x, 2).flatten(1), 64),
            image,
        ),
        Net(
            "functional-relu",
            lambda: Functional(lambda x: torch.relu(x).flatten(1), 256),
            image,
        ),
        Net("lapicque", lambda: flat(snn.Lapicque(beta=0.9, init_hidden=True))),
        Net(
            "delta-leaky",
            lambda: flat(snn.DeltaLeaky(beta=0.9, init_hidden=True)),
        ),
        Net("alpha", lambda: flat(snn.Alpha(alpha=0.9, beta=0.8, init_hidden=True))),
    ]
    return nets


def _per_neuron(**options: Any) -> snn.Leaky:
    theta = torch.linspace(0.4, 1.6, 12)
    return snn.Leaky(
        beta=torch.linspace(0.1, 0.99, 12), threshold=theta, init_hidden=True, **options
    )


def _per_channel() -> snn.Leaky:
    return snn.Leaky(beta=torch.linspace(0.5, 0.9, 4).reshape(4, 1, 1), init_hidden=True)


def _one_to_one() -> snn.RLeaky:
    return snn.RLeaky(beta=0.9, all_to_all=False, V=torch.linspace(-1, 1, 12), init_hidden=True)


def prepared(net: Net) -> nn.Module:
    """In inference mode, with weights strong enough to fire and trained-looking statistics."""
    torch.manual_seed(0)
    module = net.build().eval()
    for name, parameter in module.named_parameters():
        if name.endswith("weight"):
            parameter.data *= 3
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            layer.running_mean = torch.randn_like(layer.weight) * 0.1
            layer.running_var = torch.rand_like(layer.weight) + 0.5
    return module


NETS = _nets()

LOSES = "zero' and its late reset, which loses its input"
NOW = "reset_delay=False with 'subtract'.* [1-9][0-9]* of [0-9,]+ slots fire otherwise"
REFUSED = {  # in these words, by the module's path
    "synaptic-zero-True": LOSES,
    "rleaky-zero-True": LOSES,
    "rsynaptic-zero": LOSES,
    "inhibition": "inhibition",
    "state-quant": "state_quant",
    "product": "a product of two values that depend on the samples",
    "cat": "raised by your module: RuntimeError: The size of tensor a",
    "time-loop": "found 20, where the module does 5",
    "branching": "a branch on data",  # on the input alone
    "max-of-values": "no spiking neuron",
    "functional-relu": "the operation relu",
    "delta-leaky": "DeltaLeaky",
    "alpha": "Alpha",
} | {net.name: NOW for net in NETS if net.name.endswith("subtract-False")}
