"""What a FloatNetwork must satisfy before it is folded or quantized: one clear error otherwise."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tssd.config import unknown_name
from tssd.errors import DataError, NetworkError, counted
from tssd.train.handover.fields import arrays_of
from tssd.train.handover.float_activity import ImageArray
from tssd.train.handover.float_network import (
    FloatArray,
    FloatNetwork,
    FloatPopulation,
    FloatProjection,
    PopulationKind,
)

if TYPE_CHECKING:  # folding needs no torch
    from torch import Tensor


def check_network(network: FloatNetwork) -> None:
    """Finite parameters, decays in [0, 1], positive thresholds, no layer of only zeros."""
    if network.time_steps < 1:
        raise NetworkError("network", found=f"{network.time_steps} time steps", allowed=">= 1")
    first, last = network.populations[0], network.populations[-1]
    for population, kind in ((first, PopulationKind.INPUT), (last, PopulationKind.READOUT)):
        if population.kind is not kind:
            raise NetworkError(
                f"population {population.name}", found=f"kind {population.kind}", allowed=kind
            )
    for population in network.populations:
        _check_population(population)
    for projection in network.projections:
        _check_projection(projection, network.population(projection.source))


def check_folded(network: FloatNetwork) -> None:
    """Weights alone: no normalisation, pooling or bias of a projection."""
    for projection in network.projections:
        left = [k for k in ("norm", "pool", "bias") if getattr(projection, k) is not None]
        if left:
            raise NetworkError(
                label(projection),
                found=f"a {left[0]} that is not folded",
                allowed="weights only",
                hint="fold the network first",
            )


def check_relay(incoming: Sequence[FloatProjection]) -> None:
    """One projection of zeros and ones into a relay."""
    if len(incoming) != 1 or not np.isin(incoming[0].weight, (0.0, 1.0)).all():
        raise NetworkError(
            f"population {incoming[0].target}",
            found="a relay that weighs or mixes its inputs",
            allowed="one projection of zeros and ones",
        )


def alike(images: ImageArray) -> str | None:
    """What samples that tell one scale from another as one would are, in words; None: they
    differ."""
    if not len(images):
        return "none"
    if images.min() == images.max():
        return f"{counted(len(images), 'sample')} of the one value {int(images.min())}"
    if len(images) > 1 and bool((images == images[:1]).all()):
        return f"{counted(len(images), 'sample')} of one picture"
    return None


def check_calibration(images: ImageArray) -> None:
    """Samples of a data set that differ."""
    found = alike(images)
    if found is not None:
        raise DataError(
            "calibration samples",
            found=found,
            allowed="samples that differ, as those that the network will see",
        )


def check_numbers(where: str, membrane: "Tensor") -> None:
    """A membrane that is no number fires never, in silence."""
    bad = ~membrane.isfinite()
    if bad.any():
        share = bad.transpose(0, 1).flatten(1).any(1)
        raise NetworkError(
            f"population {where}",
            found=f"membranes that are NaN or infinite on {int(share.sum())} of {len(share)}"
            " calibration samples",
            allowed="numbers",
            hint="the weights before it overflow float32: train with a lower learning rate",
        )


def check_layers(names: Collection[str], network: FloatNetwork) -> None:
    """Only populations with weights of their own have a width of their own."""
    known = [p.name for p in network.populations if p.kind.has_state]
    for name in names:
        if name not in known:
            raise unknown_name("width of weights", f"layer {name!r}", name, known)


def label(projection: FloatProjection) -> str:
    """The projection's name in messages."""
    return f"projection {projection.source} -> {projection.target}"


def _check_population(population: FloatPopulation) -> None:
    where = f"population {population.name}"
    for name, array in arrays_of(population).items():
        _check_finite(f"{where}: {name}", array)
        if array.ndim != len(population.shape):
            raise NetworkError(
                f"{where}: {name}",
                found=f"shape {array.shape}",
                allowed=f"rank {len(population.shape)}, broadcasting to {population.shape}",
            )
    if not population.kind.has_state:
        return
    for decay in (population.decay, population.synapse_decay):
        if decay is not None and (decay.min() < 0 or decay.max() > 1):
            found = f"decays {decay.min():g} .. {decay.max():g}"
            raise NetworkError(where, found=found, allowed="0 .. 1", hint="tau >= 1")
    if population.kind.fires and population.threshold.min() <= 0:
        raise NetworkError(
            where, found=f"a threshold of {population.threshold.min():g}", allowed="> 0"
        )


def _check_projection(projection: FloatProjection, source: FloatPopulation) -> None:
    where = label(projection)
    _check_finite(f"{where}: weight", projection.weight)
    if projection.bias is not None:
        _check_finite(f"{where}: bias", projection.bias)
    if projection.norm is not None:
        for name in ("mean", "variance", "gain", "shift"):
            _check_finite(f"{where}: norm {name}", getattr(projection.norm, name))
    if not np.any(projection.weight):
        raise NetworkError(
            where,
            found="weights that are all zero",
            allowed="at least one weight that is not zero",
            hint="remove the projection, or train the layer",
        )
    rank = 4 if projection.kind.spatial else 2
    if projection.weight.ndim != rank:
        raise NetworkError(
            where, found=f"weight of shape {projection.weight.shape}", allowed=f"rank {rank}"
        )
    if rank == 4 and len(source.shape) != 3:
        raise NetworkError(
            where, found=f"{projection.kind} on shape {source.shape}", allowed="a (C, H, W) source"
        )


def _check_finite(where: str, array: FloatArray) -> None:
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        index = tuple(int(i) for i in bad[0])
        raise NetworkError(
            where,
            found=f"{len(bad)} values that are not finite, the first at {index}",
            allowed="finite values",
            hint="the training diverged: lower the learning rate, or use an earlier checkpoint",
        )
