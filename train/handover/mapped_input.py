"""A network on the user's own numbers -> the same network on levels 0 .. 1, by its InputMap.

    W x = W (low + span level) = (W span) level + W low          exact in real arithmetic

W low is a bias. Where a padded border reads no pixel it is smaller there, so it then becomes a bias
per neuron.
"""

from dataclasses import replace

import numpy as np
import torch

from tssd.errors import NetworkError
from tssd.train.handover.compose import fold_norm
from tssd.train.handover.float_layers import project
from tssd.train.handover.float_network import (
    FloatArray,
    FloatNetwork,
    FloatPopulation,
    FloatProjection,
)
from tssd.train.handover.input_map import InputMap


def with_input_map(network: FloatNetwork, made: InputMap) -> FloatNetwork:
    """*network* as a function of levels; it keeps *made* for those who bring samples later."""
    if made.is_plain:
        return network
    source = network.populations[0]
    changed = {p.name: p for p in network.populations}
    projections = []
    for projection in network.projections:
        if projection.source == source.name:
            target = changed[projection.target]
            projection, changed[target.name] = _mapped(projection, source, target, made)
        projections.append(projection)
    populations = tuple(changed[p.name] for p in network.populations)
    return replace(network, populations=populations, projections=tuple(projections), entry=made)


def _mapped(
    projection: FloatProjection, source: FloatPopulation, target: FloatPopulation, made: InputMap
) -> tuple[FloatProjection, FloatPopulation]:
    """The projection from levels, and its target with what no bias per channel can say."""
    if target.kind.relays:
        raise NetworkError(
            f"projection {source.name} -> {target.name}",
            found="an input that is summed before it has weights, and is not 0 .. 1",
            allowed="pixels or spikes there",
            hint="fold the pooling into the next weights (pooling = fold)",
        )
    plain = replace(fold_norm(projection), bias=None)
    offset = _offset(plain, source, target, made)
    kept = fold_norm(projection).bias
    scaled = replace(plain, weight=_scaled(plain, source, made))
    if not offset.any():
        return replace(scaled, bias=kept), target
    first = offset.reshape(len(offset), -1)[:, :1]
    if np.allclose(offset.reshape(len(offset), -1), first, rtol=1e-12, atol=0):
        return replace(scaled, bias=first[:, 0] + (0 if kept is None else kept)), target
    if target.synapse_decay is not None and target.synapse_decay.any():
        raise NetworkError(
            f"projection {source.name} -> {target.name}",
            found="a padded border, synaptic memory and samples whose zero is no level 0",
            allowed="two of the three",
            hint="shift the samples so that their least value is 0, or train without padding",
        )
    return replace(scaled, bias=kept), replace(target, bias=target.bias + offset)


def _offset(
    projection: FloatProjection, source: FloatPopulation, target: FloatPopulation, made: InputMap
) -> FloatArray:
    """What level 0 everywhere sends: (*target shape)."""
    low = torch.tensor(np.broadcast_to(made.low, source.shape).copy())[None, None]
    found: FloatArray = project(projection, low, target.shape)[0, 0].numpy()
    return found


def _scaled(projection: FloatProjection, source: FloatPopulation, made: InputMap) -> FloatArray:
    """The weights times what a level is worth, by input channel."""
    if not projection.kind.spatial:
        places = int(projection.weight.shape[1]) // len(made.span)
        return projection.weight * np.repeat(made.span.ravel(), places)
    channels = np.broadcast_to(made.span.ravel(), (source.shape[0],))
    by_group = channels.reshape(projection.groups, -1)
    outputs = len(projection.weight) // projection.groups
    return projection.weight * np.repeat(by_group, outputs, axis=0)[:, :, None, None]
