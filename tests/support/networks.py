"""Networks of known size for placement and energy tests."""

import numpy as np

from tssd.calibration.int_network import (
    InputCoding,
    IntNetwork,
    Population,
    PopulationKind,
    Projection,
    ProjectionKind,
    Reset,
    constant,
    plain_population,
)
from tssd.calibration.integer import IntArray
from tssd.calibration.tally import Tally

# name, shape, stride, padding of the convolutions of Intel's PilotNet LIF (3 x 3 kernels)
PILOTNET = (
    ("conv1", (24, 32, 99), (2, 2), (0, 0)),
    ("conv2", (36, 15, 49), (2, 2), (0, 0)),
    ("conv3", (48, 7, 24), (2, 2), (0, 0)),
    ("conv4", (64, 4, 22), (2, 1), (1, 0)),
    ("conv5", (64, 2, 20), (1, 1), (0, 0)),
)


def lif(name: str, shape: tuple[int, ...], reset: Reset = Reset.HARD) -> Population:
    """A LIF population with one set of parameters."""
    return Population(
        name,
        shape,
        PopulationKind.LIF,
        reset,
        constant(4096, shape),
        constant(100, shape),
        constant(50, shape),
        constant(0, shape),
    )


def weights(rng: np.random.Generator, *shape: int) -> IntArray:
    """8-bit weights without zeros."""
    sign = 2 * rng.integers(0, 2, shape) - 1
    return rng.integers(1, 120, shape) * sign


def dense(source: Population, target: Population, rng: np.random.Generator) -> Projection:
    weight = weights(rng, target.neurons, source.neurons)
    return Projection(source.name, target.name, ProjectionKind.DENSE, weight)


def pilotnet(seed: int = 0) -> IntNetwork:
    """The geometry of Intel's PilotNet LIF with random weights."""
    rng = np.random.default_rng(seed)
    populations = [plain_population("input", (3, 66, 200), PopulationKind.INPUT)]
    projections = []
    for name, shape, stride, padding in PILOTNET:
        source = populations[-1]
        weight = weights(rng, shape[0], source.shape[0], 3, 3)
        projections.append(
            Projection(
                source.name, name, ProjectionKind.CONV2D, weight, stride=stride, padding=padding
            )
        )
        populations.append(lif(name, shape))
    for name, neurons in (("dense1", 100), ("dense2", 50), ("dense3", 10), ("dense4", 1)):
        populations.append(lif(name, (neurons,)))
        projections.append(dense(populations[-2], populations[-1], rng))
    return IntNetwork(tuple(populations), tuple(projections), 16)


def mlp(*sizes: int, seed: int = 0, reset: Reset = Reset.HARD) -> IntNetwork:
    """Dense layers, binary input."""
    rng = np.random.default_rng(seed)
    populations = [plain_population("input", (sizes[0],), PopulationKind.INPUT)]
    projections = []
    for k, size in enumerate(sizes[1:]):
        populations.append(lif(f"fc{k}", (size,), reset))
        projections.append(dense(populations[-2], populations[-1], rng))
    return IntNetwork(tuple(populations), tuple(projections), 4, InputCoding.SPIKES, 1)


def random_tally(network: IntNetwork, seed: int, samples: int = 3) -> Tally:
    """Event counts at random, as if measured."""
    rng = np.random.default_rng(seed)
    most = samples * network.time_steps
    events = {p.name: rng.integers(0, most + 1, p.shape) for p in network.populations}
    readout = np.zeros((samples, *network.readout.shape), np.int64)
    return Tally(samples, network.time_steps, events, readout)


def resnet18(seed: int = 0, size: int = 32, pooled: bool = False) -> IntNetwork:
    """The geometry of ResNet-18 for *size* x *size* images: 11.2 M weights, skips aligned by
    delays; *pooled*: the last image is summed to a point before the last layer, as published."""
    rng = np.random.default_rng(seed)
    stem = lif("stem", (64, size, size))
    populations = [plain_population("input", (3, size, size), PopulationKind.INPUT), stem]
    projections = [conv(populations[0], stem, rng)]
    for stage, (channels, stride) in enumerate([(64, 1), (128, 2), (256, 2), (512, 2)]):
        for block in range(2):
            before = populations[-1]
            edge = before.shape[1] // (stride if block == 0 else 1)
            a, b = (lif(f"s{stage}b{block}{part}", (channels, edge, edge)) for part in "ab")
            step = before.shape[1] // edge
            projections += [
                conv(before, a, rng, stride=step),
                conv(a, b, rng),
                conv(before, b, rng, kernel=1, stride=step, delay=1),
            ]
            populations += [a, b]
    if pooled:
        populations.append(plain_population("pool", (512, 1, 1), PopulationKind.RELAY))
        projections.append(sum_pool(populations[-2], populations[-1]))
    populations.append(lif("fc", (10,)))
    projections.append(dense(populations[-2], populations[-1], rng))
    return IntNetwork(tuple(populations), tuple(projections), 4, InputCoding.SPIKES, 1)


def sum_pool(source: Population, target: Population) -> Projection:
    """Each channel of *source* added up to a point."""
    channels, edge = source.shape[:2]
    ones, kind = np.ones((channels, 1, edge, edge), np.int64), ProjectionKind.SUM_POOL
    return Projection(source.name, target.name, kind, ones, stride=(edge, edge), groups=channels)


def conv(
    source: Population,
    target: Population,
    rng: np.random.Generator,
    *,
    kernel: int = 3,
    stride: int = 1,
    delay: int = 0,
) -> Projection:
    """A convolution that keeps the edges; a 1 x 1 one between equal shapes is an identity."""
    same = kernel == 1 and source.shape == target.shape
    channels = (target.shape[0], 1 if same else source.shape[0])
    weight = np.full((*channels, 1, 1), 50) if same else weights(rng, *channels, kernel, kernel)
    pad = (kernel // 2, kernel // 2)
    return Projection(
        source.name,
        target.name,
        ProjectionKind.CONV2D,
        weight,
        stride=(stride, stride),
        padding=pad,
        groups=target.shape[0] if same else 1,
        delay=delay,
    )
