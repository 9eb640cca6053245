"""snnTorch networks in the forms in which people write them, small: `WRITTEN` by name.

Each has the samples that it takes, and either deploys (its neurons fire as the FloatNetwork's do)
or is refused in words that a user can act on.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import snntorch as snn
import torch
from snntorch import spikegen, surrogate
from snntorch.functional import quant
from torch import Tensor, nn
from torch.nn import functional

STEPS = 6


@dataclass(frozen=True)
class Written:
    """One network: samples (N, *shape), or frames where ``frames``; the choices a user makes;
    ``refusal``: a part of the message, None where it deploys; ``kind``: for the table."""

    kind: str
    build: Callable[[], nn.Module]
    shape: tuple[int, ...]
    frames: bool = False
    refusal: str | None = None
    choices: dict[str, Any] = field(default_factory=dict)
    swaps: bool = False  # deploys with its maximum pools swapped

    @property
    def samples(self) -> tuple[int, ...]:
        """The shape of one sample."""
        return (STEPS, *self.shape) if self.frames else self.shape


def held(**options: Any) -> snn.Leaky:
    """A Leaky that keeps its own state."""
    settings = {
        "beta": 0.6,
        "threshold": 0.5,
        "init_hidden": True,
        "spike_grad": surrogate.fast_sigmoid(),
    }
    return snn.Leaky(**{**settings, **options})


class Looping(nn.Module):
    """Two layers, the loop over time inside, both records returned."""

    def __init__(self, beta: float | Tensor = 0.9, inputs: int = 36, **options: Any) -> None:
        super().__init__()
        self.hidden, self.answer = nn.Linear(inputs, 24), nn.Linear(24, 10)
        self.spiking1 = snn.Leaky(beta=0.8, **options)
        self.spiking2 = snn.Leaky(beta=beta, learn_beta=isinstance(beta, Tensor), **options)

    def forward(self, image: Tensor) -> Any:
        first, second = self.spiking1.init_leaky(), self.spiking2.init_leaky()
        spikes, membranes = [], []
        for _ in range(STEPS):
            sent, first = self.spiking1(self.hidden(image.flatten(1)), first)
            out, second = self.spiking2(self.answer(sent), second)
            spikes.append(out)
            membranes.append(second)
        return torch.stack(spikes, dim=0), torch.stack(membranes, dim=0)


class TimeFirst(Looping):
    """Spike trains (steps, samples, inputs)."""

    def forward(self, image: Tensor) -> Any:
        trains = image
        first, second = self.spiking1.reset_mem(), self.spiking2.reset_mem()
        spikes = []
        for t in range(trains.size(0)):
            sent, first = self.spiking1(self.hidden(trains[t]), first)
            out, second = self.spiking2(self.answer(sent), second)
            spikes.append(out)
        return torch.stack(spikes)


class BatchFirst(Looping):
    """Spike trains (samples, steps, inputs), counted inside."""

    def forward(self, image: Tensor) -> Any:
        trains = image
        first, second = self.spiking1.reset_mem(), self.spiking2.reset_mem()
        count = torch.zeros(len(trains), 10)
        for t in range(trains.shape[1]):
            sent, first = self.spiking1(self.hidden(trains[:, t]), first)
            out, second = self.spiking2(self.answer(sent), second)
            count = count + out
        return count


class Encoding(Looping):
    """A random encoder inside."""

    def forward(self, image: Tensor) -> Any:
        trains = spikegen.rate(image, num_steps=STEPS)
        first, second = self.spiking1.init_leaky(), self.spiking2.init_leaky()
        spikes = []
        for step in range(STEPS):
            frame = trains[step].reshape(trains[step].shape[0], -1)
            sent, first = self.spiking1(self.hidden(frame), first)
            out, second = self.spiking2(self.answer(sent), second)
            spikes.append(out)
        return torch.stack(spikes)


class Filled(Looping):
    """Records in buffers that are filled step by step; the last membrane is returned too."""

    def forward(self, image: Tensor) -> Any:
        first, second = torch.zeros(len(image), 24), torch.zeros(len(image), 10)
        record = torch.zeros(len(image), STEPS, 10)
        for t in range(STEPS):
            sent, first = self.spiking1(self.hidden(image), first)
            record[:, t], second = self.spiking2(self.answer(sent), second)
        return record.sum(1) / STEPS


class Attributes(nn.Module):
    """One step; the membranes are attributes of the module."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.cell = nn.Linear(36, 10), snn.Leaky(beta=0.85)
        self.membrane = self.cell.init_leaky()

    def forward(self, image: Tensor) -> Any:
        spikes, self.membrane = self.cell(self.layer(image), self.membrane)
        return spikes


