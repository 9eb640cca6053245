"""Do the shapes of a projection fit its populations? Asked of every file before it is believed."""

from collections.abc import Sequence

from tssd.calibration.int_network import IntNetwork, Projection, ProjectionKind
from tssd.errors import NetworkError


def check_projections(network: IntNetwork) -> None:
    """NetworkError names the first projection whose weights do not fit source and target."""
    for projection in network.projections:
        source = network.population(projection.source)
        target = network.population(projection.target)
        if projection.kind is ProjectionKind.DENSE:
            check_shape(projection, projection.weight.shape, (target.neurons, source.neurons))
        else:
            check_shape(projection, conv_shape(projection, source.shape), target.shape)


def conv_shape(projection: Projection, source: tuple[int, ...]) -> tuple[int, ...]:
    """(C_out, H, W) of a convolution over *source* (C, H, W)."""
    if projection.weight.ndim != 4 or projection.weight.shape[0] % projection.groups:
        raise NetworkError(
            f"projection {projection.name}",
            found=f"weights {projection.weight.shape} in {projection.groups} group(s)",
            allowed="(C_out, C_in / groups, height, width), C_out a multiple of groups",
        )
    channels = projection.weight.shape[1] * projection.groups
    if len(source) != 3 or source[0] != channels:
        raise NetworkError(
            f"projection {projection.name}",
            found=f"a source of shape {source}",
            allowed=f"({channels}, height, width)",
        )
    kernel = projection.weight.shape[2:]
    sides = zip(
        source[1:], kernel, projection.stride, projection.padding, projection.dilation, strict=True
    )
    size = [(n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in sides]
    return (projection.weight.shape[0], *size)


def check_shape(projection: Projection, found: Sequence[int], wanted: Sequence[int]) -> None:
    """NetworkError unless both are the same."""
    if tuple(found) != tuple(wanted):
        raise NetworkError(
            f"projection {projection.name}", found=f"shape {tuple(found)}", allowed=str(wanted)
        )
