"""Unusual but legal ways to write a step, a loop or an output: `ODD` by name.

``forward`` is a function of the module and its samples, so that each case is a few lines.
"""

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


IMAGE = (1, 8, 8)
TWO = (2, 6, 6)
ODD: dict[str, Odd] = {
    "convolution of all frames at once": Odd(
        lambda: Made(
            convolved_at_once,
            conv=nn.Conv2d(2, 4, 3, padding=1),
            cell=free(),
            head=nn.Linear(144, 5),
        ),
        TWO,
        frames=True,
    ),
    "sum of membranes": Odd(one(lambda s, m: torch.stack(m).sum(0))),
    "mean of membranes": Odd(one(lambda s, m: sum(m) / STEPS)),
    "last membrane": Odd(one(lambda s, m: m[-1])),
    "last spikes": Odd(one(lambda s, m: s[-1])),
    "spikes, samples first": Odd(one(lambda s, m: torch.stack(s, dim=1))),
    "softmax of the mean": Odd(one(lambda s, m: torch.stack(s).mean(0).softmax(-1))),
    "spikes of some steps": Odd(one(lambda s, m: sum(s[2:])), refusal="some of the steps"),
    "weighted steps": Odd(
        one(lambda s, m: sum((t + 1) * x for t, x in enumerate(s))), refusal="steps 1 and 2 differ"
    ),
    "first spikes": Odd(one(lambda s, m: s[0]), refusal="some of the steps"),
    "named outputs": Odd(
        one(lambda s, m: {"membranes": torch.stack(m), "spikes": torch.stack(s)}),
        refusal=r"--output output\[spikes\]",
    ),
    "named output, asked": Odd(
        one(lambda s, m: {"membranes": torch.stack(m), "spikes": torch.stack(s)}),
        choices={"output": "output[membranes]"},
    ),
    "recurrence by hand": Odd(
        lambda: Made(own_recurrence, into=nn.Linear(36, 10), back=nn.Linear(10, 10), cell=free())
    ),
    "a layer a step late": Odd(
        lambda: Made(
            late_second_layer, first=nn.Linear(36, 12), second=nn.Linear(12, 10), a=free(), b=free()
        )
    ),
    "feedback between layers": Odd(
        lambda: Made(
            layers_that_feed_back,
            first=nn.Linear(36, 12),
            second=nn.Linear(12, 10),
            back=nn.Linear(10, 12),
            a=free(),
            b=free(),
        ),
        refusal="module a: found spikes of b that come back a step later",
    ),
    "rate code by hand, per step": Odd(
        lambda: Made(own_rate_code, into=nn.Linear(36, 10), cell=free())
    ),
    "rate code by hand, at once": Odd(
        lambda: Made(own_trains, into=nn.Linear(36, 10), cell=free())
    ),
    "steps in the last axis": Odd(
        lambda: Made(over_last_axis, into=nn.Linear(5, 10), cell=free()), (5, STEPS)
    ),
    "windows of a sample, a list returned": Odd(
        lambda: Made(in_windows, into=nn.Linear(6, 10), cell=free()), (36,)
    ),
    "rate code in every call": Odd(
        lambda: Made(drawn_in_each_call, into=nn.Linear(36, 10), cell=cell())
    ),
    "constants with an axis of samples": Odd(
        lambda: dense(
            cell(beta=torch.full((1, 12), 0.7), threshold=torch.linspace(0.2, 1, 12)[None])
        )
    ),
    "latency code": Odd(lambda: Made(latency_code, into=nn.Linear(36, 10), cell=free())),
    "two branches, one norm": Odd(
        lambda: Made(
            two_branches,
            wide=nn.Conv2d(2, 3, 3, padding=1),
            narrow=nn.Conv2d(2, 3, 1),
            norm=nn.BatchNorm2d(6),
            cell=cell(),
            each=nn.Conv2d(6, 6, 3, groups=6, padding=1),
            head=nn.Linear(216, 5),
            answer=cell(),
        ),
        TWO,
    ),
    "spikes of two layers side by side": Odd(
        lambda: Made(
            two_populations,
            conv1=nn.Conv2d(2, 3, 3, padding=1),
            conv2=nn.Conv2d(3, 4, 3, padding=1),
            head=nn.Linear(252, 5),
            a=cell(),
            b=cell(),
            answer=cell(),
        ),
        TWO,
    ),
    "written in place": Odd(
        lambda: Made(
            in_place,
            first=nn.Linear(36, 12),
            head=nn.Linear(12, 5),
            a=cell(),
            b=cell(),
            answer=cell(),
        )
    ),
    "channels last, flattened": Odd(
        lambda: behind_a_convolution(channels_last, 144),
        IMAGE,
    ),
    "pixels shuffled and cut": Odd(
        lambda: behind_a_convolution(shuffled_and_cut, 60),
        IMAGE,
    ),
    "two convolutions": Odd(
        lambda: images(
            nn.Conv2d(1, 4, 3),
            nn.Conv2d(4, 6, 3, stride=2),
            cell(),
            nn.Flatten(),
            nn.Linear(24, 5),
            cell(),
        ),
        IMAGE,
    ),
    "two padded convolutions": Odd(
        lambda: images(
            nn.Conv2d(1, 3, 3, padding=1),
            nn.Conv2d(3, 3, 3, padding=1),
            cell(),
            nn.Conv2d(3, 2, 3),
            cell(),
        ),
        IMAGE,
    ),
    "transposed convolution": Odd(
        lambda: images(
            nn.Conv2d(1, 3, 3, stride=2, padding=1),
            cell(),
            nn.ConvTranspose2d(3, 2, 2, stride=2),
            cell(),
        ),
        IMAGE,
    ),
    "padding on one side, even kernel": Odd(
        lambda: images(
            nn.ZeroPad2d((1, 2, 0, 1)),
            nn.Conv2d(1, 3, 2),
            cell(),
            nn.Flatten(),
            nn.Linear(240, 5),
            cell(),
        ),
        IMAGE,
    ),
    "mirrored borders": Odd(
        lambda: images(
            nn.Conv2d(1, 3, 3, padding=1, padding_mode="reflect"),
            cell(),
            nn.Conv2d(3, 2, 3),
            cell(),
        ),
        IMAGE,
    ),
    "overlapping maximum pool with padding": Odd(
        lambda: images(
            nn.Conv2d(1, 3, 3), cell(), nn.MaxPool2d(3, 2, 1), nn.Conv2d(3, 2, 3, padding=1), cell()
        ),
        IMAGE,
    ),
    "maximum pool that sticks out": Odd(
        lambda: images(nn.Conv2d(1, 3, 2), cell(), nn.MaxPool2d(2, ceil_mode=True), cell()),
        IMAGE,
        refusal="module 2: .*ceil_mode",
    ),
    "maximum pool over a line": Odd(
        lambda: images(
            nn.Conv1d(3, 4, 3), cell(), nn.MaxPool1d(2), nn.Flatten(), nn.Linear(28, 5), cell()
        ),
        (3, 16),
    ),
    "average pool that sticks out": Odd(
        lambda: images(
            nn.Conv2d(1, 3, 2),
            cell(),
            nn.AvgPool2d(2, padding=1, ceil_mode=True, count_include_pad=False),
            nn.Flatten(),
            nn.Linear(48, 5),
            cell(),
        ),
        IMAGE,
    ),
    "graded spikes through a maximum": Odd(
        lambda: images(
            nn.Conv2d(1, 3, 3),
            cell(graded_spikes_factor=2.5),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(27, 5),
            cell(),
        ),
        IMAGE,
    ),
    "graded spikes, a factor each": Odd(
        lambda: dense(cell(graded_spikes_factor=torch.linspace(0.2, 2, 12)))
    ),
    "weight norm": Odd(normed),
    "a hook behind a neuron": Odd(hooked(less)),
    "a hook that lowers a membrane": Odd(
        hooked(lowers_the_membrane), refusal="module 1: found your code changes mem"
    ),
    "a subclass by name": Odd(
        lambda: dense(OwnName(beta=0.8, threshold=0.4, init_hidden=True)),
    ),
    "a subclass with another rule": Odd(
        lambda: dense(OwnThreshold(beta=0.8, threshold=0.4, init_hidden=True)),
        refusal="module 1: found OwnThreshold, a Leaky with a step of its own",
    ),
    "the neuron's own membrane": Odd(
        lambda: Made(
            membrane_of_the_cell,
            into=nn.Linear(36, 12),
            cell=cell(),
            head=nn.Linear(12, 4),
            meter=cell(reset_mechanism="none"),
        )
    ),
    "a membrane into a layer": Odd(
        lambda: Made(
            membrane_passed_on,
            into=nn.Linear(36, 12),
            cell=cell(output=True),
            head=nn.Linear(12, 4),
            answer=cell(),
        ),
        refusal="module answer: found the membrane of cell that enters a layer",
    ),
    "an optional argument that is no state": Odd(
        lambda: Masked(masked, into=nn.Linear(36, 10), cell=cell(output=True))
    ),
    "a function of the samples in front": Odd(
        lambda: nn.Sequential(nn.Hardtanh(0.2, 0.7), *dense()),
    ),
    "relu between": Odd(
        lambda: nn.Sequential(nn.Linear(36, 12), nn.ReLU(), cell()), refusal="module 1: .*relu"
    ),
    "norm of the batch itself": Odd(
        lambda: nn.Sequential(
            nn.Linear(36, 12), nn.BatchNorm1d(12, track_running_stats=False), cell()
        ),
        refusal="module 1: .*statistics of the samples themselves",
    ),
    "inhibition": Odd(lambda: dense(cell(inhibition=True)), refusal="module 1: found inhibition"),
    "softmax in every step": Odd(
        lambda: nn.Sequential(*dense(), nn.Softmax(-1)), refusal="a softmax in every step"
    ),
    "an LSTM in front": Odd(
        lambda: Made(
            lambda net, x: net.cell(net.into(net.lstm(x)[0][-1])),
            lstm=nn.LSTM(4, 6),
            into=nn.Linear(6, 5),
            cell=cell(),
        ),
        (4,),
        frames=True,
        refusal="module|forward",
    ),
}
