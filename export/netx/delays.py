"""Several dense projections between two populations, one per delay: netx's one matrix of weights
with one of delays beside it. What is on the chip is the same; a synapse has one delay."""

from collections.abc import Iterator, Sequence

import numpy as np

from tssd.calibration.int_network import IntNetwork, Population, Projection
from tssd.calibration.integer import IntArray


def forward_into(network: IntNetwork, population: Population) -> list[Projection]:
    """The projections into *population* that do not lead back."""
    return [j for j in network.incoming(population.name) if not network.is_recurrent(j)]


def shifted(projection: Projection) -> IntArray:
    """Weights with their exponent, where that is a shift to the left."""
    return projection.weight << max(projection.weight_exp, 0)


def side_by_side(ways: Sequence[Projection]) -> bool:
    """Whether *ways* are dense, of one source, and no synapse is in two of them."""
    plain = all(not j.kind.spatial and j.source == ways[0].source for j in ways)
    return plain and not np.any(sum((j.weight != 0).astype(np.int64) for j in ways) > 1)


def merged(ways: Sequence[Projection]) -> tuple[IntArray, IntArray]:
    """(weights, delays) of ways that lie side by side; without a synapse the delay is 0."""
    weight = np.stack([shifted(j) for j in ways]).sum(axis=0, dtype=np.int64)
    delay = np.stack([(j.weight != 0) * j.delay for j in ways]).sum(axis=0, dtype=np.int64)
    return np.asarray(weight), np.asarray(delay)


def matrices(network: IntNetwork) -> Iterator[tuple[Projection, IntArray]]:
    """Weights as netx holds them, each with the (first) projection that it is made of."""
    for population in network.populations:
        ways = forward_into(network, population)
        if len(ways) > 1 and side_by_side(ways):
            yield ways[0], merged(ways)[0]
        else:
            yield from ((j, shifted(j)) for j in ways)
        back = (j for j in network.incoming(population.name) if network.is_recurrent(j))
        yield from ((j, shifted(j)) for j in back)
