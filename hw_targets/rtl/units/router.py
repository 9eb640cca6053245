"""A router: an input queue per port, an arbiter per output, credits for what lies ahead.

Ports are numbered cores first, then what moves east, west, north (+y), south; along x first, then
along y. In every cycle each output serves the first asking input after the one it served last, if
there is room ahead.
"""

from collections.abc import Iterator

from amaranth.hdl import Array, Cat, Module, Mux, Signal, Value
from amaranth.lib.wiring import Component, In, Out

from tssd.hw_targets.rtl.units.queue import Credits, Queue
from tssd.hw_targets.rtl.units.widths import MESSAGE, MESSAGE_BITS, X_BITS, Y_BITS, BuildSizes

EAST, WEST, NORTH, SOUTH = range(4)  # after the cores


class Router(Component):
    """``arrives_p`` brings ``in_p``; ``credit_p`` tells its sender that a place is free, one clock
    after the message has left. ``send_p`` takes ``out_p`` on, ``freed_p`` is the credit from
    there. ``start``: a step begins; nobody was served yet."""

    def __init__(self, sizes: BuildSizes) -> None:
        self.sizes = sizes
        ports: dict[str, object] = {"start": In(1), "x": In(X_BITS), "y": In(Y_BITS)}
        for p in range(sizes.ports):
            ports |= {f"arrives_{p}": In(1), f"in_{p}": In(MESSAGE), f"credit_{p}": Out(1)}
            ports |= {f"send_{p}": Out(1), f"out_{p}": Out(MESSAGE), f"freed_{p}": In(1)}
        super().__init__({**ports, "quiet": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        cores, ports = self.sizes.cores_per_router, self.sizes.ports
        heads, asks = zip(*(self._input(m, p) for p in range(ports)), strict=True)
        pops = [Signal(ports, name=f"pops_{p}") for p in range(ports)]  # by which output
        for o in range(ports):
            slots = self.sizes.axon_in_slots if o < cores else self.sizes.link_slots
            m.submodules[f"credits_{o}"] = credits = Credits(slots)
            wanted = Cat(ask[o] for ask in asks)
            served = self._serve(m, o, wanted, credits.room)
            m.d.comb += [
                credits.sent.eq(getattr(self, f"send_{o}")),
                credits.freed.eq(getattr(self, f"freed_{o}")),
                getattr(self, f"out_{o}").eq(Array(heads)[served]),
                *(pops[p][o].eq(getattr(self, f"send_{o}") & (served == p)) for p in range(ports)),
            ]
        for p in range(ports):
            queue = self.queues[p]
            m.d.comb += queue.pop.eq(pops[p].any())
            m.d.sync += getattr(self, f"credit_{p}").eq(queue.pop)
        m.d.comb += self.quiet.eq(Cat(queue.level != 0 for queue in self.queues) == 0)
        return m

    @property
    def queues(self) -> list[Queue]:
        """Those made so far."""
        return self._queues

    def _input(self, m: Module, p: int) -> tuple[Value, Signal]:
        """The first message of port *p*, and which output it asks for, one bit each."""
        if p == 0:
            self._queues: list[Queue] = []
        queue = Queue(MESSAGE_BITS, self.sizes.link_slots)
        m.submodules[f"queue_{p}"] = queue
        self._queues.append(queue)
        m.d.comb += [
            queue.push.eq(getattr(self, f"arrives_{p}")),
            queue.entry.eq(getattr(self, f"in_{p}")),
        ]
        first = MESSAGE(queue.first)
        asks = Signal(self.sizes.ports, name=f"asks_{p}")
        bits = Cat(self._ways(first.to))
        m.d.comb += asks.eq(Mux(queue.level != 0, bits, 0))
        return queue.first, asks

    def _ways(self, to: Value) -> Iterator[Value]:
        here_x, here_y = to.x == self.x, to.y == self.y
        for slot in range(self.sizes.cores_per_router):
            yield here_x & here_y & (to.slot == slot)
        yield to.x > self.x
        yield to.x < self.x
        yield here_x & (to.y > self.y)
        yield here_x & (to.y < self.y)

    def _serve(self, m: Module, o: int, wanted: Value, room: Value) -> Signal:
        """Round-robin: the input that output *o* serves if it may."""
        ports = range(self.sizes.ports)
        turn, served = (Signal(ports, name=f"{name}_{o}") for name in ("turn", "served"))
        after = Cat(wanted[p] & (turn < p) for p in ports)
        chosen = Signal(len(ports), name=f"chosen_{o}")
        m.d.comb += chosen.eq(Mux(after != 0, after, wanted))
        for p in reversed(ports):
            with m.If(chosen[p]):
                m.d.comb += served.eq(p)
        send = getattr(self, f"send_{o}")
        m.d.comb += send.eq((wanted != 0) & room)
        with m.If(self.start):
            m.d.sync += turn.eq(0)
        with m.Elif(send):
            m.d.sync += turn.eq(served)
        return served
