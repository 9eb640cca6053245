"""One layer's scale: candidates that keep every hard limit, and how far each is from float.

Candidates lie on a geometric grid around the max-abs scale, 2**-finer * weight_max / max |W|: below
it weights lose resolution, above it the largest are clipped. Each candidate layer is run in float
as its integers read, on the float network's own spikes, clipped where the membrane saturates; the
one whose output differs least wins:

    LIF      share of spike slots that differ           READOUT   mean squared error of the membrane
             or (spike_counts) of spikes too many or too few of each neuron over all steps

Hard limits of S: the threshold's width, and no input whatever may wrap the synaptic current.

A ``levelled`` layer has a scale per channel (``channels``): the candidates are compared channel by
channel, and each gets the one whose spikes differ least from its own.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import assert_never

import numpy as np
import torch
from torch import Tensor

from tssd.calibration.integer import UNIT
from tssd.calibration.layer import (
    Form,
    LayerIntegers,
    above_whole,
    current_decay,
    currents_fit,
    may_shift,
    membrane_decay,
    memory_gain,
    to_float,
    to_integers,
)
from tssd.calibration.quantizing.channels import (
    Search,
    enlarged,
    per_channel,
    rows_of,
    sizes,
    to_place,
)
from tssd.errors import NetworkError
from tssd.train.handover.fields import amounts_of
from tssd.train.handover.float_layers import current, integrate, project, read_of
from tssd.train.handover.float_network import (
    FloatArray,
    FloatPopulation,
    FloatProjection,
)

GRID = 1.15  # ratio of neighbouring candidates
FINEST, COARSEST = 1.5, 0.5  # the grid's ends, as multiples of the max-abs scale
TOGETHER = 8  # samples that ``differing`` compares at once


@dataclass(frozen=True)
class Trial:
    """One candidate and its score (smaller is better), also that of each channel."""

    scale: float
    score: float
    channels: FloatArray = field(default_factory=lambda: np.zeros(0))


@dataclass(frozen=True, eq=False)
class ScaledLayer:
    """What the search of one layer needs; units and payloads belong to the projections' sources.

    ``level``: by how much each channel is larger than in the network (None: one scale for all).
    ``size``: the weight that is to fit the largest integer, if it is not the largest of all.
    """

    population: FloatPopulation
    incoming: tuple[FloatProjection, ...]
    units: tuple[float, ...]
    payloads: tuple[int, ...]
    form: Form
    time_steps: int = 1
    level: FloatArray | None = None
    size: float | None = None

    def integers(self, scale: float) -> LayerIntegers:
        if self.level is None:
            return to_integers(self.population, self.incoming, self.units, scale, self.form)
        by = to_place(self.population, scale, self.above)
        changed = enlarged(self.population, self.incoming, by)
        made = to_integers(*changed, self.units, scale, self.form)
        return replace(made, level=self.level * by)

    @property
    def max_abs_scale(self) -> float:
        """The scale at which the largest weight, or the layer's ``size``, just fits."""
        largest = self.size or float(np.abs(self.rows).max())
        return self.form.precision.weight_max / largest / 2.0**self.form.finer

    @property
    def rows(self) -> FloatArray:
        """(channels, weights): those that the scale is for."""
        pairs = zip(self.incoming, self.units, strict=True)
        own = [(j, unit) for j, unit in pairs if not may_shift(j, unit, self.units)]
        return rows_of(self.population, [j for j, _ in own], [unit for _, unit in own])

    def observed(self, how: Search) -> "ScaledLayer":
        """The layer with its weights' size as *how* sees it."""
        match how:
            case Search.PERCENTILE:
                whole = self.rows.reshape(1, -1)
                largest = self.form.precision.weight_max
                return replace(self, size=float(sizes(whole, how, largest)[0]))
            case Search.MAX_ABS | Search.WEIGHT_MSE | Search.OUTPUT | Search.SPIKE_COUNTS:
                return self
            case _:
                assert_never(how)

    def levelled(self, how: Search) -> "ScaledLayer":
        """The layer with every channel as large as the largest, as far as its limits allow; itself
        where it does not fire: classes are compared with each other."""
        if not self.population.kind.fires:
            return self
        found = sizes(self.rows, how, self.form.precision.weight_max)
        largest = float(found.max())
        wanted = largest / np.where(found > 0, found, largest)
        by = np.maximum(np.minimum(wanted, self._room(largest)), 1.0)
        population, incoming = enlarged(self.population, self.incoming, by)
        return replace(self, population=population, incoming=incoming, level=by, size=largest)

    def _room(self, size: float) -> FloatArray:
        """How much larger each channel may become at the scale of weights of *size*."""
        precision, population = self.form.precision, self.population
        scale = precision.weight_max / size
        amounts = [
            (per_channel(population, population.bias), self._bias_room),
            *(
                (per_channel(population, amount), float(precision.vth_max))
                for amount in amounts_of(population).values()
            ),
            (self._reach, precision.activation_max / self._gain),
        ]
        tiny = np.finfo(np.float64).tiny
        room = [limit / np.maximum(scale * amount, tiny) for amount, limit in amounts]
        least: FloatArray = np.min(room, axis=0) / FINEST
        return least

    @property
    def bias_scale(self) -> float:
        """The scale at which the largest bias just fits its mantissa (and constant input)."""
        largest = float(np.abs(self.population.bias).max())
        return self._bias_room / largest if largest else np.inf

    @property
    def _bias_room(self) -> float:
        """The largest bias in weight units."""
        room = self.form.precision.bias_mant_max * 2.0**self.form.bias_exp / UNIT
        return room + self.form.constant * self.form.precision.weight_max

    @property
    def current_scale(self) -> float:
        """The scale at which the worst input just fits the synaptic current (rounding left out)."""
        return self.form.precision.activation_max / (self._gain * float(self._reach.max()))

    @property
    def above(self) -> float:
        """How far above a whole number a threshold is put."""
        form, population = self.form, self.population
        decays = membrane_decay(population, form), current_decay(population, form)
        return above_whole(*decays, self.time_steps)

    @property
    def _gain(self) -> float:
        return memory_gain(current_decay(self.population, self.form), self.time_steps)

    @property
    def _reach(self) -> FloatArray:
        """(channels,): the largest current of any neuron of a channel, of either sign."""
        outputs = len(self.incoming[0].weight)
        reach = np.zeros((2, outputs))
        for j, unit, payload in zip(self.incoming, self.units, self.payloads, strict=True):
            flat = j.weight.reshape(outputs, -1) * (unit * payload)
            reach += np.stack([np.maximum(flat, 0).sum(1), np.maximum(-flat, 0).sum(1)])
        largest: FloatArray = reach.max(axis=0).reshape(self.population.shape[0], -1).max(axis=1)
        return largest

    @property
    def threshold_scale(self) -> float:
        """The scale at which the largest amount (a threshold, a reset's) just fits."""
        largest = max(float(np.abs(x).max()) for x in amounts_of(self.population).values())
        fires = self.population.kind.fires
        return (self.form.precision.vth_max + 0.5) / largest if fires else np.inf

    @property
    def whole(self) -> bool:
        """Whether weights keep all their bits: no other limit lies below the max-abs scale."""
        return self.limit is None

    @property
    def limit(self) -> str | None:
        """What takes bits from the weights, the narrowest first; None where they are whole."""
        limits = {
            "the bias": self.bias_scale,
            "the worst-case current": self.current_scale,
            "the threshold": self.threshold_scale,
        }
        narrowest = min(limits, key=lambda name: limits[name])
        return narrowest if limits[narrowest] < self.max_abs_scale else None

    @property
    def possible(self) -> bool:
        """Whether the largest weight rounds to one or more within the hard limits."""
        largest = self.form.precision.weight_max / self.max_abs_scale
        return min(self.current_scale, self.threshold_scale) * largest >= 0.5

    def refined(self) -> "ScaledLayer":
        """The layer as much finer as it takes to be whole, or as it can be; itself where that
        cannot be said: a convolution's exponent is ignored by Lava."""
        if any(j.kind.spatial for j in self.incoming):
            return self
        steps = range(self.form.precision.finer_max + 1)
        finer = [replace(self, form=replace(self.form, finer=k)) for k in steps]
        return next((layer for layer in finer if layer.whole), finer[-1])


