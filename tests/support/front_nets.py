"""Modules as their authors write them, for the commands and for ``tssd.export``."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import snntorch as snn
import torch
from snntorch import spikegen
from torch import Tensor, nn

STEPS = 6
Pixels = npt.NDArray[np.uint8]


def leaky(**options: object) -> snn.Leaky:
    settings: dict[str, object] = {"beta": 0.8, "threshold": 0.4, **options}
    return snn.Leaky(**settings)


class Looped(nn.Module):
    """The loop over time inside; every spike and membrane of the last layer stacked."""

    def __init__(self, outputs: int = 3) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.fc1, self.lif1 = nn.Linear(16, 12), leaky()
        self.fc2, self.lif2 = nn.Linear(12, outputs), leaky()

    def states(self) -> tuple[Tensor, Tensor]:
        return self.lif1.init_leaky(), self.lif2.init_leaky()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mem1, mem2 = self.states()
        spikes, membranes = [], []
        for _ in range(STEPS):
            spk1, mem1 = self.lif1(self.fc1(x.flatten(1)), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            spikes.append(spk2)
            membranes.append(mem2)
        return torch.stack(spikes), torch.stack(membranes)


class Encoded(Looped):
    """Samples become random spikes inside forward."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mem1, mem2 = self.states()
        spikes, frames = [], spikegen.rate(x, num_steps=STEPS)
        for t in range(STEPS):
            spk1, mem1 = self.lif1(self.fc1(frames[t].flatten(1)), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            spikes.append(spk2)
        return torch.stack(spikes), mem2


class Series(nn.Module):
    """One step per call over (channels, length)."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.conv, self.lif = nn.Conv1d(2, 3, 3, padding=1), leaky(init_hidden=True)
        self.fc, self.out = nn.Linear(24, 3), leaky(init_hidden=True)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.out(self.fc(self.lif(self.conv(x)).flatten(1)))
        return out


class Pooled(nn.Module):
    """Maximum pooling of currents, as tutorials write it."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.conv, self.lif = nn.Conv2d(1, 4, 3, padding=1), leaky(init_hidden=True)
        self.pool, self.fc, self.out = nn.MaxPool2d(2), nn.Linear(16, 3), leaky(init_hidden=True)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.out(self.fc(self.lif(self.pool(self.conv(x))).flatten(1)))
        return out


class Hooked(Looped):
    """A forward hook halves a layer's currents."""

    def __init__(self) -> None:
        super().__init__()

        def halved(_: nn.Module, __: Any, y: Any) -> Any:
            return y * 0.5

        self.fc1.register_forward_hook(halved)


class Counted(nn.Module):
    """One step per call, and a counter in Python: the third call forgets."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.fc, self.lif = nn.Linear(16, 3), leaky(init_hidden=True)
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        if self.calls % 3 == 0:
            self.lif.reset_mem()
        out: Tensor = self.lif(self.fc(x.flatten(1)))
        return out


class TwoLayers(nn.Module):
    """One step per call; returns the spikes of both layers."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.fc1, self.readout = nn.Linear(16, 8), leaky(init_hidden=True)
        self.fc2, self.überträger = nn.Linear(8, 3), leaky(init_hidden=True)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        spikes = self.readout(self.fc1(x.flatten(1)))
        return spikes, self.überträger(self.fc2(spikes))


class Raising(Looped):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        raise KeyError("no such layer")


class Noisy(Looped):
    """Random numbers between the layers."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mem1, mem2 = self.states()
        spikes = []
        for _ in range(STEPS):
            spk1, mem1 = self.lif1(self.fc1(x.flatten(1)), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1 * torch.rand_like(spk1)), mem2)
            spikes.append(spk2)
        return torch.stack(spikes), mem2


class Silent(Looped):
    def forward(self, x: Tensor) -> None:  # type: ignore[override]
        super().forward(x)


def population() -> nn.Module:
    """Three classes of four neurons each."""
    return Looped(12)


def needs_an_argument(size: int) -> nn.Module:
    return Looped(size)


def samples(count: int = 24) -> Pixels:
    """Images (N, 1, 4, 4)."""
    return np.random.default_rng(0).integers(0, 256, (count, 1, 4, 4)).astype(np.uint8)


def classes(module: nn.Module, images: Pixels, groups: int | None = None) -> Iterator[int]:
    """What the module itself answers: the class with most spikes over the steps."""
    with torch.no_grad():
        counts = module(torch.tensor(images) / 255)[0].sum(0)
    if groups is not None:
        counts = counts.reshape(len(images), groups, -1).sum(2)
    yield from counts.argmax(1).tolist()
