"""Random small networks for property and differential tests: one place for all strategies."""

from dataclasses import dataclass, replace

import numpy as np
from hypothesis import strategies as st
from reset_amounts import with_amount

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


@dataclass(frozen=True, eq=False)
class Case:
    """A network and inputs (T, B, *shape) that it accepts."""

    network: IntNetwork
    inputs: IntArray


def random_lif(
    rng: np.random.Generator,
    name: str,
    shape: tuple[int, ...],
    reset: Reset,
    *,
    memory: bool = False,
) -> Population:
    """A LIF population with random integer parameters, per channel or uniform."""
    size = (shape[0],) + (1,) * (len(shape) - 1)
    du = rng.integers(2000, 4097, size) if memory else np.full(size, 4096)
    return with_amount(
        Population(
            name,
            shape,
            PopulationKind.LIF,
            reset,
            du=du.astype(np.int64),
            dv=rng.integers(0, 4097, size),
            vth=rng.integers(20, 400, size),
            bias_mant=rng.integers(-60, 60, size),
        )
    )


def readout(name: str, neurons: int, rng: np.random.Generator) -> Population:
    """An integrator without leak that never fires."""
    return Population(
        name,
        (neurons,),
        PopulationKind.READOUT,
        Reset.NONE,
        du=constant(4096, (1,)),
        dv=constant(0, (1,)),
        vth=constant(0, (1,)),
        bias_mant=rng.integers(-60, 60, (neurons,)),
    )


def random_conv_network(
    seed: int,
    reset: Reset,
    *,
    time_steps: int = 4,
    memory: bool = False,
    coding: InputCoding = InputCoding.GRADED,
) -> IntNetwork:
    """input -> conv -> conv (stride, groups, padding at random) -> dense readout."""
    rng = np.random.default_rng(seed)
    channels, height, width = (
        int(rng.integers(1, 3)),
        int(rng.integers(5, 9)),
        int(rng.integers(5, 9)),
    )
    shape = (channels, height, width)
    populations = [plain_population("input", shape, PopulationKind.INPUT)]
    projections: list[Projection] = []
    for i in range(int(rng.integers(1, 3))):
        projection, shape = _random_conv(rng, f"conv{i}", populations[-1])
        projections.append(projection)
        populations.append(random_lif(rng, f"conv{i}", shape, reset, memory=memory))
    weight = rng.integers(-127, 128, (5, int(np.prod(shape))))
    projections.append(Projection(populations[-1].name, "readout", ProjectionKind.DENSE, weight))
    populations.append(readout("readout", 5, rng))
    maximum = 255 if coding is InputCoding.GRADED else 1
    return IntNetwork(tuple(populations), tuple(projections), time_steps, coding, maximum)


def extreme_network(seed: int, reset: Reset) -> IntNetwork:
    """Sums that wrap in the convolution, in u, and saturate v; shifts both ways; two inputs into
    one population, one of them late."""
    rng = np.random.default_rng(seed)
    network = random_conv_network(seed, reset, memory=bool(rng.integers(2)))
    big = int(rng.choice([1, 300, 5_000, 2_000_000]))
    projections = [
        replace(j, weight=j.weight * big, weight_exp=int(rng.integers(-3, 3)))
        for j in network.projections
    ]
    direct = rng.integers(-127, 128, (5, network.source.neurons))
    skip = Projection("input", "readout", ProjectionKind.DENSE, direct * big, delay=3)
    populations = [
        replace(p, bias_exp=int(rng.integers(-2, 9)), vth=p.vth * int(rng.choice([1, 500])))
        for p in network.populations
    ]
    return replace(
        network, populations=tuple(populations), projections=(*projections, skip), input_max=255
    )


