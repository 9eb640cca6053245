"""Channels of a layer brought to one size, so that each has a scale of its own.

A membrane has no unit of its own: for any r > 0 a neuron with

    weights r W      bias r b      threshold and every other amount r x

fires the same spikes. So each channel's row of weights is enlarged by its own r >= 1 before the
layer gets its one scale S: the channel's scale is then S r, and on the chip a scale per channel is
a threshold and a bias per channel. A gain of batch normalisation scales the whole row and is gone
from the rounding: rounding the folded weights so is rounding the raw ones.

The size of a row is what is to fit the largest integer M (``Search``):

    max_abs       max |w|                 percentile    the 99 % quantile of |w|
    weight_mse    M q with the step q of least  sum (w - q clip(round(w / q)))**2
"""

from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from typing import Any, assert_never

import numpy as np

from tssd.train.handover.fields import amounts_of
from tssd.train.handover.float_network import FloatArray, FloatPopulation, FloatProjection

SHARES = np.linspace(0.3, 1.0, 29)  # of max |w|, tried as the size of least squared error
QUANTILE = 0.99  # rows of convolutions have tens to a thousand weights


class Granularity(StrEnum):
    """What has a scale of its own."""

    LAYER = "layer"
    CHANNEL = "channel"


class Rounding(StrEnum):
    """How a weight becomes whole."""

    NEAREST = "nearest"
    COMPENSATED = "compensated"


class Tuning(StrEnum):
    """What of a rounded layer follows the float network."""

    NONE = "none"
    BIAS = "bias"
    SPIKES = "spikes"


class Search(StrEnum):
    """How a scale is chosen among the candidates."""

    MAX_ABS = "max_abs"  # the largest scale that clips nothing
    PERCENTILE = "percentile"  # one weight of a hundred is clipped
    WEIGHT_MSE = "weight_mse"  # least squared error of the weights
    OUTPUT = "output"  # least difference of the layer's output on calibration samples
    SPIKE_COUNTS = "spike_counts"  # of its spikes over all steps, whenever they come

    @property
    def compares(self) -> bool:
        """Whether outputs are compared with the float network's."""
        match self:
            case Search.OUTPUT | Search.SPIKE_COUNTS:
                return True
            case Search.MAX_ABS | Search.PERCENTILE | Search.WEIGHT_MSE:
                return False
            case _:
                assert_never(self)


def rows_of(
    population: FloatPopulation, incoming: Sequence[FloatProjection], units: Sequence[float]
) -> FloatArray:
    """(channels, all weights into one): what one payload of each source adds."""
    channels = population.shape[0]
    pairs = zip(incoming, units, strict=True)
    return np.concatenate([(j.weight * unit).reshape(channels, -1) for j, unit in pairs], axis=1)


def sizes(rows: FloatArray, how: Search, largest: int) -> FloatArray:
    """The size of each row (rows, weights), 0 for one of zeros; *largest*: M."""
    magnitudes = np.abs(rows)
    match how:
        case Search.MAX_ABS:
            return _largest(magnitudes)
        case Search.PERCENTILE:
            held: FloatArray = np.quantile(magnitudes, QUANTILE, axis=1)
            return np.where(held > 0, held, _largest(magnitudes))
        case Search.WEIGHT_MSE | Search.OUTPUT | Search.SPIKE_COUNTS:
            return _least_squares(magnitudes, largest)
        case _:
            assert_never(how)


def _largest(magnitudes: FloatArray) -> FloatArray:
    result: FloatArray = magnitudes.max(axis=1)
    return result


def _least_squares(magnitudes: FloatArray, largest: int) -> FloatArray:
    tried = SHARES[:, None] * _largest(magnitudes)
    errors = [_error(magnitudes, size, largest) for size in tried]
    best: FloatArray = tried[np.argmin(errors, axis=0), np.arange(len(magnitudes))]
    return best


def _error(magnitudes: FloatArray, size: FloatArray, largest: int) -> FloatArray:
    step = np.where(size > 0, size, 1.0)[:, None] / largest
    rounded = np.minimum(np.floor(magnitudes / step + 0.5), largest)
    squares: FloatArray = ((rounded * step - magnitudes) ** 2).sum(axis=1)
    return squares


def enlarged(
    population: FloatPopulation, incoming: Sequence[FloatProjection], by: FloatArray
) -> tuple[FloatPopulation, tuple[FloatProjection, ...]]:
    """The same layer with each channel's row times *by* (channels,): the same spikes."""
    channel = by.reshape((-1,) + (1,) * (len(population.shape) - 1))
    amounts = {name: x * channel for name, x in amounts_of(population).items()}
    larger: dict[str, Any] = {**amounts, "bias": population.bias * channel}
    changed = replace(population, **larger)
    return changed, tuple(replace(j, weight=_times(j.weight, by)) for j in incoming)


def _times(weight: FloatArray, by: FloatArray) -> FloatArray:
    longer: FloatArray = weight.reshape(len(by), -1) * by[:, None]
    return longer.reshape(weight.shape)


def per_channel(population: FloatPopulation, values: FloatArray) -> FloatArray:
    """The largest magnitude of each channel of a parameter: (channels,)."""
    whole = np.broadcast_to(np.abs(values), population.shape)
    return _largest(whole.reshape(population.shape[0], -1))


def to_place(population: FloatPopulation, scale: float, above: float) -> FloatArray:
    """What brings each channel's threshold at *scale* to the nearest m + *above*, m >= 1."""
    at = scale * per_channel(population, population.threshold)
    return (np.maximum(np.rint(at - above), 1) + above) / at