def best(layer: ScaledLayer, trials: tuple[Trial, ...]) -> LayerIntegers:
    """The integers of the least score; of equal ones, those nearest to the max-abs scale. Channels
    with scales of their own choose for themselves."""
    top = layer.max_abs_scale
    if layer.level is None or not trials[0].channels.size:
        chosen = min(trials, key=lambda trial: (trial.score, abs(np.log(trial.scale / top))))
        return layer.integers(chosen.scale)
    nearest_first = sorted(trials, key=lambda trial: abs(np.log(trial.scale / top)))
    scores = np.stack([trial.channels for trial in nearest_first])
    scales = np.array([trial.scale for trial in nearest_first])[scores.argmin(axis=0)]
    by: FloatArray = scales / scales.max()
    population, incoming = enlarged(layer.population, layer.incoming, by)
    moved = replace(layer, population=population, incoming=incoming, level=layer.level * by)
    return moved.integers(float(scales.max()))


def search(
    layer: ScaledLayer, sent: Mapping[str, Tensor], wanted: Tensor, how: Search
) -> tuple[Trial, ...]:
    """Every candidate's score; ``sent``: what each source sends, ``wanted``: the float output."""
    grid = _grid(layer)
    match how:
        case Search.MAX_ABS | Search.PERCENTILE:
            return (_largest_that_fits(layer, grid),)
        case Search.WEIGHT_MSE if layer.level is not None:  # each channel's step is the best
            return (_largest_that_fits(layer, grid),)
        case Search.WEIGHT_MSE:
            return tuple(Trial(scale, _weight_error(layer, scale)) for scale in grid)
        case Search.OUTPUT:
            return tuple(_output_trial(layer, scale, sent, wanted, differing) for scale in grid)
        case Search.SPIKE_COUNTS:
            return tuple(_output_trial(layer, scale, sent, wanted, miscounted) for scale in grid)
        case _:
            assert_never(how)


