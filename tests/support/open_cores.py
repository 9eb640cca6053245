"""Random networks, meshes and buffers for the open core, and whether the mesh equals the rest."""

import subprocess
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
from tssd.hw_targets.mapping.placement import Placement, formats_of
from tssd.hw_targets.rtl.build import program
from tssd.hw_targets.rtl.engine import activities
from tssd.hw_targets.rtl.image import Image, image_of
from tssd.hw_targets.rtl.image_file import KeptImage
from tssd.hw_targets.rtl.machine import MOST_CLOCKS, SILENT_STEPS, STEPS, WANTED, WRITE, run
from tssd.hw_targets.rtl.proof import found_times, kernel_times
from tssd.hw_targets.rtl.units.host import EVERYTHING, MeshRegister, address

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
    needs = (Need(0, 0, 0, 0),) * chip.cores
    stored = formats_of(network, slices, chip)
    return Placement(chip.name, shapes, tuple(slices), sites, needs, 0.0, stored)


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


def replayed(image: KeptImage) -> list[int]:
    """Which of the samples' orders the mesh, built for the image, answers with another value."""
    orders = _orders(image.load)
    asked = [number for number, (word, _, _) in enumerate(image.samples) if word == "r"]
    # every step asks for the same words: the program answers with them after each
    first = [image.samples[i][1] for i in asked[: len(asked) // image.steps]]
    orders += [WANTED, len(first), *first, *_orders(image.samples)]
    data = np.array(orders, "<u4").tobytes()
    command = [str(program(image.sizes)), str(MOST_CLOCKS)]
    told = subprocess.run(command, input=data, capture_output=True, check=True).stdout
    answers = iter(np.frombuffer(told, "<u4").tolist())
    found: list[int] = []
    for _ in range(image.steps):
        next(answers)
        for _ in range(3 * next(answers)):
            next(answers)
        found += [next(answers) for _ in first]
    assert next(answers, None) is None
    return [i for i, value in zip(asked, found, strict=True) if value != image.samples[i][2]]


def _orders(lines: list[tuple[str, int, int]]) -> list[int]:
    """The program's own words for them: steps are run, and answered for, where they are asked."""
    run, found = address(EVERYTHING, 0, MeshRegister.RUN), []
    for word, place, value in lines:
        if (word, place) == ("w", run):
            found += [STEPS, 1] if value == 1 else [SILENT_STEPS, value]
        elif word == "w":
            found += [WRITE, 1, place, value]
    return found
