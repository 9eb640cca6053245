"""The spike-out queue and stage: messages of neurons that fired, one after the other.

The queue holds spikes and counts messages: a message is one entry of the neuron's list in the
fan-out memory, so a list of any length can enter in one cycle. A message that is taken needs one
clock to the memory and one through it; then it leaves as soon as the router has room.
"""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib.wiring import Component, In, Out

from tssd.hw_targets.rtl.units.queue import Credits, Queue
from tssd.hw_targets.rtl.units.widths import (
    DESTINATION,
    FAN_BITS,
    MESSAGE,
    PAYLOAD_BITS,
    BuildSizes,
)


class SpikeOut(Component):
    """``read_at`` is an address of the fan-out memory, ``to`` what it shows a clock later."""

    def __init__(self, sizes: BuildSizes) -> None:
        self.sizes = sizes
        slots = range(sizes.spike_out_slots + 2)
        super().__init__(
            {
                "fired": In(1),
                "fan_at": In(FAN_BITS),
                "fan": In(FAN_BITS),
                "payload": In(PAYLOAD_BITS),
                "emit": In(slots),
                "room": Out(slots),
                "read_at": Out(FAN_BITS),
                "to": In(DESTINATION),
                "send": Out(1),
                "message": Out(MESSAGE),
                "freed": In(1),
                "quiet": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        slots = self.sizes.spike_out_slots
        m.submodules.credits = credits = Credits(self.sizes.link_slots)
        held, busy, take = Signal(range(slots + 1)), Signal(), Signal()
        m.d.comb += [
            self.room.eq(slots - held + ~busy),
            take.eq(~busy & ((held != 0) | (self.emit != 0))),
            self.quiet.eq(~busy & (held == 0)),
        ]
        m.d.sync += held.eq(held + self.emit - take)
        payload = self._walk(m, take)
        reading = Signal()
        m.d.comb += [
            self.send.eq(busy & ~reading & credits.room),
            credits.sent.eq(self.send),
            credits.freed.eq(self.freed),
            self.message.payload.eq(payload),
            self.message.to.eq(self.to),
        ]
        m.d.sync += reading.eq(take)
        with m.If(take):
            m.d.sync += busy.eq(1)
        with m.Elif(self.send):
            m.d.sync += busy.eq(0)
        return m

    def _walk(self, m: Module, take: Signal) -> Signal:
        """The list entry that a taken message is, and its payload."""
        width = 2 * FAN_BITS + PAYLOAD_BITS
        m.submodules.queue = queue = Queue(width, self.sizes.spike_out_slots + 1)
        left, payload = Signal(FAN_BITS), Signal(PAYLOAD_BITS)
        at, fan, carried = Signal(FAN_BITS), Signal(FAN_BITS), Signal(PAYLOAD_BITS)
        new, turn, stored = Signal(width), Signal(), Signal()
        m.d.comb += [
            stored.eq(queue.level != 0),
            turn.eq(take & (left == 0)),  # the list of the last spike is through
            new.eq(Cat(self.fan_at, self.fan, self.payload)),
            Cat(at, fan, carried).eq(Mux(stored, queue.first, new)),
            queue.entry.eq(new),
            queue.push.eq(self.fired & ~(turn & ~stored)),
            queue.pop.eq(turn & stored),
        ]
        with m.If(turn):
            m.d.sync += [self.read_at.eq(at), left.eq(fan - 1), payload.eq(carried)]
        with m.Elif(take):
            m.d.sync += [self.read_at.eq(self.read_at + 1), left.eq(left - 1)]
        return payload
