"""One stage in integers: from weights, normalisation and step to what the chip holds, and its run.

    n = clip(round(W / q))          q per channel, one for a read-out     (``weights``)
    x = sum n s                     s: spikes, pixel levels, or their means over a pool's windows
    gain x + shift                  what x means in float: gain = gamma q unit / sqrt(var + eps)
    S = pool**2 / |gain|            weight units in a float membrane of 1
    vth = floor(S theta)            bias = round(S shift)

In training the moments of normalisation are those of the batch, in evaluation the running ones, as
in the float network: each batch runs the integer network that its moments make. Where a field of
the chip would overflow at the running moments, S is smaller and the weights are coarser.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tssd.errors import NetworkError
from tssd.train.networks.fused import BatchNorm, Statistics, average_pool, moments, move_running
from tssd.train.networks.network import Span, Stage, StageLink, Unrolling
from tssd.train.networks.neuron import NeuronModel
from tssd.train.networks.rows import dense_map, image_map
from tssd.train.quantization.kernels import LIMIT
from tssd.train.quantization.neurons import DECAY_ONE, UNIT, NeuronIntegers, integer_neurons
from tssd.train.quantization.weights import next_step, rounded
from tssd.train.quantization.widths import ChipWidths, WeightBits

COARSEST = 1e30  # a step of a channel without gain: all its weights are zero


@dataclass(frozen=True, eq=False)
class RoundedLayer:
    """What the integers of one stage follow from. ``windows``: spikes that one mean stands for;
    ``payload``: the largest number that a source sends, 1 for spikes."""

    stage: Stage
    link: StageLink
    step: Tensor  # (channels,) or (1,), float64; follows the weights in training
    bits: WeightBits
    windows: int
    payload: int
    neuron: NeuronModel
    chip: ChipWidths

    @property
    def weight(self) -> Tensor:
        weight = self.link.weights.weight
        assert isinstance(weight, Tensor)
        return weight

    @property
    def shift(self) -> Tensor | None:
        """The bias of weights without normalisation."""
        bias = self.link.weights.bias
        return bias if isinstance(bias, Tensor) else None

    @property
    def dv(self) -> int:
        """What is forgotten in a step, of 4096, as the chip's field holds it."""
        learned = self.stage.decay
        decay = self.neuron.decay if learned is None else float(learned.detach())
        field = DECAY_ONE >> self.chip.decay_bits
        return round((1 - decay) * DECAY_ONE / field) * field if self.stage.spiking else 0


@dataclass(frozen=True, eq=False)
class StageIntegers:
    """A stage as it is deployed: whole ``weight`` (with the sign of a negative gain), neurons."""

    weight: Tensor
    neurons: NeuronIntegers


def is_plain(stage: Stage) -> bool:
    """Whether one convolution or dense layer leads into *stage*, and nothing else."""
    links = [link for link in stage.links if isinstance(link, StageLink)]
    return len(links) == 1 and isinstance(links[0].weights, nn.Conv2d | nn.Linear)


def only_link(stage: Stage) -> StageLink:
    """What leads into a plain *stage*."""
    assert is_plain(stage)
    link = stage.links[0]
    assert isinstance(link, StageLink)
    return link


# ---------------------------------------------------------------- integers


def running_affine(layer: RoundedLayer) -> tuple[Tensor, Tensor]:
    """Gain and shift per channel of W's own sums at the running moments, in float64."""
    norm = layer.link.norm
    if norm is None:
        shift = layer.shift
        one = torch.ones(len(layer.weight), dtype=torch.float64, device=layer.weight.device)
        return one, 0 * one if shift is None else shift.detach().double()
    assert norm.running_mean is not None
    assert norm.running_var is not None
    gain = norm.weight.detach().double() / (norm.running_var.double() + norm.eps).sqrt()
    return gain, norm.bias.detach().double() - norm.running_mean.double() * gain


