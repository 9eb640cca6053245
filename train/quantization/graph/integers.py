"""One layer's whole numbers, from its weights, biases and step.

    S = 1 / q                       weight units in a float membrane of 1, per channel; one for all
                                    of a read-out
    n = clip(round(W / (r q 2^e)))  r: payload units in a float value of 1 (``GraphLink.reach``)
    vth = floor(S theta)    bias = round(S b)    amount of a reset = round(S x)

q is the step of least squared error of what is learned, then follows it, as in
``quantization.weights``; never less than what fits the chip's fields (``least_step``). Projections
into one population share S; 2**e, a shift of their sums, gives each its own range: e = 0 for the
finest.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tssd.errors import NetworkError
from tssd.train.handover.float_network import FloatArray
from tssd.train.quantization.graph.layers import DECAY_ONE, GraphLayer, GraphLink
from tssd.train.quantization.weights import first_step, next_step, rounded

WIRED = 64  # weight units of a wired layer's weight, so that its threshold lies well between sums


@dataclass(frozen=True, eq=False)
class GraphWeights:
    """What a layer's numbers follow from: ``weights`` and ``shifts`` (e) by its ``all_links``,
    ``bias`` of the population's rank, ``step`` (channels,) or (1,) in float64, the input's
    ``levels``."""

    layer: GraphLayer
    weights: Sequence[Tensor]
    shifts: Sequence[int]
    bias: Tensor
    step: Tensor
    levels: int

    def reach(self, link: GraphLink) -> int:
        return link.reach(self.levels)

    def spread(self, values: Tensor) -> Tensor:
        """(channels,) or (1,) -> of the population's rank."""
        return values.view(-1, *[1] * (len(self.layer.population.shape) - 1))


@dataclass(frozen=True, eq=False)
class LayerNumbers:
    """Whole numbers in weight units: ``weights`` and ``bias`` with the gradient of the floats,
    ``vth`` and ``reset_by`` (None: vth), and ``scale`` S, of the population's rank."""

    weights: tuple[Tensor, ...]
    bias: Tensor
    vth: Tensor
    reset_by: Tensor | None
    scale: Tensor


def numbers(given: GraphWeights) -> LayerNumbers:
    """The layer at its step, or the least one that fits."""
    step = fitting_step(given)
    layer, scale = given.layer, given.spread(1 / step)
    population = layer.population
    exact = given.bias.double() * scale
    whole = (exact + 0.5).floor().clamp(-layer.chip.bias_max, layer.chip.bias_max)
    theta = scale * _tensor(population.threshold, step)
    vth = (theta.ceil() - 1 if layer.wired else theta.floor()).clamp(0, layer.chip.vth_max)
    if layer.early:  # silent until data arrive
        whole = torch.minimum(whole, (vth / memory_gain(layer.dv, layer.early)).floor())
    own = population.reset_by
    amount = None if own is None else (scale * _tensor(own, step) + 0.5).floor()
    bias = exact + (whole - exact).detach()
    return LayerNumbers(_whole_weights(given, step), bias, vth, amount, scale)


def _whole_weights(given: GraphWeights, step: Tensor) -> tuple[Tensor, ...]:
    pairs = zip(given.layer.all_links, given.weights, given.shifts, strict=True)
    found = []
    for link, weight, shift in pairs:
        factor = 2.0**shift
        rows = _of_rows(step, len(weight))
        found.append(rounded(weight / (given.reach(link) * factor), rows, link.bits) * factor)
    return tuple(found)


