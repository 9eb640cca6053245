"""Networks that nobody expects: what they do in Python is taken as it acts, or refused: `STRANGE`.

Each is a function of its module and the samples; layers are ``f``, ``g``, ``h``, neurons ``a``,
``b``, ``c``.
"""

import warnings
from collections.abc import Callable
from typing import Any

import snntorch as snn
import torch
from odd_parts import STEPS, Made, Odd, cell, dense, free
from snntorch import surrogate
from strange_parts import (
    Forward,
    Held,
    OwnError,
    Window,
    changing,
    higher,
    higher_in_place,
    pruned,
    stops,
)
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations


def parts() -> dict[str, nn.Module]:
    return {"f": nn.Linear(36, 12), "g": nn.Linear(12, 5), "a": cell(), "b": cell()}


def one_step(step: Callable[[Any, Tensor], Tensor], **more: nn.Module) -> Callable[[], nn.Module]:
    """*step* in a loop; its results stacked."""

    def forward(net: Any, x: Tensor) -> Any:
        return torch.stack([step(net, x) for _ in range(STEPS)])

    return lambda: Made(forward, **{**parts(), **more})


def whole(forward: Forward, **more: nn.Module) -> Callable[[], nn.Module]:
    return lambda: Made(forward, **{**parts(), **more})


def behind(wrapper: Callable[[nn.Module], Any]) -> nn.Module:
    """A layer that *wrapper* took away, in front of a neuron."""
    with warnings.catch_warnings(action="ignore"):
        return nn.Sequential(wrapper(nn.Linear(36, 12)), cell())


def plain(net: Any, x: Tensor) -> Any:
    return net.b(net.g(net.a(net.f(x))))


# ---------------------------------------------------------------- values of several steps


def window_of_spikes(net: Any, x: Tensor) -> Any:
    """The last three steps' spikes are read together."""
    past, out = list[Tensor](), []
    for _ in range(STEPS):
        past.append(net.a(net.f(x)))
        out.append(net.b(net.g(sum(past[-3:]))))
    return torch.stack(out)


def now_and_before(net: Any, x: Tensor) -> Any:
    before, out = torch.zeros(len(x), 12), []
    for _ in range(STEPS):
        sent = net.a(net.f(x))
        out.append(net.b(net.g(sent) + net.g(before)))
        before = sent
    return torch.stack(out)


def trace_of_spikes(net: Any, x: Tensor) -> Any:
    trace, out = torch.zeros(len(x), 12), []
    for _ in range(STEPS):
        trace = 0.5 * trace + net.a(net.f(x))
        out.append(net.b(net.g(trace)))
    return torch.stack(out)


def low_pass_of_the_answer(net: Any, x: Tensor) -> Any:
    answer = torch.zeros(len(x), 5)
    for _ in range(STEPS):
        answer = 0.5 * answer + plain(net, x)
    return answer


def over_frames(order: Callable[[int], list[int]]) -> Forward:
    return lambda net, x: torch.stack([plain(net, x[:, t]) for t in order(x.shape[1])])


def differences(net: Any, x: Tensor) -> Any:
    return torch.stack([plain(net, x[:, t] - x[:, t - 1]) for t in range(1, x.shape[1])])


def two_codes(net: Any, x: Tensor) -> Any:
    """Two things are made of the samples in every step; a chip has one input."""

    def current() -> Any:
        return net.f(torch.bernoulli(x)) + net.h((x > 0.5).float())

    return torch.stack([net.b(net.g(net.a(current()))) for _ in range(STEPS)])


def called_twice(net: Any, x: Tensor) -> Any:
    return net.b(net.g(net.a(net.f(x)) + net.a(net.f(x))))


def partly_reset(net: Any, x: Tensor) -> Any:
    net.a.reset_mem()
    return torch.stack([plain(net, x) for _ in range(STEPS)])


# ---------------------------------------------------------------- ways to say a layer


def by_einsum(net: Any, x: Tensor) -> Any:
    return net.b(torch.einsum("bi,oi->bo", net.a(net.f(x)), net.g.weight))


def by_functional_call(net: Any, x: Tensor) -> Any:
    stronger = {name: 1.5 * p for name, p in net.f.named_parameters()}
    return net.b(net.g(net.a(torch.func.functional_call(net.f, stronger, (x,)))))


def by_vmap(net: Any, x: Tensor) -> Any:
    return net.b(net.g(net.a(torch.vmap(net.f)(x))))


def with_inference_mode(net: Any, x: Tensor) -> Any:
    with torch.inference_mode():
        return torch.stack([plain(net, x) for _ in range(STEPS)])


