"""What each layer's quantization costs: it alone in integers, and it alone in float."""

from collections.abc import Collection
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from tssd.calibration.int_network import IntNetwork, Projection
from tssd.calibration.integer import DECAY_ONE, UNIT, IntArray
from tssd.calibration.layer import unscaled_amounts
from tssd.train.handover.fields import amounts_of
from tssd.train.handover.float_activity import ImageArray
from tssd.train.handover.float_network import (
    FloatNetwork,
    FloatPopulation,
    FloatProjection,
)
from tssd.train.handover.float_run import run

Alone = Literal["integers", "float"]


def dequantize(network: FloatNetwork, integers: IntNetwork, names: Collection[str]) -> FloatNetwork:
    """``network`` with the populations ``names`` (and what enters them) as the integers mean them.

    The truncation of the decayed membrane to 1/64 of a weight unit, and the floor of a right shift,
    are left out.
    """
    first = integers.source.name  # with input as bias, what enters it is computed in float
    behind = [j for j in network.projections if j.target != first]
    pairs = list(zip(behind, integers.projections, strict=True))
    populations = tuple(
        _population(p, integers, [_extra(j, i) for j, i in pairs if j.target == p.name])
        if p.name in names
        else p
        for p in network.populations
    )
    changed = {id(j): _projection(j, i, integers) if j.target in names else j for j, i in pairs}
    projections = tuple(changed.get(id(j), j) for j in network.projections)
    return replace(network, populations=populations, projections=projections)


def _population(
    population: FloatPopulation, integers: IntNetwork, extra: list[IntArray]
) -> FloatPopulation:
    quantized = integers.population(population.name)
    size = (-1,) + (1,) * (len(population.shape) - 1)
    bias = quantized.bias / UNIT
    for weight in extra:
        constant = weight.reshape(len(weight), -1).sum(axis=1).reshape(size)
        bias = bias + constant * float(integers.input_max)
    scales = quantized.scales
    threshold = (quantized.vth.astype(np.float64) + 1 / UNIT) / scales  # v > vth in 1/64 units
    remembers = population.synapse_decay is not None
    amounts = amounts_of(quantized)
    del amounts["vth"]
    changed: dict[str, Any] = unscaled_amounts(amounts, scales)
    return replace(
        population,
        bias=population.bias if quantized is integers.source else bias / scales,
        threshold=threshold,
        decay=1 - quantized.dv / DECAY_ONE,
        synapse_decay=1 - quantized.du / DECAY_ONE if remembers else None,
        **changed,
    )


def _extra(projection: FloatProjection, theirs: Projection) -> IntArray:
    """Weights of the constant input channel, that only the integer network may have."""
    return theirs.weight[:, projection.weight.shape[1] :]


def _projection(
    projection: FloatProjection, theirs: Projection, integers: IntNetwork
) -> FloatProjection:
    source, target = integers.population(theirs.source), integers.population(theirs.target)
    unit = 1.0 if source.has_state else 1.0 / source.scale
    weight = theirs.weight[:, : projection.weight.shape[1]].astype(np.float64)
    rows = weight.reshape(target.shape[0], -1) / target.scales.reshape(-1, 1)
    return replace(projection, weight=rows.reshape(weight.shape) * 2.0**theirs.weight_exp / unit)


def answers_by_layer(
    network: FloatNetwork,
    integers: IntNetwork,
    images: ImageArray,
    alone: Alone,
    *,
    batch: int = 64,
    device: str = "cpu",
) -> dict[str, IntArray]:
    """The class of each sample (N,), for each population with weights: with it alone in integers
    and all others in float, or with it alone in float. One float run for each of them."""
    names = {p.name for p in network.populations if p.kind.has_state}
    chosen = {
        p.name: {p.name} if alone == "integers" else names - {p.name}
        for p in network.populations
        if p.name in names
    }
    return {
        name: run(
            dequantize(network, integers, those), images, batch=batch, device=device
        ).classes()
        for name, those in chosen.items()
    }