class Handed(nn.Module):
    """Synaptic layers, their states as arguments and results."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(36, 24), nn.Linear(24, 10)
        self.cell1, self.cell2 = (snn.Synaptic(alpha=0.7, beta=0.85) for _ in range(2))

    def forward(self, x: Tensor, s1: Tensor, m1: Tensor, s2: Tensor, m2: Tensor) -> Any:
        sent, s1, m1 = self.cell1(self.one(x), s1, m1)
        out, s2, m2 = self.cell2(self.two(sent), s2, m2)
        return out, s1, m1, s2, m2


class Agent(nn.Module):
    """An actor: ``state=None`` at first, a linear head."""

    def __init__(self) -> None:
        super().__init__()
        self.look, self.think, self.act = nn.Linear(8, 24), nn.Linear(24, 24), nn.Linear(24, 4)
        self.cell1, self.cell2 = snn.Leaky(beta=0.9), snn.Leaky(beta=0.9)

    def forward(self, seen: Tensor, state: Any = None) -> Any:
        if state is None:
            state = self.cell1.init_leaky(), self.cell2.init_leaky()
        sent, m1 = self.cell1(self.look(seen), state[0])
        sent, m2 = self.cell2(self.think(sent), state[1])
        return self.act(sent), (m1.detach(), m2.detach())


class Regression(nn.Module):
    """A membrane that never resets is the answer; one value per step comes in."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(1, 16), nn.Linear(16, 1)
        self.cell = snn.Leaky(beta=torch.rand(16), threshold=torch.rand(16) + 0.1)
        self.meter = snn.Leaky(beta=torch.rand(1), reset_mechanism="none")

    def forward(self, series: Tensor) -> Any:
        m1, m2, seen = self.cell.init_leaky(), self.meter.init_leaky(), []
        for t in range(series.size(0)):
            sent, m1 = self.cell(self.inner(series[t]), m1)
            _, m2 = self.meter(self.outer(sent), m2)
            seen.append(m2)
        return torch.stack(seen)


class Recurrent(nn.Module):
    """Every neuron of a layer sends to every other."""

    def __init__(self, cell: type[Any] = snn.RLeaky, **options: Any) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(36, 20), nn.Linear(20, 10)
        self.cell1 = cell(beta=0.8, linear_features=20, init_hidden=True, **options)
        self.cell2 = cell(beta=0.8, linear_features=10, init_hidden=True, **options)

    def forward(self, image: Tensor) -> Any:
        return self.cell2(self.two(self.cell1(self.one(image.flatten(1)))))


class RecurrentLoop(Recurrent):
    """The same in a loop, with spikes and membranes handed on."""

    def __init__(self) -> None:
        super().__init__()
        self.cell1 = snn.RLeaky(beta=0.8, linear_features=20)
        self.cell2 = snn.RLeaky(beta=0.8, linear_features=10)

    def forward(self, image: Tensor) -> Any:
        (s1, m1), (s2, m2), out = self.cell1.init_rleaky(), self.cell2.init_rleaky(), []
        for _ in range(STEPS):
            s1, m1 = self.cell1(self.one(image.flatten(1)), s1, m1)
            s2, m2 = self.cell2(self.two(s1), s2, m2)
            out.append(s2)
        return torch.stack(out)


class SignLinear(nn.Linear):
    """Weights of one bit."""

    def forward(self, input: Tensor) -> Tensor:
        return functional.linear(input, self.weight.sign(), self.bias)


class SignConv(nn.Conv2d):
    """Kernels of one bit."""

    def forward(self, input: Tensor) -> Tensor:
        found: Tensor = self._conv_forward(input, self.weight.sign(), self.bias)
        return found


