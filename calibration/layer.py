"""One population and its incoming projections in integers, at a given scale S.

    weight = round(S * unit * W)  in the sign-safe set       unit: float value of a payload of 1
    vth    = floor(S * theta)     v > vth is then H >= theta, where S theta lies above the whole
                                  number by what the membrane's own step asks for (``above_whole``)
    amount = round(S * x)         of every further amount x of the neuron, as a reset's own
    bias   = round(S * b) weight units = mant << bias_exp (+ coarse * payload of a constant input)
    dv, du = round(2**d * (1 - decay)) * 2**(12 - d)         d: bits of a decay; du = 4096: no
                                                             synaptic memory

A loop's weights are multiples of 2**e with the least e at which they fit: a self-inhibition as
large as the threshold then costs the other weights no resolution. So are those of spikes into a
layer that receives graded values too, which count 255 times as much per payload.

A layer of dense projections may be ``finer``: its weights carry up to 2**finer times what acts, and
the exponent -finer shifts the sum back (a floor to whole weight units, once per step). Then the
current, the bias and the threshold have room although the weights keep all their bits.

What does not fit is clipped and said so: a ``Clip`` per quantity.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tssd.calibration.integer import DECAY_ONE, UNIT, IntArray
from tssd.calibration.precision import Precision
from tssd.train.handover.fields import amounts_of, words_of
from tssd.train.handover.float_network import (
    FloatArray,
    FloatPopulation,
    FloatProjection,
)
from tssd.train.handover.geometry import LinearMap, rows


@dataclass(frozen=True)
class Clip:
    """``count`` of ``total`` values of one quantity lay outside ``limit``; the largest was so."""

    layer: str
    quantity: str
    count: int
    total: int
    largest: float
    limit: float

    def __str__(self) -> str:
        return (
            f"{self.layer}: {self.count} of {self.total} {self.quantity} beyond {self.limit:g} "
            f"(largest {self.largest:.1f})"
        )


@dataclass(frozen=True)
class Form:
    """How a layer's numbers are written: the widths, the bias exponent, a constant input's payload
    (0: none), and how many bits its weights are finer than what acts."""

    precision: Precision
    bias_exp: int
    constant: int = 0
    finer: int = 0


@dataclass(frozen=True, eq=False)
class LayerIntegers:
    """Integers of one layer, ``weights`` to be shifted by ``exponents``; ``coarse`` are the weights
    of the constant input, per channel."""

    scale: float
    form: Form
    weights: tuple[IntArray, ...]
    exponents: tuple[int, ...]
    vth: IntArray
    dv: IntArray
    du: IntArray
    bias_mant: IntArray
    coarse: IntArray
    clips: tuple[Clip, ...]
    amounts: Mapping[str, IntArray] = field(default_factory=dict)  # beside vth, by field
    level: FloatArray | None = None  # what each channel was enlarged by before it was scaled
    fields: tuple[int, ...] = ()  # bits of each projection's weights; (): the form's for all

    @property
    def shifted(self) -> tuple[FloatArray, ...]:
        """The weights as they act, the floor of a right shift left out."""
        pairs = zip(self.weights, self.exponents, strict=True)
        return tuple(w.astype(np.float64) * 2.0**e for w, e in pairs)


def nearest(x: FloatArray) -> FloatArray:
    """The nearest whole number; halves go up."""
    return np.floor(x + 0.5)


def to_integers(
    population: FloatPopulation,
    incoming: Sequence[FloatProjection],
    units: Sequence[float],
    scale: float,
    form: Form,
    given: Sequence[int] | None = None,
) -> LayerIntegers:
    """The layer at ``scale``; ``units`` belong to the projections' sources. ``given``: the
    exponents of the weights, where they are decided."""
    limit = form.precision.weight_max
    clips: list[Clip] = []
    weights = []
    exponents = given or [
        _exponent(j, scale * unit, limit, -form.finer) if may_shift(j, unit, units) else -form.finer
        for j, unit in zip(incoming, units, strict=True)
    ]
    for projection, unit, e in zip(incoming, units, exponents, strict=True):
        exact = nearest(scale * unit * projection.weight / 2.0**e)
        quantity = f"weights from {projection.source}"
        weights.append(_clip(exact, limit, population.name, quantity, clips))
    membrane_bias = nearest(scale * population.bias) * UNIT
    coarse = np.zeros_like(population.bias)
    if form.constant:
        coarse = np.clip(nearest(membrane_bias / UNIT / form.constant), -limit, limit)
    mantissa = nearest((membrane_bias - coarse * form.constant * UNIT) / (1 << form.bias_exp))
    fires = population.kind.fires
    vth = np.floor(scale * population.threshold) if fires else 0 * population.threshold
    most, words = form.precision.vth_max, words_of(type(population))
    scaled = {
        name: _clip(x, most, population.name, f"{words[name]}s", clips)
        for name, x in scaled_amounts(population, scale).items()
    }
    return LayerIntegers(
        scale,
        form,
        tuple(weights),
        tuple(exponents),
        _clip(vth, form.precision.vth_max, population.name, "thresholds", clips),
        membrane_decay(population, form),
        current_decay(population, form),
        _clip(mantissa, form.precision.bias_mant_max, population.name, "bias mantissas", clips),
        coarse.astype(np.int64),
        tuple(clips),
        scaled,
    )


def scaled_amounts(population: FloatPopulation, scale: float) -> dict[str, FloatArray]:
    """Every amount but the threshold, at a scale, in whole numbers."""
    found = {x: nearest(scale * array) for x, array in amounts_of(population).items()}
    del found["threshold"]
    return found


def unscaled_amounts(
    amounts: Mapping[str, IntArray], scale: float | FloatArray
) -> dict[str, FloatArray]:
    """What the integers of ``scaled_amounts`` mean."""
    return {name: array / scale for name, array in amounts.items()}


def membrane_decay(population: FloatPopulation, form: Form) -> IntArray:
    """dv of the population."""
    return _decays(1 - population.decay, form.precision)


def current_decay(population: FloatPopulation, form: Form) -> IntArray:
    """du of the population's synaptic memory; 4096 where it has none."""
    memory = population.synapse_decay
    forgotten = np.ones_like(population.decay) if memory is None else 1 - memory
    return _decays(forgotten, form.precision)


