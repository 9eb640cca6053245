"""Layers at their scales -> layers whose errors are made up for, one after the other.

The search sees every layer alone, on the float network's own spikes. Here the layers are taken in
the network's order, each on what the integers before it really send: its weights are rounded
against that (``rounding``), then its thresholds and biases follow the float network (``tuning``).
What a layer leaves wrong, the next ones see and correct.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from tssd.calibration.integer import IntArray
from tssd.calibration.layer import LayerIntegers, currents_fit, to_float
from tssd.calibration.quantizing.channels import Rounding
from tssd.calibration.quantizing.options import Decided
from tssd.calibration.quantizing.rounding import compensated
from tssd.calibration.quantizing.search import floored
from tssd.calibration.quantizing.tuning import RoundedPopulation, by_channel, tuned
from tssd.train.handover.float_layers import arriving, current, project
from tssd.train.handover.float_network import (
    FloatArray,
    FloatNetwork,
    FloatPopulation,
    FloatProjection,
    depths,
)


@dataclass(frozen=True, eq=False)
class Refinement:
    """What the layers are refined with: the network, what it sent in float, by population; of a
    READOUT ``wanted`` is its membrane. ``units`` and ``payloads`` belong to the sources,
    ``decided`` to each layer."""

    network: FloatNetwork
    sent: Mapping[str, Tensor]
    wanted: Mapping[str, Tensor]
    units: Mapping[str, float]
    payloads: Mapping[str, int]
    decided: Mapping[str, Decided]

    def arriving(self, projection: FloatProjection, sent: Mapping[str, Tensor]) -> Tensor:
        return arriving(self.network, projection, sent, depths(self.network))


def refined(
    work: Refinement,
    layers: Mapping[str, LayerIntegers],
    entering: Tensor,
    exact: Collection[str] = (),
) -> dict[str, LayerIntegers]:
    """The *layers* refined in the network's order; *entering*: the coded input, *exact*: layers
    that something else computes as in float."""
    sent, made = {work.network.populations[0].name: entering}, dict(layers)
    for population in work.network.populations[1:]:
        name, incoming = population.name, work.network.incoming(population.name)
        if name in exact:
            sent[name] = work.sent[name]
        elif population.kind.relays:
            sent[name] = project(incoming[0], sent[incoming[0].source], population.shape)
        else:
            layer = _layer(work, population, made[name], sent)
            made[name], sent[name] = layer.integers, layer.run()[1]
    return made


def _layer(
    work: Refinement, population: FloatPopulation, made: LayerIntegers, sent: Mapping[str, Tensor]
) -> RoundedPopulation:
    incoming = work.network.incoming(population.name)
    rounded = _rounded(work, population, incoming, made, sent)
    units = tuple(work.units[j.source] for j in incoming)
    whole, maps = to_float(replace(rounded, scale=1.0), population, incoming, units)
    arrived = [
        floored(work.arriving(j, sent), 1.0, e)
        for j, e in zip(maps, rounded.exponents, strict=True)
        if not j.is_loop
    ]
    loops = tuple(j for j in maps if j.is_loop)
    steps = work.network.time_steps
    layer = RoundedPopulation(rounded, whole, sum(arrived[1:], arrived[0]), steps, loops)
    scales = channel_scales(rounded, population)
    mean = by_channel(_float_current(work, population, incoming)) * scales
    wanted = work.wanted[population.name]
    if population.kind.reads_out:
        wanted = wanted * rounded.scale
    return tuned(layer, mean, wanted, work.decided[population.name].tuning)


def channel_scales(made: LayerIntegers, population: FloatPopulation) -> FloatArray:
    """S of each channel."""
    return made.scale * (np.ones(population.shape[0]) if made.level is None else made.level)


def _float_current(
    work: Refinement, population: FloatPopulation, incoming: Sequence[FloatProjection]
) -> Tensor:
    """What entered the membranes in float, loops left out."""
    arrived = [work.arriving(j, work.sent) for j in incoming if not j.is_loop]
    return current(population, arrived, work.network.time_steps)


def _rounded(
    work: Refinement,
    population: FloatPopulation,
    incoming: Sequence[FloatProjection],
    made: LayerIntegers,
    sent: Mapping[str, Tensor],
) -> LayerIntegers:
    """The layer with its weights rounded as asked; as it was where a current could then wrap, or a
    projection would fall silent."""
    if work.decided[population.name].rounding is Rounding.NEAREST:
        return made
    scales = channel_scales(made, population)
    weights = tuple(
        weight
        if j.is_loop
        else _compensated(j, sent[j.source], scales * (work.units[j.source] / 2.0**e), made)
        for j, weight, e in zip(incoming, made.weights, made.exponents, strict=True)
    )
    changed = replace(made, weights=weights)
    payloads = [work.payloads[j.source] for j in incoming]
    fits = currents_fit(changed, incoming, payloads, work.network.time_steps)
    return changed if fits and all(w.any() for w in weights) else made


def _compensated(
    projection: FloatProjection, sent: Tensor, scales: FloatArray, made: LayerIntegers
) -> IntArray:
    rows = np.repeat(scales, len(projection.weight) // len(scales))
    largest = made.form.precision.weight_max
    return compensated(projection, sent, rows, largest).astype(np.int64)
