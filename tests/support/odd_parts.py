"""Parts of unusual but legal networks: cells, and functions of a module and its samples that are
the forward of one."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import snntorch as snn
import torch
from snntorch import spikegen
from torch import Tensor, nn
from torch.nn import functional

STEPS = 6


class Made(nn.Module):
    """Parts, and a forward that uses them."""

    def __init__(self, forward: Callable[..., Any], **parts: nn.Module) -> None:
        super().__init__()
        for name, part in parts.items():
            self.add_module(name, part)
        self.run = forward

    def forward(self, x: Tensor) -> Any:
        return self.run(self, x)


def behind_a_convolution(forward: Callable[..., Any], features: int) -> Made:
    """Cells behind 4 kernels of 3 x 3, then 5 outputs of the *features* that *forward* leaves."""
    return Made(
        forward,
        conv=nn.Conv2d(1, 4, 3),
        cell=cell(),
        head=nn.Linear(features, 5),
        answer=cell(),
    )


@dataclass(frozen=True)
class Odd:
    """``refusal``: a part of the message; None: it deploys."""

    build: Callable[[], nn.Module]
    shape: tuple[int, ...] = (36,)
    frames: bool = False
    refusal: str | None = None
    choices: dict[str, Any] = field(default_factory=dict)


def cell(**options: Any) -> snn.Leaky:
    return snn.Leaky(**{"beta": 0.8, "threshold": 0.4, "init_hidden": True, **options})


def free(**options: Any) -> snn.Leaky:
    """With its state as an argument."""
    return snn.Leaky(**{"beta": 0.8, "threshold": 0.4, **options})


def one(finish: Callable[[list[Tensor], list[Tensor]], Any]) -> Callable[[], nn.Module]:
    """A layer in a loop; *finish* makes the result of all spikes and membranes."""

    def forward(net: Any, x: Tensor) -> Any:
        membrane, spikes, membranes = net.cell.init_leaky(), [], []
        for _ in range(STEPS):
            sent, membrane = net.cell(net.into(x), membrane)
            spikes.append(sent)
            membranes.append(membrane)
        return finish(spikes, membranes)

    return lambda: Made(forward, into=nn.Linear(36, 10), cell=free())


def images(*layers: nn.Module) -> nn.Module:
    return nn.Sequential(*layers)


def convolved_at_once(net: Any, x: Tensor) -> Any:
    """All frames through the convolution first, then the loop."""
    steps, samples = x.shape[:2]
    currents = net.conv(x.flatten(0, 1)).reshape(steps, samples, 4, 6, 6)
    membrane, out = net.cell.reset_mem(), []
    for t in range(steps):
        sent, membrane = net.cell(currents[t], membrane)
        out.append(sent)
    return net.head(torch.stack(out).flatten(2))


def own_recurrence(net: Any, x: Tensor) -> Any:
    membrane, sent, out = net.cell.init_leaky(), torch.zeros(len(x), 10), []
    for _ in range(STEPS):
        sent, membrane = net.cell(net.into(x) + net.back(sent), membrane)
        out.append(sent)
    return torch.stack(out)


def late_second_layer(net: Any, x: Tensor) -> Any:
    """The second layer reads the spikes of the step before."""
    m1, m2, sent, out = net.a.init_leaky(), net.b.init_leaky(), torch.zeros(len(x), 12), []
    for _ in range(STEPS):
        entering = net.second(sent)
        sent, m1 = net.a(net.first(x), m1)
        answer, m2 = net.b(entering, m2)
        out.append(answer)
    return torch.stack(out)


def layers_that_feed_back(net: Any, x: Tensor) -> Any:
    m1, m2, answer, out = net.a.init_leaky(), net.b.init_leaky(), torch.zeros(len(x), 10), []
    for _ in range(STEPS):
        sent, m1 = net.a(net.first(x) + net.back(answer), m1)
        answer, m2 = net.b(net.second(sent), m2)
        out.append(answer)
    return torch.stack(out)


def own_rate_code(net: Any, x: Tensor) -> Any:
    membrane, out = net.cell.init_leaky(), []
    for _ in range(STEPS):
        sent, membrane = net.cell(net.into((torch.rand_like(x) < x).float()), membrane)
        out.append(sent)
    return torch.stack(out)


def own_trains(net: Any, x: Tensor) -> Any:
    trains = (x.unsqueeze(0) > torch.rand(STEPS, *x.shape)).float()
    return _over(net, trains)


def latency_code(net: Any, x: Tensor) -> Any:
    return _over(net, spikegen.latency(x, num_steps=STEPS, linear=True, normalize=True))


def _over(net: Any, trains: Tensor) -> Any:
    membrane, out = net.cell.init_leaky(), []
    for t in range(STEPS):
        sent, membrane = net.cell(net.into(trains[t]), membrane)
        out.append(sent)
    return torch.stack(out)


def over_last_axis(net: Any, x: Tensor) -> Any:
    """Samples (channels, steps), as recordings of sensors often are."""
    membrane, out = net.cell.init_leaky(), []
    for t in range(x.shape[-1]):
        sent, membrane = net.cell(net.into(x[:, :, t]), membrane)
        out.append(sent)
    return torch.stack(out, dim=-1)


def in_windows(net: Any, x: Tensor) -> Any:
    """Six neighbouring values in each step; a list comes back."""
    membrane, out = net.cell.init_leaky(), []
    for window in torch.split(x, 6, dim=1):
        sent, membrane = net.cell(net.into(window), membrane)
        out.append(sent)
    return out


def drawn_in_each_call(net: Any, x: Tensor) -> Any:
    return net.cell(net.into(torch.bernoulli(x)))


def two_branches(net: Any, x: Tensor) -> Any:
    """Normalised by hand, two convolutions side by side, a norm over both."""
    x = (x - 0.4) / 0.3
    both = torch.cat([net.wide(x), net.narrow(x)], dim=1)
    return net.answer(net.head(net.each(net.cell(net.norm(both))).flatten(1)))


def two_populations(net: Any, x: Tensor) -> Any:
    first = net.a(net.conv1(x))
    second = net.b(net.conv2(first))
    return net.answer(net.head(torch.cat([first, second], 1).flatten(1)))


def in_place(net: Any, x: Tensor) -> Any:
    current = net.first(x)
    current += 1.0
    current *= 0.5
    sent = net.a(current).clone()
    sent += net.b(net.first(x))
    return net.answer(net.head(sent))


def channels_last(net: Any, x: Tensor) -> Any:
    return net.answer(net.head(net.cell(net.conv(x)).permute(0, 2, 3, 1).flatten(1)))


def shuffled_and_cut(net: Any, x: Tensor) -> Any:
    wide = functional.pixel_shuffle(net.cell(net.conv(x)), 2)
    return net.answer(net.head(wide[:, :, 1:-1, ::2].flatten(1)))


def membrane_of_the_cell(net: Any, x: Tensor) -> Any:
    net.meter(net.head(net.cell(net.into(x))))
    return net.meter.mem


def membrane_passed_on(net: Any, x: Tensor) -> Any:
    _, membrane = net.cell(net.into(x))
    return net.answer(net.head(membrane))


def masked(net: Any, x: Tensor, mask: Any = None) -> Any:
    sent, membrane = net.cell(net.into(x if mask is None else x * mask))
    return sent, membrane


class Masked(Made):
    """An optional argument that is no state."""

    def forward(self, x: Tensor, mask: Any = None) -> Any:
        return self.run(self, x, mask)


class OwnThreshold(snn.Leaky):  # type: ignore[misc]
    """A neuron with another rule."""

    def fire(self, mem: Tensor) -> Tensor:
        return super().fire(mem - 0.1)  # type: ignore[no-any-return]


class OwnName(snn.Leaky):  # type: ignore[misc]
    """A neuron with another name."""


def normed() -> nn.Module:
    weighted = nn.utils.parametrizations.weight_norm(nn.Linear(36, 12))
    return nn.Sequential(weighted, cell(), nn.Linear(12, 5), cell())


def hooked(hook: Callable[..., Any], place: int = 1) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        net = dense()
        net[place].register_forward_hook(hook)
        return net

    return build


def dense(neuron: nn.Module | None = None) -> nn.Sequential:
    return nn.Sequential(nn.Linear(36, 12), neuron or cell(), nn.Linear(12, 5), cell())


def less(module: Any, given: Any, sent: Tensor) -> Tensor:
    return sent * 0.3


def lowers_the_membrane(module: Any, given: Any, sent: Tensor) -> None:
    module.mem = module.mem - 0.2 * sent
