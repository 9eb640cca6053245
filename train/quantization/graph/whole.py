"""QuantizedGraph -> FloatNetwork of whole numbers, in weight units, and what it fired.

As ``quantization.whole``: calibration takes the network over at scale 1 and rounds nothing.
"""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from tssd.arrays import ByteArray, FloatArray
from tssd.train.handover.float_network import FloatNetwork, FloatPopulation, FloatProjection
from tssd.train.quantization.graph.integers import LayerNumbers, numbers
from tssd.train.quantization.graph.layers import DECAY_ONE, GraphLayer, GraphLink
from tssd.train.quantization.graph.network import QuantizedGraph
from tssd.train.quantization.neurons import UNIT
from tssd.train.quantization.whole import FiredSpikes


@torch.no_grad()
def whole_graph(net: QuantizedGraph, time_steps: int) -> FloatNetwork:
    """The network that *net* trains, in whole numbers."""
    populations = {p.name: p for p in net.network.populations}
    projections, left_out = list(net.network.projections), net.zero_links()
    for layer in net.layers:
        given = net.given(layer)
        made = numbers(given)
        populations[layer.name] = _population(layer, made)
        for link, weight in zip(layer.all_links, made.weights, strict=True):
            projections[link.index] = _projection(link, weight, given.reach(link))
    return replace(
        net.network,
        populations=tuple(populations.values()),
        projections=tuple(j for i, j in enumerate(projections) if i not in left_out),
        time_steps=time_steps,
    )


@torch.no_grad()
def trained_floats(net: QuantizedGraph) -> FloatNetwork:
    """The float weights and biases as they stand now, which the whole numbers are rounded from."""
    populations = {p.name: p for p in net.network.populations}
    projections = list(net.network.projections)
    for layer in net.layers:
        given = net.given(layer)
        populations[layer.name] = replace(layer.population, bias=_numbers(given.bias))
        for link, weight in zip(layer.all_links, given.weights, strict=True):
            projections[link.index] = replace(link.projection, weight=_numbers(weight))
    return replace(
        net.network, populations=tuple(populations.values()), projections=tuple(projections)
    )


def _population(layer: GraphLayer, made: LayerNumbers) -> FloatPopulation:
    population = layer.population
    memory = None if population.synapse_decay is None else 1 - layer.du / DECAY_ONE
    own = None
    if population.reset.subtracts:
        own = _numbers(made.vth if made.reset_by is None else made.reset_by)
    threshold = np.ones_like(population.threshold)
    if population.kind.fires:
        threshold = _numbers(made.vth) + 1 / UNIT
    return replace(
        population,
        decay=1 - layer.dv / DECAY_ONE,
        threshold=threshold,
        bias=_numbers(made.bias),
        synapse_decay=memory,
        reset_by=own,
    )


def _projection(link: GraphLink, weight: Tensor, reach: int) -> FloatProjection:
    return replace(link.projection, weight=_numbers(weight) * reach)


def _numbers(tensor: Tensor) -> FloatArray:
    return np.ascontiguousarray(tensor.detach().cpu().double().numpy())


@torch.no_grad()
def fired_by_graph(net: QuantizedGraph, images: ByteArray, steps: int) -> FiredSpikes:
    """Every spike in evaluation mode, and the read-out's answer in 1/64 weight units."""
    was_training = net.training
    net.eval()
    values = _time_first(net, images).to(net.levels.device)
    read, _, sent = net.run_whole(values, steps)
    net.train(was_training)
    spikes = {
        layer.name: _numbers(sent[layer.name])
        for layer in net.layers
        if layer.population.kind.fires
    }
    return FiredSpikes(spikes, _numbers(read[-1]))


def _time_first(net: QuantizedGraph, images: ByteArray) -> Tensor:
    """Values 0 .. 1 of samples (N, *shape), or of frames (N, T, *shape), time first."""
    values = torch.from_numpy(images).float() / 255
    return values.transpose(0, 1) if values.dim() > len(net.input_shape) + 1 else values
