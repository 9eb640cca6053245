"""Machine: the simulated hardware in integer cycles, as `docs/microarchitecture.md` defines it.

A channel is one directed link together with the buffer at its far end. Router r has P input ports
(P = cores per router + 4); the channel into port p of router r has the number ``r * P + p``:
``p < cores per router`` is the injection from a core, then come the links that move messages east,
west, north and south. The channels out of the mesh, into the cores, follow: ``R * P + core``; then
the links between chips and the channels to them (``gates``).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tssd.calibration.integer import IntArray
from tssd.errors import ConfigError
from tssd.hw_targets.sim.gates import DIRECTIONS, NORTH, Gates, Plane, gates_of
from tssd.hw_targets.sim.kernels import layout as k
from tssd.hw_targets.sim.kernels.event_queue import QUEUE_WORDS

AHEAD = (k.R_EAST, k.R_WEST, k.R_NORTH, k.R_SOUTH)  # by direction
OUTSIDE = -(1 << 40)
MOST_PORTS = 63  # asking ports are the bits of a word
MOST_ROUTERS = k.PLACES + 1  # of all chips together, side by side


@dataclass(frozen=True)
class Machine:
    """Every size and latency of the machine; all ``*_cycles`` are integer cycles.

    Queues: ``spike_out_slots`` and ``synapse_slots`` hold messages (``synapse_slots`` = 0 means
    that a core takes the next message only after the synapses of the last one); ``buffer_flits``
    and ``axon_in_flits`` hold flits. ``chips`` are laid out as ``chips_x`` x ``chips_y``. A link
    between chips takes ``chip_message_cycles`` for a message and ``chip_payload_cycles`` for each
    of its flits beyond the first; ``chip_hop_cycles`` later the last bit is there.
    """

    cycle_ns: float
    width: int
    height: int
    cores_per_router: int
    hop_x_cycles: int
    hop_y_cycles: int
    local_cycles: int
    flit_cycles: int
    credit_cycles: int
    axon_in_cycles: int
    axon_out_cycles: int
    barrier_cycles: int
    floor_cycles: int
    buffer_flits: int
    axon_in_flits: int
    spike_out_slots: int
    synapse_slots: int
    chips_x: int = 1
    chips_y: int = 1
    chip_hop_cycles: int = 1
    chip_message_cycles: int = 1
    chip_payload_cycles: int = 1
    y_first: tuple[int, ...] = ()  # routers whose messages turn Y then X: for studies of deadlock

    def __post_init__(self) -> None:
        for name in ("width", "height", "cores_per_router", "chips_x", "chips_y"):
            _at_least(name, getattr(self, name), 1)
        for name in ("hop_x", "hop_y", "local", "flit", "chip_message"):
            _at_least(f"{name}_cycles", getattr(self, f"{name}_cycles"), 1)
        for name in ("credit", "axon_in", "axon_out", "barrier", "floor"):
            _at_least(f"{name}_cycles", getattr(self, f"{name}_cycles"), 0)
        for name in ("chip_hop", "chip_payload"):
            _at_least(f"{name}_cycles", getattr(self, f"{name}_cycles"), 0)
        for name in ("buffer_flits", "axon_in_flits", "spike_out_slots"):
            _at_least(name, getattr(self, name), 1)
        _at_least("synapse_slots", self.synapse_slots, 0)
        if not self.cycle_ns > 0:
            raise ConfigError("machine: cycle_ns", found=f"{self.cycle_ns}", allowed="> 0")
        _at_most("ports of a router", self.ports, MOST_PORTS)
        if self.chips_x > 1:
            _at_most("height of a chip beside others", self.height, MOST_PORTS)
        if self.chips_y > 1:
            _at_most("width of a chip above others", self.width, MOST_PORTS)
        _at_most("routers in a row", self.columns, MOST_ROUTERS)
        _at_most("routers in a column", self.height * self.chips_y, MOST_ROUTERS)

    @property
    def plane(self) -> Plane:
        return Plane(self.width, self.height, self.chips_x, self.chips_y)

    @cached_property
    def gates(self) -> Gates:
        """The links between chips."""
        return gates_of(self.plane)

    @property
    def columns(self) -> int:
        """Router columns over all chips."""
        return self.width * self.chips_x

    @property
    def routers(self) -> int:
        return self.columns * self.height * self.chips_y

    @property
    def cores(self) -> int:
        return self.routers * self.cores_per_router

    @property
    def ports(self) -> int:
        return self.cores_per_router + len(DIRECTIONS)

    @property
    def first_link(self) -> int:
        """The number of the first link between chips."""
        return self.routers * self.ports + self.cores

    @property
    def first_feeder(self) -> int:
        return self.first_link + self.gates.links

    @property
    def channels(self) -> int:
        return self.first_feeder + self.gates.feeders

    def core_at(self, chip: int, router: int, slot: int) -> int:
        """The core number of core *slot* at *router* (row by row) of *chip* (row by row)."""
        chip_y, chip_x = divmod(chip, self.chips_x)
        y, x = divmod(router, self.width)
        column, row = chip_x * self.width + x, chip_y * self.height + y
        return (row * self.columns + column) * self.cores_per_router + slot

    def channel_name(self, channel: int) -> str:
        """*channel* in words, with router coordinates."""
        if channel >= self.first_feeder:
            feeder = channel - self.first_feeder
            link = self._link_name(int(self.gates.link[feeder]))
            return f"router {self._place(int(self.gates.router[feeder]))} -> {link}"
        if channel >= self.first_link:
            return self._link_name(channel - self.first_link)
        if channel >= self.routers * self.ports:
            core = channel - self.routers * self.ports
            return f"router {self._place(core // self.cores_per_router)} -> core {core}"
        router, port = divmod(channel, self.ports)
        if port < self.cores_per_router:
            core = router * self.cores_per_router + port
            return f"core {core} -> router {self._place(router)}"
        direction = port - self.cores_per_router
        source = router - self.plane.ahead()[direction]
        found = np.flatnonzero(
            (self.gates.router == source) & (self.gates.across == router)
        )  # a number outside the plane is the source of none
        if len(found):
            link = self._link_name(int(self.gates.link[found[0]]))
            return f"{link} -> router {self._place(router)}"
        return f"router {self._place(source)} -> {self._place(router)} ({DIRECTIONS[direction]})"

    def _link_name(self, link: int) -> str:
        gates, first = self.gates, int(self.gates.first[link])
        ends = (self.plane.chip_of(side[first]) for side in (gates.router, gates.across))
        near, far = (f"chip ({x},{y})" for x, y in ends)
        return f"link {near} -> {far}"

    def _place(self, router: int) -> str:
        y, x = divmod(router, self.columns)
        return f"({x},{y})"


def wire(machine: Machine) -> IntArray:
    """The machine as the kernel's memory, idle: constants, what channels have in common, channels,
    cores, event queue; it begins at a line of the processor's cache."""
    kinds, routers, cores = _kinds(machine), _routers(machine), _cores(machine)
    slots = _power_of_two(max(machine.buffer_flits, machine.axon_in_flits))
    channels = np.zeros((machine.channels, _lines(k.C_SLOTS + slots)), np.int64)
    sizes = (
        k.CONSTANTS, kinds.size, routers.size, channels.size, cores.size, _lines(QUEUE_WORDS),
        machine.channels + 1,
    )  # fmt: skip
    kind_at, router_at, channel_at, core_at, queue_at, used_at = np.cumsum(sizes)[:-1].tolist()
    channel_size, core_size = channels.shape[1], cores.shape[1]
    kinds[:, k.K_STRIDE] *= channel_size
    routers[:, k.R_SOUTH : k.R_NORTH + 1] *= channel_size  # from numbers to addresses
    routers[:, k.R_SOUTH : k.R_NORTH + 1] += channel_at
    cores[:, k.N_INJECT] = channel_at + channel_size * cores[:, k.N_INJECT]
    kind, far, source = _ends(machine)
    channels[:, k.C_KIND] = kind_at + k.LINE * kind
    channels[:, k.C_END] = np.where(
        kinds[kind, k.K_ENDS] == k.EJECTS, core_at + core_size * far, router_at + k.LINE * far
    )
    from_core = kinds[kind, k.K_ENDS] == k.INJECTS
    channels[:, k.C_SOURCE] = np.where(from_core, core_at, channel_at)
    channels[:, k.C_SOURCE] += np.where(from_core, core_size, channel_size) * source
    chip = aligned(sum(sizes))
    chip[: k.CONSTANTS] = _constants(machine)
    chip[[k.CHANNEL_AT, k.CORE_AT, k.QUEUE_AT, k.USED_AT]] = channel_at, core_at, queue_at, used_at
    chip[[k.CHANNEL_SIZE, k.CORE_SIZE, k.SLOT_MASK]] = channel_size, core_size, slots - 1
    chip[kind_at:router_at], chip[router_at:channel_at] = kinds.ravel(), routers.ravel()
    chip[channel_at:core_at], chip[core_at:queue_at] = channels.ravel(), cores.ravel()
    chip[used_at] = machine.channels  # all must be cleared before the first step
    chip[used_at + 1 :] = channel_at + channel_size * np.arange(machine.channels)
    return chip


