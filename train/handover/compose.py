"""Residual sums as projections.

A relay passes a sum on: of membrane currents (MS-ResNet) or of spikes (SEW-ResNet, where the sum
is 0, 1, 2, ...). Neither is a spike, so neither is sent on a chip. But all between two populations
is linear: what leaves a relay is the sum of what its branches send, so each branch gets projections
of its own into every population that reads the relay, with the weights multiplied. That is exact
in real arithmetic; it costs the synapses of each branch once per reader.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np

from tssd.errors import NetworkError
from tssd.train.handover.float_network import (
    AveragePool,
    FloatArray,
    FloatProjection,
    ProjectionKind,
)
from tssd.train.handover.geometry import axes


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