class Residual(nn.Module):
    """Two convolutions with batch norm, and a skip that may shrink."""

    def __init__(self, inner: int, outer: int, stride: int = 1) -> None:
        super().__init__()
        self.a = nn.Conv2d(inner, outer, 3, stride, 1, bias=False)
        self.b = nn.Conv2d(outer, outer, 3, 1, 1, bias=False)
        self.norm_a, self.norm_b = nn.BatchNorm2d(outer), nn.BatchNorm2d(outer)
        self.cell_a, self.cell_b = held(), held()
        same = stride == 1 and inner == outer
        shrink = (nn.Conv2d(inner, outer, 1, stride, bias=False), nn.BatchNorm2d(outer))
        self.skip = nn.Sequential() if same else nn.Sequential(*shrink)

    def forward(self, x: Tensor) -> Any:
        inner = self.cell_a(self.norm_a(self.a(x)))
        return self.cell_b(self.norm_b(self.b(inner)) + self.skip(x))


class ResNet(nn.Module):
    """Stem, two blocks, a pool over the whole image, a linear head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm, self.cell = nn.Conv2d(3, 4, 3, 1, 1), nn.BatchNorm2d(4), held()
        self.body = nn.Sequential(Residual(4, 4), Residual(4, 8, 2))
        self.pool, self.head = nn.AdaptiveAvgPool2d(1), nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Any:
        x = self.body(self.cell(self.norm(self.stem(x))))
        return self.head(torch.flatten(self.pool(x), 1))


class SpikesAdded(nn.Module):
    """Spikes of two layers added in front of a layer with a bias."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(2, 4, 3, 1, 1), nn.Conv2d(4, 4, 3, 1, 1)
        self.cell_a, self.cell_b, self.cell_c = held(), held(), held()
        self.last = nn.Linear(4 * 36, 10)
        nn.init.constant_(self.last.bias, 0.4)

    def forward(self, x: Tensor) -> Any:
        first = self.cell_a(self.a(x))
        both = self.cell_b(self.b(first)) + first
        return self.cell_c(self.last(both.flatten(1)))


class PoolFunctions(nn.Module):
    """Functions in place of modules, and a view."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(1, 3, 3, 1, 1), nn.Linear(3 * 9, 10)
        self.cell1, self.cell2 = held(), held(output=True)

    def forward(self, x: Tensor) -> Any:
        x = functional.avg_pool2d(self.conv(x), kernel_size=2, stride=2)
        x = functional.dropout(x.view(-1, 27), 0.3, self.training)
        return self.cell2(self.fc(self.cell1(x)))


class Listed(nn.Module):
    """Depth from a ModuleList."""

    def __init__(self) -> None:
        super().__init__()
        widths = [36, 20, 20, 10]
        pairs = zip(widths, widths[1:], strict=False)
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairs)
        self.cells = nn.ModuleList(held() for _ in widths[1:])

    def forward(self, x: Tensor) -> Any:
        for layer, cell in zip(self.layers, self.cells, strict=True):
            x = cell(layer(x.flatten(1)))
        return x


class BothLayers(Looping):
    """One step that returns the spikes of both layers."""

    def forward(self, image: Tensor) -> Any:
        first, _ = self.spiking1(self.hidden(image.flatten(1)))
        second, _ = self.spiking2(self.answer(first))
        return first, second


class Gesture(nn.Module):
    """Event frames; pool between layer and neuron; dropout; (spikes, membrane)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = (
            nn.Conv2d(2, 4, 3, padding="same"),
            nn.Conv2d(4, 4, 3, padding="same"),
        )
        self.pool, self.drop, self.fc = nn.MaxPool2d(2), nn.Dropout(0.4), nn.Linear(4 * 4, 10)
        self.cell1, self.cell2, self.cell3 = held(), held(), held(output=True)

    def forward(self, frame: Tensor) -> Any:
        x = self.cell1(self.pool(self.conv1(frame)))
        x = self.cell2(self.pool(self.conv2(x)))
        return self.cell3(self.drop(self.fc(x.flatten(1))))


