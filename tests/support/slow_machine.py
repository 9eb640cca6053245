"""The machine of docs/microarchitecture.md stepped cycle by cycle: slow, plain, written apart.

No event queue and no time arithmetic: in each cycle every unit looks at what is there and acts.
The kernel must give the same cycle for every message.
"""

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from tssd.hw_targets.sim.machine import Machine


@dataclass
class Message:
    """One message and the cycles of its life, filled as it travels."""

    source: int
    target: int
    flits: int
    work: int
    service: int
    emitted: int = -1
    sent: int = -1
    arrived: int = -1
    done: int = -1
    crossing: tuple[int, int, int, int] = (-1, -1, -1, -1)  # from router to router of two chips


@dataclass
class Channel:
    """A link, and the buffer at its far end: (message, ready) pairs and the flits still held."""

    latency: int
    flit: int
    hold: int
    capacity: int
    inputs: list["Channel"]
    buffer: deque[tuple[Message, int]] = field(default_factory=deque)
    held: list[list[int]] = field(default_factory=list)  # [flits, cycle of release or -1]
    busy_until: int = 0
    read_until: int = 0
    turn: int = 0

    def has_room(self, flits: int, t: int) -> bool:
        self.held = [h for h in self.held if h[1] < 0 or h[1] > t]
        return sum(h[0] for h in self.held) + flits <= self.capacity

    def release(self, t: int) -> None:
        next(h for h in self.held if h[1] < 0)[1] = t

    def head(self, t: int) -> Message | None:
        if self.buffer and self.buffer[0][1] <= t and self.read_until <= t:
            return self.buffer[0][0]
        return None

    def take(self, message: Message, t: int) -> int:
        self.held.append([message.flits, -1])
        self.buffer.append((message, t + self.latency + (message.flits - 1) * self.hold))
        self.busy_until = t + message.flits * self.flit
        return self.busy_until


class Link(Channel):
    """From chip to chip: a time for any message, more for what it carries (``flit``); it is there
    ``latency`` after its last bit has left."""

    message_cycles = 0

    def take(self, message: Message, t: int) -> int:
        gone = t + self.message_cycles + (message.flits - 1) * self.flit
        self.held.append([message.flits, -1])
        self.buffer.append((message, gone + self.latency))
        self.busy_until = gone
        return gone


Path = tuple[int, int, int, int]
Move = tuple[Channel, int]


def _any(message: Message) -> bool:
    return True


@dataclass
class Core:
    """Neuron stage, spike-out queue and stage; axon-in stage, synapse queue and stage."""

    todo: deque[Message]
    tail: int
    inject: Channel
    eject: Channel
    neuron_ready: int = 0
    spike_out: deque[Message] = field(default_factory=deque)
    sending: Message | None = None
    out_ready: int = 0
    out_free: int = 0
    reading: Message | None = None
    read_done: int = 0
    synapses: deque[Message] = field(default_factory=deque)
    synapse_free: int = 0
    cycles: Counter[str] = field(default_factory=Counter)  # by the names of the kernel's counters