@torch.no_grad()
def fitting_step(layer: RoundedLayer) -> Tensor:
    """The step, larger where a bias, a threshold or the worst current would leave its field; of
    weights that are -1 and 1 whatever the step is, the step itself."""
    least = _step_of_currents(layer)
    if layer.bits.binary:
        return layer.step
    gain, shift = running_affine(layer)
    most = layer.chip.bias_max / shift.abs()  # of the scale S
    if layer.stage.spiking:
        most = most.clamp_max(layer.chip.vth_max / layer.neuron.threshold)
    smallest = layer.windows * layer.payload / (gain.abs() * most)
    step = torch.maximum(torch.maximum(layer.step, smallest.clamp_max(COARSEST)), least)
    return step if layer.stage.spiking else step.amax()[None]


def _step_of_currents(layer: RoundedLayer) -> Tensor:
    """The smallest step of each channel at which no input whatever wraps its current."""
    each, taps = layer.windows * layer.payload, layer.weight[0].numel()
    room = layer.chip.activation_max / each - (taps if layer.bits.binary else taps / 2)
    if room <= 0:
        raise NetworkError(
            f"stage {layer.stage.name}",
            found=f"{taps} inputs of up to {each}",
            allowed=f"sums within {layer.chip.activation_max} whatever comes in",
            hint="a smaller layer, or fewer input levels",
        )
    sums = layer.weight.detach().double().flatten(1)
    return torch.maximum(sums.clamp_min(0).sum(1), (-sums).clamp_min(0).sum(1)) / room


def neuron_integers(layer: RoundedLayer, gain: Tensor, shift: Tensor) -> NeuronIntegers:
    """What the neurons hold if x means ``gain x + shift``; (channels,), float64."""
    chip = layer.chip
    scale = torch.minimum(layer.windows / gain.abs(), chip.bias_max / shift.abs())
    if layer.stage.spiking:
        scale = scale.clamp_max(chip.vth_max / layer.neuron.threshold)
    sign = torch.where(gain < 0, -1.0, 1.0).to(gain)
    vth = (scale * layer.neuron.threshold).floor().clamp(0, chip.vth_max)
    bias = (scale * shift + 0.5).floor().clamp(-chip.bias_max, chip.bias_max)
    return NeuronIntegers(layer.windows * sign, vth, bias, scale, layer.dv)


@torch.no_grad()
def running_integers(layer: RoundedLayer, step: Tensor) -> NeuronIntegers:
    """The neurons at the running moments: what evaluation runs and the chip gets."""
    gain, shift = running_affine(layer)
    return neuron_integers(layer, gain * (step / layer.payload), shift)


@torch.no_grad()
def stage_integers(layer: RoundedLayer) -> StageIntegers:
    """The stage as it is deployed."""
    step = fitting_step(layer)
    neurons = running_integers(layer, step)
    n = rounded(layer.weight, step, layer.bits).double()
    sign = neurons.many.sign().view(-1, *[1] * (n.dim() - 1))
    return StageIntegers(n * sign, neurons)


# ---------------------------------------------------------------- running


def fire(layer: RoundedLayer, source: Span, run: Unrolling, pool: int) -> Span:
    """Spikes of head and tail of a firing stage, averaged over ``pool x pool`` windows."""
    step = fitting_step(layer)
    n = rounded(layer.weight, step, layer.bits)
    x, tail = _sums(layer.link, n, source, run)
    affine, statistics, from_batch, neurons = _meaning(layer, x, step, run.batch)
    settings = (run.batch, layer.neuron, pool)
    spikes, membrane = integer_neurons(
        x, affine, statistics, from_batch, neurons, run.head, *settings, None, layer.stage.decay
    )
    if not run.tail:
        return Span(spikes, None)
    known = x if tail is None else tail
    if not run.tail_gradient:
        known, membrane = known.detach(), membrane.detach()
    begin = None if run.restart else membrane
    with run.tail_context():
        later, _ = integer_neurons(
            known, affine, statistics, False, neurons, run.tail, *settings, begin, layer.stage.decay
        )
    return Span(spikes, later)


def read_membrane(layer: RoundedLayer, source: Span, run: Unrolling) -> Tensor:
    """The read-out's membrane (B, classes) after the head's last step, in weight units."""
    step = fitting_step(layer)
    x, _ = _sums(layer.link, rounded(layer.weight, step, layer.bits), source, run)
    neurons = running_integers(layer, step)
    return _integrated(layer, x, neurons, run.head, run.batch, None)[1]


