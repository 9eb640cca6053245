"""FloatNetwork -> FloatNetwork without normalisation and average pooling.

normalisation   gain / sqrt(variance + eps) scales the weights; the rest joins the bias.
average pool    "fold": the next kernel reads the unpooled map; for tap j, dilation d, stride s and
                kernel k of the pool, and m = 0 .. k - 1, per axis
                    convolution  W'[o, c, j d s + m] += W[o, c, j] / k^2
                    dense        W'[o, c, y s + m] += W[o, c, y] / k^2     dropped border: zero
                "population": a RELAY population sums each window, the next weights are / k^2;
                so is, in any case, a pool before a transposed convolution.
biases          move from the projections into their target population; where that has synaptic
                memory, they become weights from a neuron that fires every step.
delays          ``align`` makes every path into a population equally long.

All of it is exact in real arithmetic; what cannot be is refused.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from tssd.calibration.quantizing.checks import check_network, label
from tssd.errors import NetworkError
from tssd.train.handover.compose import fold_norm, lateness, move_biases, with_lateness
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
from tssd.train.handover.geometry import Axis, axes, pooled

Pooling = Literal["fold", "population"]


def fold(network: FloatNetwork, pooling: Pooling = "fold") -> FloatNetwork:
    """The same function of the input without norm, pool and projection bias."""
    check_network(network)
    late = lateness(network)
    plain = replace(network, projections=tuple(fold_norm(j) for j in network.projections))
    if pooling == "fold":
        projections = tuple(_fold_pool(plain, j) for j in plain.projections)
        plain = replace(plain, projections=projections)
    plain = _pool_populations(plain)  # what is left: all, or those before a transposed convolution
    return with_lateness(move_biases(plain), late)


# ---------------------------------------------------------------- average pooling, folded


def _fold_pool(network: FloatNetwork, projection: FloatProjection) -> FloatProjection:
    if projection.pool is None:
        return projection
    source = network.population(projection.source)
    match projection.kind:
        case ProjectionKind.DENSE:
            return _fold_pool_dense(projection, projection.pool, source.shape)
        case ProjectionKind.CONV2D | ProjectionKind.SUM_POOL:
            return _fold_pool_conv(projection, projection.pool, source.shape)
        case _:  # any other kind keeps its pool, which becomes a population
            return projection


def _fold_pool_dense(
    projection: FloatProjection, pool: AveragePool, shape: tuple[int, ...]
) -> FloatProjection:
    small = pooled(shape, pool)
    _, height, width = small
    if projection.weight.shape[1] != np.prod(small):
        raise NetworkError(
            label(projection),
            found=f"weight {projection.weight.shape} after a pool to {small}",
            allowed=f"{int(np.prod(small))} inputs",
        )
    share = projection.weight.reshape(-1, *small) / _window(pool)
    spread = np.zeros((len(share), *shape))
    for row, column in np.ndindex(*pool.kernel):
        rows = _every(row, pool.stride[0], height)
        spread[:, :, rows, _every(column, pool.stride[1], width)] += share
    return replace(projection, weight=spread.reshape(len(share), -1), pool=None)


def _fold_pool_conv(
    projection: FloatProjection, pool: AveragePool, shape: tuple[int, ...]
) -> FloatProjection:
    _check_fold_is_exact(projection, pool, shape)
    taps = projection.weight.shape[2:]
    spacing = tuple(d * s for d, s in zip(projection.dilation, pool.stride, strict=True))
    size = [(n - 1) * g + k for n, g, k in zip(taps, spacing, pool.kernel, strict=True)]
    weight = np.zeros((*projection.weight.shape[:2], *size))
    for row, column in np.ndindex(*pool.kernel):
        rows = _every(row, spacing[0], taps[0])
        weight[:, :, rows, _every(column, spacing[1], taps[1])] += projection.weight / _window(pool)
    return replace(
        projection,
        weight=weight,
        stride=_times(projection.stride, pool.stride),
        padding=_times(projection.padding, pool.stride),
        dilation=(1, 1),
        pool=None,
    )


def _check_fold_is_exact(
    projection: FloatProjection, pool: AveragePool, shape: tuple[int, ...]
) -> None:
    """Padding must stay padding, and both forms must have the same output size.

    Per axis with n pixels, p = (n - k) // s + 1 pooled values, and taps at pooled positions
    o * stride + j * dilation - padding: a position below 0 may touch no pixel (k <= s if there is
    padding), and a position of p or more may touch none (p * s >= n if it is ever read).
    """
    small = pooled(shape, pool)
    for side, axis in enumerate(axes(projection)):
        n, p = shape[1 + side], small[1 + side]
        k, s, padding = pool.kernel[side], pool.stride[side], axis.padding
        whole = Axis(axis.span * s + k, axis.stride * s, padding * s)
        outputs, folded = axis.outputs(p), whole.outputs(n)
        last = (outputs - 1) * axis.stride + axis.span - padding
        if (padding and k > s) or (last >= p and p * s < n) or outputs != folded:
            raise NetworkError(
                label(projection),
                found=f"average pool {k} (stride {s}) of {n} pixels before padding {padding}",
                allowed="pooled maps that divide evenly, or a convolution without padding",
                hint="keep the pool as a population (pooling = population)",
            )


def _window(pool: AveragePool) -> int:
    return pool.kernel[0] * pool.kernel[1]


def _times(a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
    return a[0] * b[0], a[1] * b[1]


def _every(first: int, step: int, count: int) -> slice:
    """Positions first, first + step, ...: ``count`` of them."""
    return slice(first, first + (count - 1) * step + 1, step)


# ---------------------------------------------------------------- average pooling, as populations


def relay(name: str, shape: tuple[int, ...]) -> FloatPopulation:
    """A population that passes its sum on as a payload."""
    zero = np.zeros((1,) * len(shape))
    return FloatPopulation(name, shape, PopulationKind.RELAY, Reset.NONE, zero, zero, zero)


def _pool_populations(network: FloatNetwork) -> FloatNetwork:
    """Every pooled projection reads a RELAY that sums the windows; equal pools share one."""
    relays: dict[tuple[str, AveragePool], str] = {}
    populations: list[FloatPopulation] = []
    for population in network.populations:
        populations.append(population)
        for pool in _pools_of(network, population.name):
            wanted = f"{population.name}_pool{len(relays) + 1}"
            name = _free(wanted, [*network.populations, *populations])
            relays[population.name, pool] = name
            populations.append(relay(name, pooled(population.shape, pool)))
    projections = [_sum_pool(network.population(s), n, p) for (s, p), n in relays.items()]
    projections += [_read_relay(j, relays) for j in network.projections]
    return replace(network, populations=tuple(populations), projections=tuple(projections))


def _pools_of(network: FloatNetwork, name: str) -> list[AveragePool]:
    return list(dict.fromkeys(j.pool for j in network.outgoing(name) if j.pool is not None))


def _sum_pool(source: FloatPopulation, name: str, pool: AveragePool) -> FloatProjection:
    channels = source.shape[0]
    weight: FloatArray = np.ones((channels, 1, *pool.kernel))
    return FloatProjection(
        source.name, name, ProjectionKind.SUM_POOL, weight, stride=pool.stride, groups=channels
    )


def _read_relay(
    projection: FloatProjection, relays: dict[tuple[str, AveragePool], str]
) -> FloatProjection:
    if projection.pool is None:
        return projection
    return replace(
        projection,
        source=relays[projection.source, projection.pool],
        weight=projection.weight / _window(projection.pool),
        pool=None,
    )


# ---------------------------------------------------------------- alignment


def align(network: FloatNetwork, delay_max: int = 62) -> FloatNetwork:
    """Every path into a population takes equally many steps.

    A skip gets the missing steps as synaptic delay, or, where that exceeds ``delay_max`` (0 for a
    target without synaptic delays), as a chain of RELAY populations. A projection that is later
    than that on purpose stays so.
    """
    depth = depths(network)
    populations = list(network.populations)
    projections: list[FloatProjection] = []
    chains: dict[str, list[FloatPopulation]] = {}  # each source and its relays, the nearest first
    for projection in network.projections:
        if projection.is_loop:
            projections.append(projection)
            continue
        missing = depth[projection.target] - depth[projection.source] - 1
        if projection.delay > missing:
            _check_late(projection, delay_max)
            projections.append(projection)
            continue
        if missing <= delay_max:
            projections.append(replace(projection, delay=missing))
            continue
        source = network.population(projection.source)
        chain = _chain(chains.setdefault(source.name, [source]), missing, populations, projections)
        projections.append(replace(projection, source=chain, delay=0))
    return replace(network, populations=tuple(populations), projections=tuple(projections))


def _check_late(projection: FloatProjection, delay_max: int) -> None:
    if projection.delay > delay_max:
        raise NetworkError(
            label(projection),
            found=f"a delay of {projection.delay} steps",
            allowed=f"<= {delay_max}",
            hint="shorter delays, or a target with longer ones",
        )


def _chain(
    chain: list[FloatPopulation],
    length: int,
    populations: list[FloatPopulation],
    projections: list[FloatProjection],
) -> str:
    """The last of ``length`` relays of *chain*, a source and its relays; longer if need be."""
    source = chain[0]
    for i in range(len(chain), length + 1):
        last = chain[-1].name
        made = relay(_free(f"{source.name}_relay{i}", populations), source.shape)
        place = next(k for k, p in enumerate(populations) if p.name == last) + 1
        populations.insert(place, made)
        projections.append(_identity(last, made.name, source.shape))
        chain.append(made)
    return chain[length].name


def _free(wanted: str, populations: Sequence[FloatPopulation]) -> str:
    """*wanted*, or with a number where a population is called so already."""
    taken, name, number = {p.name for p in populations}, wanted, 1
    while name in taken:
        number += 1
        name = f"{wanted}_{number}"
    return name


def _identity(source: str, target: str, shape: tuple[int, ...]) -> FloatProjection:
    if len(shape) == 1:
        return FloatProjection(source, target, ProjectionKind.DENSE, np.eye(shape[0]))
    ones: FloatArray = np.ones((shape[0], 1, 1, 1))
    return FloatProjection(source, target, ProjectionKind.SUM_POOL, ones, groups=shape[0])
