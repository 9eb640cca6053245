"""The synapse queue and stage: a row of synapses, one a clock, into the accumulators.

    clock 0   the row is taken
    clock 1   a synapse's address at the synaptic memory         (one a clock from here on)
    clock 2   weight x payload
    clock 3   the target's address at the accumulators
    clock 4   sum written back

The stage is free for the next row while the last sums are still on their way; a sum read in the
clock in which it is written is the new one (the accumulators' ports are transparent).
"""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib.wiring import Component, In, Out

from tssd.hw_targets.rtl.units.queue import Queue
from tssd.hw_targets.rtl.units.widths import (
    BASE_BITS,
    COUNT_BITS,
    OFFSET_BITS,
    PAYLOAD_BITS,
    ROW_BITS,
    SUM_BITS,
    WEIGHT_BITS,
    BuildSizes,
)

ROW = ROW_BITS + COUNT_BITS + BASE_BITS + PAYLOAD_BITS


class SynapseStage(Component):
    """``offered``: a row waits to be handed over; ``handed`` when the queue takes it.

    A synapse's target is ``base`` + its offset. ``read_at`` addresses synaptic memory, whose
    ``weight`` and ``offset`` follow; ``target`` addresses the accumulators, whose ``total``
    follows; ``add`` writes ``total_out`` to ``add_at``.
    """

    def __init__(self, sizes: BuildSizes) -> None:
        self.sizes = sizes
        super().__init__(
            {
                "offered": In(1),
                "row": In(ROW_BITS),
                "count": In(COUNT_BITS),
                "base": In(BASE_BITS),
                "payload": In(signed(PAYLOAD_BITS)),
                "handed": Out(1),
                "free": Out(1),
                "quiet": Out(1),
                "read_at": Out(ROW_BITS),
                "weight": In(signed(WEIGHT_BITS)),
                "offset": In(OFFSET_BITS),
                "target": Out(BASE_BITS),
                "total": In(signed(SUM_BITS)),
                "add": Out(1),
                "add_at": Out(BASE_BITS),
                "total_out": Out(signed(SUM_BITS)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        left, begin = Signal(COUNT_BITS), Signal()
        base, payload = Signal(BASE_BITS), Signal(signed(PAYLOAD_BITS))
        taken = Signal(ROW)
        m.d.comb += self.free.eq(left <= 1)
        self._queue(m, begin, taken)
        with m.If(begin):
            m.d.sync += Cat(self.read_at, left, base, payload).eq(taken)
        with m.Elif(left != 0):
            m.d.sync += [self.read_at.eq(self.read_at + 1), left.eq(left - 1)]
        self._accumulate(m, left != 0, base, payload)
        return m

    def _queue(self, m: Module, begin: Signal, taken: Signal) -> None:
        """Rows wait for the stage; one that finds it free and nobody waiting goes through."""
        slots, row = self.sizes.synapse_slots, Cat(self.row, self.count, self.base, self.payload)
        if not slots:
            m.d.comb += [
                begin.eq(self.offered & self.free),
                self.handed.eq(begin),
                taken.eq(row),
                self.quiet.eq(self.free),
            ]
            return
        m.submodules.queue = queue = Queue(ROW, slots)
        stored = queue.level != 0
        m.d.comb += [
            self.handed.eq(self.offered & ((queue.level != slots) | self.free)),
            begin.eq(self.free & (stored | self.offered)),
            taken.eq(Mux(stored, queue.first, row)),
            queue.entry.eq(row),
            queue.push.eq(self.handed & ~(begin & ~stored)),
            queue.pop.eq(begin & stored),
            self.quiet.eq(self.free & ~stored),
        ]

    def _accumulate(self, m: Module, reads: object, base: Signal, payload: Signal) -> None:
        weighs, base_then, payload_then = Signal(), Signal(BASE_BITS), Signal(signed(PAYLOAD_BITS))
        m.d.sync += [weighs.eq(reads), base_then.eq(base), payload_then.eq(payload)]
        met, product = Signal(), Signal(signed(SUM_BITS))
        m.d.sync += [
            met.eq(weighs),
            self.target.eq(base_then + self.offset),
            product.eq(self.weight * payload_then),
        ]
        amount = Signal(signed(SUM_BITS))
        m.d.sync += [self.add.eq(met), self.add_at.eq(self.target), amount.eq(product)]
        m.d.comb += self.total_out.eq(self.total + amount)
