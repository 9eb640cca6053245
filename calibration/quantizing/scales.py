"""Ranges x Precision -> Scales: one scale per population, found on calibration samples.

A scale S turns floats into weight units, for the weights of all incoming projections, the threshold
and the bias alike. Candidates lie on a geometric grid around the max-abs scale (weight_max /
max |W|): below it weights lose resolution, above it the largest are clipped. Each candidate layer
is run in float as its integers read, on the float network's own spikes, clipped where the membrane
saturates; the one whose output differs least wins:

    LIF      share of spike slots that differ           READOUT   mean squared error of the membrane

Hard limits of S: the threshold's width, and no input whatever may wrap the synaptic current.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import torch
from torch import Tensor

from tssd.calibration.encode import on_levels, rate_code
from tssd.calibration.int_network import InputCoding
from tssd.calibration.integer import UNIT
from tssd.calibration.layer import (
    Clip,
    Form,
    LayerIntegers,
    may_shift,
    memory_gain,
    to_float,
    to_integers,
    worst_activation,
)
from tssd.calibration.precision import Precision
from tssd.calibration.quantizing.checks import check_network, label
from tssd.calibration.quantizing.observe import Observation
from tssd.errors import NetworkError
from tssd.train.handover.float_layers import current, integrate, layers, project
from tssd.train.handover.float_network import (
    FloatNetwork,
    FloatPopulation,
    FloatProjection,
    PopulationKind,
)
from tssd.train.handover.float_run import PIXEL_MAX, ImageArray, presented

GRID = 1.15  # ratio of neighbouring candidates
FINEST, COARSEST = 1.5, 0.5  # the grid's ends, as multiples of the max-abs scale
INPUT_LEVELS = (255, 127, 63, 31, 15)  # largest payloads tried by BiasRoute.LEVELS


class BiasRoute(StrEnum):
    """What is done when the first layer's bias exceeds its mantissa (its scale carries the pixels).

    SCALE: a smaller scale, as the search finds. LEVELS: fewer input levels. CONSTANT: a constant
    input channel carries the coarse part. EXPONENT: the largest bias exponent of the target.
    """

    SCALE = "scale"
    LEVELS = "levels"
    CONSTANT = "constant"
    EXPONENT = "exponent"


class Search(StrEnum):
    """How a scale is chosen among the candidates."""

    MAX_ABS = "max_abs"  # the largest scale that clips nothing
    WEIGHT_MSE = "weight_mse"  # least squared error of the weights
    OUTPUT = "output"  # least difference of the layer's output on calibration samples


@dataclass(frozen=True)
class Options:
    """Choices of quantization; the defaults are ours, measured in docs/quantization.md."""

    input_coding: InputCoding = InputCoding.GRADED
    bias_route: BiasRoute = BiasRoute.SCALE
    search: Search = Search.OUTPUT


@dataclass(frozen=True)
class Trial:
    """One candidate and its score (smaller is better)."""

    scale: float
    score: float


@dataclass(frozen=True, eq=False)
class Scales:
    """The choice for every population with state, and what had to be clipped."""

    precision: Precision
    input_coding: InputCoding
    input_max: int
    layers: Mapping[str, LayerIntegers]
    trials: Mapping[str, tuple[Trial, ...]]

    @property
    def clips(self) -> tuple[Clip, ...]:
        return tuple(clip for layer in self.layers.values() for clip in layer.clips)

    @property
    def constant_channel(self) -> bool:
        return any(layer.form.constant for layer in self.layers.values())


@dataclass(frozen=True, eq=False)
class _Layer:
    """What the search of one layer needs."""

    population: FloatPopulation
    incoming: tuple[FloatProjection, ...]
    units: tuple[float, ...]
    payloads: tuple[int, ...]
    form: Form
    time_steps: int = 1

    def integers(self, scale: float) -> LayerIntegers:
        return to_integers(self.population, self.incoming, self.units, scale, self.form)

    @property
    def max_abs_scale(self) -> float:
        """The scale at which the largest weight just fits."""
        largest = max(
            float(np.abs(j.weight).max()) * unit
            for j, unit in zip(self.incoming, self.units, strict=True)
            if not may_shift(j, unit, self.units)
        )
        return self.form.precision.weight_max / largest

    @property
    def bias_scale(self) -> float:
        """The scale at which the largest bias just fits its mantissa (and constant input)."""
        largest = float(np.abs(self.population.bias).max())
        room = self.form.precision.bias_mant_max * 2.0**self.form.bias_exp / UNIT
        room += self.form.constant * self.form.precision.weight_max
        return room / largest if largest else np.inf


def choose(
    network: FloatNetwork,
    observation: Observation,
    precision: Precision,
    options: Options | None = None,
) -> Scales:
    """Scales of a folded, aligned ``network`` from the observation's calibration images."""
    options = options or Options()
    check_network(network)
    _check_folded(network)
    input_max = _input_max(network, precision, options)
    units, payloads = _units(network, input_max, options.input_coding)
    chosen: dict[str, LayerIntegers] = {}
    trials: dict[str, tuple[Trial, ...]] = {}
    sent: dict[str, Tensor] = {}
    with torch.inference_mode():
        pixels = torch.tensor(presented(network, observation.images)).float() / PIXEL_MAX
        for name, _, membrane, out in layers(network, pixels):
            population, sent[name] = network.population(name), out
            if population.kind is PopulationKind.INPUT:
                sent[name] = _coded(network, observation.images, input_max)
            if population.kind in (PopulationKind.INPUT, PopulationKind.RELAY):
                continue
            incoming = network.incoming(name)
            layer = _Layer(
                population,
                incoming,
                tuple(units[j.source] for j in incoming),
                tuple(payloads[j.source] for j in incoming),
                _form(network, population, precision, options, units, input_max),
                network.time_steps,
            )
            wanted = membrane if population.kind is PopulationKind.READOUT else out
            assert wanted is not None
            trials[name] = tuple(_search(layer, network.time_steps, sent, wanted, options.search))
            best = min(trials[name], key=lambda trial: trial.score)
            chosen[name] = layer.integers(best.scale)
    return Scales(precision, options.input_coding, input_max, chosen, trials)