def _largest_that_fits(layer: ScaledLayer, grid: list[float]) -> Trial:
    fits = [s for s in grid if s <= layer.max_abs_scale and s <= layer.bias_scale]
    return Trial(max(fits, default=grid[0]), 0.0)


def _grid(layer: ScaledLayer) -> list[float]:
    """Candidate scales that keep every hard limit, smallest first."""
    limits = (layer.bias_scale, layer.current_scale, layer.threshold_scale)
    top = FINEST * layer.max_abs_scale
    bottom = COARSEST * min(layer.max_abs_scale, *limits)
    count = int(np.ceil(np.log(top / bottom) / np.log(GRID))) + 1
    steps = [layer.max_abs_scale, *np.geomspace(bottom, top, count)]
    steps += [limit for limit in limits if limit < top]
    own = layer.level is None  # else every channel's threshold is moved on its own
    grid = sorted({_placed(layer, float(s)) if own else s for s in steps})
    legal = [s for s in grid if _legal(layer, s)]
    while not legal and bottom * UNIT > 1e-9:  # thresholds beyond every grid point: go down
        bottom /= GRID
        scale = _placed(layer, bottom) if own else bottom
        legal = [scale] if _legal(layer, scale) else []
    if not legal:
        raise NetworkError(
            f"population {layer.population.name}",
            found="no scale that keeps thresholds and worst-case currents in range",
            allowed=f"|{'|, |'.join(amounts_of(layer.population))}| <= "
            f"{layer.form.precision.vth_max} weight units, currents <= "
            f"{layer.form.precision.activation_max}, a largest weight of 1 or more",
            hint=_remedy(layer),
        )
    return legal


def _remedy(layer: ScaledLayer) -> str:
    """What would make a layer possible, by the limit that it meets first."""
    if layer.threshold_scale < layer.current_scale:
        return "larger weights, or a lower threshold: the weights round to zero beside it"
    return "fewer inputs, input levels or steps of synaptic memory: all at once they overflow"