def _decays(forgotten: FloatArray, precision: Precision) -> IntArray:
    """The nearest decays of the target's width, as fractions of 4096."""
    step = precision.decay_step
    return nearest(precision.decay_one // step * forgotten).astype(np.int64) * step


def may_shift(projection: FloatProjection, unit: float, units: Sequence[float]) -> bool:
    """Whether a projection's weights may be coarser than those beside it: see the module."""
    return projection.is_loop or unit > min(units)


def _exponent(projection: FloatProjection, factor: float, limit: int, least: int) -> int:
    """The least shift, from ``least`` on, at which the weights fit."""
    largest = factor * float(np.abs(projection.weight).max(initial=0))
    return max(int(np.ceil(np.log2(largest / limit))), least) if largest else least


def _clip(x: FloatArray, limit: int, layer: str, quantity: str, clips: list[Clip]) -> IntArray:
    beyond = int((np.abs(x) > limit).sum())
    if beyond:
        clips.append(Clip(layer, quantity, beyond, x.size, float(np.abs(x).max()), limit))
    return np.clip(x, -limit, limit).astype(np.int64)


def to_float(
    layer: LayerIntegers,
    population: FloatPopulation,
    incoming: Sequence[FloatProjection],
    units: Sequence[float],
) -> tuple[FloatPopulation, tuple[FloatProjection, ...]]:
    """The layer that the integers mean, in float: what quantization made of it.

    The truncation of decayed states to 1/64 of a weight unit is left out.
    """
    bias_units = layer.bias_mant.astype(np.float64) * (2.0**layer.form.bias_exp / UNIT)
    bias: FloatArray = (bias_units + layer.coarse * layer.form.constant) / layer.scale
    decay = 1 - layer.dv / layer.form.precision.decay_one
    fires_above = layer.vth.astype(np.float64) + 1 / UNIT  # v > vth, in steps of 1/64
    threshold: FloatArray = fires_above / layer.scale
    projections = tuple(
        replace(j, weight=w / (layer.scale * unit))
        for j, w, unit in zip(incoming, layer.shifted, units, strict=True)
    )
    memory = None
    if population.synapse_decay is not None:
        memory = 1 - layer.du / layer.form.precision.decay_one
    decays = {"decay": decay, "synapse_decay": memory}
    amounts = unscaled_amounts(layer.amounts, layer.scale)
    changed: dict[str, Any] = {"bias": bias, "threshold": threshold, **decays, **amounts}
    return replace(population, **changed), projections


def worst_activation(
    incoming: Sequence[LinearMap],
    weights: Sequence[IntArray],
    payloads: Sequence[int],
    exponents: Sequence[int] = (),
) -> int:
    """Largest |a| any neuron can reach: all positive, or all negative, weights at full payload.

    ``exponents`` shift each projection's sum; a right shift counts its remainder as a whole. What
    arrives over kernels is known per channel, over a matrix per neuron; where both enter one
    population, a channel's worst stands for each of its neurons, which lie one after the other.
    """
    shifts = exponents or (0,) * len(weights)
    reach = np.zeros((2, 1), np.int64)
    for projection, weight, payload, e in zip(incoming, weights, payloads, shifts, strict=True):
        met = rows(projection, weight) * payload
        sums = np.stack([np.maximum(x, 0).sum(axis=2).max(axis=0) for x in (met, -met)])
        reach = _added(reach, sums << e if e >= 0 else -(-sums >> -e))
    return int(reach.max(initial=0))


def _added(a: IntArray, b: IntArray) -> IntArray:
    """Both per part of one population, added over the finer parts."""
    parts = max(a.shape[1], b.shape[1])
    one, other = (np.repeat(x, parts // x.shape[1], axis=1) for x in (a, b))
    return one + other


def currents_fit(
    layer: LayerIntegers,
    incoming: Sequence[LinearMap],
    payloads: Sequence[int],
    time_steps: int,
) -> bool:
    """Whether no input whatever wraps the synaptic current of the layer."""
    reach = worst_activation(incoming, layer.weights, payloads, layer.exponents)
    reach += int(np.abs(layer.coarse).max()) * layer.form.constant
    return reach * memory_gain(layer.du, time_steps) <= layer.form.precision.activation_max


def above_whole(dv: IntArray, du: IntArray, time_steps: int) -> float:
    """How far above the whole number vth a threshold S theta is best, in weight units:

        1/2                                        where the membrane stays on whole weight units
        min(1/2, (1/2 + e_v g_v + e_u g_u g_v) / 64)        where a decay takes a part of a state

    A neuron fires at v > vth, so at vth + 1 on whole units and at vth + 1/64 on those of a decayed
    state: half of that step lies below. Each decay in part also drops what is less than 1/64, by
    ``dropped`` e on average, of which a state has piled up g = sum of decay^k (k < T). Ours;
    measured in docs/decisions/scale-search.md.
    """
    e_v, e_u = dropped(dv), dropped(du)
    if not (e_v or e_u):
        return 0.5
    gain_v = memory_gain(dv, time_steps)
    lost = e_v * gain_v + e_u * memory_gain(du, time_steps) * gain_v
    return min(0.5, (0.5 + lost) / UNIT)


def dropped(decay: IntArray) -> float:
    """What rounding toward zero takes from a positive state in a step, on average, in its own
    units: x (4096 - d) / 4096 = x p / q in lowest terms leaves a remainder of 0 .. q - 1 over q."""
    q = DECAY_ONE // np.gcd(decay, DECAY_ONE)
    return float(((q - 1) / (2 * q)).max())


def memory_gain(du: IntArray, time_steps: int) -> float:
    """How far synaptic memory can pile up a constant activation: the sum of decay^k, k < T."""
    decay = 1 - du.astype(np.float64) / DECAY_ONE
    still = np.where(decay == 1, 0.0, decay)
    total = np.where(decay == 1, time_steps, (1 - still**time_steps) / (1 - still))
    return float(total.max())
