"""The engine: a bundle of the open core on its circuits, which Verilator steps clock by clock.

Spikes and states are compared by whoever asked; times are compared here, with the timing kernel on
the very spikes that the circuits made: clocks of every step, the clock in which each core finished,
the arrival of every message.
"""

from functools import lru_cache

import numpy as np

from tssd.calibration.int_network import Activity, IntNetwork, Runner, activity
from tssd.calibration.integer import IntArray
from tssd.calibration.simulate import joined
from tssd.errors import ContractError, TargetError
from tssd.export.bundle.folder import PLACEMENT, Bundle
from tssd.hw_targets.chip.chip_copy import bundled_chip
from tssd.hw_targets.chip.spec import ChipSpec
from tssd.hw_targets.engine import Setting
from tssd.hw_targets.mapping.manual import read_placement
from tssd.hw_targets.mapping.placement import Placement
from tssd.hw_targets.rtl.image import Image, image_of
from tssd.hw_targets.rtl.machine import QUANTITIES, Step, by_population, run
from tssd.hw_targets.rtl.proof import StepClocks, found_times, kernel_times
from tssd.hw_targets.rtl.sizing import TO_BUILD


def opened(setting: Setting) -> Runner:
    """The engine on the bundle's own chip and placement."""
    placement, chip = _layout(setting.bundle)

    @lru_cache(maxsize=1)
    def image(network: IntNetwork) -> Image:
        return image_of(network, placement, chip)

    return lambda network, inputs: checked(image(network), inputs)


def image_of_bundle(bundle: Bundle) -> Image:
    """What a host writes for the network of *bundle*."""
    return image_of(bundle.network, *_layout(bundle))


def _layout(bundle: Bundle) -> tuple[Placement, ChipSpec]:
    if bundle.placement is None:
        raise TargetError("engine rtl", found="a bundle without a placement", hint=TO_BUILD)
    chip = bundled_chip(bundle.folder, bundle.manifest)
    return read_placement(bundle.file(PLACEMENT), bundle.network, chip), chip


def checked(image: Image, inputs: IntArray) -> Activity:
    """What the circuits do with ``inputs`` (T, B, *shape); ContractError where a time differs from
    the kernel's."""
    samples = run(image, inputs)
    seen = activities(image, samples)
    for sample, (steps, did) in enumerate(zip(samples, seen, strict=True)):
        check_times(sample, found_times(steps), kernel_times(image, did))
    return joined(seen)


def check_times(sample: int, found: StepClocks, expected: StepClocks) -> None:
    """Every clock of one sample."""
    for name, what in (
        ("clocks", "clocks of a step"),
        ("finished", "the clock in which a core finishes"),
        ("arrivals", "step, core, axon and clock of an arrival"),
    ):
        mine, kernel = getattr(found, name), getattr(expected, name)
        if np.array_equal(mine, kernel):
            continue
        raise ContractError(
            f"rtl, sample {sample}: {what}",
            found=_first(mine, kernel),
            allowed=_first(kernel, mine),
        )


def _first(mine: IntArray, other: IntArray) -> str:
    """The first entry of *mine* that *other* has not at its place."""
    for place, entry in enumerate(mine.tolist()):
        if place >= len(other) or entry != other[place].tolist():
            return f"{entry} at {place}"
    return f"{len(mine)} of them"


def activities(image: Image, samples: list[list[Step]]) -> list[Activity]:
    """What each sample did, as ``calibration.simulate`` gives it."""
    return [_activity(image.network, steps) for steps in samples]


def _activity(network: IntNetwork, steps: list[Step]) -> Activity:
    spikes: dict[str, IntArray] = {}
    states: dict[str, dict[str, IntArray]] = {}
    for name, found in by_population(network, steps).items():
        population = network.population(name)
        shape = (network.time_steps, 1, *population.shape)
        by_quantity = dict(zip(QUANTITIES, found, strict=True))
        spikes[name] = by_quantity["sent"].reshape(shape)
        for state in population.states:
            states.setdefault(state, {})[name] = by_quantity[state].reshape(shape)
    return activity(network, spikes, states)
