"""Float networks and images for tests: random, small, alive in every layer."""

import numpy as np

from tssd.train.handover.float_activity import ImageArray
from tssd.train.handover.float_network import (
    AveragePool,
    FloatArray,
    FloatNetwork,
    FloatPopulation,
    FloatProjection,
    Norm,
    PopulationKind,
    ProjectionKind,
    Reset,
)


def lif(name: str, shape: tuple[int, ...], reset: Reset, decay: float = 0.5) -> FloatPopulation:
    """A LIF population with threshold 1 and no bias."""
    one = np.ones((1,) * len(shape))
    return FloatPopulation(name, shape, PopulationKind.LIF, reset, decay * one, one, 0 * one)


def stateless(name: str, shape: tuple[int, ...], kind: PopulationKind) -> FloatPopulation:
    """An INPUT, RELAY or READOUT population."""
    zero = np.zeros((1,) * len(shape))
    decay = zero + 1 if kind is PopulationKind.READOUT else zero
    return FloatPopulation(name, shape, kind, Reset.NONE, decay, zero, zero)


def random_norm(rng: np.random.Generator, channels: int) -> Norm:
    """A normalisation with every part away from its neutral value."""
    return Norm(
        mean=rng.normal(0, 0.2, channels),
        variance=rng.uniform(0.5, 1.5, channels),
        gain=rng.uniform(0.8, 1.5, channels),
        shift=rng.normal(0.3, 0.2, channels),
        eps=1e-5,
    )


def conv(
    rng: np.random.Generator,
    source: str,
    target: str,
    channels: tuple[int, int],
    *,
    kernel: int = 3,
    pool: AveragePool | None = None,
    norm: bool = True,
) -> FloatProjection:
    """A padded convolution whose currents have about unit deviation on busy inputs."""
    weight = rng.normal(
        0,
        2.0 / np.sqrt(channels[0] * kernel**2),
        (channels[1], channels[0])
        + (
            kernel,
            kernel,
        ),
    )
    return FloatProjection(
        source,
        target,
        ProjectionKind.CONV2D,
        weight,
        bias=rng.normal(0, 0.1, channels[1]),
        padding=(kernel // 2, kernel // 2),
        pool=pool,
        norm=random_norm(rng, channels[1]) if norm else None,
    )


def dense(
    rng: np.random.Generator, source: str, target: str, size: tuple[int, int], **more: AveragePool
) -> FloatProjection:
    """A dense projection (in, out) with bias."""
    weight = rng.normal(0, 2.0 / np.sqrt(size[0]), (size[1], size[0]))
    bias = rng.normal(0, 0.1, size[1])
    pool = more.get("pool")
    return FloatProjection(source, target, ProjectionKind.DENSE, weight, bias=bias, pool=pool)


HALVE = AveragePool((2, 2), (2, 2))


def small_vgg(
    seed: int, reset: Reset = Reset.SOFT, *, side: int = 14, time_steps: int = 4
) -> FloatNetwork:
    """conv - conv - pool - conv - pool - dense readout, normalised; the last pool drops a border
    where ``side`` / 2 is odd."""
    rng = np.random.default_rng(seed)
    half = side // 2
    populations = (
        stateless("input", (1, side, side), PopulationKind.INPUT),
        lif("conv1", (4, side, side), reset),
        lif("conv2", (6, side, side), reset),
        lif("conv3", (8, half, half), reset),
        stateless("readout", (10,), PopulationKind.READOUT),
    )
    projections = (
        conv(rng, "input", "conv1", (1, 4)),
        conv(rng, "conv1", "conv2", (4, 6)),
        conv(rng, "conv2", "conv3", (6, 8), pool=HALVE),
        dense(rng, "conv3", "readout", (8 * (half // 2) ** 2, 10), pool=HALVE),
    )
    return FloatNetwork(populations, projections, time_steps)


def small_residual(seed: int, reset: Reset = Reset.SOFT, *, time_steps: int = 4) -> FloatNetwork:
    """conv - (conv - conv + identity skip) - dense readout; the skip is not aligned."""
    rng = np.random.default_rng(seed)
    shape = (4, 6, 6)
    populations = (
        stateless("input", (2, 6, 6), PopulationKind.INPUT),
        lif("stem", shape, reset),
        lif("a", shape, reset),
        lif("b", shape, reset),
        stateless("readout", (5,), PopulationKind.READOUT),
    )
    identity: FloatArray = np.ones((4, 1, 1, 1))
    projections = (
        conv(rng, "input", "stem", (2, 4)),
        conv(rng, "stem", "a", (4, 4)),
        conv(rng, "a", "b", (4, 4)),
        FloatProjection("stem", "b", ProjectionKind.CONV2D, identity, groups=4),
        dense(rng, "b", "readout", (4 * 36, 5)),
    )
    return FloatNetwork(populations, projections, time_steps)


def images(network: FloatNetwork, count: int, seed: int = 0) -> ImageArray:
    """Smooth random uint8 images (N, C, H, W): bright blobs on black, as in real data."""
    rng = np.random.default_rng(seed)
    channels, height, width = network.populations[0].shape
    y, x = np.mgrid[:height, :width]
    centre = rng.uniform(0.2, 0.8, (2, count, channels, 1, 1))
    spread = rng.uniform(0.1, 0.4, (count, channels, 1, 1)) * height
    distance = (y - centre[0] * height) ** 2 + (x - centre[1] * width) ** 2
    bright = 255 * np.exp(-distance / spread**2) + rng.normal(0, 8, distance.shape)
    pixels: ImageArray = np.clip(bright, 0, 255).astype(np.uint8)
    return pixels
