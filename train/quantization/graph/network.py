"""QuantizedGraph: a FloatNetwork trained on in the integers that are deployed, layer by layer.

Its parameters are the weights and biases of the network it was made from; steps (``step_3``, of
the population 3), shifts (``shift_7``, of the projection 7) and the levels of the input are in the
state that a checkpoint keeps. ``graph(x)`` gives logits (B, classes) for any loop of training.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from tssd.errors import NetworkError
from tssd.train.handover.float_layers import delayed
from tssd.train.handover.float_network import (
    AveragePool,
    FloatArray,
    FloatNetwork,
    FloatProjection,
    ProjectionKind,
)
from tssd.train.handover.linear import linear_map
from tssd.train.networks.fused import average_pool
from tssd.train.networks.network import READOUT, Unrolled, Unrolling
from tssd.train.networks.neuron import NeuronModel
from tssd.train.networks.rows import dense, dense_map, image_map
from tssd.train.quantization.entering import input_levels, on_levels
from tssd.train.quantization.graph import integers
from tssd.train.quantization.graph.fused import fire
from tssd.train.quantization.graph.integers import GraphWeights, LayerNumbers
from tssd.train.quantization.graph.layers import (
    DECAY_ONE,
    GraphLayer,
    GraphLink,
    graph_layers,
    prepared,
    trained_populations,
)
from tssd.train.quantization.graph.neurons import NeuronRule, integrated
from tssd.train.quantization.neurons import UNIT
from tssd.train.quantization.widths import ChipWidths, WeightBits, weight_bits


class QuantizedGraph(Unrolled):
    """*network* with weights of *text* bits ("4", "ternary", "4,fc1=8"), on *chip*."""

    levels: Tensor  # the largest payload of the input; 0: not begun

    def __init__(
        self,
        network: FloatNetwork,
        text: str,
        chip: ChipWidths,
        neuron: NeuronModel | None = None,
    ) -> None:
        super().__init__()
        self.network = prepared(network)
        self.chip, self.neuron = chip, neuron or NeuronModel()
        self.input_shape = network.populations[0].shape
        names = trained_populations(self.network)
        self.bits: Mapping[str, WeightBits] = weight_bits(text, names, chip)
        self.layers = graph_layers(self.network, self.bits, chip)
        self.register_buffer("levels", torch.zeros((), dtype=torch.int64))
        for layer in self.layers:
            self._register(layer)

    def _register(self, layer: GraphLayer) -> None:
        for link in layer.all_links:
            weight = _tensor(link.projection.weight)
            self._keep(f"weight_{link.index}", weight, learned=not link.wiring)
            self.register_buffer(f"shift_{link.index}", torch.zeros((), dtype=torch.int64))
        bias = _tensor(layer.population.bias)
        if layer.learns_bias:  # a value for each channel, whatever it begins with
            bias = bias.expand(layer.channels, *bias.shape[1:]).clone()
        self._keep(f"bias_{layer.number}", bias, learned=layer.learns_bias)
        step = torch.ones(1 if layer.single else layer.channels, dtype=torch.float64)
        self.register_buffer(f"step_{layer.number}", step)

    def _keep(self, name: str, values: Tensor, *, learned: bool) -> None:
        if learned:
            self.register_parameter(name, nn.Parameter(values))
        else:
            self.register_buffer(name, values)

    # ------------------------------------------------------------ state

    @property
    def begun(self) -> bool:
        return bool(self.levels)

    def kept_weights(self) -> dict[str, list[tuple[WeightBits, int]]]:
        """Bits and exponent of the weights into each population, in the network's order; those that
        all became zero are left out, as they are when the network is handed over."""
        left_out = self.zero_links()
        return {
            layer.name: [
                (x.bits, int(self.get_buffer(f"shift_{x.index}")))
                for x in sorted(layer.all_links, key=lambda link: link.index)
                if x.index not in left_out
            ]
            for layer in self.layers
        }

    @torch.no_grad()
    def zero_links(self) -> set[int]:
        """The projections whose weights are all zero, beside another into and out of the same
        populations: without them nothing changes."""
        zero, there = set[int](), list(self.network.projections)
        for layer in self.layers:
            made = integers.numbers(self.given(layer))
            for link, weight in zip(layer.all_links, made.weights, strict=True):
                into = [j for j in there if j.target == link.projection.target and not j.is_loop]
                out = [j for j in there if j.source == link.projection.source and not j.is_loop]
                spare = link.projection.is_loop or (len(into) > 1 and len(out) > 1)
                if spare and not weight.any():
                    zero.add(link.index)
                    there.remove(link.projection)
        return zero

    def given(self, layer: GraphLayer) -> GraphWeights:
        """What the numbers of *layer* follow from."""
        names = [link.index for link in layer.all_links]
        return GraphWeights(
            layer,
            [self._value(f"weight_{i}") for i in names],
            [int(self.get_buffer(f"shift_{i}")) for i in names],
            self._value(f"bias_{layer.number}"),
            self.get_buffer(f"step_{layer.number}"),
            int(self.levels),
        )

    def _value(self, name: str) -> Tensor:
        value: Tensor = getattr(self, name)
        return value

    def learned_weights(self) -> list[Tensor]:
        """Those of every projection that learns."""
        links = [link for layer in self.layers for link in layer.all_links if link.learned]
        return [self.get_parameter(f"weight_{link.index}") for link in links]

    @torch.no_grad()
    def begin(self, images: Tensor) -> None:
        """First steps from the weights, and levels of the input from training *images* (0 .. 1)."""
        self.levels.fill_(input_levels(images, self.chip, self._lost))
        self._first_steps()

    def _lost(self, levels: int) -> Tensor:
        """Bits that each channel behind the input loses to the chip's fields."""
        self.levels.fill_(levels)
        self._first_steps()
        fed = [layer for layer in self.layers if any(x.enters for x in layer.links)]
        found = [(integers.fitting_step(g) / g.step).log2() for g in map(self.given, fed)]
        return torch.cat(found).clamp(0, 16)

    def _first_steps(self) -> None:
        for layer in self.layers:
            step, shifts = integers.begun(self.given(layer))
            self.get_buffer(f"step_{layer.number}").copy_(step)
            for link, shift in zip(layer.all_links, shifts, strict=True):
                self.get_buffer(f"shift_{link.index}").fill_(shift)

    # ------------------------------------------------------------ what is trained

    def wake(self, images: Tensor, steps: int) -> None:
        """Its weights are those of the network it was made from."""

    @property
    def readouts(self) -> list[str]:
        return [READOUT]

    def run_with_rates(
        self, images: Tensor, run: Unrolling, outputs: Sequence[str] = (READOUT,)
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Logits of every step and the rates of what fires, over the head; *images* are (B, *shape)
        or frames (T, B, *shape) of values 0 .. 1."""
        frames = images.dim() > len(self.input_shape) + 1
        head, sent = self._run(images, run.head, follows=self.training)
        logits, rates = (
            head,
            {
                layer.name: sent[layer.name].mean()
                for layer in self.layers
                if layer.population.kind.fires and not layer.wired
            },
        )
        if run.tail:
            with run.tail_context():
                shown = images[run.head :] if run.restart and frames else images
                steps = run.tail if run.restart else run.head + run.tail
                tail, _ = self._run(shown, steps, follows=False)
            logits = torch.cat([head, tail[-run.tail :]])
        return {READOUT: logits}, rates

    def forward(self, images: Tensor, steps: int | None = None) -> Tensor:
        """Logits (B, classes) of values 0 .. 1: samples (B, *shape), or frames (T, B, *shape)."""
        if not self.begun:
            self.begin(images)
        return self._run(images, steps or self.network.time_steps, self.training)[0].mean(0)

    def _run(self, images: Tensor, steps: int, follows: bool) -> tuple[Tensor, dict[str, Tensor]]:
        """Logits (T, B, classes), what each step adds to what is read, over 64 S; and spikes."""
        read, scale, sent = self.run_whole(images, steps, follows=follows)
        before = torch.cat([torch.zeros_like(read[:1]), read[:-1]])
        return ((read - before) / (UNIT * scale.to(read))).flatten(2), sent

    def run_whole(
        self, images: Tensor, steps: int, *, follows: bool = False
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """What is read of the last population after every step, (T, B, *shape) in 1/64 weight
        units; its S; what every population sent, (T or 1, B, *shape). *follows*: the steps move."""
        if not self.begun:
            raise NetworkError("graph", found="no steps yet", allowed="begin(samples) first")
        frames = images.dim() > len(self.input_shape) + 1
        shown = images[:steps] if frames else images[None]
        sent = {self.network.populations[0].name: on_levels(shown, int(self.levels))}
        *firing, last = self.layers
        for layer in firing:
            sent[layer.name] = self._fire(layer, self._numbers(layer, follows), sent, steps)
        made = self._numbers(last, follows)
        membranes = self._membranes(last, made, sent, steps)
        largest = last.population.membrane_read.of_every_step
        return membranes.cummax(0).values if largest else membranes, made.scale, sent

    def _numbers(self, layer: GraphLayer, follows: bool) -> LayerNumbers:
        if follows and torch.is_grad_enabled() and not layer.wired:
            given = self.given(layer)
            given.step.copy_(integers.followed(given))
        return integers.numbers(self.given(layer))

    def _fire(
        self, layer: GraphLayer, made: LayerNumbers, sent: Mapping[str, Tensor], steps: int
    ) -> Tensor:
        a = self._arrived(layer, made, sent, steps)
        bias, rule = made.bias.to(a), self._rule(layer, made, a)
        if not layer.loops:
            return fire(a, bias, None, None, rule, steps)[0]
        u: Tensor | None = None
        v: Tensor | None = None
        spikes: list[Tensor] = []
        for t in range(steps):
            entering = a[min(t, len(a) - 1)]
            for link, weight in self._loops(layer, made):
                at = t - 1 - link.projection.delay
                if at >= 0:
                    entering = entering + linear_map(
                        link.projection, spikes[at], weight.to(a)
                    ).reshape(entering.shape)
            fired, u, v = fire(entering[None], bias, u, v, rule)
            spikes.append(fired[0])
        return torch.stack(spikes)

    def _loops(self, layer: GraphLayer, made: LayerNumbers) -> list[tuple[GraphLink, Tensor]]:
        first = len(layer.links)
        return list(zip(layer.loops, made.weights[first:], strict=True))

    def _membranes(
        self, layer: GraphLayer, made: LayerNumbers, sent: Mapping[str, Tensor], steps: int
    ) -> Tensor:
        a = self._arrived(layer, made, sent, steps)
        return integrated(a.expand(steps, *a.shape[1:]), made.bias.to(a), *_keeps(layer, a))

    def _arrived(
        self, layer: GraphLayer, made: LayerNumbers, sent: Mapping[str, Tensor], steps: int
    ) -> Tensor:
        """Sums (T, B, *shape) of whole weights, loops left out; (1, B, *shape) if all steps are
        alike."""
        shape = layer.population.shape
        total: Tensor | None = None
        for link, weight in zip(layer.links, made.weights, strict=False):
            arrived = _summed(link, sent[link.projection.source], weight, shape)
            part = delayed(arrived, link.late, steps)
            total = part if total is None else total + part
        assert total is not None
        return total

    def _rule(self, layer: GraphLayer, made: LayerNumbers, like: Tensor) -> NeuronRule:
        population = layer.population
        vth = made.vth.to(like)
        own = vth if made.reset_by is None else made.reset_by.to(like)
        theta = torch.as_tensor(population.threshold).to(like)
        size = made.scale.to(like) * torch.where(theta > 0, theta, 1)
        gate = layer.wired and not population.decay.any()
        lone = max(float(w.abs().max()) for w in made.weights) if gate else None
        return NeuronRule(population.reset, *_keeps(layer, like), vth, own, size, lone, self.neuron)

    # ------------------------------------------------------------ what leaves it

    def with_time_steps(self, time_steps: int) -> FloatNetwork:
        """The network it was made from, over other steps."""
        return replace(self.network, time_steps=time_steps)


def _keeps(layer: GraphLayer, like: Tensor) -> tuple[Tensor | None, Tensor]:
    """What states keep in a step, of 4096."""
    du, dv = (torch.as_tensor(x).to(like) for x in (layer.du, layer.dv))
    memory = None if bool((du == DECAY_ONE).all()) else DECAY_ONE - du
    return memory, DECAY_ONE - dv


def _summed(link: GraphLink, sent: Tensor, weight: Tensor, shape: tuple[int, ...]) -> Tensor:
    """(T or 1, B, *source) -> (T or 1, B, *shape): whole weights times sums over the pool."""
    steps, batch = sent.shape[:2]
    x, weight = dense(sent.flatten(0, 1)), dense(weight.to(sent))
    if link.projection.pool is not None:
        x, factor = _pooled(x, link.projection.pool)
        weight = weight * factor
    return _mapped(link.projection, x, weight).reshape(steps, batch, *shape)


def _mapped(projection: FloatProjection, x: Tensor, weight: Tensor) -> Tensor:
    """``linear_map`` of what has channels last, by the ways that are fast, and right, for these."""
    match projection.kind:
        case ProjectionKind.DENSE if x.dim() == 4:
            return dense_map(weight, None, x)
        case ProjectionKind.CONV2D if weight.shape[2:] == (1, 1):
            window = (projection.stride, projection.padding)
            return image_map(weight, None, x, *window, projection.groups)
        case _:
            return linear_map(projection, x, weight)


def _pooled(x: Tensor, pool: AveragePool) -> tuple[Tensor, int]:
    """Sums over the windows of *pool*, behind a factor: means times it, where those are exact."""
    (high, wide), count = pool.kernel, pool.kernel[0] * pool.kernel[1]
    if high == wide and pool.stride == pool.kernel and count & (count - 1) == 0:
        return average_pool(x, high), count
    return nn.functional.avg_pool2d(x, pool.kernel, pool.stride, divisor_override=1), 1


def _tensor(array: FloatArray) -> Tensor:
    return torch.tensor(array, dtype=torch.float32)
