"""Plan: a placed network as plain arrays, ready to be timed with any spike record.

Neurons are renumbered by core (the order in which a core updates them); every neuron has its list
of messages: destination core, flits, synapse-stage cycles. A chip's durations become cycles here.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tssd.arrays import FloatArray
from tssd.calibration.int_network import IntNetwork
from tssd.calibration.integer import IntArray
from tssd.errors import TargetError
from tssd.hw_targets.chip.spec import ChipSpec, whole_cycles
from tssd.hw_targets.costs.bound import barrier_ns, message_bits, runs_microcode, synapse_bits
from tssd.hw_targets.costs.host import check_host, injection_us
from tssd.hw_targets.mapping.choices import SynapseFormat
from tssd.hw_targets.mapping.fanout import Fanout
from tssd.hw_targets.mapping.memory import compartments_of
from tssd.hw_targets.mapping.placement import MessageStream, Placement, streams
from tssd.hw_targets.sim.machine import Machine

CREDIT_CYCLES = 1


class PlanWires(NamedTuple):
    """What the kernel reads: neurons by core, and their messages."""

    core_first: IntArray  # (cores + 1,) the neurons of core c are core_first[c] : core_first[c + 1]
    fan_first: IntArray  # (neurons + 1,) the messages of neuron n
    fan: IntArray  # (messages, 4): target core, flits, synapse-stage cycles, of which memory reads


@dataclass(frozen=True, eq=False)
class Plan:
    """``rank[name]`` (neurons,): number of each neuron of a population in the order of cores.

    ``host``: the chip whose processors inject the input, where they count. ``idle`` and ``extra``
    (slices,): cycles of an idle update of one neuron, and what an active one
    costs beyond; ``slice_core`` (slices,) machine core; ``spike`` (machine cores,) cycles of one
    spike of a core; ``port``: the machine core that stands for where input comes from outside, -1
    without one.
    """

    machine: Machine
    populations: tuple[str, ...]
    rank: dict[str, IntArray]
    wires: PlanWires
    slice_population: tuple[str, ...]
    slice_neurons: tuple[IntArray, ...]
    slice_core: IntArray
    idle: IntArray
    extra: IntArray
    spike: IntArray
    port: int = -1
    host: ChipSpec | None = None

    def host_us(self, spikes: IntArray, steps: int) -> FloatArray:
        """(steps,): how long the host takes for the *spikes* of the input; 0 where left out."""
        if self.host is None:
            return np.zeros(steps)
        return injection_us(self.host, spikes, steps)


def machine_of(chip: ChipSpec, placement: Placement, widest_flits: int) -> Machine:
    """The machine of *chip* with the chips that *placement* uses; durations in whole cycles.

    Ours, not the chip file's: links to cores and gates take one flit time, credits one cycle.
    """
    time, cycle = chip.time_ns, chip.time_ns.cycle.value
    columns = min(chip.mesh.chip_columns.count, int(placement.sites[:, 0].max()) + 1)
    flit_ns = chip.link.message.value / (8 * chip.link.bandwidth.value)
    bit_ns = 1 / (8 * chip.link.chip_bandwidth.value)
    payload_ns = chip.link.chip_payload.value * bit_ns / max(1, widest_flits - 1)  # of each flit
    barrier = whole_cycles(barrier_ns(chip, placement), cycle)
    return Machine(
        cycle_ns=cycle,
        width=chip.mesh.width.count,
        height=chip.mesh.height.count,
        cores_per_router=chip.mesh.cores_per_router.count + placement.choices.outside,
        hop_x_cycles=max(1, chip.cycles(time.hop_ew)),
        hop_y_cycles=max(1, chip.cycles(time.hop_ns)),
        local_cycles=max(1, whole_cycles(flit_ns, cycle)),
        flit_cycles=max(1, whole_cycles(flit_ns, cycle)),
        credit_cycles=CREDIT_CYCLES,
        axon_in_cycles=chip.cycles(time.message_in),
        axon_out_cycles=chip.cycles(time.message_out),
        barrier_cycles=barrier if chip.barrier_follows else 0,
        floor_cycles=0 if chip.barrier_follows else barrier,
        buffer_flits=chip.buffers.link.count * widest_flits,
        axon_in_flits=chip.buffers.axon_in.count * widest_flits,
        spike_out_slots=chip.buffers.spike_out.count,
        synapse_slots=chip.buffers.synapse.count,
        chips_x=columns,
        chips_y=int(placement.sites[:, 0].max()) // chip.mesh.chip_columns.count + 1,
        chip_hop_cycles=chip.cycles(time.chip_hop),
        chip_message_cycles=max(1, whole_cycles(chip.link.chip_message.value * bit_ns, cycle)),
        chip_payload_cycles=whole_cycles(payload_ns, cycle),
    )


def flits_of(network: IntNetwork, chip: ChipSpec) -> dict[str, int]:
    """Flits of a spike message of each population; a flit is a message without payload."""
    width = chip.link.message.count
    return {p.name: -(-message_bits(network, p, chip) // width) for p in network.populations}


def make_plan(
    network: IntNetwork,
    placement: Placement,
    chip: ChipSpec,
    fanouts: tuple[Fanout, ...] | None = None,
    host: bool = False,
) -> Plan:
    """Lay *network* out under *placement* on *chip*, with its host if that counts."""
    if host:
        check_host(network, chip)
    if placement.chip != chip.name or set(placement.shapes) != {
        p.name for p in network.populations
    }:
        raise TargetError(
            "placement",
            found=f"one of {', '.join(placement.shapes)} on {placement.chip}",
            allowed=f"one of {', '.join(p.name for p in network.populations)} on {chip.name}",
            hint="place this network on this chip",
        )
    flits = flits_of(network, chip)
    machine = machine_of(chip, placement, max(flits.values()))
    cores = _machine_cores(machine, placement)
    rank, core_first = _order(network, placement, cores, machine.cores)
    fan_first, fan = _fan(streams(network, placement, chip, fanouts), chip, cores, rank, flits)
    costs = [
        (0, 0) if s.core == placement.port else _update_cycles(network, s.population, chip)
        for s in placement.slices
    ]
    spike = np.full(machine.cores, chip.cycles(chip.time_ns.spike))
    port = -1 if placement.port is None else int(cores[placement.port])
    if placement.port is not None:  # a spike there is not made, it is injected
        spike[port] = chip.cycles(chip.host.spike_in) if host else 0
    return Plan(
        machine,
        tuple(p.name for p in network.populations),
        rank,
        PlanWires(core_first, fan_first, fan),
        tuple(s.population for s in placement.slices),
        tuple(s.neurons for s in placement.slices),
        cores[[s.core for s in placement.slices]],
        np.array([idle for idle, _ in costs]),
        np.array([active - idle for idle, active in costs]),
        spike,
        port,
        chip if host and placement.port is None else None,
    )


def _machine_cores(machine: Machine, placement: Placement) -> IntArray:
    """(placement cores,): the machine's number of each core."""
    return np.array(
        [
            machine.core_at(int(chip), int(y) * machine.width + int(x), int(slot))
            for chip, x, y, slot in placement.sites
        ],
        np.int64,
    )


