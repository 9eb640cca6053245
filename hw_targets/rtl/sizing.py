"""Chip file -> sizes of a build: what a chip file chooses, and what it must leave as it is."""

from collections.abc import Iterator

import numpy as np

from tssd.errors import TargetError, counted
from tssd.hw_targets.chip.spec import ChipSpec
from tssd.hw_targets.mapping.placement import Placement
from tssd.hw_targets.rtl.units import widths as w
from tssd.hw_targets.rtl.units.widths import BuildSizes
from tssd.hw_targets.sim.machine import Machine
from tssd.hw_targets.sim.plan import machine_of

SYNAPSE_BYTES = w.WORD_BITS // 8
TO_BUILD = 'export with --target open-core, or with a chip file that extends = "open-core"'

# machine -> what the circuits take
CLOCKS = {
    "hop_x_cycles": w.HOP_CLOCKS,
    "hop_y_cycles": w.HOP_CLOCKS,
    "local_cycles": w.HOP_CLOCKS,
    "flit_cycles": 1,
    "credit_cycles": w.CREDIT_CLOCKS - 1,
    "axon_in_cycles": w.MESSAGE_IN_CLOCKS,
    "axon_out_cycles": w.MESSAGE_OUT_CLOCKS,
    "floor_cycles": 0,
    "chips_x": 1,
    "chips_y": 1,
}
# number of the chip file -> what the circuits take, or have
EVENTS = {
    "neuron_idle": w.NEURON_CLOCKS,
    "neuron_active": w.NEURON_CLOCKS,
    "neuron_microcode": w.NEURON_CLOCKS,
    "spike": 0,
    "synop_dense": w.SYNAPSE_CLOCKS,
    "synop_sparse": w.SYNAPSE_CLOCKS,
    "synop_conv": w.SYNAPSE_CLOCKS,
}


def sizes_of(chip: ChipSpec, machine: Machine) -> BuildSizes:
    """The build that *machine*, the one of *chip*, is; TargetError lists what cannot be built."""
    limits = chip.limits
    sizes = BuildSizes(
        width=machine.width,
        height=machine.height,
        cores_per_router=machine.cores_per_router,
        neurons=limits.neurons_per_core.count,
        fan_out=limits.axons_out_per_core.count,
        axons=limits.axons_in_per_core.count,
        synapses=limits.synaptic_memory_per_core.count // SYNAPSE_BYTES,
        link_slots=machine.buffer_flits,
        axon_in_slots=machine.axon_in_flits,
        spike_out_slots=machine.spike_out_slots,
        synapse_slots=machine.synapse_slots,
        barrier=machine.barrier_cycles,
    )
    mistakes = [*_other_clocks(chip, machine), *_beyond_the_circuits(sizes)]
    if mistakes:
        lines = "".join(f"\n  - {mistake}" for mistake in mistakes)
        found = f"{counted(len(mistakes), 'number')} that the open core does not have:{lines}"
        raise TargetError(f"chip {chip.name}", found=found, hint=TO_BUILD)
    return sizes


def build_of(chip: ChipSpec) -> BuildSizes:
    """The build that *chip* describes, whatever is placed on it."""
    nothing = Placement(chip.name, {}, (), np.zeros((1, 4), np.int64), (), 0.0, ())
    return sizes_of(chip, machine_of(chip, nothing, 1))


def _other_clocks(chip: ChipSpec, machine: Machine) -> Iterator[str]:
    """StepClocks that are not those of the circuits."""
    for name, clocks in CLOCKS.items():
        if getattr(machine, name) != clocks:
            yield f"{name}: {getattr(machine, name)}; allowed: {clocks}"
    compartments = chip.limits.soft_reset_compartments.count
    if compartments != 1:
        yield f"limits.soft_reset_compartments: {compartments}; allowed: 1"
    for name, clocks in EVENTS.items():
        found = chip.cycles(getattr(chip.time_ns, name))
        if found != clocks:
            yield f"time_ns.{name}: {found} cycles; allowed: {clocks}"


def _beyond_the_circuits(sizes: BuildSizes) -> Iterator[str]:
    """BuildSizes beyond the width of an address, and a barrier shorter than the pipelines."""
    for name, least, most in (
        ("width", 1, 1 << w.X_BITS),
        ("height", 1, 1 << w.Y_BITS),
        ("cores_per_router", 1, 1 << w.SLOT_BITS),
        ("cores", 1, w.MOST_CORES),
        ("neurons", 1, 1 << (w.OFFSET_BITS - 1)),
        ("fan_out", 1, 1 << w.FAN_BITS),
        ("axons", 1, 1 << w.AXON_BITS),
        ("synapses", 1, 1 << w.WORD_PLACES),
        ("barrier", w.DRAIN_CLOCKS, None),
    ):
        found = getattr(sizes, name)
        if found < least or (most is not None and found > most):
            yield f"{name}: {found:,}; allowed: {least:,} .. {'' if most is None else f'{most:,}'}"
