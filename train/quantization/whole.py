"""QuantizedNet -> FloatNetwork of whole numbers: the integers that were trained, in weight units.

Weights are n (times the windows of a pool, times the input's levels), thresholds vth + 1/64, biases
and resets whole: calibration takes such a network over at scale 1 and rounds nothing. As a float
network it differs from the integers in the truncation of decayed membranes alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tssd.arrays import ByteArray, FloatArray
from tssd.train.handover.float_network import (
    FloatNetwork,
    FloatPopulation,
    FloatProjection,
)
from tssd.train.networks.coding import to_current
from tssd.train.networks.fused import average_pool
from tssd.train.networks.network import READOUT, Span, Unrolling, input_span
from tssd.train.networks.strip import deployed
from tssd.train.quantization import stage as run_stage
from tssd.train.quantization.network import QuantizedNet
from tssd.train.quantization.neurons import DECAY_ONE, UNIT


@dataclass(frozen=True, eq=False)
class FiredSpikes:
    """What the quantized network fired: (T, B, *shape) of each stage, and the read-out's membrane
    (B, classes) after the last step, in 1/64 weight units."""

    spikes: Mapping[str, FloatArray]
    membrane: FloatArray


def whole_network(net: QuantizedNet, time_steps: int) -> FloatNetwork:
    """The deployed part of *net* in whole numbers."""
    plain = deployed(net, time_steps)
    found = {name: run_stage.stage_integers(net.layer(name)) for name in net.bits}
    populations = tuple(
        _population(p, found[p.name], net) if p.name in found else p for p in plain.populations
    )
    projections = tuple(
        _projection(j, net.layer(j.target), found[j.target]) for j in plain.projections
    )
    return FloatNetwork(populations, projections, time_steps)


def _population(
    population: FloatPopulation, made: run_stage.StageIntegers, net: QuantizedNet
) -> FloatPopulation:
    neurons, size = made.neurons, (-1,) + (1,) * (len(population.shape) - 1)
    bias, vth = (_numbers(x).reshape(size) for x in (neurons.bias, neurons.vth))
    ones = np.ones((1,) * len(population.shape))
    return FloatPopulation(
        population.name,
        population.shape,
        population.kind,
        population.reset,
        ones * (1 - neurons.dv / DECAY_ONE),
        vth + 1 / UNIT if population.kind.fires else ones,
        bias,
        reset_by=vth if population.reset.subtracts else None,
    )


def _projection(
    projection: FloatProjection, layer: run_stage.RoundedLayer, made: run_stage.StageIntegers
) -> FloatProjection:
    weight = _numbers(made.weight) * layer.windows * layer.payload
    return FloatProjection(
        projection.source,
        projection.target,
        projection.kind,
        weight,
        stride=projection.stride,
        padding=projection.padding,
        pool=projection.pool,
    )


def _numbers(tensor: Tensor) -> FloatArray:
    return np.ascontiguousarray(tensor.detach().cpu().double().numpy())


@torch.no_grad()
def fired(net: QuantizedNet, images: ByteArray, steps: int) -> FiredSpikes:
    """Every spike of the deployed stages in evaluation mode, before any pooling."""
    was_training = net.training
    net.eval()
    device = next(net.parameters()).device
    run = Unrolling(len(images), steps)
    emitted = {"input": input_span(net.on_levels(to_current(images).to(device)), run)}
    spikes: dict[str, FloatArray] = {}
    membrane = torch.zeros(0)
    for name in net.reachable([READOUT]):
        layer = net.layer(name)
        source = emitted[layer.link.source]
        if not layer.stage.spiking:
            membrane = run_stage.read_membrane(layer, source, run)
            continue
        every = run_stage.fire(layer, source, run, 1).head
        spikes[name] = _numbers(every).reshape(steps, len(images), *net.shapes[name])
        pool = layer.stage.pool
        emitted[name] = Span(average_pool(every, pool) if pool > 1 else every, None)
    net.train(was_training)
    return FiredSpikes(spikes, _numbers(membrane) * UNIT)
