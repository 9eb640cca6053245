"""Residual sums and biases of projections, said by populations and plain projections.

A relay passes a sum on: of membrane currents (MS-ResNet) or of spikes (SEW-ResNet, where the sum
is 0, 1, 2, ...). Neither is a spike, so neither is sent on a chip. But all between two populations
is linear: what leaves a relay is the sum of what its branches send, so each branch gets projections
of its own into every population that reads the relay, with the weights multiplied. That is exact
in real arithmetic; it costs the synapses of each branch once per reader.

A bias of a projection moves into the population that it enters. Where that has synaptic memory, it
becomes weights from a neuron that fires every step: a bias of a neuron acts at once, the current
of a synapse rises.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np

from tssd.errors import NetworkError
from tssd.train.handover.float_network import (
    AveragePool,
    FloatArray,
    FloatNetwork,
    FloatPopulation,
    FloatProjection,
    PopulationKind,
    ProjectionKind,
    Reset,
    depths,
)
from tssd.train.handover.geometry import axes

ALWAYS = 1 / 64  # bias of a neuron with half the threshold: small beside a weight of one


def through(
    into: Mapping[str, Sequence[FloatProjection]], relays: Collection[str], link: FloatProjection
) -> list[FloatProjection]:
    """*link* itself, or, from a relay, one projection per branch of the relay.

    The constant part of *link* comes once, with the first branch.
    """
    if link.source not in relays:
        return [link]
    link = fold_norm(link)
    return [
        _joined(branch, link if index == 0 else replace(link, bias=None))
        for index, branch in enumerate(into[link.source])
    ]


def fold_norm(projection: FloatProjection) -> FloatProjection:
    """Batch normalisation folded into weight and bias."""
    norm = projection.norm
    if norm is None:
        return projection
    gain = norm.gain / np.sqrt(norm.variance + norm.eps)
    size = (-1,) + (1,) * (projection.weight.ndim - 1)
    bias = np.zeros_like(gain) if projection.bias is None else projection.bias
    return replace(
        projection,
        weight=projection.weight * gain.reshape(size),
        bias=(bias - norm.mean) * gain + norm.shift,
        norm=None,
    )


def _joined(first: FloatProjection, second: FloatProjection) -> FloatProjection:
    """One projection that does *first*, then *second*."""
    if _is_identity(first):
        pool = _pools(first.pool, second.pool)
        return replace(second, source=first.source, pool=pool)
    if second.pool is not None or not _mixes_channels(second):
        raise _unfit(first, second, "pooling or a dense layer behind a convolution")
    if _is_identity(second):
        bias = _added(fold_norm(first).bias, second.bias)
        return replace(fold_norm(first), target=second.target, bias=bias)
    if second.weight.shape[2:] != (1, 1) or second.groups != 1 or any(second.padding):
        raise _unfit(first, second, "a convolution larger than 1 x 1 behind another")
    if second.stride != (1, 1) and any(axis.spread > 1 for axis in axes(first)):
        raise _unfit(first, second, "a stride behind a transposed convolution")
    first = fold_norm(first)
    outer = second.weight[:, :, 0, 0]
    bias = None if first.bias is None else outer @ first.bias
    return replace(
        first,
        target=second.target,
        weight=_groups_apart(first, outer),
        bias=_added(bias, second.bias),
        stride=(first.stride[0] * second.stride[0], first.stride[1] * second.stride[1]),
    )


def _mixes_channels(second: FloatProjection) -> bool:
    """Whether a 1 x 1 kernel of this kind is a matrix over channels, at every place alike."""
    match second.kind:
        case ProjectionKind.CONV2D:
            return True
        case _:  # whatever it is: left apart, both are right
            return False


def _groups_apart(first: FloatProjection, outer: FloatArray) -> FloatArray:
    """outer (O, M) times first's weight (M, I, h, w)."""
    if first.groups != 1:
        raise NetworkError(
            f"projection {first.source} -> {first.target}",
            found="a grouped convolution before a 1 x 1 convolution",
            allowed="one group",
        )
    product: FloatArray = np.einsum("om,mihw->oihw", outer, first.weight)
    return product


def _is_identity(projection: FloatProjection) -> bool:
    """Weights of one from each neuron to its like: a skip."""
    weight = projection.weight
    plain = projection.norm is None and projection.stride == (1, 1)
    depthwise = weight.ndim == 4 and projection.groups == len(weight) and weight[0].size == 1
    return plain and depthwise and bool((weight == 1).all())


def _pools(a: AveragePool | None, b: AveragePool | None) -> AveragePool | None:
    """Pooling by a, then by b, incomplete windows dropped, is pooling by a * b."""
    if a is None or b is None:
        return a or b
    kernel = (a.kernel[0] * b.kernel[0], a.kernel[1] * b.kernel[1])
    return AveragePool(kernel, kernel)