def _random_conv(
    rng: np.random.Generator, name: str, source: Population
) -> tuple[Projection, tuple[int, int, int]]:
    channels, height, width = source.shape
    groups = channels if rng.random() < 0.3 else 1
    out = groups * int(rng.integers(1, 4))
    kernel = tuple(
        min(int(k), n) for k, n in zip(rng.integers(1, 4, 2), source.shape[1:], strict=True)
    )
    stride = tuple(int(k) for k in rng.integers(1, 3, 2))
    padding = tuple(int(rng.integers(0, k)) for k in kernel)
    weight = rng.integers(-127, 128, (out, channels // groups, *kernel))
    size = [
        (n + 2 * p - k) // s + 1
        for n, p, k, s in zip((height, width), padding, kernel, stride, strict=True)
    ]
    projection = Projection(
        source.name,
        name,
        ProjectionKind.CONV2D,
        weight,
        groups=groups,
        stride=(stride[0], stride[1]),
        padding=(padding[0], padding[1]),
    )
    return projection, (out, size[0], size[1])


@dataclass(frozen=True)
class Window:
    """A convolution, transposed or not, or a sum pool that fits: kind, shapes, geometry."""

    kind: ProjectionKind
    weight: tuple[int, ...]
    output: tuple[int, int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int

    @property
    def pools(self) -> bool:
        return self.kind is ProjectionKind.SUM_POOL

    def projection(
        self, source: str, target: str, weight: IntArray, *, weight_exp: int = 0, delay: int = 0
    ) -> Projection:
        return Projection(
            source,
            target,
            self.kind,
            weight,
            weight_exp,
            self.stride,
            self.padding,
            self.dilation,
            self.groups,
            delay,
        )


def random_window(rng: np.random.Generator, source: tuple[int, ...]) -> Window:
    """Groups, dilation, non-square kernels; now and then a pool, or a transposed convolution."""
    channels, *size = source
    pool = rng.random() < 0.2
    groups = channels if pool or rng.random() < 0.3 else 1
    out = channels if pool else groups * int(rng.integers(1, 4))
    kernel = rng.integers(1, 4, 2)
    gap, step = rng.integers(1, 3, 2), rng.integers(1, 3, 2)
    padding = rng.integers(0, kernel)
    shape = (np.array(size) + 2 * padding - gap * (kernel - 1) - 1) // step + 1
    if not pool and (kernel + gap).sum() % 3 == 0 and max(size) < 7:
        reach = gap * (kernel - 1)
        padding = np.minimum(padding, (reach + (np.array(size) - 1) * step) // 2)
        shape = (np.array(size) - 1) * step + 1 + reach - 2 * padding
        kind = ProjectionKind.CONV2D_TRANSPOSED
    else:
        kind = ProjectionKind.SUM_POOL if pool else ProjectionKind.CONV2D
    if shape.min() < 1:
        return random_window(rng, source)
    return Window(
        kind,
        (out, channels // groups, int(kernel[0]), int(kernel[1])),
        (out, int(shape[0]), int(shape[1])),
        (int(step[0]), int(step[1])),
        (int(padding[0]), int(padding[1])),
        (int(gap[0]), int(gap[1])),
        groups,
    )


def random_inputs(network: IntNetwork, seed: int, batch: int = 3) -> IntArray:
    """Inputs within the payload range, different at every step."""
    rng = np.random.default_rng(seed)
    shape = (network.time_steps, batch, *network.source.shape)
    return rng.integers(0, network.input_max + 1, shape)


def residual_network(seed: int, reset: Reset, time_steps: int = 4) -> IntNetwork:
    """input -> a -> b -> c -> readout with an identity skip a -> c, aligned by its delay."""
    rng = np.random.default_rng(seed)
    shape = (2, 5, 5)
    names = ["input", "a", "b", "c"]
    populations = [plain_population("input", shape, PopulationKind.INPUT)]
    populations += [random_lif(rng, name, shape, reset) for name in names[1:]]
    projections = [
        Projection(
            source,
            target,
            ProjectionKind.CONV2D,
            rng.integers(-127, 128, (2, 2, 3, 3)),
            padding=(1, 1),
        )
        for source, target in zip(names[:-1], names[1:], strict=True)
    ]
    identity = rng.integers(20, 100, (2, 1, 1, 1))
    projections.append(Projection("a", "c", ProjectionKind.CONV2D, identity, groups=2, delay=1))
    weight = rng.integers(-127, 128, (5, 50))
    projections.append(Projection("c", "readout", ProjectionKind.DENSE, weight))
    populations.append(readout("readout", 5, rng))
    return IntNetwork(tuple(populations), tuple(projections), time_steps)


def recurrent_case(seed: int) -> Case:
    """A convolutional network of any reset, memory and input coding whose populations have up to
    two loops each; no bias fires before data arrives."""
    rng = np.random.default_rng(seed)
    coding = list(InputCoding)[int(rng.integers(3))]
    network = random_conv_network(
        seed,
        list(Reset)[int(rng.integers(3))],
        time_steps=6,
        memory=bool(rng.integers(2)),
        coding=InputCoding.GRADED if coding is InputCoding.BIAS else coding,
    )
    quiet = [replace(p, bias_mant=-np.abs(p.bias_mant)) for p in network.populations]
    if coding is InputCoding.BIAS:
        quiet[0] = random_lif(rng, quiet[0].name, quiet[0].shape, Reset.HARD)
    loops = [random_loop(rng, p) for p in quiet[:-1] if p.has_state for _ in range(rng.integers(3))]
    projections = (*network.projections, *loops)
    network = IntNetwork(tuple(quiet), projections, 6, coding, network.input_max)
    return Case(network, random_inputs(network, seed + 1, batch=2))


def random_loop(rng: np.random.Generator, population: Population) -> Projection:
    """Dense or convolutional weights from a population to itself."""
    name, delay, exponent = population.name, int(rng.integers(3)), int(rng.integers(-1, 2))
    if rng.random() < 0.5:
        weight = rng.integers(-127, 128, (population.neurons, population.neurons))
        return Projection(name, name, ProjectionKind.DENSE, weight, exponent, delay=delay)
    channels = population.shape[0]
    weight = rng.integers(-127, 128, (channels, channels, 3, 3))
    kind = ProjectionKind.CONV2D
    return Projection(name, name, kind, weight, exponent, padding=(1, 1), delay=delay)


@st.composite
def cases(draw: st.DrawFn, *, memory: bool = True) -> Case:
    """Random convolutional and residual networks, both resets, with inputs."""
    seed = draw(st.integers(0, 2**32 - 1))
    reset = draw(st.sampled_from([Reset.HARD, Reset.SOFT]))
    if draw(st.booleans()):
        network = residual_network(seed, reset)
    else:
        coding = draw(st.sampled_from([InputCoding.GRADED, InputCoding.SPIKES]))
        network = random_conv_network(
            seed, reset, memory=memory and draw(st.booleans()), coding=coding
        )
    return Case(network, random_inputs(network, seed + 1, batch=draw(st.integers(1, 3))))
