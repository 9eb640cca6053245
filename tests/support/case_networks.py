"""Small modules that once came out wrong or were refused without need: `CASES`, by what they are.

Each stands for a kind. ``refusal`` None: it fires as its author's run does.
"""

from collections.abc import Callable
from typing import Any

import snntorch as snn
import torch
from odd_parts import STEPS, Made, Odd
from torch import Tensor, nn

PIXELS = (1, 5, 5)


def zeroed(**options: Any) -> snn.Leaky:
    return snn.Leaky(
        **{
            "beta": 0.8,
            "threshold": 0.3,
            "init_hidden": True,
            "reset_mechanism": "zero",
            **options,
        }
    )


def usual(**options: Any) -> snn.Leaky:
    """Its reset as it comes."""
    return snn.Leaky(**{"beta": 0.85, "threshold": 0.4, "init_hidden": True, **options})


def small(step: Callable[[Any, Tensor], Any], **more: nn.Module) -> Callable[[], nn.Module]:
    """25 -> 14 -> 5, one neuron layer; ``t`` counts its steps, ``past`` keeps what *step* puts."""

    def build() -> nn.Module:
        parts = {"fc": nn.Linear(25, 14), "lif": zeroed(), "out": nn.Linear(14, 5), **more}
        net: Any = Made(lambda made, x: _counted(made, step, x), **parts)
        net.t, net.past = 0, []
        return net  # type: ignore[no-any-return]

    return build


def _counted(net: Any, step: Callable[[Any, Tensor], Any], x: Tensor) -> Any:
    result = step(net, x.flatten(1))
    net.t += 1
    return result


def plain(net: Any, x: Tensor) -> Any:
    return net.out(net.lif(net.fc(x)))


def norm_of_its_step(net: Any, x: Tensor) -> Any:
    return net.out(net.lif(net.norms[net.t % STEPS](net.fc(x))))


def norms() -> nn.Module:
    made = snn.BatchNormTT1d(14, time_steps=STEPS)
    for k, norm in enumerate(made):
        nn.init.constant_(norm.weight, 0.3 + 0.3 * k)
    return made  # type: ignore[no-any-return]


def in_turn(net: Any, x: Tensor) -> Any:
    return net.out(net.lif((net.other if net.t % 2 else net.fc)(x)))


def full_once(net: Any, x: Tensor) -> Any:
    return net.out(net.lif(net.fc(x) * (0.1 if net.t else 1.0)))


def fading(net: Any, x: Tensor) -> Any:
    return net.out(net.lif(net.fc(x) * 0.8**net.t))


def every_third(net: Any, x: Tensor) -> Any:
    if net.t % 3 == 2:
        net.lif.reset_mem()
    return plain(net, x)


def at_every_call(net: Any, x: Tensor) -> Any:
    net.lif.reset_mem()
    return plain(net, x)


def begun_at_every_call(net: Any, x: Tensor) -> Any:
    sent, _ = net.lif(net.fc(x), net.lif.init_leaky())
    return net.out(sent)


def low_pass(net: Any, x: Tensor) -> Any:
    net.past.append(net.fc(x))
    weighted = [0.8**k * current for k, current in enumerate(reversed(net.past))]
    return net.out(net.lif(sum(weighted)))


def of_two_steps_ago(net: Any, x: Tensor) -> Any:
    net.past.append(net.lif(net.fc(x)))
    return net.out(net.past[max(0, net.t - 2)])


def halved(layer: nn.Module, given: Any, y: Any) -> Any:
    return 0.5 * y


def hooked() -> nn.Module:
    net = small(plain)()
    net.get_submodule("fc").register_forward_hook(halved)
    return net


def stacked(*layers: nn.Module) -> Callable[[], nn.Module]:
    return lambda: nn.Sequential(nn.Flatten(), *layers)


def image(*layers: nn.Module) -> Callable[[], nn.Module]:
    return lambda: nn.Sequential(*layers)


def added_then_biased(net: Any, x: Tensor) -> Any:
    first = net.a(net.fc(x))
    return net.c(net.out(net.b(net.mid(first)) + first))