def _added(a: FloatArray | None, b: FloatArray | None) -> FloatArray | None:
    if a is None or b is None:
        return b if a is None else a
    return a + b


def _unfit(first: FloatProjection, second: FloatProjection, found: str) -> NetworkError:
    return NetworkError(
        f"relay {second.source}: {first.source} -> {second.target}",
        found=found,
        allowed="what is one projection: an identity, or a 1 x 1 convolution behind a convolution",
        hint="put a population of neurons between them",
    )


# ---------------------------------------------------------------- biases, delays


def move_biases(network: FloatNetwork) -> FloatNetwork:
    """Each population's bias becomes its own plus those of its projections; one with synaptic
    memory receives the latter from a neuron that fires every step (``constant``)."""
    populations, through = [], {}
    for population in network.populations:
        added = _projected_bias(network, population)
        memory = population.synapse_decay
        if memory is not None and memory.any() and added.any():
            through[population.name] = added
            added = np.zeros(())
        populations.append(replace(population, bias=population.bias + added))
    projections = tuple(replace(j, bias=None) for j in network.projections)
    plain = replace(network, populations=tuple(populations), projections=projections)
    return _with_constant(plain, through) if through else plain


def _projected_bias(network: FloatNetwork, population: FloatPopulation) -> FloatArray:
    """What the projections into *population* add each step, of its rank."""
    size = (-1,) + (1,) * (len(population.shape) - 1)
    biases = [j.bias for j in network.incoming(population.name) if j.bias is not None]
    return sum((b.reshape(size) for b in biases), np.zeros((1,) * len(population.shape)))


def _with_constant(network: FloatNetwork, through: Mapping[str, FloatArray]) -> FloatNetwork:
    """Biases that pass a synapse as weights from one neuron that always fires: a bias of a neuron
    acts at once, the current of a synapse rises. Any input only drives that neuron further."""
    name = "constant"
    while any(p.name == name for p in network.populations):
        name += "_"
    source = network.populations[0]
    images = any(len(p.shape) == 3 for p in network.populations)
    shape = (1, 1, 1) if images else (1,)
    one = np.ones((1,) * len(shape))
    neuron = FloatPopulation(
        name, shape, PopulationKind.LIF, Reset.HARD, 0 * one, ALWAYS / 2 * one, ALWAYS * one
    )
    biases = [_bias_from(neuron, network.population(target), b) for target, b in through.items()]
    first, *rest = network.populations
    projections = (_any_input(source, neuron), *biases, *network.projections)
    return replace(network, populations=(first, neuron, *rest), projections=projections)


def _bias_from(
    constant: FloatPopulation, target: FloatPopulation, bias: FloatArray
) -> FloatProjection:
    """*bias* (per output or channel) as weights from one neuron to all of *target*."""
    if len(target.shape) != 3:
        column = np.broadcast_to(bias, target.shape).reshape(-1, 1).copy()
        return FloatProjection(constant.name, target.name, ProjectionKind.DENSE, column)
    channels, height, width = target.shape
    kernel = np.broadcast_to(bias[:, None], (channels, 1, height, width)).copy()
    padding = (height - 1, width - 1)  # every output sees the one pixel through a tap of its own
    kind = ProjectionKind.CONV2D
    return FloatProjection(constant.name, target.name, kind, kernel, padding=padding)


def _any_input(source: FloatPopulation, constant: FloatPopulation) -> FloatProjection:
    """A projection of weight one from the first value (of each channel) of *source*."""
    target = constant.name
    if len(source.shape) != 3:
        weight = np.zeros((1, source.neurons))
        weight[0, 0] = 1
        return FloatProjection(source.name, target, ProjectionKind.DENSE, weight)
    channels, height, width = source.shape
    kernel: FloatArray = np.ones((1, channels, 1, 1))
    kind = ProjectionKind.CONV2D
    return FloatProjection(source.name, target, kind, kernel, stride=(height, width))


def lateness(network: FloatNetwork) -> list[int]:
    """How many steps of data each projection is late on purpose: 0 for an aligned or a skipping
    one, and for loops, whose delay counts from their own spikes."""
    depth = depths(network)
    gaps = [depth[j.source] + 1 + j.delay - depth[j.target] for j in network.projections]
    return [
        0 if j.is_loop else max(gap, 0) for j, gap in zip(network.projections, gaps, strict=True)
    ]


def with_lateness(network: FloatNetwork, late: Sequence[int]) -> FloatNetwork:
    """The network with its last ``len(late)`` projections as many steps late, at any depth."""
    depth, first = depths(network), len(network.projections) - len(late)
    own = [
        replace(j, delay=depth[j.target] - depth[j.source] - 1 + steps) if steps else j
        for j, steps in zip(network.projections[first:], late, strict=True)
    ]
    return replace(network, projections=(*network.projections[:first], *own))
