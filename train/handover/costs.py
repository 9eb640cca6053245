"""What a trained network does per inference: spike rates and synaptic operations per layer.

    rate      spikes / (neurons * steps), in 0..1, of every spiking population
    synops    for each spike sent (of the input: each pixel that is not 0), one operation per
              connection it takes, counted at the population that receives it

A connection whose weight happens to be 0 counts; a spike that goes through an average pooling takes
the connections of its pooled cell, as it does once pooling is folded into the weights.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from tssd.train.handover.float_activity import FloatActivity, ImageArray
from tssd.train.handover.float_network import (
    FloatArray,
    FloatNetwork,
    FloatProjection,
)
from tssd.train.handover.float_run import run
from tssd.train.handover.linear import linear_map


@dataclass(frozen=True)
class Costs:
    """Per population; ``synops`` are per inference."""

    rates: dict[str, float]
    synops: dict[str, float]

    @property
    def total_synops(self) -> float:
        return sum(self.synops.values())


def costs(network: FloatNetwork, images: ImageArray) -> Costs:
    """Means over *images*, run for ``network.time_steps`` steps."""
    activity = run(network, images)
    slots = activity.samples * activity.time_steps
    rates = {
        p.name: float(activity.events[p.name].sum()) / (slots * p.neurons)
        for p in network.populations
        if p.kind.fires
    }
    return Costs(rates, synops(network, activity))


def synops(network: FloatNetwork, activity: FloatActivity) -> dict[str, float]:
    """Synaptic operations per inference into each population that has synapses."""
    found = {p.name: 0.0 for p in network.populations[1:]}
    for projection in network.projections:
        found[projection.target] += (
            _operations(projection, activity.events[projection.source]) / activity.samples
        )
    return found


def connections(projection: FloatProjection, shape: tuple[int, ...]) -> float:
    """Synapses of *projection* from a population of *shape*."""
    return _operations(projection, np.ones(shape))


def _operations(projection: FloatProjection, events: FloatArray) -> float:
    """Operations that *events* (spikes per neuron of the source) cause."""
    sent = torch.from_numpy(np.asarray(events, np.float64))[None]
    if projection.pool is not None:
        kernel, stride = projection.pool.kernel, projection.pool.stride
        sent = functional.avg_pool2d(sent, kernel, stride) * (kernel[0] * kernel[1])
    ones = torch.ones(projection.weight.shape, dtype=torch.float64)
    return float(linear_map(projection, sent, ones).sum())
