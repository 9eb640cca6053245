"""Small recurrent networks on given cores, timed without running them: who fires is given."""

from collections.abc import Sequence

import numpy as np

from tssd.calibration.int_network import (
    IntNetwork,
    Population,
    PopulationKind,
    Projection,
    ProjectionKind,
    Reset,
    constant,
    plain_population,
)
from tssd.hw_targets.chip.spec import ChipSpec
from tssd.hw_targets.mapping.memory import Need
from tssd.hw_targets.mapping.partition import Slice
from tssd.hw_targets.mapping.placement import Placement, formats_of
from tssd.hw_targets.sim.engine import time_record
from tssd.hw_targets.sim.plan import make_plan
from tssd.hw_targets.sim.record import SpikeRecord
from tssd.hw_targets.sim.timing import Mode

STEPS = 4


def one_population(neurons: int, synapses: int, reset: Reset) -> IntNetwork:
    """*neurons* that project onto themselves by *synapses* drawn at random; a mute input."""
    rng, source = np.random.default_rng(0), plain_population("input", (1,), PopulationKind.INPUT)
    shape = (neurons,)
    one, zero = constant(1, shape), constant(0, shape)
    population = Population("b", shape, PopulationKind.LIF, reset, one, one, one, zero)
    weight = np.zeros(neurons * neurons, np.int64)
    weight[rng.choice(len(weight), synapses, replace=False)] = 1
    projections = (
        Projection("input", "b", ProjectionKind.DENSE, np.zeros((neurons, 1), np.int64)),
        Projection("b", "b", ProjectionKind.DENSE, weight.reshape(neurons, neurons)),
    )
    return IntNetwork((source, population), projections, STEPS)


def us_per_step(
    network: IntNetwork, chip: ChipSpec, sizes: Sequence[int], fire: Sequence[int], mode: Mode
) -> float:
    """Step time with the neurons in runs of *sizes* on cores of their own, the first ``fire[k]`` of
    run k firing in every step; routers are filled one after the other."""
    first = np.concatenate([[0], np.cumsum(sizes)])
    per_router, width = chip.mesh.cores_per_router.count, chip.mesh.width.count
    router, slot = np.divmod(np.arange(len(sizes)), per_router)
    sites = np.column_stack([np.zeros(len(sizes), np.int64), router % width, router // width, slot])
    slices = [Slice("input", 0, np.arange(1))] + [
        Slice("b", k, np.arange(first[k], first[k + 1])) for k in range(len(sizes))
    ]
    needs = tuple(Need(n, 2 * n, 0, 0) for n in sizes)  # time only: what it stores is not asked
    shapes = {p.name: p.shape for p in network.populations}
    stored = formats_of(network, slices, chip)
    placement = Placement(chip.name, shapes, tuple(slices), sites, needs, 0.0, stored)
    plan = make_plan(network, placement, chip)
    firing = np.concatenate([np.arange(a, a + n) for a, n in zip(first[:-1], fire, strict=True)])
    step = np.repeat(np.arange(STEPS), len(firing))
    spikes = {
        "input": np.zeros((0, 2), np.int64),
        "b": np.column_stack([step, np.tile(firing, STEPS)]),
    }
    return time_record(plan, SpikeRecord(STEPS, spikes, {}), mode).us_per_step