def aligned(words: int) -> IntArray:
    """Zeros that begin at a line of the processor's cache."""
    line = 8 * k.LINE  # bytes
    room = np.zeros(words + k.LINE, np.int64)
    first = -room.ctypes.data % line // 8
    return room[first : first + words]


def _lines(words: int) -> int:
    """*words*, rounded up to whole lines."""
    return -(-words // k.LINE) * k.LINE


def _power_of_two(number: int) -> int:
    """The least power of two that is not below *number*."""
    return 1 << (number - 1).bit_length() if number else 1


def _queue_shift(machine: Machine) -> int:
    """Buckets of the event queue are so wide that a typical event is some tens of them ahead."""
    typical = machine.local_cycles + machine.hop_x_cycles + machine.hop_y_cycles
    return max(0, typical.bit_length() - 6)


def _constants(machine: Machine) -> IntArray:
    table = np.zeros(k.CONSTANTS, np.int64)
    table[k.CORES], table[k.CREDIT] = machine.cores, machine.credit_cycles
    table[k.AXON_IN], table[k.AXON_OUT] = machine.axon_in_cycles, machine.axon_out_cycles
    table[k.BARRIER], table[k.FLOOR] = machine.barrier_cycles, machine.floor_cycles
    table[k.SPIKE_OUT_SLOTS] = machine.spike_out_slots
    table[k.SYNAPSE_SLOTS] = machine.synapse_slots
    table[k.SPIKE_OUT_MASK] = _power_of_two(machine.spike_out_slots) - 1
    table[k.SYNAPSE_MASK] = _power_of_two(machine.synapse_slots) - 1
    table[k.QUEUE_SHIFT] = _queue_shift(machine)
    return table


def _kinds(machine: Machine) -> IntArray:
    """(kinds, LINE), columns ``K_*``: channels into each port of a router; into a core; from a far
    gate, by direction; links; feeders."""
    gates, per_router = machine.gates, machine.cores_per_router
    into_core, from_gate = machine.ports, slice(machine.ports + 1, machine.ports + 5)
    link = slice(from_gate.stop, from_gate.stop + gates.links)
    feeder = slice(link.stop, link.stop + gates.feeders)
    hops = np.array([machine.hop_x_cycles, machine.hop_y_cycles]).repeat(2)  # by direction
    table = np.zeros((feeder.stop, k.LINE), np.int64)
    table[:, k.K_LATENCY], table[:, k.K_FLIT] = machine.local_cycles, machine.flit_cycles
    table[:, k.K_CAPACITY] = machine.buffer_flits
    table[:into_core, k.K_PORT] = np.arange(machine.ports)
    table[:per_router, k.K_ENDS], table[into_core, k.K_ENDS] = k.INJECTS, k.EJECTS
    table[per_router:into_core, k.K_LATENCY] = hops
    table[into_core, k.K_CAPACITY] = machine.axon_in_flits
    table[from_gate, k.K_PORT] = np.arange(per_router, machine.ports)
    table[link, k.K_LATENCY] = machine.chip_hop_cycles + machine.chip_message_cycles
    table[link, k.K_FLIT] = table[link, k.K_HOLD] = machine.chip_payload_cycles
    table[link, k.K_FIRST] = machine.chip_message_cycles - machine.chip_payload_cycles
    lanes = np.where(gates.direction < NORTH, machine.columns, 1)  # routers from one to the next
    table[link, k.K_STRIDE] = lanes * machine.ports
    table[feeder, k.K_LATENCY] = hops[gates.direction[gates.link]]
    table[feeder, k.K_PORT], table[feeder, k.K_HOLD] = gates.lane, machine.flit_cycles
    return table


def _routers(machine: Machine) -> IntArray:
    """(routers, links, feeders; LINE), columns ``R_*``: where a router is, and the channels that
    lead on from there, by number; all that lead on from a gate are the same."""
    gates, ports, per_router = machine.gates, machine.ports, machine.cores_per_router
    table = np.zeros((machine.routers + gates.links + gates.feeders, k.LINE), np.int64)
    inside, at_gates, number = table[: machine.routers], table[machine.routers :], machine.routers
    router = np.arange(number)
    inside[:, k.R_Y], inside[:, k.R_X] = np.divmod(router, machine.columns)
    inside[:, k.R_HERE] = number * ports + router * per_router
    direction = gates.direction[gates.link]
    for way, step in enumerate(machine.plane.ahead()):
        inside[:, AHEAD[way]] = (router + step) * ports + per_router + way
        leaves = np.flatnonzero(direction == way)
        inside[gates.router[leaves], AHEAD[way]] = machine.first_feeder + leaves
    at_gates[:, [k.R_X, k.R_Y]] = OUTSIDE  # so that every message goes on
    onward = np.concatenate(
        [_from_gates(machine)[gates.first[:-1]], machine.first_link + gates.link]
    )
    at_gates[:, k.R_SOUTH : k.R_NORTH + 1] = onward[:, None]
    return table


def _from_gates(machine: Machine) -> IntArray:
    """(feeders,): the channel by which what took each feeder comes into the router across."""
    gates = machine.gates
    port = machine.cores_per_router + gates.direction[gates.link]
    return gates.across * machine.ports + port


def _ends(machine: Machine) -> tuple[IntArray, IntArray, IntArray]:
    """(channels,) each: what kind it is; the router, gate or core at its far end; and by number the
    core that it comes from, else the first of the channels into the place that it comes from."""
    gates, ports, per_router = machine.gates, machine.ports, machine.cores_per_router
    outward, link = machine.routers * ports, machine.first_link
    router, port = np.divmod(np.arange(outward), ports)
    core = np.arange(machine.cores)
    beyond = np.arange(gates.links + gates.feeders)  # the links, the feeders
    kind = np.concatenate([port, np.full(machine.cores, ports), ports + 5 + beyond])
    far = np.concatenate([router, core, machine.routers + beyond])
    behind = (router - np.array((0,) * per_router + machine.plane.ahead())[port]) * ports
    source = np.concatenate([
        np.where(port < per_router, router * per_router + port, behind),
        core // per_router * ports,
        machine.first_feeder + gates.first[:-1],
        gates.router * ports,
    ])  # fmt: skip
    entry, direction = _from_gates(machine), gates.direction[gates.link]
    kind[entry], source[entry] = ports + 1 + direction, link + gates.link
    return kind, far, source


def _cores(machine: Machine) -> IntArray:
    rings = _power_of_two(machine.spike_out_slots) + _power_of_two(machine.synapse_slots)
    table = np.zeros((machine.cores, _lines(k.N_RINGS + rings)), np.int64)
    number = np.arange(machine.cores)
    router, slot = number // machine.cores_per_router, number % machine.cores_per_router
    table[:, k.N_NUMBER] = number
    table[:, k.N_INJECT] = router * machine.ports + slot
    y, x = np.divmod(router, machine.columns)
    place = slot << k.T_SLOT | x << k.T_X | y << k.T_Y
    table[:, k.N_PLACE] = place | np.isin(router, machine.y_first).astype(np.int64) << k.T_Y_FIRST
    return table


def _at_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise ConfigError(f"machine: {name}", found=str(value), allowed=f">= {least}")


def _at_most(name: str, value: int, most: int) -> None:
    if value > most:
        raise ConfigError(f"machine: {name}", found=str(value), allowed=f"<= {most}")
