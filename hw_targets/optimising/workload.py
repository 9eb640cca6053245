"""What a mean step of a run brings to each neuron, wherever it sits: no cut changes it.

events[p]      (C, H, W)  spikes that each neuron of p sends in a step
synapse_ns[p]  (C, H, W)  time of the synapse stage for what reaches each neuron: the larger of
                          its operations and of the memory that they read, in the format that
                          takes least for the whole population (an estimate: cores choose their own)
neuron_ns[p]   (C, H, W)  time of the neuron stage: one update, and the spikes
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tssd.calibration.int_network import IntNetwork, Population, Projection, interval
from tssd.calibration.tally import Tally
from tssd.hw_targets.chip.spec import ChipSpec
from tssd.hw_targets.costs.bound import runs_microcode, synapse_bits
from tssd.hw_targets.mapping.choices import NO_CHOICE, Choices, SynapseFormat
from tssd.hw_targets.mapping.fanout import as_image, whole_box
from tssd.hw_targets.mapping.memory import compartments_of, format_in, resident
from tssd.train.handover.float_network import FloatArray
from tssd.train.handover.geometry import axes


@dataclass(frozen=True, eq=False)
class Workload:
    """See the module; all arrays are images, whatever the population's shape."""

    events: Mapping[str, FloatArray]
    synapse_ns: Mapping[str, FloatArray]
    neuron_ns: Mapping[str, FloatArray]


def workload(
    network: IntNetwork, tally: Tally, chip: ChipSpec, choices: Choices = NO_CHOICE
) -> Workload:
    """The mean step of the run that *tally* summed up."""
    steps = tally.samples * interval(network)
    events = {
        p.name: tally.events[p.name].reshape(as_image(p.shape)) / steps for p in network.populations
    }
    synapse = {name: np.zeros(sent.shape) for name, sent in events.items()}
    for p in network.populations:
        into = synapse[p.name]
        for one in resident(network, p, chip, choices).incoming:
            j, whole = one.projection, whole_box(p.shape)
            each_ns = synop_ns(format_in(one, whole, p.shape, chip), chip)
            into += each_ns * received(j, events[j.source], into.shape)
        if compartments_of(p, chip) > 1:  # a synapse onto itself
            synapse[p.name] += synop_ns(SynapseFormat.DENSE, chip) * events[p.name]
    neuron = {
        p.name: update_ns(p, chip) + events[p.name] * chip.time_ns.spike.value
        for p in network.populations
    }
    return Workload(events, synapse, neuron)


def synop_ns(stored: SynapseFormat, chip: ChipSpec) -> float:
    """Time of one synaptic operation: the stage works, or waits for its memory."""
    words = synapse_bits(stored, chip) / chip.bits.memory_word.value
    each: float = getattr(chip.time_ns, f"synop_{stored}").value
    return max(each, words * chip.time_ns.memory_read.value)


def update_ns(population: Population, chip: ChipSpec) -> float:
    """Time of one active update, all compartments."""
    time = chip.time_ns
    active = time.neuron_microcode if runs_microcode(population) else time.neuron_active
    return compartments_of(population, chip) * active.value


def received(projection: Projection, events: FloatArray, shape: tuple[int, ...]) -> FloatArray:
    """(C, H, W) of the target: synapses that *events* of the source meet at each neuron."""
    met = (projection.weight != 0).astype(np.float64)
    if not projection.kind.spatial:
        flat: FloatArray = met @ events.ravel()
        return flat.reshape(shape)
    total, groups = np.zeros(shape), projection.groups
    high, wide = axes(projection)
    by_group = met.reshape(groups, -1, *met.shape[1:])  # (groups, out, in, k_h, k_w)
    sources = events.reshape(groups, -1, *events.shape[1:])
    targets = total.reshape(groups, -1, *shape[1:])  # a view
    for i, k in np.ndindex(*met.shape[2:]):
        y = high.seen(i, (0, shape[1]), events.shape[1])
        x = wide.seen(k, (0, shape[2]), events.shape[2])
        if y is not None and x is not None:
            here = sources[:, :, y[0], x[0]]
            targets[:, :, y[1], x[1]] += np.einsum(
                "goi,giyx->goyx", by_group[..., i, k], here, optimize=True
            )
    return total
