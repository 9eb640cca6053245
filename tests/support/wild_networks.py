"""Random integer networks that use everything the format allows, also at the edges of 24 bits."""

import numpy as np
from reset_amounts import with_amount
from strategies import Case, random_inputs, random_window, readout

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

Shape = tuple[int, ...]


def wild_case(seed: int) -> Case:
    """Any coding, reset, kind of population and projection; weights up to several thousand."""
    rng = np.random.default_rng(seed)
    coding = list(InputCoding)[int(rng.integers(3))]
    network = _Wild(rng, coding).network()
    if coding is InputCoding.BIAS:
        shape = (network.time_steps, 2, *network.source.shape)
        return Case(network, rng.integers(-network.input_max, network.input_max + 1, shape))
    return Case(network, random_inputs(network, seed + 1, batch=2))


class _Wild:
    def __init__(self, rng: np.random.Generator, coding: InputCoding) -> None:
        self.rng, self.coding = rng, coding
        self.strong = bool(rng.random() < 0.3)  # sums that wrap, membranes that clip
        self.time_steps = int(rng.integers(2, 7))

    def network(self) -> IntNetwork:
        shape = tuple(int(n) for n in self.rng.integers((1, 4, 4), (4, 9, 9)))
        first = (
            self.lif("first", shape)
            if self.coding is InputCoding.BIAS
            else plain_population("input", shape, PopulationKind.INPUT)
        )
        populations, projections = [first], []
        for i in range(int(self.rng.integers(1, 4))):
            projection, shape = self.spatial(f"p{i}", populations[-1])
            relay = self.rng.random() < 0.25 and not self.strong
            maker = self.relay if relay else self.lif
            populations.append(maker(f"p{i}", shape))
            projections.append(projection)
        projections += self.extras(populations)
        populations += [self.lif("fc", (7,)), readout("readout", 3, self.rng)]
        projections.append(self.dense(populations[-3], populations[-2]))
        projections.append(self.dense(populations[-2], populations[-1]))
        if self.rng.random() < 0.3:  # a second, delayed way into the readout
            late = int(self.rng.integers(1, 4))
            projections.append(self.dense(populations[-3], populations[-1], delay=late))
        maximum = {InputCoding.GRADED: 255, InputCoding.SPIKES: 1, InputCoding.BIAS: 4000}
        top = maximum[self.coding]
        return IntNetwork(tuple(populations), tuple(projections), self.time_steps, self.coding, top)

    def extras(self, populations: list[Population]) -> list[Projection]:
        """Sometimes a dense side way that skips one population, and a recurrent one."""
        found = []
        if len(populations) > 2 and self.rng.random() < 0.5:
            source, target = populations[-3], populations[-1]
            found.append(self.dense(source, target, delay=int(self.rng.integers(1, 3))))
        return found

    def lif(self, name: str, shape: Shape) -> Population:
        rng = self.rng
        size = [(1,) * len(shape), (shape[0],) + (1,) * (len(shape) - 1), shape]
        per = [size[int(i)] for i in rng.integers(3, size=4)]
        memory = rng.random() < 0.4
        drawn = Population(
            name,
            shape,
            PopulationKind.LIF,
            list(Reset)[int(rng.integers(3))],
            du=rng.integers(0, 4097, per[0]) if memory else constant(4096, shape),
            dv=self.decay(per[1]),
            vth=rng.integers(0, 131072 if self.strong else 3000, per[2]),
            bias_mant=rng.integers(-4096, 4096, per[3]),
            bias_exp=int(rng.integers(0, 9)) if rng.random() < 0.9 else -2 + self.is_bias() * 2,
        )
        return with_amount(drawn)

    def is_bias(self) -> int:
        return int(self.coding is InputCoding.BIAS)

    def decay(self, shape: Shape) -> "np.typing.NDArray[np.int64]":
        """Anything, or the decays whose products fit 32 bits."""
        easy = np.array([0, 512, 1024, 2048, 3072, 4096])
        if self.rng.random() < 0.5:
            return self.rng.choice(easy, shape)
        return self.rng.integers(0, 4097, shape)

    def relay(self, name: str, shape: Shape) -> Population:
        return plain_population(name, shape, PopulationKind.RELAY)

    def weights(self, shape: Shape) -> "np.typing.NDArray[np.int64]":
        top = 4096 if self.strong else 128
        return self.rng.integers(-top, top, shape)

    def exponent(self) -> int:
        return int(self.rng.integers(-7, 8)) if self.rng.random() < 0.4 else 0

    def spatial(self, name: str, source: Population) -> tuple[Projection, Shape]:
        """Convolution with groups, dilation, non-square kernels; or a sum pool."""
        window = random_window(self.rng, source.shape)
        if window.pools:
            weight = np.ones(window.weight, np.int64)
            return window.projection(source.name, name, weight), window.output
        weight = self.weights(window.weight)
        exponent = self.exponent()
        made = window.projection(source.name, name, weight, weight_exp=exponent)
        return made, window.output

    def dense(self, source: Population, target: Population, delay: int = 0) -> Projection:
        weight = self.weights((target.neurons, source.neurons))
        return Projection(
            source.name,
            target.name,
            ProjectionKind.DENSE,
            weight,
            weight_exp=self.exponent(),
            delay=delay,
        )
