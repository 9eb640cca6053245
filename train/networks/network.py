"""SpikingNet: a graph of spiking stages built from a readable list, run layer by layer.

``train.stages`` says what a stage is. Weak classifiers are readouts like the main one: nothing but
the graph says what is a head, so stripping goes by reachability.

Each layer runs over all T steps before the next begins. Two spans of steps are kept apart:
the *head* (the first T_s steps, which are what is deployed) and the *tail* (T_s to T_t, which
only the teacher has). Batch normalisation takes its statistics from the head alone and uses them
for the tail too, so the running statistics belong to the network that is deployed. The tail can
run without gradient, from the membranes that the head left.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tssd.errors import DataError, NetworkError
from tssd.train.handover.float_network import FloatNetwork
from tssd.train.networks.fused import BatchNorm, average_pool, fused_lif, fused_norm_lif, normalise
from tssd.train.networks.neuron import NeuronModel
from tssd.train.networks.rows import dense_map, image_map
from tssd.train.networks.stages import LinkSpec, StageSpec, pooled, stage_shapes

READOUT = "readout"


@dataclass(frozen=True)
class Span:
    """What a stage emits: *head* (T_s * B, ...), *tail* (steps * B, ...) or None.

    ``static`` means that one slice (B, ...) stands for every step of both.
    """

    head: Tensor
    tail: Tensor | None
    static: bool = False


@dataclass(frozen=True)
class Unrolling:
    """How long to run: *head* steps, then *tail* steps, the tail with gradient or without."""

    batch: int
    head: int
    tail: int = 0
    tail_gradient: bool = False
    bf16: bool = False
    restart: bool = False  # the tail begins at rest: it is a run of its own, not the head's rest

    def tail_context(self) -> Any:
        return nullcontext() if self.tail_gradient else torch.no_grad()

    def cast(self, device: str) -> Any:
        return torch.autocast(device, dtype=torch.bfloat16, enabled=self.bf16)


class StageLink(nn.Module):
    """Pool, weights, normalisation: one projection of the network."""

    def __init__(self, spec: LinkSpec, shape: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.source, self.pool = spec.source, spec.pool
        shape = pooled(shape, spec.pool)
        self.channels = shape[0]  # of what it reads
        self.weights: nn.Module
        if spec.identity:
            self.weights = nn.Identity()
        elif spec.kernel:
            self.weights = nn.Conv2d(
                shape[0], width, spec.kernel, spec.stride, spec.kernel // 2, bias=not spec.norm
            )
        else:
            self.weights = nn.Linear(math.prod(shape), width, bias=not spec.norm)
        self.norm = _norm(spec, width)

    def forward(self, source: Span, run: Unrolling) -> Span:
        raw = self.linear(source, run)
        if self.norm is None:
            return raw
        head, statistics = normalise(self.norm, raw.head)
        if raw.tail is None:
            return Span(head, None, raw.static)
        with run.tail_context():
            return Span(head, normalise(self.norm, raw.tail, statistics)[0])

    def linear(self, source: Span, run: Unrolling) -> Span:
        """Pooling and weights, without normalisation."""
        head = self._linear(source.head, run)
        if source.tail is None:
            return Span(head, None, source.static)
        with run.tail_context():
            return Span(head, self._linear(source.tail, run))

    def _linear(self, data: Tensor, run: Unrolling) -> Tensor:
        with run.cast(data.device.type):
            if self.pool > 1:
                data = average_pool(data, self.pool)
            result = _applied(self.weights, data)
        return result.float() if run.bf16 else result


def _applied(weights: nn.Module, data: Tensor) -> Tensor:
    """What torch's own call gives, by the way that is fast, and right, for these axes."""
    if isinstance(weights, nn.Linear):
        return dense_map(weights.weight, weights.bias, data)
    if isinstance(weights, nn.Conv2d) and weights.kernel_size == (1, 1):
        return image_map(weights.weight, weights.bias, data, weights.stride, (0, 0))
    result: Tensor = weights(data)
    return result


def _norm(spec: LinkSpec, width: int) -> BatchNorm | None:
    if not spec.norm:
        return None
    return nn.BatchNorm2d(width) if spec.kernel else nn.BatchNorm1d(width)


