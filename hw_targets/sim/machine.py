"""Machine: the simulated hardware in integer cycles, as `docs/microarchitecture.md` defines it.

A channel is one directed link together with the buffer at its far end. Router r has P input ports
(P = cores per router + 4); the channel into port p of router r has the number ``r * P + p``:
``p < cores per router`` is the injection from a core, then come the links that move messages east,
west, north and south. The channels out of the mesh, into the cores, follow: ``R * P + core``.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tssd.calibration.integer import IntArray
from tssd.errors import ConfigError
from tssd.hw_targets.sim.kernels import layout as k
from tssd.hw_targets.sim.kernels.event_queue import QUEUE_WORDS

EAST, WEST, NORTH, SOUTH = 0, 1, 2, 3  # the direction in which a message moves
DIRECTIONS = ("east", "west", "north", "south")


@dataclass(frozen=True)
class Machine:
    """Every size and latency of the machine; all ``*_cycles`` are integer cycles.

    Queues: ``spike_out_slots`` and ``synapse_slots`` hold messages (``synapse_slots`` = 0 means
    that a core takes the next message only after the synapses of the last one); ``buffer_flits``
    and ``axon_in_flits`` hold flits. ``chips`` are laid out as ``chips_x`` x ``chips_y``.
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
    chip_flit_cycles: int = 1
    y_first: tuple[int, ...] = ()  # routers whose messages turn Y then X: for studies of deadlock

    def __post_init__(self) -> None:
        for name in ("width", "height", "cores_per_router", "chips_x", "chips_y"):
            _at_least(name, getattr(self, name), 1)
        for name in ("hop_x", "hop_y", "local", "flit", "chip_hop", "chip_flit"):
            _at_least(f"{name}_cycles", getattr(self, f"{name}_cycles"), 1)
        for name in ("credit", "axon_in", "axon_out", "barrier", "floor"):
            _at_least(f"{name}_cycles", getattr(self, f"{name}_cycles"), 0)
        for name in ("buffer_flits", "axon_in_flits", "spike_out_slots"):
            _at_least(name, getattr(self, name), 1)
        _at_least("synapse_slots", self.synapse_slots, 0)
        if not self.cycle_ns > 0:
            raise ConfigError("machine: cycle_ns", found=f"{self.cycle_ns}", allowed="> 0")

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
    def channels(self) -> int:
        return self.routers * self.ports + self.cores

    def core_at(self, chip: int, router: int, slot: int) -> int:
        """The core number of core *slot* at *router* (row by row) of *chip* (row by row)."""
        chip_y, chip_x = divmod(chip, self.chips_x)
        y, x = divmod(router, self.width)
        column, row = chip_x * self.width + x, chip_y * self.height + y
        return (row * self.columns + column) * self.cores_per_router + slot

    def channel_name(self, channel: int) -> str:
        """*channel* in words, with router coordinates."""
        if channel >= self.routers * self.ports:
            core = channel - self.routers * self.ports
            return f"router {self._place(core // self.cores_per_router)} -> core {core}"
        router, port = divmod(channel, self.ports)
        if port < self.cores_per_router:
            core = router * self.cores_per_router + port
            return f"core {core} -> router {self._place(router)}"
        direction = port - self.cores_per_router
        source = router - _step(self.columns)[direction]
        return f"router {self._place(source)} -> {self._place(router)} ({DIRECTIONS[direction]})"

    def _place(self, router: int) -> str:
        y, x = divmod(router, self.columns)
        return f"({x},{y})"


def wire(machine: Machine) -> IntArray:
    """The machine as the kernel's memory, idle: constants, channels, cores, event queue."""
    channels, cores = _channels(machine), _cores(machine)
    sizes = (k.CONSTANTS, channels.size, cores.size, QUEUE_WORDS, machine.channels + 1)
    channel_at, core_at, queue_at, used_at = np.cumsum(sizes)[:-1].tolist()
    chip = np.zeros(sum(sizes), np.int64)
    chip[: k.CONSTANTS] = _constants(machine)
    chip[[k.CHANNEL_AT, k.CORE_AT, k.QUEUE_AT, k.USED_AT]] = channel_at, core_at, queue_at, used_at
    chip[[k.CHANNEL_SIZE, k.CORE_SIZE]] = channels.shape[1], cores.shape[1]
    for column in (k.C_EAST, k.C_WEST, k.C_NORTH, k.C_SOUTH, k.C_SOURCE):
        channels[:, column] = channel_at + channels[:, column] * channels.shape[1]  # addresses
    owner = channels[:, k.C_CORE]
    channels[:, k.C_CORE] = np.where(owner >= 0, core_at + owner * cores.shape[1], 0)
    for column in (k.N_INJECT, k.N_EJECT):
        cores[:, column] = channel_at + cores[:, column] * channels.shape[1]
    chip[channel_at:core_at], chip[core_at:queue_at] = channels.ravel(), cores.ravel()
    chip[used_at] = machine.channels  # all must be cleared before the first step
    chip[used_at + 1 :] = channel_at + np.arange(machine.channels) * channels.shape[1]
    return chip


