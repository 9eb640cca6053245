"""The image: a placed network as what a host writes into the cores' memories.

Every core gets a record for each of its neurons, in the order in which it updates them; their
messages, in the order of projection and destination core; an axon for each source neuron and
projection that reaches it; and rows of synapses (target neuron, weight). A row holds targets
relative to the axon's base, so axons that differ in their place alone share one: a convolution's
kernel is stored once for all places that see the whole of it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import assert_never

import numpy as np

from tssd.calibration.int_network import (
    IntNetwork,
    Population,
    PopulationKind,
    Projection,
    Reset,
    depths,
)
from tssd.calibration.integer import DECAY_ONE, STATE_LIMIT, WEIGHT_SHIFT, IntArray
from tssd.calibration.layer import worst_activation
from tssd.calibration.neuron import parameters
from tssd.calibration.payloads import payload_bounds
from tssd.calibration.simulate import check_silence
from tssd.calibration.synapse import deliver
from tssd.errors import NetworkError, TargetError, counted
from tssd.hw_targets.chip.spec import ChipSpec
from tssd.hw_targets.mapping.placement import Placement
from tssd.hw_targets.rtl.sizing import sizes_of
from tssd.hw_targets.rtl.units import widths as w
from tssd.hw_targets.rtl.units.host import (
    AXON_WORDS,
    RECORD_WORDS,
    CoreRegister,
    Record,
    Region,
    address,
)
from tssd.hw_targets.rtl.units.modes import NeuronMode, ResetMode
from tssd.hw_targets.rtl.units.widths import BuildSizes
from tssd.hw_targets.sim.plan import Plan, make_plan

SOURCES_AT_ONCE = 128


@dataclass(frozen=True, eq=False)
class Image:
    """``words`` (n, 2): host address and value, uint32. ``core`` and ``place`` (neurons,) by
    population: where each neuron sits; ``axon_of`` (messages,): the axon of each of the plan's."""

    network: IntNetwork
    plan: Plan
    sizes: BuildSizes
    words: IntArray
    core: dict[str, IntArray]
    place: dict[str, IntArray]
    axon_of: IntArray


@dataclass(eq=False)
class _Core:
    """What one core's memories hold so far."""

    axons: list[tuple[int, int, int]] = field(default_factory=list)  # row, synapses, base
    synapses: list[IntArray] = field(default_factory=list)  # (n, 2) offset, weight
    filled: int = 0
    rows: dict[bytes, int] = field(default_factory=dict)
    fan_out: list[int] = field(default_factory=list)

    def row(self, offsets: IntArray, weights: IntArray) -> int:
        """Where the row begins; one that is there already is shared."""
        row = np.column_stack([offsets, weights])
        key = row.tobytes()
        if key not in self.rows:
            self.rows[key] = self.filled
            self.synapses.append(row)
            self.filled += len(row)
        return self.rows[key]


def image_of(network: IntNetwork, placement: Placement, chip: ChipSpec) -> Image:
    """*network* under *placement* on the open core *chip*.

    TargetError where a memory is too small (which, and by how much) or a width is exceeded.
    """
    if placement.choices.outside:
        raise TargetError(
            "placement",
            found="input from outside",
            allowed="input on cores, whose sums the host writes",
            hint="export with --input-from cores",
        )
    plan = make_plan(network, placement, chip)
    sizes = sizes_of(chip, plan.machine)
    check_silence(network)
    _check_widths(network)
    cores = [_Core() for _ in range(sizes.cores)]
    core, place = _homes(plan)
    axon_of = _connect(network, placement, plan, cores, core, place)
    _check_room(sizes, plan, cores)
    words = [*_neurons(network, plan, core, place), *_memories(cores)]
    return Image(network, plan, sizes, np.concatenate(words), core, place, axon_of)


def _check_widths(network: IntNetwork) -> None:
    """Sums within the accumulators; currents with a memory within one turn, which then holds."""
    bounds = payload_bounds(network)
    for population in network.populations:
        incoming = network.incoming(population.name)
        if population is network.source and incoming and not network.input_coding.as_bias:
            raise NetworkError(
                f"projection {incoming[0].name}", found="a way into the input", allowed="none"
            )
        sent = [bounds[j.source] for j in incoming]
        most = worst_activation(incoming, [j.weight for j in incoming], sent)
        remembers = population.has_state and bool((population.du != DECAY_ONE).any())
        limit = (2 * STATE_LIMIT >> WEIGHT_SHIFT) if remembers else (1 << (w.SUM_BITS - 1)) - 1
        if most > limit:
            raise TargetError(
                f"population {population.name}",
                found=f"sums up to {most:,}",
                allowed=f"{limit:,}, {'with' if remembers else 'without'} synaptic memory",
                hint="fewer inputs, or smaller weights or payloads",
            )
        _check_levels(population)
    for projection in network.projections:
        _check_projection(projection)