class Stage(nn.Module):
    """One population: the sum of its links drives neurons, or is itself what is passed on.

    A leak that is learned is sigmoid(``leak``), one number for the population.
    """

    def __init__(
        self, spec: StageSpec, shapes: dict[str, tuple[int, ...]], leak: float | None = None
    ) -> None:
        super().__init__()
        self.name, self.pool, self.spiking = spec.name, spec.pool, spec.spiking
        learned = leak is not None and spec.spiking
        self.leak = nn.Parameter(torch.tensor(leak).logit()) if learned else None
        self.links = nn.ModuleList(
            StageLink(link, shapes[link.source], spec.width) for link in spec.links
        )

    @property
    def decay(self) -> Tensor | None:
        """The learned 1 - 1/tau, or None where the model's holds."""
        return None if self.leak is None else self.leak.sigmoid()

    @property
    def sources(self) -> list[str]:
        return [link.source for link in self.links if isinstance(link, StageLink)]

    def current(self, emitted: dict[str, Span], run: Unrolling) -> Span:
        """The summed input current of every step."""
        parts = [
            link(emitted[link.source], run) for link in self.links if isinstance(link, StageLink)
        ]
        return parts[0] if len(parts) == 1 else _add(parts, run)

    def forward(self, emitted: dict[str, Span], run: Unrolling, neuron: NeuronModel) -> Span:
        if not self.spiking:
            return self.current(emitted, run)
        first = self.links[0]
        lone = first if isinstance(first, StageLink) and len(self.links) == 1 else None
        if lone is None or lone.norm is None:
            return self._fire(self.current(emitted, run), None, run, neuron)
        return self._fire(lone.linear(emitted[lone.source], run), lone.norm, run, neuron)

    def _fire(self, x: Span, norm: BatchNorm | None, run: Unrolling, neuron: NeuronModel) -> Span:
        """Spikes of head and tail; the tail starts from the head's last membrane."""
        settings = (run.batch, neuron, self.pool)
        statistics, decay = None, self.decay
        if norm is None:
            spikes, membrane = fused_lif(x.head, run.head, *settings, None, decay)
        else:
            spikes, membrane, statistics = fused_norm_lif(
                x.head, norm, run.head, *settings, None, None, decay
            )
        if not run.tail:
            return Span(spikes, None)
        source = x.head if x.tail is None else x.tail
        if not run.tail_gradient:
            source, membrane = source.detach(), membrane.detach()
        begin = None if run.restart else membrane
        with run.tail_context():
            if norm is None:
                tail = fused_lif(source, run.tail, *settings, begin, decay)[0]
            else:
                known = (begin, statistics, decay)
                tail = fused_norm_lif(source, norm, run.tail, *settings, *known)[0]
        return Span(spikes, tail)


def _add(parts: list[Span], run: Unrolling) -> Span:
    if all(part.static for part in parts):
        return Span(_total([part.head for part in parts]), None, static=True)
    head = _total([_repeat(part.head, run.head, part.static) for part in parts])
    if not run.tail:
        return Span(head, None)
    tails = [part.head if part.tail is None else part.tail for part in parts]
    with run.tail_context():
        pairs = zip(tails, parts, strict=True)
        return Span(head, _total([_repeat(x, run.tail, part.static) for x, part in pairs]))


def _total(tensors: list[Tensor]) -> Tensor:
    result = tensors[0]
    for tensor in tensors[1:]:
        result = result + tensor
    return result


def _repeat(data: Tensor, steps: int, static: bool) -> Tensor:
    return data.repeat(steps, *[1] * (data.dim() - 1)) if static else data