class AllSteps(nn.Module):
    """A layer of snnTorch that takes all steps at once."""

    def __init__(self) -> None:
        super().__init__()
        self.a = snn.LeakyParallel(36, 20, beta=0.8)
        self.b = snn.LeakyParallel(20, 10, beta=0.8)

    def forward(self, trains: Tensor) -> Any:
        return self.b(self.a(trains.flatten(2)))


def quantised() -> nn.Module:
    grid = quant.state_quant(num_bits=6, uniform=True, threshold=1.0)
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 10), held(state_quant=grid))


def conv_pool() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.MaxPool2d(2),
        held(),
        nn.Flatten(),
        nn.Linear(16, 10),
        held(output=True),
    )


def events() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 4, 3),
        held(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(36, 10),
        held(output=True),
    )


def averaged() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.AvgPool2d(2),
        nn.BatchNorm2d(4),
        held(),
        nn.Conv2d(4, 6, 2),
        held(),
        nn.Flatten(),
        nn.Linear(24, 10),
        held(output=True),
    )


def one_bit() -> nn.Module:
    return nn.Sequential(
        SignConv(1, 4, 3, padding="same", bias=False),
        nn.BatchNorm2d(4),
        held(threshold=1.5),
        nn.AvgPool2d(2),
        nn.Flatten(),
        SignLinear(36, 10),
        held(threshold=3.0, output=True),
    )


def line() -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(6, 8, 5, stride=2, padding=2),
        held(),
        nn.Conv1d(8, 8, 3, stride=2, padding=1),
        held(),
        nn.Flatten(),
        nn.Linear(64, 6),
        held(output=True),
    )


def widened() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 3, 3, stride=2, padding=1),
        held(),
        nn.Upsample(scale_factor=2),
        nn.Conv2d(3, 2, 3, padding=1),
        held(),
    )


def flat(cell: Callable[..., nn.Module], **options: Any) -> Callable[[], nn.Module]:
    """Linear, the neuron, Linear, a Leaky."""
    return lambda: nn.Sequential(
        nn.Flatten(),
        nn.Linear(36, 20),
        cell(init_hidden=True, **options),
        nn.Linear(20, 10),
        held(),
    )


IMAGE = (1, 6, 6)
WRITTEN: dict[str, Written] = {
    "loop inside, two records": Written("loop", Looping, (36,)),
    "loop inside, flatten, learned beta": Written("loop", lambda: Looping(torch.rand(10)), IMAGE),
    "trains, time first": Written("frames", TimeFirst, (36,), frames=True),
    "trains, samples first, counted": Written("frames", BatchFirst, (36,), frames=True),
    "encoder inside": Written("encoder", Encoding, (36,)),
    "buffers filled, mean": Written("loop", Filled, (36,)),
    "states as attributes": Written("one step", Attributes, (36,)),
    "states as arguments": Written("one step", Handed, (36,)),
    "state=None, linear head": Written("one step", Agent, (8,)),
    "membrane regression": Written("frames", Regression, (1,), frames=True),
    "recurrent layers": Written("recurrent", Recurrent, IMAGE),
    "recurrent layers in a loop": Written("recurrent", RecurrentLoop, IMAGE),
    "RSynaptic": Written("recurrent", lambda: Recurrent(snn.RSynaptic, alpha=0.6), IMAGE),
    "weights of one bit": Written("convolution", one_bit, IMAGE),
    "residual blocks": Written("convolution", ResNet, (3, 8, 8)),
    "spikes added, bias behind": Written("convolution", SpikesAdded, (2, 6, 6)),
    "average pool, then norm": Written("convolution", averaged, (1, 8, 8)),
    "functions and a view": Written("convolution", PoolFunctions, IMAGE),
    "convolution over a line": Written("convolution", line, (6, 32)),
    "nearest upsampling": Written("convolution", widened, IMAGE),
    "pool behind the neuron": Written("convolution", events, (2, 8, 8), frames=True),
    "ModuleList": Written("one step", Listed, IMAGE),
    "Lapicque": Written("neuron", flat(snn.Lapicque, R=1, C=5, time_step=1), IMAGE),
    "Synaptic": Written("neuron", flat(snn.Synaptic, alpha=0.7, beta=0.8), IMAGE),
    "population code": Written(
        "output",
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(36, 20), held(), nn.Linear(20, 50), held()),
        IMAGE,
        choices={"groups": 10},
    ),
    "both layers returned": Written(
        "output", BothLayers, IMAGE, refusal="several that can be meant"
    ),
    "both layers returned, asked": Written(
        "output", BothLayers, IMAGE, choices={"output": "output[1]"}
    ),
    "pool in front of the neuron": Written(
        "convolution", conv_pool, IMAGE, refusal="maximum pool of currents", swaps=True
    ),
    "pools in front, event frames": Written(
        "convolution",
        Gesture,
        (2, 8, 8),
        frames=True,
        refusal="maximum pool of currents",
        swaps=True,
    ),
    "LayerNorm": Written(
        "neuron",
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(36, 20), nn.LayerNorm(20), held()),
        IMAGE,
        refusal="module 2: found LayerNorm",
    ),
    "Alpha": Written("neuron", flat(snn.Alpha, alpha=0.9, beta=0.8), IMAGE, refusal="Alpha"),
    "state_quant": Written("neuron", quantised, IMAGE, refusal="module 2: found state_quant"),
    "sigma-delta": Written(
        "neuron", flat(snn.DeltaLeaky, beta=0.9), IMAGE, refusal="raised by your module: TypeError"
    ),
    "StateLeaky": Written(
        "neuron",
        lambda: nn.Sequential(nn.Linear(36, 20), snn.StateLeaky(beta=0.9, channels=20)),
        (36,),
        refusal="raised by your module: ValueError",
    ),
    "LeakyParallel": Written("neuron", AllSteps, (36,), frames=True, refusal="LeakyParallel"),
}


