"""Random networks, meshes and buffers for the open core, and whether the mesh equals the rest."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from strategies import Case
from wild_networks import wild_case

from tssd.calibration.int_network import SPIKES, IntNetwork, Population
from tssd.calibration.simulate import reference
from tssd.errors import NetworkError, TargetError
from tssd.hw_targets.chip.chips import load_chip
from tssd.hw_targets.chip.spec import ChipSpec
from tssd.hw_targets.mapping.memory import Need
from tssd.hw_targets.mapping.partition import Slice
from tssd.hw_targets.mapping.placement import Placement
from tssd.hw_targets.rtl.engine import activities
from tssd.hw_targets.rtl.image import Image, image_of
from tssd.hw_targets.rtl.machine import run
from tssd.hw_targets.rtl.proof import found_times, kernel_times

MESHES = ((1, 1, 1), (2, 1, 1), (1, 3, 2), (2, 2, 1), (3, 2, 2), (4, 3, 1), (2, 2, 4))
DEPTHS = ("link", "axon_in", "spike_out")
SOURCE = 'kind = "assumed", source = "for a test"'


def chip_text(sections: dict[str, dict[str, tuple[int, str]]]) -> str:
    """A chip file: an open core with other numbers, (value, unit) by section and name."""
    lines = [
        'name = "small"',
        'title = "an open core of another size"',
        'extends = "open-core"',
        "calibrated_on = []",
        "barrier_follows = true",
    ]
    for section, numbers in sections.items():
        lines.append(f"[{section}]")
        for name, (value, unit) in numbers.items():
            lines.append(f'{name} = {{ value = {value}, unit = "{unit}", {SOURCE} }}')
    return "\n".join(lines) + "\n"


def small_chip(
    folder: Path, mesh: tuple[int, int, int], depths: dict[str, int], neurons: int = 256
) -> ChipSpec:
    """A mesh of width, height and cores per router, its queues so deep; weights of 16 bits."""
    width, height, per_router = mesh
    bits: tuple[str, ...] = ("weight", "row_index", "sparse_index")
    wide: tuple[int, str] = (16, "bit")
    path = folder / "chip.toml"
    path.write_text(
        chip_text(
            {
                "limits": {
                    "neurons_per_core": (neurons, "neurons"),
                    "axons_in_per_core": (4096, "axons"),
                    "cores_per_chip": (width * height * per_router, "cores"),
                },
                "mesh": {
                    "width": (width, "routers"),
                    "height": (height, "routers"),
                    "cores_per_router": (per_router, "cores"),
                },
                "bits": dict.fromkeys(bits, wide),
                "buffers": {name: (depth, "messages") for name, depth in depths.items()},
            }
        )
    )
    return load_chip(path)


def random_chip(seed: int, folder: Path) -> ChipSpec:
    """One of some meshes, with shallow queues among deeper ones."""
    rng = np.random.default_rng(seed)
    depths = {name: int(rng.choice((1, 1, 2, 3, 5))) for name in DEPTHS}
    depths["synapse"] = int(rng.choice((0, 1, 2, 4)))
    return small_chip(folder, MESHES[seed % len(MESHES)], depths, neurons=1024)


def scattered(network: IntNetwork, chip: ChipSpec, seed: int) -> Placement:
    """Each population cut at random, its parts on any cores, which several may share."""
    rng, slices = np.random.default_rng(seed), []
    for population in network.populations:
        parts = int(rng.integers(1, min(3, chip.cores, population.neurons) + 1))
        homes = rng.choice(chip.cores, parts, replace=False)
        part_of = rng.permutation(np.arange(population.neurons) % parts)
        slices += [
            Slice(population.name, int(home), np.flatnonzero(part_of == part))
            for part, home in enumerate(homes)
        ]
    mesh, number = chip.mesh, np.arange(chip.cores)
    router, slot = np.divmod(number, mesh.cores_per_router.count)
    y, x = np.divmod(router, mesh.width.count)
    sites = np.column_stack([0 * number, x, y, slot])
    shapes = {p.name: p.shape for p in network.populations}
    return Placement(chip.name, shapes, tuple(slices), sites, (Need(0, 0, 0, 0),) * chip.cores, 0.0)


def fitted(seed: int) -> Case:
    """A wild network with what the open core has: no weight exponents, no delays."""
    case = wild_case(seed)
    network = case.network
    projections = tuple(replace(j, weight_exp=0) for j in network.projections if not j.delay)
    populations = tuple(_fitted(p) for p in network.populations)
    return Case(replace(network, populations=populations, projections=projections), case.inputs)


def _fitted(population: Population) -> Population:
    return replace(population, bias_exp=min(max(population.bias_exp, 0), 7))


def drawn(seed: int, chip: ChipSpec) -> tuple[Case, Image]:
    """The first random network from *seed* on that the open core takes, and its image."""
    while True:
        case = fitted(seed)
        try:
            return case, image_of(case.network, scattered(case.network, chip, seed), chip)
        except (NetworkError, TargetError):  # sums too wide, spikes before the first step
            seed += 1_000_003


@dataclass(frozen=True)
class Compared:
    """What was compared in one case, and what differed, in words."""

    differences: tuple[str, ...]
    steps: int
    clocks: int
    messages: int
    values: int  # spikes and states, each neuron and step


def compared(case: Case, image: Image) -> Compared:
    """The mesh against the definition (spikes, states) and against the kernel (every clock)."""
    expected, samples = reference(case.network, case.inputs), run(image, case.inputs)
    found, steps, clocks, messages, values = [], 0, 0, 0, 0
    for b, (told, seen) in enumerate(zip(samples, activities(image, samples), strict=True)):
        times, wanted = found_times(told), kernel_times(image, seen)
        steps, clocks = steps + len(told), clocks + int(times.clocks.sum())
        messages += len(times.arrivals)
        for quantity in (SPIKES, *expected.states):
            for name, right in expected.recorded(quantity).items():
                values += right[:, b].size
                if not np.array_equal(right[:, b : b + 1], seen.recorded(quantity)[name]):
                    found.append(f"sample {b}: {name} {quantity}")
        found += [
            f"sample {b}: {label}"
            for label in ("clocks", "finished", "arrivals")
            if not np.array_equal(getattr(times, label), getattr(wanted, label))
        ]
    return Compared(tuple(found), steps, clocks, messages, values)