def looped(net: Any, x: Tensor) -> Any:
    m1, m2, sent = net.a.init_leaky(), net.b.init_leaky(), []
    for _ in range(STEPS):
        first, m1 = net.a(net.fc(x.flatten(1)), m1)
        second, m2 = net.b(net.out(first), m2)
        sent.append(second)
    return torch.stack(sent)


class Actor(nn.Module):
    """forward(x, state=None)"""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.lif, self.head = nn.Linear(25, 14), snn.Leaky(beta=0.9), nn.Linear(14, 3)

    def forward(self, x: Tensor, state: Any = None) -> Any:
        membrane = self.lif.init_leaky() if state is None else state[0]
        sent, membrane = self.lif(self.fc(x.flatten(1)), membrane)
        return self.head(sent), (membrane.detach(),)


def biased() -> nn.Module:
    """A neuron that fires without any input."""
    net = stacked(nn.Linear(25, 14), usual(), nn.Linear(14, 5), usual())()
    dict(net.named_parameters())["3.bias"].data[0] = 1.2
    return net


DEFAULT = {"lif": usual()}
CASES: dict[str, Odd] = {
    "batch norm by a step counter": Odd(
        small(norm_of_its_step, norms=norms()), PIXELS, refusal="module lif: .*steps 1 and 2 that"
    ),
    "two layers in turn": Odd(
        small(in_turn, other=nn.Linear(25, 14)), PIXELS, refusal="module lif: .*another map at fc"
    ),
    "the full input in the first step only": Odd(
        small(full_once), PIXELS, refusal="module lif: found steps 1 and 2 that differ"
    ),
    "a factor that fades": Odd(small(fading), PIXELS, refusal="module lif: found steps 1 and 2"),
    "a reset every third step": Odd(
        small(every_third), PIXELS, refusal="module lif: found steps 3 and 2 that differ: its state"
    ),
    "reset_mem() in forward": Odd(small(at_every_call), PIXELS),
    "init_leaky() in forward": Odd(
        small(begun_at_every_call, lif=zeroed(init_hidden=False)), PIXELS
    ),
    "a low-pass in Python": Odd(small(low_pass), PIXELS, refusal="module lif: found steps"),
    "spikes of two steps ago, from a list": Odd(
        small(of_two_steps_ago), PIXELS, refusal="an output whose steps 1 and 2 differ"
    ),
    "a forward hook": Odd(hooked, PIXELS),
    "a number times the samples": Odd(small(lambda n, x: plain(n, 2.0 * x)), PIXELS),
    "spikes and membrane returned": Odd(
        stacked(nn.Linear(25, 14), usual(), nn.Linear(14, 5), usual(output=True)), PIXELS
    ),
    "view instead of Flatten": Odd(small(lambda n, x: plain(n, x.view(x.size(0), -1))), PIXELS),
    "Synaptic with its own reset": Odd(
        small(plain, lif=snn.Synaptic(alpha=0.6, beta=0.7, threshold=0.4, init_hidden=True)), PIXELS
    ),
    "graded spikes": Odd(
        stacked(
            *(nn.Linear(25, 14), usual(graded_spikes_factor=0.37), nn.Linear(14, 8)),
            *(usual(threshold=0.2), nn.Linear(8, 5)),
        ),
        PIXELS,
    ),
    "a layer called readout": Odd(
        lambda: Made(
            lambda n, x: n.readout(n.out(n.lif(n.fc(x.flatten(1))))),
            fc=nn.Linear(25, 14, bias=False),
            lif=zeroed(),
            out=nn.Linear(14, 5, bias=False),
            readout=zeroed(beta=0.9, threshold=0.2),
        ),
        PIXELS,
    ),
    "a layer outside ASCII": Odd(
        lambda: Made(
            lambda n, x: n.out(n.überträger(n.fc(x.flatten(1)))),
            fc=nn.Linear(25, 14),
            überträger=zeroed(),
            out=nn.Linear(14, 5),
        ),
        PIXELS,
    ),
    "spikes of two layers added, a bias behind": Odd(
        lambda: Made(
            lambda n, x: added_then_biased(n, x.flatten(1)),
            **{"fc": nn.Linear(25, 14), "mid": nn.Linear(14, 14), "out": nn.Linear(14, 5)},
            **{"a": zeroed(), "b": zeroed(), "c": zeroed()},
        ),
        PIXELS,
    ),
    "the loop over time in forward": Odd(
        lambda: Made(
            looped,
            **{"fc": nn.Linear(25, 14), "out": nn.Linear(14, 5)},
            **{"a": usual(init_hidden=False), "b": usual(init_hidden=False)},
        ),
        PIXELS,
    ),
    "state=None": Odd(Actor, PIXELS),
    "Conv1d over (channels, length)": Odd(
        image(
            *(nn.Conv1d(3, 4, 5, stride=2, padding=2), usual()),
            *(nn.Flatten(), nn.Linear(32, 5), usual()),
        ),
        (3, 16),
    ),
    "an average pool of currents": Odd(
        image(
            *(nn.Conv2d(1, 4, 3, padding=1), nn.AvgPool2d(2), usual()),
            *(nn.Flatten(), nn.Linear(16, 5), usual()),
        ),
        PIXELS,
    ),
    "pool, batch norm, convolution": Odd(
        image(
            *(nn.Conv2d(1, 4, 2), zeroed(), nn.MaxPool2d(2), nn.BatchNorm2d(4)),
            *(nn.Conv2d(4, 3, 2), zeroed(), nn.Flatten(), nn.Linear(3, 5), zeroed()),
        ),
        PIXELS,
    ),
    "a bias above the threshold, default reset": Odd(biased, PIXELS),
    "RSynaptic": Odd(
        stacked(
            nn.Linear(25, 14),
            snn.RSynaptic(alpha=0.8, beta=0.9, linear_features=14, init_hidden=True, threshold=0.4),
            *(nn.Linear(14, 5), usual()),
        ),
        PIXELS,
    ),
    "subtract with reset_delay=False": Odd(
        stacked(
            nn.Linear(25, 14), usual(), nn.Linear(14, 5), usual(threshold=0.5, reset_delay=False)
        ),
        PIXELS,
        refusal="reset_delay=False with 'subtract'.* slots fire otherwise",
    ),
    "a maximum pool of currents": Odd(
        image(
            *(nn.Conv2d(1, 4, 3, padding=1), nn.MaxPool2d(2), usual()),
            *(nn.Flatten(), nn.Linear(16, 5), usual()),
        ),
        PIXELS,
        refusal="module 1: found a maximum pool of currents(.|\n)*--swap-max-pool",
    ),
    "a maximum pool of currents, swapped": Odd(
        image(
            *(nn.Conv2d(1, 4, 3, padding=1), nn.MaxPool2d(2), usual()),
            *(nn.Flatten(), nn.Linear(16, 5), usual()),
        ),
        PIXELS,
        choices={"swap_max_pool": True},
    ),
    "the hidden layer returned first": Odd(
        lambda: Made(
            lambda n, x: (sent := n.a(n.fc(x.flatten(1))), n.b(n.out(sent))),
            **{"fc": nn.Linear(25, 14), "out": nn.Linear(14, 5), "a": usual(), "b": usual()},
        ),
        PIXELS,
        refusal=r"--output output\[1\]",
    ),
    "the membrane returned first": Odd(
        lambda: Made(
            lambda n, x: n.b(n.out(n.a(n.fc(x.flatten(1)))))[::-1],
            **{"fc": nn.Linear(25, 14), "out": nn.Linear(14, 5)},
            **{"a": usual(), "b": usual(output=True)},
        ),
        PIXELS,
        refusal=r"output\[0\]: last membrane of out/b.*output\[1\]: spike count of out/b",
    ),
    "a population code, in groups": Odd(
        stacked(nn.Linear(25, 14), usual(), nn.Linear(14, 20), usual()),
        PIXELS,
        choices={"groups": 5},
    ),
}