def _queue_shift(machine: Machine) -> int:
    """Buckets of the event queue are so wide that a typical event is some tens of them ahead."""
    typical = machine.local_cycles + machine.hop_x_cycles + machine.hop_y_cycles
    return max(0, typical.bit_length() - 6)


def _constants(machine: Machine) -> IntArray:
    table = np.zeros(k.CONSTANTS, np.int64)
    table[k.PER_ROUTER], table[k.PORTS] = machine.cores_per_router, machine.ports
    table[k.COLUMNS], table[k.CHANNELS] = machine.columns, machine.channels
    table[k.CORES], table[k.CREDIT] = machine.cores, machine.credit_cycles
    table[k.AXON_IN], table[k.AXON_OUT] = machine.axon_in_cycles, machine.axon_out_cycles
    table[k.BARRIER], table[k.FLOOR] = machine.barrier_cycles, machine.floor_cycles
    table[k.SPIKE_OUT_SLOTS] = machine.spike_out_slots
    table[k.SYNAPSE_SLOTS] = machine.synapse_slots
    table[k.QUEUE_SHIFT] = _queue_shift(machine)
    return table


def _channels(machine: Machine) -> IntArray:
    """Number the channels and give each its ends, its latency, its pace and its buffer."""
    ports, per_router = machine.ports, machine.cores_per_router
    buffer = 3 * max(machine.buffer_flits, machine.axon_in_flits)
    table = np.zeros((machine.channels, k.C_SLOTS + buffer), np.int64)
    number = np.arange(machine.channels)
    outward = machine.routers * ports  # from here on: out of the mesh
    inside = number < outward
    port = np.where(inside, number % ports, -1)
    router = np.where(inside, number // ports, (number - outward) // per_router)
    injects = inside & (port < per_router)
    direction = np.where(inside & ~injects, port - per_router, -1)
    behind = np.where(direction >= 0, np.array(_step(machine.columns))[direction], 0)
    table[:, k.C_NUMBER], table[:, k.C_INJECTS] = number, injects
    table[:, k.C_PORT] = port
    owner = np.where(injects, router * per_router + port, number - outward)
    table[:, k.C_CORE] = np.where(direction < 0, owner, -1)
    table[:, k.C_X], table[:, k.C_Y] = router % machine.columns, router // machine.columns
    table[:, k.C_SOURCE] = (router - behind) * ports
    ahead = zip((k.C_EAST, k.C_WEST, k.C_NORTH, k.C_SOUTH), _step(machine.columns), strict=True)
    for direction_out, (column, step) in enumerate(ahead):
        table[:, column] = (router + step) * ports + per_router + direction_out
    crosses = _crosses(machine, router, direction)
    hop = np.where(direction < NORTH, machine.hop_x_cycles, machine.hop_y_cycles)
    hop = np.where(crosses, machine.chip_hop_cycles, hop)
    table[:, k.C_LATENCY] = np.where(direction >= 0, hop, machine.local_cycles)
    table[:, k.C_FLIT] = np.where(crosses, machine.chip_flit_cycles, machine.flit_cycles)
    table[:, k.C_HOLD] = np.where(crosses, machine.chip_flit_cycles, 0)
    table[:, k.C_CAPACITY] = np.where(inside, machine.buffer_flits, machine.axon_in_flits)
    return table


def _cores(machine: Machine) -> IntArray:
    rings = machine.spike_out_slots + machine.synapse_slots
    table = np.zeros((machine.cores, k.N_RINGS + rings), np.int64)
    number = np.arange(machine.cores)
    router, slot = number // machine.cores_per_router, number % machine.cores_per_router
    table[:, k.N_NUMBER] = number
    table[:, k.N_X], table[:, k.N_Y] = router % machine.columns, router // machine.columns
    table[:, k.N_INJECT] = router * machine.ports + slot
    table[:, k.N_EJECT] = machine.routers * machine.ports + number
    table[:, k.N_Y_FIRST] = np.isin(router, machine.y_first)
    return table


def _crosses(machine: Machine, router: IntArray, direction: IntArray) -> NDArray[np.bool_]:
    """Whether the link into *router* moving in *direction* crosses a chip's edge."""
    x, y = router % machine.columns % machine.width, router // machine.columns % machine.height
    edges = (x == 0, x == machine.width - 1, y == 0, y == machine.height - 1)
    return np.select([direction == d for d in range(4)], edges, default=False)


def _step(columns: int) -> tuple[int, int, int, int]:
    """Router number ahead minus router number here, by direction (north: y + 1)."""
    return 1, -1, columns, -columns


def _at_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise ConfigError(f"machine: {name}", found=str(value), allowed=f">= {least}")
