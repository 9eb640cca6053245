"""A network of whole numbers, as training with few bits leaves it: taken over, not rounded.

Its weights, thresholds, biases and resets are weight units already (``train.quantization.whole``),
so every layer has the scale 1; one number that is not whole, or does not fit, is refused.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from tssd.arrays import FloatArray
from tssd.calibration.int_network import InputCoding
from tssd.calibration.integer import UNIT
from tssd.calibration.layer import Form, LayerIntegers, to_integers
from tssd.calibration.precision import Precision
from tssd.calibration.quantizing.checks import label
from tssd.errors import NetworkError
from tssd.train.handover.float_network import FloatNetwork, FloatPopulation

WHOLE = 1e-6  # how far a number of weight units may be from a whole one: the rounding of floats


@dataclass(frozen=True)
class GivenWeights:
    """Of one projection: the ``bits`` of its weights, and their exponent."""

    bits: int
    exponent: int = 0


@dataclass(frozen=True)
class GivenIntegers:
    """How whole numbers were trained: levels of the input, and the weights of the projections into
    each population, in the network's order."""

    input_max: int
    weights: Mapping[str, tuple[GivenWeights, ...]]


def given_layer(
    network: FloatNetwork,
    population: FloatPopulation,
    units: Mapping[str, float],
    precision: Precision,
    given: GivenIntegers,
) -> LayerIntegers:
    """The integers of one layer, at scale 1."""
    incoming = network.incoming(population.name)
    own = tuple(units[j.source] for j in incoming)
    weights = given.weights[population.name]
    fields = tuple(min(max(w.bits, 2), precision.weight_bits) for w in weights)
    form = Form(replace(precision, weight_bits=max(fields)), precision.bias_exp)
    made = to_integers(population, incoming, own, 1.0, form, [w.exponent for w in weights])
    made = replace(made, fields=fields)
    for j, unit, weight in zip(incoming, own, made.shifted, strict=True):
        _check(label(j), "weight", unit * j.weight, weight)
    where = f"population {population.name}"
    _check(where, "bias", population.bias, (made.bias_mant << form.bias_exp) / UNIT)
    step = precision.decay_one
    _check(where, "decay", step * (1 - population.decay), made.dv.astype(np.float64))
    amount = made.amounts.get("reset_by")
    if amount is None or not np.array_equal(amount, made.vth):
        return made
    rest = {name: array for name, array in made.amounts.items() if name != "reset_by"}
    return replace(made, amounts=rest)  # a reset by vth is what a soft reset is without saying


def coding_of_given(given: GivenIntegers, frames: bool) -> InputCoding:
    """Frames of two values are spikes, everything else payloads."""
    return InputCoding.SPIKES if frames and given.input_max == 1 else InputCoding.GRADED


def _check(where: str, what: str, wanted: FloatArray, found: FloatArray) -> None:
    beside = np.abs(np.asarray(wanted - found))
    if beside.max(initial=0) > WHOLE:
        value = float(np.broadcast_to(wanted, beside.shape).ravel()[beside.argmax()])
        raise NetworkError(
            where,
            found=f"a {what} of {value:g} weight units, trained for another chip",
            allowed="what the target's fields hold as it is",
            hint="train for this target: tssd calibrate RUN --target ...",
        )
