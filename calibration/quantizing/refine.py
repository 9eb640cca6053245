"""Layers at their scales -> layers whose errors are made up for, one after the other.

The search sees every layer alone, on the float network's own spikes. Here the layers are taken in
the network's order, each on what the integers before it really send: its weights are rounded
against that (``rounding``), then its thresholds and biases follow the float network (``tuning``).
What a layer leaves wrong, the next ones see and correct.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np
import torch
from torch import Tensor

from tssd.arrays import PackedBits
from tssd.calibration.integer import IntArray
from tssd.calibration.layer import LayerIntegers, currents_fit, to_float
from tssd.calibration.quantizing.channels import Rounding
from tssd.calibration.quantizing.options import Decided
from tssd.calibration.quantizing.rounding import InputBlock, compensated, input_blocks
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

KEPT = 8  # refinements of each layer: a search goes back and forth between a few
KEPT_BLOCKS = 4  # of all layers: a wide one takes 32 MB for each 2,048 inputs

Blocks = tuple[tuple[InputBlock, ...], ...]  # of each group


@dataclass(frozen=True, eq=False)
class Refinement:
    """What the layers are refined with: the network, what it sent in float, by population; of a
    READOUT ``wanted`` is its membrane. ``units`` and ``payloads`` belong to the sources,
    ``entering`` is the coded input, ``exact`` are layers that something else computes as in
    float."""

    network: FloatNetwork
    sent: Mapping[str, Tensor]
    wanted: Mapping[str, Tensor]
    units: Mapping[str, float]
    payloads: Mapping[str, int]
    entering: Tensor
    exact: frozenset[str] = frozenset()

    @cached_property
    def place(self) -> Mapping[str, int]:
        """The number of each population."""
        return {p.name: k for k, p in enumerate(self.network.populations)}

    @cached_property
    def depth(self) -> Mapping[str, int]:
        return depths(self.network)

    def arriving(self, projection: FloatProjection, sent: Mapping[str, Tensor]) -> Tensor:
        return arriving(self.network, projection, sent, self.depth)


@dataclass(frozen=True)
class ChosenLayer:
    """A layer at its scale, and what is to be done with it; of a relay the first is None. Two are
    equal where the integers are the same ones."""

    made: LayerIntegers | None
    decided: Decided | None

    @property
    def refines(self) -> bool:
        return self.decided is not None and self.decided.refines


Chain = tuple[ChosenLayer, ...]  # all layers up to one, in the network's order
Refiner = Callable[[Mapping[str, LayerIntegers], Mapping[str, Decided]], dict[str, LayerIntegers]]


@dataclass(frozen=True, eq=False)
class _Refined:
    """A refined layer, and what it then sends on the calibration samples, packed."""

    made: LayerIntegers | None
    sends: Callable[[], Tensor]


def refiner(work: Refinement) -> Refiner:
    """``refined`` for many choices: where the first layers are those of a choice before, what they
    came to then is taken."""
    populations = work.network.populations

    @lru_cache(maxsize=KEPT * len(populations))
    def at_end(chain: Chain) -> _Refined:
        population = populations[len(chain)]
        if population.name in work.exact:
            return _Refined(chain[-1].made, lambda: work.sent[population.name])
        incoming = work.network.incoming(population.name)
        sent = {j.source: sends(chain, j) for j in incoming if not j.is_loop}
        if population.kind.relays:
            passed = project(incoming[0], sent[incoming[0].source], population.shape)
            return _Refined(None, lambda: passed)
        layer = _layer(work, population, chain[-1], sent, lambda j: blocks(before(chain, j), j))
        return _Refined(layer.integers, _packed(layer.run()[1]))

    def before(chain: Chain, projection: FloatProjection) -> Chain:
        return chain[: work.place[projection.source]]

    def sends(chain: Chain, projection: FloatProjection) -> Tensor:
        first = before(chain, projection)
        return at_end(first).sends() if first else work.entering

    @lru_cache(maxsize=KEPT_BLOCKS)
    def blocks(first: Chain, projection: FloatProjection) -> Blocks:
        return input_blocks(projection, at_end(first).sends() if first else work.entering)

    def refined(
        layers: Mapping[str, LayerIntegers], decided: Mapping[str, Decided]
    ) -> dict[str, LayerIntegers]:
        """The *layers* refined in the network's order, as far as there is anything to refine."""
        names = [p.name for p in populations[1:]]
        chain = tuple(ChosenLayer(layers.get(name), decided.get(name)) for name in names)
        last = max((k for k, one in enumerate(chain) if one.refines), default=-1)
        found = {name: at_end(chain[: k + 1]).made for k, name in enumerate(names[: last + 1])}
        return {**layers, **{name: made for name, made in found.items() if made is not None}}

    return refined


def _packed(sent: Tensor) -> Callable[[], Tensor]:
    """*sent* again, kept as bits where there is nothing but spikes."""
    if not bool(((sent == 0) | (sent == 1)).all()):
        return lambda: sent
    kind, bits = sent.dtype, PackedBits.of(sent.bool().numpy())
    return lambda: torch.from_numpy(bits.unpacked()).to(kind)


def _layer(
    work: Refinement,
    population: FloatPopulation,
    chosen: ChosenLayer,
    sent: Mapping[str, Tensor],
    blocks: Callable[[FloatProjection], Blocks],
) -> RoundedPopulation:
    made, decided = chosen.made, chosen.decided
    assert made is not None  # every layer with a state has both
    assert decided is not None
    incoming = work.network.incoming(population.name)
    rounded = _rounded(work, population, incoming, made, blocks, decided)
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

    def mean_current() -> FloatArray:
        mean = by_channel(_float_current(work, population, incoming))
        return mean * channel_scales(rounded, population)

    wanted = work.wanted[population.name]
    if population.kind.reads_out:
        wanted = wanted * rounded.scale
    return tuned(layer, mean_current, wanted, decided.tuning)


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
    blocks: Callable[[FloatProjection], Blocks],
    decided: Decided,
) -> LayerIntegers:
    """The layer with its weights rounded as asked; as it was where a current could then wrap, or a
    projection would fall silent."""
    if decided.rounding is Rounding.NEAREST:
        return made
    scales = channel_scales(made, population)
    weights = tuple(
        weight
        if j.is_loop
        else _compensated(j, blocks(j), scales * (work.units[j.source] / 2.0**e), made)
        for j, weight, e in zip(incoming, made.weights, made.exponents, strict=True)
    )
    changed = replace(made, weights=weights)
    payloads = [work.payloads[j.source] for j in incoming]
    fits = currents_fit(changed, incoming, payloads, work.network.time_steps)
    return changed if fits and all(w.any() for w in weights) else made


def _compensated(
    projection: FloatProjection, blocks: Blocks, scales: FloatArray, made: LayerIntegers
) -> IntArray:
    rows = np.repeat(scales, len(projection.weight) // len(scales))
    largest = made.form.precision.weight_max
    return compensated(projection, blocks, rows, largest).astype(np.int64)