def _placed(layer: ScaledLayer, scale: float) -> float:
    """The nearest scale at which the (largest) threshold is m + ``above`` weight units, m >= 1."""
    if not layer.population.kind.fires:
        return scale
    theta, above = float(layer.population.threshold.max()), layer.above
    return (max(round(scale * theta - above), 1) + above) / theta


def _legal(layer: ScaledLayer, scale: float) -> bool:
    precision, integers = layer.form.precision, layer.integers(scale)
    amounts = amounts_of(layer.population).values()
    if any(np.any(np.abs(scale * x) >= precision.vth_max + 1) for x in amounts):
        return False
    if not any(w.any() for w in integers.weights):
        return False
    return currents_fit(integers, layer.incoming, layer.payloads, layer.time_steps)


def _weight_error(layer: ScaledLayer, scale: float) -> float:
    _, quantized = to_float(layer.integers(scale), layer.population, layer.incoming, layer.units)
    pairs = zip(layer.incoming, quantized, strict=True)
    return sum(float(((j.weight - q.weight) ** 2).sum()) for j, q in pairs)


def _output_trial(
    layer: ScaledLayer,
    scale: float,
    sent: Mapping[str, Tensor],
    wanted: Tensor,
    apart: "Callable[[Callable[[slice], Tensor], Tensor], FloatArray]",
) -> Trial:
    """How far the candidate's output is from ``wanted`` on the float network's own spikes, *apart*
    as one of ``differing`` and ``miscounted`` says."""
    integers = layer.integers(scale)
    population, incoming = to_float(integers, layer.population, layer.incoming, layer.units)
    loops = [j for j in incoming if j.is_loop]
    room = (1 << (layer.form.precision.state_bits - 1)) / UNIT / scale

    def run(samples: slice) -> tuple[Tensor, Tensor]:
        arrived = [
            floored(project(j, sent[j.source][:, samples], population.shape), scale, e)
            for j, e in zip(incoming, integers.exponents, strict=True)
            if not j.is_loop
        ]
        total = current(population, arrived, layer.time_steps)
        return integrate(population, total, layer.time_steps, room, loops)

    if population.kind.reads_out:
        read, meant = (read_of(population, x) for x in (run(slice(None))[0], wanted))
        return Trial(scale, float(((read - meant) ** 2).mean()))
    unlike = apart(lambda samples: run(samples)[1], wanted)
    share = float(unlike.sum() / wanted.numel())
    if layer.level is None:
        return Trial(scale, share)
    return Trial(scale, share, unlike / (wanted.numel() / len(unlike)))


def differing(sends: Callable[[slice], Tensor], wanted: Tensor) -> FloatArray:
    """(channels,): spike slots in which what a layer *sends*, given which samples, differs from
    *wanted* (T, N, channels, ...). A few samples at a time: all of a wide layer's membranes at once
    are fetched from memory at every operation, those of a few stay near the core."""
    return _over_samples(lambda samples: sends(samples) != wanted[:, samples], wanted)


def miscounted(sends: Callable[[slice], Tensor], wanted: Tensor) -> FloatArray:
    """(channels,): spikes too many or too few of its neurons, over all steps of a sample."""
    return _over_samples(
        lambda samples: (sends(samples).sum(0) - wanted[:, samples].sum(0)).abs()[None], wanted
    )


def _over_samples(unlike: Callable[[slice], Tensor], wanted: Tensor) -> FloatArray:
    """What is *unlike* (T, N, channels, ...), summed up for each channel."""
    others = [axis for axis in range(wanted.dim()) if axis != 2]
    counts = torch.zeros(wanted.shape[2], dtype=torch.float64)
    for first in range(0, wanted.shape[1], TOGETHER):
        counts += unlike(slice(first, first + TOGETHER)).sum(others)
    found: FloatArray = counts.numpy()
    return found


def floored(arrived: Tensor, scale: float, exponent: int) -> Tensor:
    """What is left of a sum after its shift: whole weight units, where it is a right one."""
    return torch.floor(arrived * scale) / scale if exponent < 0 else arrived