def _check_levels(population: Population) -> None:
    """Thresholds, amounts of a reset and biases, in membrane units."""
    limit = (1 << (w.LEVEL_BITS - 1)) - 1
    levels = {name: level << WEIGHT_SHIFT for name, level in population.levels.items()}
    for name, values in {**levels, "bias": population.bias}.items():
        most = int(np.abs(values).max(initial=0))
        if most > limit:
            raise TargetError(
                f"population {population.name}: {name}",
                found=f"{most:,} membrane units",
                allowed=f"up to {limit:,}",
                hint="quantize with a smaller scale",
            )


def _check_projection(projection: Projection) -> None:
    most = int(np.abs(projection.weight).max(initial=0))
    limit = (1 << (w.WEIGHT_BITS - 1)) - 1
    for found, wrong, allowed in (
        (f"weights up to {most:,}", most > limit, f"{limit:,}"),
        (f"weight exponent {projection.weight_exp}", projection.weight_exp != 0, "0"),
        (f"delay {projection.delay}", projection.delay != 0, "0"),
    ):
        if wrong:
            raise TargetError(f"projection {projection.name}", found=found, allowed=allowed)


def _homes(plan: Plan) -> tuple[dict[str, IntArray], dict[str, IntArray]]:
    """(neurons,) of each population: core, and place among the core's neurons."""
    first = plan.wires.core_first
    core = {n: np.searchsorted(first, r, "right") - 1 for n, r in plan.rank.items()}
    return core, {name: rank - first[core[name]] for name, rank in plan.rank.items()}


def _connect(
    network: IntNetwork,
    placement: Placement,
    plan: Plan,
    cores: list[_Core],
    core: dict[str, IntArray],
    place: dict[str, IntArray],
) -> IntArray:
    """Axons and rows of every projection, and the messages to them; the axon of each message."""
    axons: dict[tuple[int, int, int], tuple[int, int]] = {}  # rank, projection, core
    owners: list[tuple[int, int, int]] = []
    order = _message_order(network, plan, placement)
    for number, projection in enumerate(network.projections):
        ranks, homes = plan.rank[projection.source], core[projection.target]
        places = place[projection.target]
        for source, weights in _rows(projection, network.population(projection.source)):
            met = np.flatnonzero(weights)
            for there in sorted(set(homes[met].tolist())):
                mine = met[homes[met] == there]
                mine = mine[np.argsort(places[mine])]
                base, held = int(places[mine].min()), cores[there]
                row = held.row(places[mine] - base, weights[mine])
                key = (int(ranks[source]), number, there)
                axons[key] = (len(held.axons), len(mine))
                owners.append(key)
                held.axons.append((row, len(mine), base))
    return _fan_out(plan, cores, owners, axons, order)


def _fan_out(
    plan: Plan,
    cores: list[_Core],
    owners: list[tuple[int, int, int]],
    axons: dict[tuple[int, int, int], tuple[int, int]],
    order: dict[tuple[int, int], tuple[str, int]],
) -> IntArray:
    """Messages in the plan's order; that they are the plan's own is looked at."""
    owners = sorted(owners, key=lambda key: (*key[:2], order[key[1:]]))
    fan = plan.wires.fan
    found = np.array([(key[2], axons[key][1]) for key in owners], np.int64).reshape(-1, 2)
    if not np.array_equal(found, fan[:, [0, 2]]):
        raise AssertionError("the image's messages are not those that are timed")
    senders = np.searchsorted(plan.wires.core_first, [key[0] for key in owners], "right") - 1
    for key, sender in zip(owners, senders.tolist(), strict=True):
        cores[sender].fan_out.append(_destination(plan, key[2], axons[key][0]))
    return np.array([axons[key][0] for key in owners], np.int64)


def _destination(plan: Plan, core: int, axon: int) -> int:
    router, slot = divmod(core, plan.machine.cores_per_router)
    y, x = divmod(router, plan.machine.width)
    shifts = (w.AXON_BITS, w.AXON_BITS + w.SLOT_BITS, w.AXON_BITS + w.SLOT_BITS + w.Y_BITS)
    return axon | slot << shifts[0] | y << shifts[1] | x << shifts[2]


def _message_order(
    network: IntNetwork, plan: Plan, placement: Placement
) -> dict[tuple[int, int], tuple[str, int]]:
    """(projection, core of the mesh) -> by what a neuron's messages are ordered: the format that
    the core keeps it in, as ``placement.streams`` are, and the core's number in the placement."""
    machine, sites = plan.machine, placement.sites.tolist()
    at = [machine.core_at(chip, y * machine.width + x, slot) for chip, x, y, slot in sites]
    found = {}
    for number, projection in enumerate(network.projections):
        for s, stored in zip(placement.slices, placement.stored, strict=True):
            if s.population == projection.target:
                found[number, at[s.core]] = (str(stored[projection.name]), s.core)
    return found


def _rows(projection: Projection, source: Population) -> Iterator[tuple[int, IntArray]]:
    """(source neuron, its weights to all targets): what the definition delivers for one spike."""
    for first in range(0, source.neurons, SOURCES_AT_ONCE):
        block = range(first, min(first + SOURCES_AT_ONCE, source.neurons))
        spikes = np.zeros((len(block), source.neurons), np.int64)
        spikes[np.arange(len(block)), list(block)] = 1
        sums = deliver(projection, spikes.reshape(-1, *source.shape))
        yield from zip(block, sums.reshape(len(block), -1), strict=True)


