"""What a SpikingNet is built from: a list of stages and links, and the shapes that follow.

A stage is a population of neurons with one or more links into it (convolution or linear map,
then batch normalisation if asked) and an average pooling after its spikes. A readout is a linear
map without neurons.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tssd.errors import NetworkError
from tssd.train.handover.geometry import Axis


@dataclass(frozen=True)
class LinkSpec:
    """Weights from *source*: a ``kernel x kernel`` convolution, or dense where kernel is 0.

    ``identity`` sends the spikes on as they are (a skip), whatever the kernel says.
    """

    source: str
    kernel: int = 3
    stride: int = 1
    norm: bool = False
    pool: int = 1  # average pooling of the source before the weights (weak classifiers)
    identity: bool = False


@dataclass(frozen=True)
class StageSpec:
    """*width* channels or neurons, *pool* after the spikes; a readout is not ``spiking``.

    A ``relay`` has no neurons either: it passes the sum of its links on (a residual sum).
    """

    name: str
    width: int
    links: tuple[LinkSpec, ...]
    pool: int = 1
    spiking: bool = True
    relay: bool = False


def stage_shapes(
    specs: Sequence[StageSpec], input_shape: tuple[int, ...]
) -> dict[str, tuple[int, ...]]:
    """Shape of each population: (C, H, W) or (N,). Sources must come before their targets."""
    shapes: dict[str, tuple[int, ...]] = {"input": input_shape}
    emitted = dict(shapes)
    for spec in specs:
        found = set()
        for link in spec.links:
            if link.source not in emitted:
                raise NetworkError(
                    f"stage {spec.name}",
                    found=f"source {link.source!r}",
                    allowed=", ".join(emitted),
                )
            found.add(_link_shape(link, emitted[link.source], spec))
        if len(found) != 1:
            raise NetworkError(
                f"stage {spec.name}", found=f"links of shapes {sorted(found)}", allowed="one shape"
            )
        shapes[spec.name] = found.pop()
        emitted[spec.name] = pooled(shapes[spec.name], spec.pool)
        if 0 in emitted[spec.name]:
            raise NetworkError(
                f"stage {spec.name}",
                found=f"pooling by {spec.pool} of shape {shapes[spec.name]}",
                allowed="at least one window",
                hint="a larger image or a shallower model",
            )
    return shapes


def _link_shape(link: LinkSpec, source: tuple[int, ...], spec: StageSpec) -> tuple[int, ...]:
    if link.identity:
        return pooled(source, link.pool)
    if not link.kernel:
        return (spec.width,)
    rows = pooled(source, link.pool)[1:]
    axis = Axis(link.kernel, link.stride, link.kernel // 2)
    return (spec.width, *(axis.outputs(n) for n in rows))


def pooled(shape: tuple[int, ...], pool: int) -> tuple[int, ...]:
    """The shape after a pooling, which (N,) passes as it is."""
    return shape if len(shape) == 1 else (shape[0], *(n // pool for n in shape[1:]))