class Unrolled(nn.Module, ABC):
    """What is trained: logits of readouts over time; ``SpikingNet``, whose layers are known,
    ``user_module.UserNet``, a user's module, ``QuantizedGraph``, any network in few bits."""

    input_shape: tuple[int, ...]

    @property
    @abstractmethod
    def readouts(self) -> list[str]:
        """The names of its readouts, the main one and the weak classifiers."""

    @property
    def heads(self) -> list[str]:
        """The weak classifiers: all readouts but the main one."""
        return [name for name in self.readouts if name != READOUT]

    @property
    def layered(self) -> bool:
        """Whether its layers are known, and their statistics may be estimated anew."""
        return False

    def connections(self) -> dict[str, float]:
        """Out of each population that is deployed; {} where the layers are not known."""
        return {}

    @abstractmethod
    def wake(self, images: Tensor, steps: int) -> None:
        """First weights with which its neurons fire on *images*."""

    @abstractmethod
    def run_with_rates(
        self, images: Tensor, run: Unrolling, outputs: Sequence[str] = (READOUT,)
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """What ``run`` gives, and the spikes per neuron and step over the head, of every deployed
        population."""

    def run(
        self, images: Tensor, run: Unrolling, outputs: Sequence[str] = (READOUT,)
    ) -> dict[str, Tensor]:
        """Logits (T_s + tail, B, classes) of every readout in *outputs*, step by step.

        *images* are (B, C, H, W), the same at every step, or (T, B, C, H, W) with at least
        T_s + tail frames.
        """
        return self.run_with_rates(images, run, outputs)[0]

    def forward(self, images: Tensor, steps: int = 4) -> Tensor:
        batch = images.shape[0] if images.dim() == 4 else images.shape[1]
        return self.run(images, Unrolling(batch, steps))[READOUT]


class SpikingNet(Unrolled):
    """Stages in topological order; ``net(images)`` gives the logits of the main readout."""

    def __init__(
        self,
        specs: Sequence[StageSpec],
        input_shape: tuple[int, ...],
        neuron: NeuronModel,
        learn_leak: bool = False,
    ) -> None:
        super().__init__()
        leak = neuron.decay if learn_leak else None
        self.specs, self.input_shape, self.neuron = tuple(specs), input_shape, neuron
        self.shapes = stage_shapes(specs, input_shape)
        self.stages = nn.ModuleDict(
            {spec.name: Stage(spec, self.emitted_shapes(), leak) for spec in specs}
        )
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def emitted_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of what each population sends on, after its pooling."""
        pools = {spec.name: spec.pool for spec in self.specs}
        return {name: pooled(shape, pools.get(name, 1)) for name, shape in self.shapes.items()}

    def stage(self, name: str) -> Stage:
        stage = self.stages[name]
        if not isinstance(stage, Stage):
            raise NetworkError(
                f"stages.{name}",
                found=type(stage).__name__,
                allowed="tssd.train.networks.network.Stage",
            )
        return stage

    @property
    def layered(self) -> bool:
        return True

    def connections(self) -> dict[str, float]:
        from tssd.train.networks.strip import reach  # which stands on this file

        return reach(self)

    def wake(self, images: Tensor, steps: int) -> None:
        scale_to_unit_current(self, images, steps)

    @property
    def readouts(self) -> list[str]:
        return [spec.name for spec in self.specs if not spec.spiking and not spec.relay]

    def reachable(self, outputs: Sequence[str]) -> list[str]:
        """The stages that *outputs* depend on, in order: a walk backwards through the links."""
        wanted = set(outputs)
        for spec in reversed(self.specs):
            if spec.name in wanted:
                wanted.update(self.stage(spec.name).sources)
        return [spec.name for spec in self.specs if spec.name in wanted]

    def run_with_rates(
        self, images: Tensor, run: Unrolling, outputs: Sequence[str] = (READOUT,)
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        emitted = self.emit(images, run, self.reachable(outputs))
        deployed = [n for n in self.reachable([READOUT]) if self.stage(n).spiking and n in emitted]
        rates = {name: emitted[name].head.mean() for name in deployed}
        return {name: _logits(emitted[name], run) for name in outputs}, rates

    def emit(self, images: Tensor, run: Unrolling, stages: Sequence[str]) -> dict[str, Span]:
        """What every one of *stages* emits; all they depend on must be among them."""
        emitted = {"input": input_span(images, run)}
        for name in stages:
            emitted[name] = self.stage(name)(emitted, run, self.neuron)
        return emitted

    def in_integers(self, time_steps: int) -> FloatNetwork | None:
        """What is deployed, in whole numbers, where the network was trained in them."""
        return None


def input_span(images: Tensor, run: Unrolling) -> Span:
    if images.dim() == 4:
        return Span(images.contiguous(memory_format=torch.channels_last), None, static=True)
    if len(images) < run.head + run.tail:
        raise DataError(
            "input", found=f"{len(images)} frames", allowed=f"{run.head + run.tail}, one per step"
        )
    flat = images.flatten(0, 1).contiguous(memory_format=torch.channels_last)
    cut, end = run.head * run.batch, (run.head + run.tail) * run.batch
    return Span(flat[:cut], flat[cut:end] if run.tail else None)


def _logits(span: Span, run: Unrolling) -> Tensor:
    head = _by_step(span.head, run.batch)
    return head if span.tail is None else torch.cat([head, _by_step(span.tail, run.batch)])


def _by_step(data: Tensor, batch: int) -> Tensor:
    return data.view(data.shape[0] // batch, batch, *data.shape[1:])


@torch.no_grad()
def scale_to_unit_current(net: SpikingNet, images: Tensor, steps: int) -> None:
    """Scale the weights of links without normalisation until each stage's current has std 1.

    With torch's own initialisation no membrane of a network without normalisation comes near the
    threshold and every gradient is zero. One pass, layer by layer, over a batch of *images*
    (after Mishkin and Matas, "All you need is a good init", arXiv 1511.06422).
    """
    was_training = net.training
    net.eval()
    run = Unrolling(images.shape[0], steps)
    for spec in net.specs:
        stage = net.stage(spec.name)
        if spec.spiking and not any(link.norm for link in spec.links):
            before = [n for n in net.reachable([spec.name]) if n != spec.name]
            current = stage.current(net.emit(images, run, before), run).head
            for parameter in stage.parameters():
                parameter.div_(current.std().clamp_min(1e-6))
    net.train(was_training)