def _coded(network: FloatNetwork, images: ImageArray, input_max: int) -> Tensor:
    """The input as the integer network will see it, in float: rounded to its levels, or spikes."""
    pixels = presented(network, images)
    if input_max == 1 and len(pixels) == 1:
        coded = rate_code(images, network.time_steps)
    else:
        coded = on_levels(pixels, input_max)
    return torch.tensor(coded).float() / input_max


def _check_folded(network: FloatNetwork) -> None:
    for projection in network.projections:
        left = [k for k in ("norm", "pool", "bias") if getattr(projection, k) is not None]
        if left:
            raise NetworkError(
                label(projection),
                found=f"a {left[0]} that is not folded",
                allowed="weights only",
                hint="fold the network first",
            )


def _units(
    network: FloatNetwork, input_max: int, coding: InputCoding
) -> tuple[dict[str, float], dict[str, int]]:
    """Float value of a payload of 1, and the largest payload, of every population."""
    units: dict[str, float] = {}
    payloads: dict[str, int] = {}
    for population in network.populations:
        name, incoming = population.name, network.incoming(population.name)
        units[name], payloads[name] = 1.0, 1
        if population.kind is PopulationKind.INPUT:
            units[name], payloads[name] = 1.0 / input_max, input_max
        elif population.kind is PopulationKind.RELAY:
            _check_relay(incoming)
            units[name] = units[incoming[0].source]
            payloads[name] = worst_activation(
                [incoming[0].weight.astype(np.int64)], [payloads[incoming[0].source]]
            )
    return units, payloads


def _check_relay(incoming: Sequence[FloatProjection]) -> None:
    if len(incoming) != 1 or not np.isin(incoming[0].weight, (0.0, 1.0)).all():
        raise NetworkError(
            f"population {incoming[0].target}",
            found="a relay that weighs or mixes its inputs",
            allowed="one projection of zeros and ones",
        )


def _input_max(network: FloatNetwork, precision: Precision, options: Options) -> int:
    """The largest payload of the input."""
    if options.input_coding is InputCoding.SPIKES:
        return 1
    largest = min(PIXEL_MAX, precision.payload_max)
    if options.bias_route is not BiasRoute.LEVELS:
        return largest
    for levels in INPUT_LEVELS:
        if levels <= largest and all(
            not _overflows(network, population, precision, 1.0 / levels)
            for population in _fed_by_input(network)
        ):
            return levels
    return INPUT_LEVELS[-1]


def _fed_by_input(network: FloatNetwork) -> list[FloatPopulation]:
    targets = [j.target for j in network.outgoing(network.populations[0].name)]
    states = (PopulationKind.LIF, PopulationKind.READOUT)
    return [p for p in map(network.population, targets) if p.kind in states]


def _overflows(
    network: FloatNetwork, population: FloatPopulation, precision: Precision, unit: float
) -> bool:
    """Whether the bias leaves its mantissa at the scale at which the weights just fit."""
    incoming = network.incoming(population.name)
    units = tuple(unit for _ in incoming)
    layer = _Layer(population, incoming, units, (), Form(precision, precision.bias_exp))
    return layer.bias_scale < layer.max_abs_scale


