"""Thresholds and biases of a rounded layer, tuned so that its neurons do as those in float.

    bias     the mean current of each channel is the float network's: the classical bias correction
    spikes   the threshold and the bias of each channel at which fewest spikes of the calibration
             samples differ from the float network's, found by steps that grow smaller (*ours*)

Both are whole numbers of weight units already, so what is tuned is what is deployed. A layer with
one scale has one threshold, which stays as it is; a read-out has its mean membranes corrected in
either way: nothing else of it can be moved.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, assert_never

import numpy as np
import torch
from torch import Tensor

from tssd.arrays import Array
from tssd.calibration.integer import UNIT
from tssd.calibration.layer import LayerIntegers
from tssd.calibration.precision import Precision
from tssd.calibration.quantizing.channels import Tuning, per_channel
from tssd.calibration.quantizing.search import differing
from tssd.train.handover.float_layers import current, integrate
from tssd.train.handover.float_network import FloatArray, FloatPopulation, FloatProjection

PACES = (0.08, 0.04, 0.02, 0.01)  # of the threshold: the steps of the search, each tried twice
TRIED = 2


@dataclass(frozen=True, eq=False)
class RoundedPopulation:
    """A layer in weight units: its ``integers``, what ``arrived`` (T or 1, N, *shape) at it, and
    the ``population`` that the integers mean at scale 1."""

    integers: LayerIntegers
    population: FloatPopulation
    arrived: Tensor
    time_steps: int
    loops: tuple[FloatProjection, ...] = ()

    @property
    def room(self) -> float:
        """Where the membrane saturates."""
        return float(1 << (self.integers.form.precision.state_bits - 1)) / UNIT

    def moved(self, thresholds: FloatArray, biases: FloatArray) -> "RoundedPopulation":
        """The layer with whole numbers added to each channel's threshold and bias, as far as their
        fields go; a threshold stays at 1 or more."""
        made, precision = self.integers, self.integers.form.precision
        size = (-1,) + (1,) * (len(self.population.shape) - 1)
        by, step = thresholds.reshape(size), 2.0**made.form.bias_exp / UNIT
        mantissas = np.round(biases.reshape(size) / step)
        most = precision.bias_mant_max
        vth = made.vth if not by.any() else _within(made.vth, by, precision)
        bias = np.clip(made.bias_mant + mantissas, -most, most).astype(np.int64)
        amounts: dict[str, Any] = {
            "threshold": vth + 1 / UNIT,
            "bias": self.population.bias + (bias - made.bias_mant) * step,
        }
        integers = replace(made, vth=vth, bias_mant=bias)
        return replace(self, integers=integers, population=replace(self.population, **amounts))

    def run(self) -> tuple[Tensor, Tensor]:
        """(T, N, *shape) membrane before the reset, and what is sent."""
        total = current(self.population, [self.arrived], self.time_steps)
        return integrate(self.population, total, self.time_steps, self.room, self.loops)


def _within(vth: Array, by: FloatArray, precision: Precision) -> Array:
    return np.clip(vth + by, np.minimum(vth, 1), precision.vth_max).astype(np.int64)


def tuned(
    rounded: RoundedPopulation,
    mean_current: Callable[[], FloatArray],
    wanted: Tensor,
    how: Tuning,
) -> RoundedPopulation:
    """*rounded* as *how* says; *mean_current* (channels,), made where it is asked for, and *wanted*
    (T, N, *shape), its spikes or the membranes of a read-out, are the float network's, in weight
    units."""
    fires = rounded.population.kind.fires
    match how:
        case Tuning.NONE:
            return rounded
        case Tuning.BIAS | Tuning.SPIKES if not fires:
            return _with_mean_membrane(rounded, wanted)
        case Tuning.BIAS:
            return _with_mean_current(rounded, mean_current())
        case Tuning.SPIKES:
            return _with_fewest_differing(rounded, wanted)
        case _:
            assert_never(how)


def by_channel(values: Tensor) -> FloatArray:
    """The mean over steps, samples and places of each channel of (T, N, C, ...)."""
    means: FloatArray = values.transpose(0, 2).flatten(1).double().mean(1).numpy()
    return means


def _with_mean_current(rounded: RoundedPopulation, wanted: FloatArray) -> RoundedPopulation:
    found = by_channel(current(rounded.population, [rounded.arrived], rounded.time_steps))
    return rounded.moved(np.zeros_like(found), np.round(wanted - found))


def _with_mean_membrane(rounded: RoundedPopulation, wanted: Tensor) -> RoundedPopulation:
    """Each class's mean membrane after the last step; 1 more bias in every step adds ``gain``."""
    membrane, _ = rounded.run()
    one = torch.ones(rounded.time_steps, 1, *rounded.population.shape)
    gain = by_channel(integrate(rounded.population, one, rounded.time_steps)[0][-1:])
    found, goal = by_channel(membrane[-1:]), by_channel(wanted[-1:])
    return rounded.moved(np.zeros_like(gain), np.round((goal - found) / gain))


def _with_fewest_differing(rounded: RoundedPopulation, wanted: Tensor) -> RoundedPopulation:
    """Every channel walks on its own, in steps of its threshold or its bias."""
    size = rounded.population.shape[0]
    thresholds, biases = np.zeros(size), np.zeros(size)
    threshold = per_channel(rounded.population, rounded.integers.vth.astype(np.float64))
    whole = rounded.integers.level is None  # one scale, one threshold
    best = _differing(rounded, wanted)
    for pace in np.repeat(PACES, TRIED):
        step = np.maximum(np.round(pace * threshold), 1)
        for up, right in ((0, 1), (0, -1), (1, 0), (-1, 0))[: 2 if whole else 4]:
            tried = rounded.moved(thresholds + up * step, biases + right * step)
            score = _differing(tried, wanted)
            better = score < best
            thresholds = np.where(better, thresholds + up * step, thresholds)
            biases = np.where(better, biases + right * step, biases)
            best = np.where(better, score, best)
    return rounded.moved(thresholds, biases)


def _differing(rounded: RoundedPopulation, wanted: Tensor) -> FloatArray:
    """The spike slots of each channel that differ."""

    def sends(samples: slice) -> Tensor:
        return replace(rounded, arrived=rounded.arrived[:, samples]).run()[1]

    return differing(sends, wanted)
