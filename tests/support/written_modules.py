"""snnTorch modules as people write them: loops inside or outside, states kept or handed on, ways to
encode and to answer."""

from typing import Any

import snntorch as snn
import torch
from snntorch import spikegen, surrogate
from torch import Tensor, nn
from torch.nn import functional

STEPS = 6


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