def _form(
    network: FloatNetwork,
    population: FloatPopulation,
    precision: Precision,
    options: Options,
    units: Mapping[str, float],
    input_max: int,
) -> Form:
    """The layer's bias exponent and constant input, by the chosen route."""
    plain = Form(precision, precision.bias_exp)
    first = network.populations[0].name
    if all(p is not population for p in _fed_by_input(network)):
        return plain
    if not _overflows(network, population, precision, units[first]):
        return plain
    if options.bias_route is BiasRoute.EXPONENT:
        return Form(precision, precision.bias_exp_max)
    if options.bias_route is BiasRoute.CONSTANT:
        return Form(precision, precision.bias_exp, constant=input_max)
    return plain


# ---------------------------------------------------------------- the search of one layer


def _search(
    layer: _Layer, time_steps: int, sent: Mapping[str, Tensor], wanted: Tensor, search: Search
) -> list[Trial]:
    grid = _grid(layer)
    if search is Search.MAX_ABS:
        fits = [s for s in grid if s <= layer.max_abs_scale and s <= layer.bias_scale]
        return [Trial(max(fits, default=grid[0]), 0.0)]
    if search is Search.WEIGHT_MSE:
        return [Trial(scale, _weight_error(layer, scale)) for scale in grid]
    return [Trial(s, _output_error(layer, s, time_steps, sent, wanted)) for s in grid]


def _grid(layer: _Layer) -> list[float]:
    """Candidate scales that keep every hard limit, smallest first."""
    top = FINEST * layer.max_abs_scale
    bottom = COARSEST * min(layer.max_abs_scale, layer.bias_scale)
    count = int(np.ceil(np.log(top / bottom) / np.log(GRID))) + 1
    steps = [layer.max_abs_scale, *np.geomspace(bottom, top, count)]
    if layer.bias_scale < top:
        steps.append(layer.bias_scale)
    grid = sorted({_half_threshold(layer.population, float(s)) for s in steps})
    legal = [s for s in grid if _legal(layer, s)]
    while not legal and bottom * UNIT > 1e-9:  # thresholds beyond every grid point: go down
        bottom /= GRID
        scale = _half_threshold(layer.population, bottom)
        legal = [scale] if _legal(layer, scale) else []
    if not legal:
        raise NetworkError(
            f"population {layer.population.name}",
            found="no scale that keeps thresholds and worst-case currents in range",
            allowed=f"|vth| and |reset_by| <= {layer.form.precision.vth_max}",
            hint="more weight bits, or smaller weights",
        )
    return legal


def _half_threshold(population: FloatPopulation, scale: float) -> float:
    """The nearest scale at which the (largest) threshold is m + 1/2 weight units, m >= 1."""
    if population.kind is not PopulationKind.LIF:
        return scale
    theta = float(population.threshold.max())
    return (max(round(scale * theta - 0.5), 1) + 0.5) / theta


def _legal(layer: _Layer, scale: float) -> bool:
    precision, integers = layer.form.precision, layer.integers(scale)
    if np.any(scale * layer.population.threshold >= precision.vth_max + 1):
        return False
    if np.any(np.abs(scale * layer.population.subtracted) >= precision.vth_max + 1):
        return False
    if not any(w.any() for w in integers.weights):
        return False
    reach = worst_activation(integers.shifted, layer.payloads)
    reach += int(np.abs(integers.coarse).max()) * layer.form.constant
    return reach * memory_gain(integers.du, layer.time_steps) <= precision.activation_max


def _weight_error(layer: _Layer, scale: float) -> float:
    _, quantized = to_float(layer.integers(scale), layer.population, layer.incoming, layer.units)
    pairs = zip(layer.incoming, quantized, strict=True)
    return sum(float(((j.weight - q.weight) ** 2).sum()) for j, q in pairs)


def _output_error(
    layer: _Layer, scale: float, time_steps: int, sent: Mapping[str, Tensor], wanted: Tensor
) -> float:
    """How far the candidate's output is from ``wanted`` on the float network's own spikes."""
    population, incoming = to_float(
        layer.integers(scale), layer.population, layer.incoming, layer.units
    )
    loops = [j for j in incoming if j.is_loop]
    arrived = [project(j, sent[j.source], population.shape) for j in incoming if not j.is_loop]
    total = current(population, arrived, time_steps)
    room = (1 << (layer.form.precision.state_bits - 1)) / UNIT / scale
    membrane, out = integrate(population, total, time_steps, room, loops)
    if population.kind is PopulationKind.READOUT:
        return float(((membrane[-1] - wanted[-1]) ** 2).mean())
    return float((out != wanted).double().mean())