def lively(module: nn.Module, seed: int = 0) -> nn.Module:
    """*module* in inference mode, with weights under which its neurons fire."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, nn.modules.batchnorm._BatchNorm) and part.running_var is not None:
                assert part.running_mean is not None
                part.running_mean.normal_(0, 0.2, generator=generator)
                part.running_var.uniform_(0.2, 0.8, generator=generator)
        for parameter in module.parameters():
            if parameter.dim() > 1:
                fan_in = parameter[0].numel()
                parameter.normal_(0, 3.5 * fan_in**-0.5, generator=generator)
    return module.eval()


def by_hand(
    written: Written, module: nn.Module, samples: Tensor, seed: int = 0
) -> dict[str, float]:
    """Spikes of every neuron layer, counted by hooks in a run as its author would do it."""
    counted: dict[str, float] = {}

    def count(path: str) -> Callable[..., None]:
        def hook(_: nn.Module, given: Any, sent: Any) -> None:
            spikes = sent[0] if isinstance(sent, tuple) else sent
            counted[path] = counted.get(path, 0.0) + float((spikes != 0).sum())

        return hook

    hooks = [
        part.register_forward_hook(count(path))
        for path, part in module.named_modules()
        if isinstance(part, snn.SpikingNeuron)
    ]
    for part in module.modules():
        if isinstance(part, snn.SpikingNeuron):
            reset: Any = part.reset_mem
            reset()
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        _as_its_author(written, module, samples)
    for hook in hooks:
        hook.remove()
    return counted


def _as_its_author(written: Written, module: nn.Module, samples: Tensor) -> None:
    looping = isinstance(module, Looping) and not isinstance(module, BothLayers)
    if isinstance(module, TimeFirst | Regression):
        module(samples.transpose(0, 1))
    elif looping or isinstance(module, RecurrentLoop):
        module(samples)
    elif written.frames:
        for t in range(STEPS):
            module(samples[:, t])
    elif isinstance(module, Handed):
        states = [torch.zeros(len(samples), n) for n in (24, 24, 10, 10)]
        for _ in range(STEPS):
            _, *states = module(samples, *states)
    elif isinstance(module, Agent):
        state = None
        for _ in range(STEPS):
            _, state = module(samples, state)
    else:
        for _ in range(STEPS):
            module(samples)
