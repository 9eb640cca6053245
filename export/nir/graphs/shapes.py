"""Shapes of NIR nodes as those of populations, and maps that only carry on."""

from dataclasses import replace

import numpy as np

from tssd.arrays import FloatArray
from tssd.export.nir.graphs.graph import Graph
from tssd.train.handover.fields import amounts_of
from tssd.train.handover.float_network import FloatNetwork, FloatProjection, ProjectionKind
from tssd.train.handover.geometry import Shape


def graph_shape(shape: Shape) -> Shape:
    """A population's shape: (N,) or (C, H, W); a line (C, L) is an image of height one."""
    return (shape[0], 1, shape[1]) if len(shape) == 2 else shape


def fit(value: FloatArray, node: Shape, shape: Shape) -> FloatArray:
    """*value*, which broadcasts over the shape *node*, broadcasting over *shape*: the same, an
    image of height one, or all in a row."""
    array: FloatArray = np.asarray(value, np.float64)
    if array.size == 1:
        return array.reshape((1,) * len(shape))
    if len(shape) == len(node):
        return array.copy()
    if len(shape) == 3:
        return array[:, None, :].copy()
    return np.broadcast_to(array, node).reshape(shape).copy()


def pool_gain(built: FloatProjection) -> float:
    """What a pool node left in the weight: k^2 of a sum pool."""
    return float(built.weight[0, 0]) if built.pool is not None else 1.0


def identity(built: FloatProjection, shape: Shape) -> FloatProjection:
    """Weights of one, neuron to neuron, on the pooled shape if there is a pool."""
    gain = pool_gain(built)
    if len(shape) == 1:
        return replace(built, weight=np.eye(shape[0]) * gain)
    ones: FloatArray = np.full((shape[0], 1, 1, 1), gain)
    return replace(built, kind=ProjectionKind.CONV2D, weight=ones, groups=shape[0])


def pair(values: tuple[int, ...], line: bool = False, other: int = 1) -> tuple[int, int]:
    """One or two numbers as (height, width)."""
    if line:
        return (other, values[0])
    return (values[0], values[-1])


LARGEST = 1e15  # of weights, biases and thresholds once the gain is taken out


def check_range(graph: Graph, network: FloatNetwork) -> None:
    """Refuse what is not finite, and magnitudes beyond all use."""
    groups: dict[str, tuple[FloatArray, ...]] = {
        p.name: (p.bias, *amounts_of(p).values()) for p in network.populations
    }
    for j in network.projections:
        name = f"way {j.source} -> {j.target}"
        groups[name] = (j.weight, *(() if j.bias is None else (j.bias,)))
    for name, arrays in groups.items():
        largest = max(float(np.abs(x).max(initial=0)) for x in arrays)
        if not (largest == 0 or 1 / LARGEST <= largest <= LARGEST):
            raise graph.fault(
                name, f"numbers up to {largest:g}", f"{1 / LARGEST:g} .. {LARGEST:g}, or zero"
            )
