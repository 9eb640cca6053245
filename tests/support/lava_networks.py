"""Random networks that stock Lava can say: 8-bit dense weights, 24-bit sums, its decays and delays.

Beyond ``wild_networks``: weights in every set a synapse can hold, recurrent projections, values at
the edge of 24 bits; without what Lava has no form for (see tests/differential).
"""

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
from tssd.calibration.integer import IntArray

Shape = tuple[int, ...]
TOP = {InputCoding.GRADED: 255, InputCoding.SPIKES: 1, InputCoding.BIAS: 4000}


def lava_case(seed: int) -> Case:
    """A network of two to four populations beyond the input, and inputs for two samples."""
    rng = np.random.default_rng(seed)
    coding = list(InputCoding)[int(rng.integers(3))]
    network = _Drawn(rng, coding).network()
    if coding is InputCoding.BIAS:
        shape = (network.time_steps, 2, *network.source.shape)
        top = network.input_max
        return Case(network, rng.integers(-top, top + 1, shape))
    return Case(network, random_inputs(network, seed + 1, batch=2))


class _Drawn:
    def __init__(self, rng: np.random.Generator, coding: InputCoding) -> None:
        self.rng, self.coding = rng, coding
        self.strong = bool(rng.random() < 0.3)  # currents that wrap, membranes that saturate
        self.time_steps = int(rng.integers(2, 6))

    def network(self) -> IntNetwork:
        rng = self.rng
        image = rng.random() < 0.6
        shape = tuple(int(n) for n in rng.integers((1, 4, 4), (4, 8, 8))) if image else (9,)
        biased = self.coding is InputCoding.BIAS
        first = (
            self.lif("input", shape)
            if biased
            else plain_population("input", shape, PopulationKind.INPUT)
        )
        populations: list[Population] = [first]
        projections: list[Projection] = []
        for i in range(int(rng.integers(1, 4))):
            self.grow(f"p{i}", populations, projections)
        populations.append(readout("readout", 3, rng))
        projections.append(self.dense(populations[-2], populations[-1]))
        if rng.random() < 0.3:  # a second, later way into the readout
            late = len(populations) - 2 + int(rng.integers(0, 3))
            projections.append(self.dense(populations[0], populations[-1], delay=late))
        return IntNetwork(
            tuple(populations),
            tuple(projections),
            self.time_steps,
            self.coding,
            TOP[self.coding],
        )

    def grow(self, name: str, populations: list[Population], projections: list[Projection]) -> None:
        """One more population behind the last, now and then recurrent."""
        rng, source = self.rng, populations[-1]
        if len(source.shape) == 3 and rng.random() < 0.8:
            relay = self.binary(source) and rng.random() < 0.25
            projection, shape = self.spatial(name, source, relay)
            population = (
                plain_population(name, shape, PopulationKind.RELAY)
                if relay
                else self.lif(name, shape)
            )
        else:
            population = self.lif(name, (int(rng.integers(2, 9)),))
            projection = self.dense(source, population)
            if rng.random() < 0.2:
                projections.append(self.dense(population, population))
        populations.append(population)
        projections.append(projection)

    def lif(self, name: str, shape: Shape) -> Population:
        rng = self.rng
        sizes = [(1,) * len(shape), (shape[0],) + (1,) * (len(shape) - 1), shape]
        per = [sizes[int(i)] for i in rng.integers(3, size=4)]
        memory = rng.random() < 0.5
        drawn = Population(
            name,
            shape,
            PopulationKind.LIF,
            list(Reset)[int(rng.integers(3))],
            du=rng.integers(1, 4097, per[0]) if memory else constant(4096, shape),
            dv=rng.choice([0, 512, 4096, int(rng.integers(4097))], per[1]).astype(np.int64),
            vth=rng.integers(0, 131072 if self.strong else 3000, per[2]),
            bias_mant=rng.integers(-4096, 4096, per[3]),
            bias_exp=int(rng.integers(0, 8)) if rng.random() < 0.9 else -2 * (not self.biased()),
        )
        return with_amount(drawn)

    def biased(self) -> bool:
        return self.coding is InputCoding.BIAS

    def synapse_weights(self, shape: Shape) -> IntArray:
        """One of the sets that a dense 8-bit synapse holds exactly."""
        rng = self.rng
        drawn = [
            rng.integers(-127, 128, shape),
            2 * rng.integers(-127, 128, shape),
            rng.integers(0, 256, shape),
            rng.integers(-255, 0, shape),
        ][int(rng.integers(4))]
        drawn[rng.random(shape) < 0.2] = 0
        return drawn

    def dense(self, source: Population, target: Population, delay: int = 0) -> Projection:
        rng = self.rng
        exponent = int(rng.integers(4, 8)) if self.strong else int(rng.integers(-5, 2))
        return Projection(
            source.name,
            target.name,
            ProjectionKind.DENSE,
            self.synapse_weights((target.neurons, source.neurons)),
            weight_exp=exponent if self.binary(source) else int(rng.integers(-5, 1)),
            delay=delay or int(rng.random() < 0.2) * int(rng.integers(1, 4)),
        )

    def binary(self, source: Population) -> bool:
        """Whether its payloads are zeros and ones: sums stay within Lava's 32 bits."""
        spikes_in = self.coding is InputCoding.SPIKES and source.kind is PopulationKind.INPUT
        return source.kind is PopulationKind.LIF or spikes_in

    def spatial(self, name: str, source: Population, relay: bool) -> tuple[Projection, Shape]:
        rng = self.rng
        window = random_window(rng, source.shape)
        strong = self.strong and self.binary(source) and not relay
        top = 8 if relay else 30000 if strong else 128
        projection = window.projection(
            source.name,
            name,
            np.ones(window.weight, np.int64)
            if window.pools
            else rng.integers(-top, top, window.weight),
            weight_exp=0 if window.pools or top != 128 else int(rng.integers(0, 3)),
            delay=int(rng.random() < 0.2) * int(rng.integers(1, 4)),
        )
        return projection, window.output
