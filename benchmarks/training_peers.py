"""The networks of ``benchmarks.training_speed`` as its peers run them.

snnTorch: a straight loop over the steps, ``snntorch.Leaky`` after each layer, as its tutorials
write it. SpikingJelly 2.0: its multi-step mode, all steps of a layer at once, CPU back end. It is
fetched by pip into a folder of its own without its dependencies (which would replace torch), with
the two small ones that it imports. Both share the weights' shapes, batch normalisation, pooling,
loss and optimizer; SpikingJelly's neuron is the same recurrence, snnTorch's resets a step late.
"""

import subprocess
import sys
from pathlib import Path
from typing import Any

import snntorch
import torch
from snntorch import surrogate
from torch import Tensor, nn

from tssd.train.networks.models import WEAK
from tssd.train.networks.network import READOUT, SpikingNet, StageLink

SPIKINGJELLY = ("spikingjelly==2.0.0", "loguru==0.7.3", "tqdm")
PEERS = Path.home() / ".cache" / "tssd-peers"


def boxcar(x: Tensor, gradient: Tensor, spikes: Tensor) -> Tensor:
    """The rectangular surrogate of width 1."""
    return gradient * (x.abs() < 0.5).float()


class Peer(nn.Module):
    """The layers of a SpikingNet without skips, for a peer's neurons."""

    def __init__(self, net: SpikingNet) -> None:
        super().__init__()
        self.order = [(spec.name, spec.spiking, spec.pool) for spec in net.specs]
        self.sources: dict[str, tuple[str, int]] = {}
        self.weights, self.norms = nn.ModuleDict(), nn.ModuleDict()
        for spec in net.specs:
            link = net.stage(spec.name).links[0]
            if not isinstance(link, StageLink):
                raise TypeError(spec.name)
            self.sources[spec.name] = (link.source, link.pool)
            self.weights[spec.name] = link.weights
            if link.norm is not None:
                self.norms[spec.name] = link.norm
        self.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]

    def drive(self, name: str, emitted: dict[str, Tensor]) -> Tensor:
        """The current into *name* for rows of samples."""
        source, pool = self.sources[name]
        x = emitted[source]
        x = nn.functional.avg_pool2d(x, pool) if pool > 1 else x
        weights = self.weights[name]
        driven: Tensor = weights(x.flatten(1) if isinstance(weights, nn.Linear) else x)
        return self.norms[name](driven) if name in self.norms else driven


class Stepwise(Peer):
    """snnTorch: for each step, all layers."""

    def __init__(self, net: SpikingNet) -> None:
        super().__init__(net)
        gradient = surrogate.custom_surrogate(boxcar)
        self.neurons = nn.ModuleDict(
            {
                name: snntorch.Leaky(beta=0.5, threshold=1.0, spike_grad=gradient)
                for name, spiking, _ in self.order
                if spiking
            }
        )

    def forward(self, images: Tensor, steps: int) -> dict[str, Tensor]:
        membranes = {name: images.new_zeros(1) for name in self.neurons}
        record: dict[str, list[Tensor]] = {READOUT: [], WEAK: []}
        for _ in range(steps):
            emitted = {"input": images}
            for name, spiking, pool in self.order:
                x = self.drive(name, emitted)
                if not spiking:
                    record[name].append(x)
                    continue
                spikes, membranes[name] = self.neurons[name](x, membranes[name])
                emitted[name] = nn.functional.avg_pool2d(spikes, pool) if pool > 1 else spikes
        return {name: torch.stack(outputs) for name, outputs in record.items()}


def spikingjelly() -> Any:
    """SpikingJelly's ``activation_based`` package, fetched once."""
    folder = PEERS / SPIKINGJELLY[0]
    if not (folder / "spikingjelly").is_dir():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
        subprocess.run([*pip, "--target", str(folder), *SPIKINGJELLY], check=True)
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    from spikingjelly import activation_based
    from spikingjelly.activation_based import functional, neuron  # noqa: F401

    return activation_based


class MultiStep(Peer):
    """SpikingJelly: for each layer, all steps."""

    def __init__(self, net: SpikingNet) -> None:
        super().__init__(net)
        self.library = spikingjelly()
        settings = {"decay_input": False, "v_reset": None, "detach_reset": True, "step_mode": "m"}
        self.neurons = nn.ModuleDict(
            {
                name: self.library.neuron.LIFNode(tau=2.0, v_threshold=1.0, **settings)
                for name, spiking, _ in self.order
                if spiking
            }
        )

    def forward(self, images: Tensor, steps: int) -> dict[str, Tensor]:
        batch = len(images)
        emitted = {"input": images.repeat(steps, 1, 1, 1)}
        record: dict[str, Tensor] = {}
        for name, spiking, pool in self.order:
            x = self.drive(name, emitted)
            if not spiking:
                record[name] = x.view(steps, batch, -1)
                continue
            spikes = self.neurons[name](x.view(steps, batch, *x.shape[1:])).flatten(0, 1)
            emitted[name] = nn.functional.avg_pool2d(spikes, pool) if pool > 1 else spikes
        self.library.functional.reset_net(self)
        return record