def silent_is_one(net: Any, x: Tensor) -> Any:
    return net.b(net.g(1 - net.a(net.f(x))))


def sparse(net: Any, x: Tensor) -> Any:
    return net.b(torch.sparse.mm(net.g.weight.to_sparse(), net.a(net.f(x)).T).T)


def clamped(net: Any, x: Tensor) -> Any:
    """Bounds that no current reaches."""
    return net.b(net.g(net.a(net.f(x).clamp(-1e6, 1e6))))


def never_taken(net: Any, x: Tensor) -> Any:
    sent = net.a(net.f(x))
    return net.b(net.g(sent if sent.sum() < 1e9 else sent * 0))


def winner(net: Any, x: Tensor) -> Any:
    sent = net.a(net.f(x))
    best = torch.zeros_like(sent).scatter_(1, sent.topk(3, 1)[1], 1.0)
    return net.b(net.g(sent * best))


def learning(net: Any, x: Tensor) -> Any:
    """Hebb, in every step, put back at the end."""
    before = net.f.weight.detach().clone()
    out = []
    for _ in range(STEPS):
        net.f.weight.data.mul_(0.8)
        out.append(plain(net, x))
    net.f.weight.data.copy_(before)
    return torch.stack(out)


def largest(net: Any, x: Tensor) -> Any:
    total: Any = sum(plain(net, x) for _ in range(STEPS))
    return total.argmax(1)


def spiking_lstm(net: Any, x: Tensor) -> Any:
    syn, mem = net.c.init_slstm()
    sent, syn, mem = net.c(x, syn, mem)
    return net.b(net.g(sent))


def attention(net: Any, x: Tensor) -> Any:
    mixed, _ = net.h(x, x, x)
    return net.b(net.g(net.a(mixed.flatten(1))))


def up_again(net: Any, x: Tensor) -> Any:
    wide = net.a(net.f(x))
    both = torch.cat([wide, net.h(net.b(net.g(wide)))], 1)
    return net.c(net.last(both))


