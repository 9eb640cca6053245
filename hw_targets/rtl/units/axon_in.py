"""The axon-in queue and stage: a message's axon becomes a row of synapses, in one clock."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib.wiring import Component, In, Out

from tssd.hw_targets.rtl.units.queue import Queue
from tssd.hw_targets.rtl.units.widths import ARRIVAL, AXON_BITS, PAYLOAD_BITS, BuildSizes


class AxonIn(Component):
    """``start`` with ``axon``: the axon memory is read; it shows the row from the next clock on,
    in which ``ready`` says that it waits to be handed over; ``handed`` that it is.

    ``alone``: the synapse stage has no queue, so nothing is read before it is done.
    """

    def __init__(self, sizes: BuildSizes) -> None:
        self.sizes = sizes
        super().__init__(
            {
                "arrives": In(1),
                "arrival": In(ARRIVAL),
                "synapses_free": In(1),
                "handed": In(1),
                "start": Out(1),
                "axon": Out(AXON_BITS),
                "ready": Out(1),
                "payload": Out(PAYLOAD_BITS),
                "quiet": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        width = AXON_BITS + PAYLOAD_BITS
        m.submodules.queue = queue = Queue(width, self.sizes.axon_in_slots)
        carried, free = Signal(PAYLOAD_BITS), Signal()
        if self.sizes.synapse_slots:
            m.d.comb += free.eq(~self.ready | self.handed)
        else:
            m.d.comb += free.eq(~self.ready & self.synapses_free)
        m.d.comb += [
            queue.push.eq(self.arrives),
            queue.entry.eq(self.arrival),
            queue.pop.eq(self.start),
            Cat(self.axon, carried).eq(queue.first),
            self.start.eq(free & (queue.level != 0)),
            self.quiet.eq(~self.ready & (queue.level == 0)),
        ]
        with m.If(self.start):
            m.d.sync += [self.ready.eq(1), self.payload.eq(carried)]
        with m.Elif(self.handed):
            m.d.sync += self.ready.eq(0)
        return m
