"""A bundle back as a torch module: the float network to train on, or the integers exactly.

load(folder)               FloatModule: layers of torch, neurons of snnTorch, gradients flow
load(folder, exact=True)   IntegerModule: the deployed integers, bit for bit, no gradients
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Literal, assert_never, overload

import numpy as np
import snntorch
import torch
from torch import Tensor, nn

from tssd.calibration.encode import Encoder, encode
from tssd.calibration.int_network import IntNetwork
from tssd.chain.entering import encoder_of, entry_of
from tssd.errors import DataError
from tssd.export.bundle.folder import read_bundle
from tssd.hw_targets.gpu import engine
from tssd.train.handover.float_activity import ImageArray
from tssd.train.handover.float_file import FLOAT_FILE
from tssd.train.handover.float_file import read as read_float
from tssd.train.handover.float_layers import delayed
from tssd.train.handover.float_network import (
    FloatArray,
    FloatNetwork,
    FloatPopulation,
    FloatProjection,
    Reset,
    check_known,
    depths,
)
from tssd.train.handover.input_map import InputMap
from tssd.train.handover.linear import linear_map
from tssd.train.networks.neuron import NeuronModel, spike

KNOWN = ("reset_by",)
WIDTH = 1.0  # of the rectangular surrogate gradient, as in training


@overload
def load(folder: Path, *, exact: Literal[True]) -> "IntegerModule": ...
@overload
def load(folder: Path, *, exact: Literal[False] = False) -> "FloatModule": ...
def load(folder: Path, *, exact: bool = False) -> "IntegerModule | FloatModule":
    """The network of the bundle in *folder*; FileFormatError where it carries no float network."""
    bundle = read_bundle(Path(folder))
    if exact:
        return IntegerModule(bundle.network, encoder_of(bundle), entry_of(bundle))
    return FloatModule(read_float(bundle.file(FLOAT_FILE)))


class IntegerModule(nn.Module):
    """The integer network in torch, equal to ``calibration.neuron`` bit for bit.

    ``forward``: integers (T, B, *input shape) -> the readout's membranes (B, *shape), of the last
    step or the largest, int64;
    the largest is the class. Runs where the module was moved to: ``cpu`` or ``cuda``.
    """

    def __init__(
        self,
        network: IntNetwork,
        encoder: Encoder | None = None,
        entry: InputMap | None = None,
    ) -> None:
        super().__init__()
        self.network, self.encoder = network, encoder or partial(encode, network)
        self.entry = entry
        self.register_buffer("place", torch.zeros(0), persistent=False)

    def inputs(self, images: ImageArray | FloatArray) -> Tensor:
        """uint8 images (N, C, H, W), or the user's own numbers, as inputs (T, N, *input shape)."""
        return torch.tensor(self.encoder(_levels(images, self.entry)))

    def forward(self, inputs: Tensor) -> Tensor:
        return self._run(inputs)[1]

    def spikes(self, inputs: Tensor) -> dict[str, Tensor]:
        """All spikes and payloads, (T, B, *shape) by population, int64."""
        return self._run(inputs)[0]

    def _run(self, inputs: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        place = self.get_buffer("place").device
        whole = inputs.detach().cpu().numpy().astype(np.int64)
        found = engine.run(self.network, whole, device=str(place))
        spikes = {name: torch.from_numpy(s).to(place) for name, s in found.spikes.items()}
        return spikes, torch.from_numpy(found.readout).to(place)


def _levels(images: ImageArray | FloatArray, entry: InputMap | None) -> ImageArray:
    """uint8 levels as they are; other numbers by the network's map, which must hold them."""
    if images.dtype == np.uint8:
        return images.astype(np.uint8)
    made = entry or InputMap(np.zeros(()), np.ones(()))
    values = images.astype(np.float64)
    outside = made.outside(values)
    if outside:
        hint = "export with samples that span the range, or clip these"
        raise DataError("samples", found=outside, allowed="values within", hint=hint)
    return made.to_bytes(values)


class FloatModule(nn.Module):
    """The float network as torch modules: every weight, bias and normalisation is trainable.

    ``forward``: floats (T, B, *input shape), pixel / 255 -> logits (B, classes), the readout's
    membrane, of the last step or the largest, over T. ``train()`` lets batch normalisation move its
    statistics again.
    """

    def __init__(self, network: FloatNetwork) -> None:
        super().__init__()
        self.network = network
        self.depth = depths(network)
        self.links = nn.ModuleList(_Link(j) for j in network.projections)
        self.neurons = nn.ModuleList(_Neurons(p) for p in network.populations[1:])
        self.eval()

    def inputs(self, images: ImageArray | FloatArray) -> Tensor:
        """uint8 images (N, C, H, W), or the user's own numbers, as inputs (T, N, C, H, W)."""
        still = torch.tensor(_levels(images, self.network.entry), dtype=torch.float32) / 255
        return still.expand(self.network.time_steps, *still.shape)

    def forward(self, inputs: Tensor) -> Tensor:
        return self._run(inputs)[1]

    def spikes(self, inputs: Tensor) -> dict[str, Tensor]:
        """Spikes and payloads, (T, B, *shape) by population."""
        return self._run(inputs)[0]

    def _run(self, inputs: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        first, *others = self.network.populations
        sent, last = {first.name: inputs}, inputs
        for population, neurons in zip(others, self.neurons, strict=True):
            current = self._current(population, sent)
            sent[population.name], last = neurons(current, self._loops(population.name))
        del sent[self.network.populations[-1].name]
        return sent, last / len(inputs)

    def _current(self, population: FloatPopulation, sent: Mapping[str, Tensor]) -> Tensor:
        parts = []
        for projection, link in zip(self.network.projections, self.links, strict=True):
            if projection.target == population.name and not projection.is_loop:
                source = sent[projection.source]
                steps, batch = source.shape[:2]
                arrived = link(source.flatten(0, 1)).reshape(steps, batch, *population.shape)
                gap = self.depth[projection.source] + 1 - self.depth[population.name]
                parts.append(delayed(arrived, max(gap + projection.delay, 0), steps))
        return sum(parts[1:], parts[0])

    def _loops(self, name: str) -> list[tuple[nn.Module, int]]:
        """A population's projections to itself, and their delays beyond the one step."""
        pairs = zip(self.network.projections, self.links, strict=True)
        return [(link, j.delay) for j, link in pairs if j.is_loop and j.target == name]


class _Link(nn.Module):
    """norm(weight * pool(x) + bias) for (N, *source shape)."""

    def __init__(self, j: FloatProjection) -> None:
        super().__init__()
        pool = None if j.pool is None else nn.AvgPool2d(j.pool.kernel, j.pool.stride)
        self.pool = pool or nn.Identity()
        self.linear = _Map(j)
        self.norm = _norm(j)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.norm(self.linear(self.pool(x)))
        return out


class _Map(nn.Module):
    """The weights of one projection, in its own layout."""

    def __init__(self, j: FloatProjection) -> None:
        super().__init__()
        self.projection, self.weight = j, nn.Parameter(_tensor(j.weight))
        bias = None if j.bias is None else nn.Parameter(_tensor(j.bias))
        self.register_parameter("bias", bias)

    def forward(self, x: Tensor) -> Tensor:
        bias: Tensor | None = self.bias  # type: ignore[assignment]
        return linear_map(self.projection, x, self.weight, bias)


def _norm(j: FloatProjection) -> nn.Module:
    if j.norm is None:
        return nn.Identity()
    module = (nn.BatchNorm2d if j.kind.spatial else nn.BatchNorm1d)(
        len(j.norm.mean), eps=j.norm.eps
    )
    state = {
        "weight": _tensor(j.norm.gain),
        "bias": _tensor(j.norm.shift),
        "running_mean": _tensor(j.norm.mean),
        "running_var": _tensor(j.norm.variance),
        "num_batches_tracked": torch.tensor(0),
    }
    module.load_state_dict(state)
    return module


class _Neurons(nn.Module):
    """One population over all steps: current (T, B, *shape) -> (sent, the membrane that is read).

    The firing neuron is ``snntorch.Leaky`` without its reset, which comes a step late; ours follows
    in the same step. The spike is inclusive (H >= threshold) with a rectangular surrogate.
    """

    def __init__(self, p: FloatPopulation) -> None:
        super().__init__()
        check_known(p, KNOWN, "the torch module")
        self.kind, self.reset, self.membrane_read = p.kind, p.reset, p.membrane_read
        self.bias = nn.Parameter(_tensor(p.bias))
        keep = None if p.synapse_decay is None else _tensor(p.synapse_decay)
        self.register_buffer("keep_u", keep)
        self.register_buffer("keep_v", _tensor(p.decay))
        own = None if p.reset_by is None else _tensor(p.reset_by)
        self.register_buffer("reset_by", own)
        surrogate: Callable[[Tensor], Tensor] = partial(spike, model=NeuronModel(width=WIDTH))
        self.leaky = snntorch.Leaky(
            beta=_tensor(p.decay),
            threshold=_tensor(p.threshold),
            spike_grad=surrogate,
            reset_mechanism="none",
        )

    def forward(
        self, current: Tensor, loops: Sequence[tuple[nn.Module, int]] = ()
    ) -> tuple[Tensor, Tensor]:
        if self.kind.relays:
            return current + self.bias, current[-1]
        keep_u: Tensor | None = self.keep_u  # type: ignore[assignment]
        own: Tensor | None = self.reset_by  # type: ignore[assignment]
        subtracted = self.leaky.threshold if own is None else own
        u = v = read = torch.zeros_like(current[0])
        sent: list[Tensor] = []
        for t, arrived in enumerate(current):
            a = arrived
            for link, delay in loops:
                past = sent[t - 1 - delay] if t > delay else torch.zeros_like(arrived)
                a = a + link(past).reshape(arrived.shape)
            u = a if keep_u is None else keep_u * u + a
            if self.kind.reads_out:
                v = self.get_buffer("keep_v") * v + u + self.bias
                read = torch.maximum(read, v) if self.membrane_read.of_every_step and t else v
                continue
            fired, v = self.leaky(u + self.bias, v)
            match self.reset:
                case Reset.SOFT:
                    v = v - fired.detach() * subtracted
                case Reset.HARD:
                    v = v - fired.detach() * v
                case Reset.NONE:
                    pass
                case _:
                    assert_never(self.reset)
            sent.append(fired)
        return (torch.stack(sent), v) if sent else (current, read)


def _tensor(array: FloatArray) -> Tensor:
    return torch.tensor(np.asarray(array), dtype=torch.float32)