class SlowMachine:
    """Steps ``messages`` (in order of emission per core) until all are done or *patience* ends."""

    def __init__(self, machine: Machine, messages: list[Message], tails: list[int]) -> None:
        self.machine, self.messages = machine, messages
        self.channels: dict[Path, Channel] = {}
        self.feeders: dict[Path, Channel] = {}
        self.links: dict[Path, Link] = {}  # from chip to chip
        width, height = machine.columns, machine.height * machine.chips_y
        self.routers = [(x, y) for y in range(height) for x in range(width)]
        self.cores = [self._core(c, tails[c]) for c in range(machine.cores)]
        for x, y in self.routers:
            for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)):
                if (x - dx, y - dy) in self.routers:
                    self._connect((x - dx, y - dy, x, y))
        self.outputs = {r: self._outputs(*r) for r in self.routers}
        for router, channels in self.outputs.items():
            for channel in channels:
                channel.inputs = self._inputs(*router)

    def _core(self, number: int, tail: int) -> Core:
        m = self.machine
        inject = Channel(m.local_cycles, m.flit_cycles, 0, m.buffer_flits, [])
        hold = m.flit_cycles  # a core takes a message when its last flit is there
        eject = Channel(m.local_cycles, m.flit_cycles, hold, m.axon_in_flits, [])
        mine = deque(x for x in self.messages if x.source == number)
        return Core(mine, tail, inject, eject)

    def _connect(self, path: Path) -> None:
        m = self.machine
        hop = m.hop_x_cycles if path[1] == path[3] else m.hop_y_cycles
        chips = self._chips(path)
        if chips[:2] == chips[2:]:
            self.channels[path] = Channel(hop, m.flit_cycles, 0, m.buffer_flits, [])
            return
        if chips not in self.links:
            link = Link(m.chip_hop_cycles, m.chip_payload_cycles, 0, m.buffer_flits, [])
            link.message_cycles = m.chip_message_cycles
            self.links[chips] = link
        feeder = Channel(hop, m.flit_cycles, m.flit_cycles, m.buffer_flits, [])
        self.feeders[path] = feeder
        self.links[chips].inputs.append(feeder)  # by rising row or column
        self.channels[path] = Channel(m.local_cycles, m.flit_cycles, 0, m.buffer_flits, [])

    def _chips(self, path: Path) -> Path:
        w, h = self.machine.width, self.machine.height
        return path[0] // w, path[1] // h, path[2] // w, path[3] // h

    def _mine(self, x: int, y: int) -> list[Core]:
        first = (y * self.machine.columns + x) * self.machine.cores_per_router
        return self.cores[first : first + self.machine.cores_per_router]

    def _inputs(self, x: int, y: int) -> list[Channel]:
        """Cores first, then what moves east, west, north, south into (x, y): the port order."""
        nothing = Channel(1, 1, 0, 1, [])
        from_ = [(x - 1, y), (x + 1, y), (x, y - 1), (x, y + 1)]
        links = [self.channels.get((*f, x, y), nothing) for f in from_]
        return [c.inject for c in self._mine(x, y)] + links

    def _outputs(self, x: int, y: int) -> list[Channel]:
        to = [(x + 1, y), (x - 1, y), (x, y + 1), (x, y - 1)]
        links = [self._ahead((x, y, *t)) for t in to if (x, y, *t) in self.channels]
        return [c.eject for c in self._mine(x, y)] + links

    def _ahead(self, path: Path) -> Channel:
        """The channel out of the first router of *path*."""
        return self.feeders.get(path) or self.channels[path]

    def _route(self, x: int, y: int, message: Message) -> Channel:
        router = message.target // self.machine.cores_per_router
        tx, ty = self.routers[router]
        if (tx, ty) == (x, y):
            return self.cores[message.target].eject
        along_x = tx != x and (ty == y or router not in self.machine.y_first)
        ahead = (x + (1 if tx > x else -1), y) if along_x else (x, y + (1 if ty > y else -1))
        return self._ahead((x, y, *ahead))

    def run(self, patience: int = 100_000) -> int:
        """The cycle after which the last core is done (before barrier and floor)."""
        for t in range(patience):
            for core in self.cores:
                while self._run_core(core, t):
                    pass
            moves = [move for router in self.routers for move in self._decide(*router, t)]
            moves += self._at_near_gates(t) + self._at_far_gates(t)
            for channel, port in moves:
                self._move(channel, port, t)
            for core in self.cores:
                self._send(core, t)
            if all(m.done >= 0 for m in self.messages):
                return self._end()
        raise TimeoutError("deadlock")

    def _end(self) -> int:
        ends = [c.neuron_ready + c.tail for c in self.cores] + [c.out_free for c in self.cores]
        return max(ends + [m.done for m in self.messages])

    def counters(self) -> list[dict[str, int]]:
        """What each core did until its end: cycles at work, and cycles with work that cannot go
        on."""
        return [self._counted(core) for core in self.cores]

    def _counted(self, core: Core) -> dict[str, int]:
        worked = core.cycles["neuron_busy"]
        neuron = {"neuron_busy": worked + core.tail, "neuron_stall": core.neuron_ready - worked}
        end = max(core.neuron_ready + core.tail, core.out_free, core.synapse_free)
        return {**core.cycles, **neuron, "finish": end}

    def _decide(self, x: int, y: int, t: int) -> list[Move]:
        moves = []
        for channel in self.outputs[x, y]:

            def wants(message: Message, channel: Channel = channel) -> bool:
                return self._route(x, y, message) is channel

            moves += self._serve(channel, wants, t)
        return moves

    def _at_near_gates(self, t: int) -> list[Move]:
        """Each link takes a message of the edge routers' in turn."""
        return [move for link in self.links.values() for move in self._serve(link, _any, t)]

    def _at_far_gates(self, t: int) -> list[Move]:
        """A message goes on in the row or column that it came by."""
        moves = []
        for path in self.feeders:

            def wants(message: Message, path: Path = path) -> bool:
                return message.crossing == path

            channel = self.channels[path]
            channel.inputs = [self.links[self._chips(path)]]
            moves += self._serve(channel, wants, t)
        return moves

    def _serve(self, channel: Channel, wants: Callable[[Message], bool], t: int) -> list[Move]:
        """What *channel* takes in cycle t: from the first asking input after the last served."""
        ports = len(channel.inputs)
        for i in range(1, ports + 1) if channel.busy_until <= t else ():
            port = (channel.turn + i) % ports
            message = channel.inputs[port].head(t)
            if message is not None and wants(message):
                return [(channel, port)] if channel.has_room(message.flits, t) else []
        return []

    def _move(self, channel: Channel, port: int, t: int) -> None:
        source = channel.inputs[port]
        message, _ = source.buffer.popleft()
        channel.turn = port
        for path, feeder in self.feeders.items():
            if feeder is channel:
                message.crossing = path
        gone = channel.take(message, t)
        source.read_until = gone
        source.release(gone + self.machine.credit_cycles)

    def _send(self, core: Core, t: int) -> None:
        message = core.sending
        if message and core.out_ready <= t and core.inject.has_room(message.flits, t):
            message.sent = t
            core.out_free = core.inject.take(message, t)
            core.cycles["out_stall"] += t - core.out_ready
            core.cycles["out_busy"] += self.machine.axon_out_cycles + core.out_free - t
            core.sending = None

    def _run_core(self, core: Core, t: int) -> bool:
        """Everything in one core that may happen in cycle t, one thing at a time."""
        m = self.machine
        if core.sending is None and core.spike_out and core.out_free <= t:
            core.sending = core.spike_out.popleft()
            core.out_ready = t + m.axon_out_cycles
            return True
        emits = core.todo and core.neuron_ready + core.todo[0].work <= t
        if emits and len(core.spike_out) < m.spike_out_slots:
            message = core.todo.popleft()
            message.emitted = core.neuron_ready = t
            core.cycles["neuron_busy"] += message.work
            core.spike_out.append(message)
            return True
        if m.synapse_slots and core.synapses and core.synapse_free <= t:
            self._synapses(core, core.synapses.popleft(), t)
            return True
        if core.reading is not None and core.read_done <= t:
            if not m.synapse_slots:
                self._synapses(core, core.reading, t)
                core.reading = None
                return True
            if len(core.synapses) < m.synapse_slots:
                core.synapses.append(core.reading)
                core.cycles["in_stall"] += t - core.read_done
                core.reading = None
                return True
        idle = core.reading is None and (m.synapse_slots > 0 or core.synapse_free <= t)
        message_here = core.eject.head(t)
        if idle and message_here is not None:
            message_here.arrived = core.eject.buffer.popleft()[1]
            core.eject.release(t + m.credit_cycles)
            core.reading, core.read_done = message_here, t + m.axon_in_cycles
            core.cycles["in_busy"] += m.axon_in_cycles
            return True
        return False

    def _synapses(self, core: Core, message: Message, t: int) -> None:
        message.done = core.synapse_free = t + message.service
        core.cycles["synapse_busy"] += message.service
