"""One NIR node each: membranes, current filters, biases and weights in weight units.

Euler at dt:   v[t] = (1 - dt/tau) v[t-1] + dt/tau (v_leak + r I[t])
here:          tau = k dt,  r = k,  k = 4096 / decay      ->  v[t] = (1 - 1/k) v[t-1] + I[t]
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, assert_never

import nir
import numpy as np

from tssd.arrays import Array
from tssd.calibration.int_network import (
    IntNetwork,
    Population,
    Projection,
    ProjectionKind,
)
from tssd.calibration.integer import DECAY_ONE, UNIT, IntArray
from tssd.errors import NetworkError
from tssd.export.nir.integers.metadata import synapse_metadata
from tssd.train.handover.float_network import FloatArray
from tssd.train.handover.geometry import LinearMap, Shape, check_shapes, matrix, where

DT_SECONDS = 1e-4  # what snnTorch 1.0.0, SpiNNaker2 and Lava assume for a NIR graph
MOST_UNROLLED = 1 << 27  # values of a map that NIR has no node for, written out neuron by neuron
NO_DECAY_STEPS = 2.0**60  # tau / dt of a neuron without leak beside leaking ones: beta is 1.0


def float_exact(values: FloatArray) -> Array:
    """float32 where that holds every value exactly, else float64."""
    single = values.astype(np.float32)
    return single if np.array_equal(single.astype(np.float64), values) else values


def in_weight_units(population: Population) -> FloatArray:
    """The bias as one value per neuron."""
    full = np.broadcast_to(population.bias, population.shape)
    return full.astype(np.float64) / UNIT


def membrane_decay(population: Population) -> FloatArray:
    """beta per neuron, exact in binary."""
    decay = np.broadcast_to(population.dv, population.shape)
    return (DECAY_ONE - decay) / float(DECAY_ONE)


def _steps(decay: IntArray, shape: tuple[int, ...]) -> FloatArray:
    """tau / dt per neuron."""
    full = np.broadcast_to(decay, shape).astype(np.float64)
    return np.where(full > 0, DECAY_ONE / np.maximum(full, 1), NO_DECAY_STEPS)


def membrane_node(population: Population, dt: float, memory: bool, fires: bool) -> Any:
    """CubaLIF with synaptic memory, IF without leak, else LIF; CubaLI, I or LI if silent."""
    shape = population.shape
    zero = np.zeros(shape)
    k = _steps(population.dv, shape)
    fires = fires and population.kind.fires
    rule: dict[str, Any] = {}
    if fires:
        threshold = np.broadcast_to(population.vth, shape).astype(np.float64)
        rule = {"v_threshold": threshold, "v_reset": zero}
    if memory:
        k_syn = _steps(population.du, shape)
        kind = nir.CubaLIF if fires else nir.CubaLI
        return kind(tau_syn=k_syn * dt, tau_mem=k * dt, r=k, v_leak=zero, w_in=k_syn, **rule)
    if not population.dv.any():
        return (nir.IF if fires else nir.I)(r=np.full(shape, 1 / dt), **rule)
    return (nir.LIF if fires else nir.LI)(tau=k * dt, r=k, v_leak=zero, **rule)


def synapse_node(population: Population, dt: float) -> Any:
    """u[t] = alpha u[t-1] + I[t] as a node of its own."""
    k = _steps(population.du, population.shape)
    return nir.LI(tau=k * dt, r=k, v_leak=np.zeros(population.shape))


def bias_node(population: Population, bias: FloatArray, dt: float) -> Any:
    """I[t] + bias: an LI with tau = dt forgets its state, and v_leak adds up."""
    one = np.ones(population.shape)
    return nir.LI(tau=one * dt, r=one, v_leak=bias.copy())


def bias_carrier(network: IntNetwork, population: Population) -> int | None:
    """Index of the projection whose Affine or Conv2d node holds the population's bias.

    None if nothing can: with synaptic memory (a bias acts on v, not on u) and where the bias
    differs within a channel of an image.
    """
    if population is network.source or (population.du != DECAY_ONE).any():
        return None
    bias = in_weight_units(population)
    if len(population.shape) == 3 and (bias != bias[:, :1, :1]).any():
        return None
    forward = [
        i
        for i, j in enumerate(network.projections)
        if j.target == population.name and not network.is_recurrent(j)
    ]
    weighted = [i for i in forward if not _pools(network.projections[i].kind)]
    return next(iter(weighted or forward), None)


def _pools(kind: ProjectionKind) -> bool:
    match kind:
        case ProjectionKind.SUM_POOL:
            return True
        case ProjectionKind.DENSE | ProjectionKind.CONV2D | ProjectionKind.CONV2D_TRANSPOSED:
            return False
        case _:
            assert_never(kind)


def weight_nodes(
    network: IntNetwork, index: int, late: int, depth: Mapping[str, int]
) -> list[tuple[str, Any]]:
    """What a projection is, in order, each with the ending of its name; the last node holds the
    weights."""
    projection = network.projections[index]
    source = network.population(projection.source)
    target = network.population(projection.target)
    check_shapes(projection, source.shape, target.shape)
    bias = np.zeros(target.shape)
    if bias_carrier(network, target) == index and _uses_bias(network, target):
        bias = in_weight_units(target)
    weight = plain_weight(network, index)
    before: list[tuple[str, Any]] = []
    match projection.kind:
        case ProjectionKind.DENSE:
            node = _dense(projection, weight, target, bias)
            if len(source.shape) > 1:
                shape = {"input": np.array(source.shape)}
                before.append(("_flatten", nir.Flatten(shape, 0, -1)))
        case ProjectionKind.CONV2D | ProjectionKind.SUM_POOL:
            if _is_plain_pool(projection) and not bias.any():
                node = _pool(projection, source, target)
            else:
                node = _convolution(projection, weight, source, target, bias)
        case ProjectionKind.CONV2D_TRANSPOSED:
            before.append(("_pixels", _pixels_as_channels(source.shape)))
            node = _from_channels(weight, source, target, bias)
        case _:
            assert_never(projection.kind)
    node.metadata = synapse_metadata(network, index, late, depth) | node.metadata
    return [*before, ("", node)]


def plain_weight(network: IntNetwork, index: int) -> Array:
    """The weights of a projection's last node, as floats that hold them exactly."""
    projection = network.projections[index]
    weight = float_exact(projection.weight.astype(np.float64) * 2.0**projection.weight_exp)
    match projection.kind:
        case ProjectionKind.DENSE:
            return weight
        case ProjectionKind.CONV2D | ProjectionKind.SUM_POOL:
            return squared(ungrouped(weight, projection.groups), projection)[0]
        case ProjectionKind.CONV2D_TRANSPOSED:
            ends = (network.population(x).shape for x in (projection.source, projection.target))
            return unrolled(replace(projection, weight=weight), *ends)
        case _:
            assert_never(projection.kind)