def _order(
    network: IntNetwork, placement: Placement, cores: IntArray, total: int
) -> tuple[dict[str, IntArray], IntArray]:
    """Number the neurons core by core, on each core in network order."""
    sizes = [p.neurons for p in network.populations]
    home = np.concatenate([cores[placement.core_of(p.name)] for p in network.populations])
    order = np.argsort(home, kind="stable")
    rank = np.empty(len(home), np.int64)
    rank[order] = np.arange(len(home))
    parts = np.split(rank, np.cumsum(sizes)[:-1])
    names = [p.name for p in network.populations]
    return dict(zip(names, parts, strict=True)), np.searchsorted(home[order], np.arange(total + 1))


def _fan(
    sent: tuple[MessageStream, ...],
    chip: ChipSpec,
    cores: IntArray,
    rank: dict[str, IntArray],
    flits: dict[str, int],
) -> tuple[IntArray, IntArray]:
    """Messages of all neurons, by rank, then stream, then destination core."""
    ranks, rows = [], []
    for stream in sent:
        table = stream.table
        service, reads = synapse_cycles(table.synapses, stream.stored, chip)
        width = np.full(len(table.core), flits[stream.source])
        ranks.append(rank[stream.source][table.source])
        rows.append(np.column_stack([cores[table.core], width, np.maximum(service, reads), reads]))
    owner, fan = np.concatenate(ranks), np.concatenate(rows)
    order = np.argsort(owner, kind="stable")
    neurons = sum(len(r) for r in rank.values())
    return np.searchsorted(owner[order], np.arange(neurons + 1)), fan[order]


def synapse_cycles(
    synapses: IntArray, stored: SynapseFormat, chip: ChipSpec
) -> tuple[IntArray, IntArray]:
    """Cycles of *synapses* operations of one message, and of reading them from memory."""
    each = chip.cycles(getattr(chip.time_ns, f"synop_{stored}"))
    words = -(-synapses * synapse_bits(stored, chip) // chip.bits.memory_word.count)
    return synapses * each, words * chip.cycles(chip.time_ns.memory_read)


def _update_cycles(network: IntNetwork, name: str, chip: ChipSpec) -> tuple[int, int]:
    """Cycles of an idle and of an active update of one neuron, all its compartments."""
    time, population = chip.time_ns, network.population(name)
    microcode = runs_microcode(population)
    active = chip.cycles(time.neuron_microcode if microcode else time.neuron_active)
    each = compartments_of(population, chip)
    return each * min(chip.cycles(time.neuron_idle), active), each * active