def read_out(layer: RoundedLayer, source: Span, run: Unrolling) -> Span:
    """The logits of every step: what it adds to the membrane, which saturates, over 64 S."""
    step = fitting_step(layer)
    n = rounded(layer.weight, step, layer.bits)
    x, tail = _sums(layer.link, n, source, run)
    neurons = running_integers(layer, step)
    head, last = _integrated(layer, x, neurons, run.head, run.batch, None)
    if not run.tail:
        return Span(head, None)
    with run.tail_context():
        begin = None if run.restart else last
        later, _ = _integrated(
            layer, x if tail is None else tail, neurons, run.tail, run.batch, begin
        )
    return Span(head, later)


def follow(layer: RoundedLayer) -> None:
    """Move the step with the weights, once for each update."""
    with torch.no_grad():
        layer.step.copy_(next_step(layer.weight, layer.step, layer.bits))


def _integrated(
    layer: RoundedLayer,
    x: Tensor,
    neurons: NeuronIntegers,
    steps: int,
    batch: int,
    start: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """(steps * batch, classes) logits and the last membrane in weight units."""
    many, _, bias, _ = neurons.like(x)
    scale, shift = neurons.scale.to(x), layer.shift
    offset = bias / UNIT
    if shift is not None:  # whole, with the gradient of S b
        felt = shift * scale
        offset = felt + (offset - felt).detach()
    drive = (x * many).view(-1, batch, x.shape[1]) + offset
    v = torch.zeros_like(drive[0]) if start is None else start
    logits = []
    for t in range(steps):
        after = (v + drive[min(t, len(drive) - 1)]).clamp(-LIMIT / UNIT, LIMIT / UNIT)
        logits.append((after - v) / scale)
        v = after
    return torch.cat(logits), v


def _sums(link: StageLink, n: Tensor, source: Span, run: Unrolling) -> tuple[Tensor, Tensor | None]:
    head = _linear(link, n, source.head)
    if source.tail is None:
        return head, None
    with run.tail_context():
        return head, _linear(link, n, source.tail)


def _linear(link: StageLink, n: Tensor, data: Tensor) -> Tensor:
    if link.pool > 1:
        data = average_pool(data, link.pool)
    weights = link.weights
    if isinstance(weights, nn.Conv2d):
        padding = weights.padding
        assert not isinstance(padding, str)  # a stage's are numbers
        return image_map(n, None, data, weights.stride, padding)
    return dense_map(n, None, data)


def _meaning(
    layer: RoundedLayer, x: Tensor, step: Tensor, batch: int
) -> tuple[tuple[Tensor, Tensor], Statistics, bool, NeuronIntegers]:
    """What the sums *x* mean: gain and shift with gradient, their moments, whether those are of
    this batch, and the integers that follow."""
    unit, norm = step / layer.payload, layer.link.norm
    if norm is None:
        statistics = Statistics(torch.zeros_like(unit).to(x), unit.to(x))
        one = torch.ones_like(statistics.mean)
        shift = torch.zeros_like(one) if layer.shift is None else layer.shift
        return (one, shift), statistics, False, running_integers(layer, step)
    affine = norm.weight, norm.bias
    if not norm.training:
        mean, deviation = _running(norm, unit)
        statistics = Statistics(mean.to(x), (1 / deviation).to(x))
        return affine, statistics, False, running_integers(layer, step)
    mean, deviation = _of_batch(norm, x, unit, batch)
    gain = norm.weight.detach().double() / deviation
    integers = neuron_integers(layer, gain, norm.bias.detach().double() - mean * gain)
    return affine, Statistics(mean.to(x), (1 / deviation).to(x)), True, integers


@torch.no_grad()
def _running(norm: BatchNorm, unit: Tensor) -> tuple[Tensor, Tensor]:
    """Running mean and sqrt(variance + eps) in the units of whole sums."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    return norm.running_mean.double() / unit, (norm.running_var.double() + norm.eps).sqrt() / unit


@torch.no_grad()
def _of_batch(norm: BatchNorm, x: Tensor, unit: Tensor, batch: int) -> tuple[Tensor, Tensor]:
    """The same of the sums at hand; the running ones move towards them."""
    mean, variance, count = moments(x, batch)
    move_running(norm, mean * unit, variance * unit.square(), count)
    return mean, (variance + norm.eps / unit.square()).sqrt()