def unrolled(projection: LinearMap, source: Shape, target: Shape) -> Array:
    """A map as a kernel (C, source neurons, H, W) over an image of one pixel, whose every output
    looks through a tap of its own: NIR has no transposed convolution."""
    neurons, size = math.prod(source), math.prod(source) * max(math.prod(source), math.prod(target))
    if size > MOST_UNROLLED:
        raise NetworkError(
            where(projection),
            found=f"a transposed convolution from {source} to {target}: {size:,} weights in NIR",
            allowed=f"<= {MOST_UNROLLED:,}: NIR has no node for it, so each is written out",
            hint="a smaller image",
        )
    whole = matrix(projection, source, target).reshape(*target, neurons)
    return np.ascontiguousarray(whole.transpose(0, 3, 1, 2)[:, :, ::-1, ::-1])


def _pixels_as_channels(source: Shape) -> Any:
    """(C, H, W) -> (C H W, 1, 1), in that order."""
    neurons = math.prod(source)
    one = np.eye(neurons, dtype=np.float32).reshape(neurons, *source)
    node = nir.Conv2d(source[1:], one, 1, 0, 1, 1, np.zeros(neurons, np.float32))
    return _typed(node, source, (neurons, 1, 1))


def _from_channels(kernel: Array, source: Population, target: Population, bias: FloatArray) -> Any:
    """(neurons, 1, 1) -> the target's image."""
    padding = (kernel.shape[2] - 1, kernel.shape[3] - 1)
    offset = float_exact(bias[:, 0, 0].copy())
    node = nir.Conv2d((1, 1), kernel, 1, padding, 1, 1, offset)
    return _typed(node, (source.neurons, 1, 1), target.shape)