def _of_rows(step: Tensor, rows: int) -> Tensor:
    """A step per channel -> per row of the weights: a matrix into an image has one per neuron."""
    return step if len(step) in (1, rows) else step.repeat_interleave(rows // len(step))


def _tensor(array: FloatArray, like: Tensor) -> Tensor:
    return torch.as_tensor(array, dtype=torch.float64, device=like.device)


# ---------------------------------------------------------------- steps


def _base(given: GraphWeights) -> Tensor:
    """(channels, all): the weights that are learned, in payload units behind their shift."""
    layer = given.layer
    rows = [
        w.detach().reshape(layer.channels, -1) / (given.reach(link) * 2.0**shift)
        for link, w, shift in zip(layer.all_links, given.weights, given.shifts, strict=True)
        if link.learned
    ]
    return torch.cat(rows, 1)


@torch.no_grad()
def begun(given: GraphWeights) -> tuple[Tensor, tuple[int, ...]]:
    """The first step and the shifts of a layer."""
    layer, none = given.layer, (0,) * len(given.weights)
    if layer.wired:
        return _wired_step(given), none
    plain = replace(given, shifts=none)
    shifts = _shifts(plain)
    return first_step(_base(replace(plain, shifts=shifts)), layer.bits, layer.single), shifts


def _shifts(given: GraphWeights) -> tuple[int, ...]:
    """e of each projection: 0 of the finest that is learned, and of what is not learned."""
    layer = given.layer
    pairs = list(zip(layer.all_links, given.weights, strict=True))
    own = {
        link.index: float(_first_steps(given, link, weight).log2().mean())
        for link, weight in pairs
        if link.learned
    }
    finest = min(own.values())
    return tuple(round(own.get(link.index, finest) - finest) for link, _ in pairs)


def _first_steps(given: GraphWeights, link: GraphLink, weight: Tensor) -> Tensor:
    """The step that the channels of one projection would have alone, where it has weights."""
    rows = weight.detach().reshape(given.layer.channels, -1) / given.reach(link)
    return first_step(rows[rows.any(1)], given.layer.bits, given.layer.single)


@torch.no_grad()
def followed(given: GraphWeights) -> Tensor:
    """The step that follows the weights of a layer that learns."""
    return next_step(_base(given), given.step, given.layer.bits)


def _wired_step(given: GraphWeights) -> Tensor:
    """One weight unit for a read-out of equal weights; else as many as leave a threshold room."""
    layer = given.layer
    sizes = [
        float(w.abs().max()) / given.reach(x)
        for x, w in zip(layer.all_links, given.weights, strict=True)
    ]
    equal = layer.single and max(sizes) == min(sizes) and not layer.population.bias.any()
    units = 1 if equal else min(WIRED, 1 << max(layer.chip.weight_bits - 2, 0))
    count = 1 if layer.single else layer.channels
    return torch.full((count,), max(sizes) / units, dtype=torch.float64)


@torch.no_grad()
def fitting_step(given: GraphWeights) -> Tensor:
    """The step, larger where a field of the chip would overflow."""
    step = torch.maximum(given.step, least_step(given).to(given.step))
    return step.amax()[None] if given.layer.single else step


@torch.no_grad()
def least_step(given: GraphWeights) -> Tensor:
    """(channels,): the smallest step at which bias, threshold, amounts and wiring fit, and no input
    whatever wraps a current."""
    layer, chip = given.layer, given.layer.chip
    population = layer.population
    wanted = [_currents(given), _per_channel(given.bias.double(), layer) / chip.bias_max]
    if population.kind.fires:
        amounts = [population.threshold, population.subtracted]
        highest = chip.vth_max - 1
        wanted += [_per_channel(_tensor(x, given.step), layer) / highest for x in amounts]
    for link, weight, shift in zip(layer.all_links, given.weights, given.shifts, strict=True):
        if link.wiring:
            size = weight.abs().max().double() / given.reach(link)
            wanted.append((size / (link.bits.largest * 2.0**shift)).expand(layer.channels))
    return torch.stack(wanted).amax(0)


def _currents(given: GraphWeights) -> Tensor:
    layer = given.layer
    room = layer.chip.activation_max / memory_gain(layer.du, layer.time_steps) - 1
    sums = given.step.new_zeros((2, layer.channels))
    for link, weight, shift in zip(layer.all_links, given.weights, given.shifts, strict=True):
        rows, each = weight.detach().flatten(1), given.reach(link)
        taps = int(rows.count_nonzero(1).max())
        room -= each * 2.0**shift * taps * (1 if link.bits.binary else 0.5)
        if not link.bits.binary:
            signed = (rows.clamp_min(0), rows.clamp_max(0).neg_())
            both = torch.stack([part.sum(1, dtype=torch.float64) for part in signed])
            sums += both.view(2, layer.channels, -1).amax(2)
    if room <= 0:
        raise NetworkError(
            f"population {layer.name}",
            found="more inputs than its current holds at any scale",
            allowed=f"sums within {layer.chip.activation_max} whatever comes in",
            hint="a smaller layer, or fewer input levels",
        )
    return sums.amax(0) / room


def _per_channel(values: Tensor, layer: GraphLayer) -> Tensor:
    """(channels,): the largest magnitude of each."""
    full = values.abs().expand(layer.channels, *values.shape[1:])
    return full.flatten(1).amax(1) if full.dim() > 1 else full


def memory_gain(decay: FloatArray, time_steps: int) -> float:
    """How far a state that forgets *decay* of 4096 piles up a constant: sum of kept^k, k < T."""
    kept = float((1 - decay / DECAY_ONE).max())
    return float(time_steps) if kept == 1 else (1 - kept**time_steps) / (1 - kept)
