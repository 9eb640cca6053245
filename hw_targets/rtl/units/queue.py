"""A first-in first-out queue whose first entry shows as soon as it is the first."""

from amaranth.hdl import Module, Signal
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out


class Queue(Component):
    """``depth`` entries of ``width`` bits. What is pushed in a cycle is there in the next one.

    ``level``: how many it holds. Pushing into a full one loses the entry: credits or a level keep
    senders from it.
    """

    def __init__(self, width: int, depth: int) -> None:
        self.depth = depth
        super().__init__(
            {
                "push": In(1),
                "entry": In(width),
                "pop": In(1),
                "first": Out(width),
                "level": Out(range(depth + 1)),
            }
        )
        self.width = width

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.memory = memory = Memory(shape=self.width, depth=self.depth, init=[])
        writes, reads = memory.write_port(), memory.read_port(domain="comb")
        head, tail = Signal(range(self.depth)), Signal(range(self.depth))
        m.d.comb += [
            reads.addr.eq(head),
            self.first.eq(reads.data),
            writes.addr.eq(tail),
            writes.data.eq(self.entry),
            writes.en.eq(self.push),
        ]
        for step, place in ((self.push, tail), (self.pop, head)):
            with m.If(step):
                advance(m, place, self.depth)
        m.d.sync += self.level.eq(self.level + self.push - self.pop)
        return m


def advance(m: Module, place: Signal, depth: int) -> None:
    """The next place of a ring."""
    with m.If(place == depth - 1):
        m.d.sync += place.eq(0)
    with m.Else():
        m.d.sync += place.eq(place + 1)


class Credits(Component):
    """What a sender knows of a buffer of ``depth`` messages: whether there is room."""

    def __init__(self, depth: int) -> None:
        self.depth = depth
        super().__init__({"sent": In(1), "freed": In(1), "room": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        used = Signal(range(self.depth + 1))
        m.d.sync += used.eq(used + self.sent - self.freed)
        m.d.comb += self.room.eq(used != self.depth)
        return m