def _uses_bias(network: IntNetwork, population: Population) -> bool:
    bias_input = network.input_coding.as_bias and population is network.source
    return population.has_state and not bias_input


def _dense(projection: Projection, weight: Array, target: Population, bias: FloatArray) -> Any:
    if len(target.shape) > 1:
        raise NetworkError(
            f"projection {projection.name}",
            found=f"a dense projection into the image shape {target.shape}",
            allowed="a one-dimensional target (NIR has no unflatten node)",
        )
    return nir.Affine(weight, float_exact(bias)) if bias.any() else nir.Linear(weight)


def _is_plain_pool(projection: Projection) -> bool:
    return (
        _pools(projection.kind)
        and projection.weight_exp == 0
        and projection.dilation == (1, 1)
        and bool((projection.weight == 1).all())
    )


def _pool(projection: Projection, source: Population, target: Population) -> Any:
    kernel = projection.weight.shape[2:]
    node = nir.SumPool2d(
        np.array(kernel), np.array(projection.stride), np.array(projection.padding)
    )
    return _typed(node, source.shape, target.shape)


def _convolution(
    projection: Projection,
    weight: Array,
    source: Population,
    target: Population,
    bias: FloatArray,
) -> Any:
    _, padding = squared(projection.weight, projection)
    node = nir.Conv2d(
        (source.shape[1], source.shape[2]),
        weight,
        projection.stride,
        padding,
        projection.dilation,
        1,
        float_exact(bias[:, 0, 0].copy()),
    )
    return _typed(node, source.shape, target.shape)


def _typed(node: Any, source: tuple[int, ...], target: tuple[int, ...]) -> Any:
    node.input_type = {"input": np.array(source)}
    node.output_type = {"output": np.array(target)}
    return node


def ungrouped(weight: Array, groups: int) -> Array:
    """The block-diagonal kernel (C_out, C_in, k_h, k_w) of a grouped one; zeros elsewhere."""
    if groups == 1:
        return weight
    out, depth = weight.shape[0] // groups, weight.shape[1]
    whole = np.zeros((weight.shape[0], depth * groups, *weight.shape[2:]), weight.dtype)
    for g in range(groups):
        rows = slice(g * out, (g + 1) * out)
        whole[rows, g * depth : (g + 1) * depth] = weight[rows]
    return whole


def squared(weight: Array, projection: Projection) -> tuple[Array, tuple[int, int]]:
    """The kernel centred in a square of zeros with the padding that goes with it.

    Needs sides of equal parity; otherwise the kernel stays as it is, and nir 1.0.8 reads the file
    with type_check=False only.
    """
    k_h, k_w = weight.shape[2:]
    if k_h == k_w or (k_h - k_w) % 2:
        return weight, projection.padding
    more_h, more_w = ((max(k_h, k_w) - k) // 2 for k in (k_h, k_w))
    wide = np.pad(weight, ((0, 0), (0, 0), (more_h, more_h), (more_w, more_w)))
    gap_h, gap_w = projection.dilation
    return wide, (projection.padding[0] + more_h * gap_h, projection.padding[1] + more_w * gap_w)