FRAMES: dict[str, Any] = {"shape": (STEPS, 36), "frames": False}  # axis 1 is time to the author
IMAGE = (3, 8, 8)
WRAPPED = surrogate.custom_surrogate(lambda v, grad, sent: grad * (v.abs() < 0.5).float())
STRANGE: dict[str, Odd] = {
    "spikes of the last three steps": Odd(whole(window_of_spikes)),
    "spikes of this step and the last": Odd(whole(now_and_before)),
    "a trace of all spikes": Odd(whole(trace_of_spikes), refusal="module b: .* that differ"),
    "a low-pass of the answer": Odd(whole(low_pass_of_the_answer), refusal="an output whose steps"),
    "frames backwards": Odd(whole(over_frames(lambda n: list(range(n))[::-1])), **FRAMES),
    "every second frame": Odd(whole(over_frames(lambda n: list(range(0, n, 2)))), **FRAMES),
    "each frame twice": Odd(whole(over_frames(lambda n: [t // 2 for t in range(2 * n)])), **FRAMES),
    "all but the first frame": Odd(whole(over_frames(lambda n: list(range(1, n)))), **FRAMES),
    "differences of frames": Odd(whole(differences), refusal="a frame of a later step", **FRAMES),
    "two codes of the samples": Odd(
        whole(two_codes, h=nn.Linear(36, 12)), refusal="12 values made of the samples .* 6 steps"
    ),
    "a neuron called twice in a step": Odd(
        one_step(called_twice), refusal="module a: .* another call of the same neuron"
    ),
    "one neuron is reset": Odd(whole(partly_reset)),
    "einsum": Odd(one_step(by_einsum)),
    "functional_call": Odd(one_step(by_functional_call)),
    "vmap": Odd(one_step(by_vmap)),
    "inference mode": Odd(whole(with_inference_mode)),
    "silence is 1": Odd(one_step(silent_is_one)),
    "a sparse matrix": Odd(one_step(sparse), refusal="module b: found samples and features"),
    "a clamp that is never reached": Odd(one_step(clamped), refusal="forward: found a clamp"),
    "a branch that is never taken": Odd(one_step(never_taken), refusal="a branch on data"),
    "the best three": Odd(one_step(winner), refusal="forward: found the operation topk"),
    "learning while it runs": Odd(
        whole(learning), refusal="your snnTorch module .a: sample 0, step 2"
    ),
    "the class itself": Odd(whole(largest), refusal="output: found argmax"),
    "neurons in a plain list": Odd(
        lambda: Held(made_late=False), refusal="no spiking neuron(.|\n)*nn.ModuleList"
    ),
    "neurons made in forward": Odd(
        lambda: Held(made_late=True), refusal="no neuron of the module that is called"
    ),
    "an error of its own class": Odd(
        whole(stops(OwnError("no"))), refusal="raised by your module: OwnError: no"
    ),
    "an exit": Odd(whole(stops(SystemExit(3))), refusal="raised by your module: SystemExit: 3"),
    "a window for the spike": Odd(
        lambda: dense(cell(spike_grad=Window.apply)), refusal="module 1: found a spike_grad whose"
    ),
    "a surrogate of its own": Odd(lambda: dense(cell(spike_grad=WRAPPED))),
    "a rising threshold": Odd(changing(higher), refusal="other constants of the neuron"),
    "a threshold raised in place": Odd(
        changing(higher_in_place), refusal="other constants of the neuron"
    ),
    "pruned weights": Odd(pruned),
    "spectral norm": Odd(
        lambda: nn.Sequential(
            parametrizations.spectral_norm(nn.Linear(36, 12)), cell(), nn.Linear(12, 5), cell()
        )
    ),
    "SLSTM": Odd(
        one_step(spiking_lstm, c=snn.SLSTM(36, 12)), refusal="module c: found SLSTM, whose gates"
    ),
    "attention": Odd(
        one_step(attention, h=nn.MultiheadAttention(12, 2, batch_first=True), g=nn.Linear(36, 5)),
        (3, 12),
        refusal="module a: .*h, MultiheadAttention",
    ),
    "instance norm": Odd(
        lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.InstanceNorm2d(4), cell()),
        IMAGE,
        refusal="module 2: .*1, InstanceNorm2d",
    ),
    "group norm": Odd(
        lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4), cell()),
        IMAGE,
        refusal="module 1: found GroupNorm",
    ),
    "a volume": Odd(
        lambda: nn.Sequential(
            nn.Conv3d(2, 3, 3, padding=1), cell(), nn.Flatten(), nn.Linear(192, 5), cell()
        ),
        (2, 4, 4, 4),
    ),
    "down and up again": Odd(
        one_step(
            up_again,
            f=nn.Conv2d(3, 4, 3, padding=1),
            g=nn.Conv2d(4, 6, 3, stride=2, padding=1),
            h=nn.ConvTranspose2d(6, 4, 2, stride=2),
            last=nn.Conv2d(8, 2, 1),
            c=cell(),
        ),
        IMAGE,
    ),
    "up with overlaps": Odd(
        lambda: nn.Sequential(
            nn.Conv2d(3, 4, 3, stride=2, padding=1),
            cell(),
            nn.ConvTranspose2d(4, 2, 3, stride=2, padding=1, output_padding=1),
            nn.BatchNorm2d(2),
            cell(),
        ),
        IMAGE,
    ),
    "states of another shape": Odd(
        lambda: Made(
            lambda net, x: net.a(net.f(x), torch.ones(1, 12))[0], f=nn.Linear(36, 12), a=free()
        )
    ),
    "layers over layers": Odd(
        lambda: nn.Sequential(
            nn.Linear(36, 12), nn.Sequential(cell(), nn.Sequential(nn.Linear(12, 5), cell()))
        )
    ),
    "a product with factors of its own": Odd(
        one_step(
            lambda net, x: net.b(
                net.g(net.a(torch.addmm(net.f.bias, x, net.f.weight.t(), beta=0.5, alpha=2)))
            )
        )
    ),
    "a product beside an offset that is not read": Odd(
        one_step(
            lambda net, x: net.b(
                net.g(net.a(torch.addmm(net.f.bias * torch.nan, x, net.f.weight.t(), beta=0)))
            )
        )
    ),
    "weights times samples": Odd(
        one_step(lambda net, x: net.b(net.g(net.a((net.f.weight @ x.t()).t())))),
        refusal="samples and features in one axis",
    ),
    "mirrored and repeated borders": Odd(
        lambda: nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect"),
            cell(),
            nn.Conv2d(4, 2, 3, padding=1, padding_mode="replicate"),
            cell(),
        ),
        IMAGE,
    ),
    "borders that meet": Odd(
        lambda: nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1, padding_mode="circular"), cell(), nn.Flatten()
        ),
        IMAGE,
        refusal="module 0: found padding_mode='circular'",
    ),
    "a compiled part": Odd(
        lambda: behind(torch.compile),
        refusal="module 0: found a module behind torch.compile",
    ),
    "a scripted part": Odd(
        lambda: behind(torch.jit.script),
        refusal="module 0: found TorchScript, whose code does not run in Python",
    ),
    "softmax of every step": Odd(
        one_step(lambda net, x: functional.softmax(plain(net, x), -1)), refusal="found a softmax"
    ),
}