def _check_room(sizes: BuildSizes, plan: Plan, cores: list[_Core]) -> None:
    """What does not fit, memory by memory."""
    mistakes = []
    neurons = np.diff(plan.wires.core_first)
    for number, (held, updated) in enumerate(zip(cores, neurons, strict=True)):
        for what, found, limit in (
            ("neurons", int(updated), sizes.neurons),
            ("axons", len(held.axons), sizes.axons),
            ("synapses", held.filled, sizes.synapses),
            ("entries of fan-out", len(held.fan_out), sizes.fan_out),
        ):
            if found > limit:
                over = f"{found - limit:,} too many"
                mistakes.append(f"core {number}: {found:,} {what}; limit {limit:,}; {over}")
    if mistakes:
        lines = "".join(f"\n  - {mistake}" for mistake in mistakes)
        raise TargetError(
            "open core",
            found=f"{counted(len(mistakes), 'memory')} too small:{lines}".replace("ys ", "ies "),
            hint="a chip file with larger limits, or a placement over more cores",
        )


def _neurons(
    network: IntNetwork, plan: Plan, core: dict[str, IntArray], place: dict[str, IntArray]
) -> Iterator[IntArray]:
    """Each core's number of neurons, and their records."""
    first, depth = plan.wires.core_first, depths(network)
    counts = np.diff(first)
    register = address(0, Region.REGISTERS, CoreRegister.NEURONS)
    yield _words(np.arange(len(counts)), register, counts)
    for population in network.populations:
        rank, home = plan.rank[population.name], core[population.name]
        at = plan.wires.fan_first
        begin = at[rank] - at[first[home]]
        values = record_of(population) | {
            Record.FAN: begin | (at[rank + 1] - at[rank]) << w.FAN_BITS,
            Record.FIRST_STEP: np.full(population.neurons, depth[population.name]),
        }
        for word, value in values.items():
            places = place[population.name] * RECORD_WORDS + int(word)
            yield _words(home, address(0, Region.NEURONS, 0) + places, value)


def record_of(population: Population) -> dict[Record, IntArray]:
    """(neurons,) words of the neurons themselves."""
    spread = {
        name: np.broadcast_to(value, population.shape).ravel()
        for name, value in {**parameters(population), "bias": population.bias}.items()
    }
    mode, reset = int(mode_of(population.kind)), int(reset_of(population.reset))
    flags = mode << 2 * w.DECAY_BITS | reset << 2 * w.DECAY_BITS + 2
    return {
        Record.DECAYS: spread["keep_u"] | spread["keep_v"] << w.DECAY_BITS | flags,
        Record.THRESHOLD: spread["threshold"],
        Record.SUBTRACTED: spread["subtracted"],
        Record.BIAS: spread["bias"],
    }


def mode_of(kind: PopulationKind) -> NeuronMode:
    """What the circuit does for a kind of population."""
    match kind:
        case PopulationKind.INPUT | PopulationKind.RELAY:
            return NeuronMode.RELAY
        case PopulationKind.LIF:
            return NeuronMode.FIRES
        case PopulationKind.READOUT:
            return NeuronMode.READS_OUT
        case _:
            assert_never(kind)


def reset_of(reset: Reset) -> ResetMode:
    """What the circuit does for a reset."""
    match reset:
        case Reset.NONE:
            return ResetMode.NONE
        case Reset.HARD:
            return ResetMode.HARD
        case Reset.SOFT:
            return ResetMode.SOFT
        case _:
            assert_never(reset)


def _memories(cores: list[_Core]) -> Iterator[IntArray]:
    for number, held in enumerate(cores):
        for region, values in (
            (Region.FAN_OUT, held.fan_out),
            (Region.AXONS, [x for axon in held.axons for x in _axon(*axon)]),
            (Region.SYNAPSES, _synapses(held.synapses)),
        ):
            here = address(number, region, 0) + np.arange(len(values))
            yield _words(np.zeros(len(values), np.int64), here, np.array(values, np.int64))


def _axon(row: int, synapses: int, base: int) -> tuple[int, ...]:
    found = (row, synapses | base << w.COUNT_BITS)
    assert len(found) == AXON_WORDS
    return found


def _synapses(rows: list[IntArray]) -> IntArray:
    joined = np.concatenate([np.zeros((0, 2), np.int64), *rows])
    offset, weight = joined.T
    found: IntArray = (weight & (1 << w.WEIGHT_BITS) - 1) | offset << w.WEIGHT_BITS
    return found


def _words(core: IntArray, place: IntArray | int, value: IntArray) -> IntArray:
    """(n, 2): addresses and values as a host has them, 32 bits."""
    words = np.column_stack([address(0, 0, 0) + (core << w.CORE_SHIFT) + place, value])
    return words & (1 << w.WORD_BITS) - 1
