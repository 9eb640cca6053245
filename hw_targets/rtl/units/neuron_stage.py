"""The neuron stage: a core's neurons one after the other, four clocks each.

    clock 0   addresses at the memories; the messages of the neuron before enter the queue
    clock 1   state, sum and parameters are there; products
    clock 2   current and membrane
    clock 3   spike, reset; state written back, the sum cleared

A neuron whose messages find no room keeps the next one in clock 0 (neuron stall).
"""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib.wiring import Component, In, Out

from tssd.hw_targets.rtl.units.widths import FAN_BITS, PAYLOAD_BITS, STEP_BITS, BuildSizes


class NeuronStage(Component):
    """Order and timing; the memories and the neuron itself lie beside it in the core.

    ``index`` is the neuron whose record the memories show. ``live``: within its population's
    window of ``window`` steps from step ``first_step`` on; ``fresh``: in the first of them, in
    which it starts from rest. A neuron that is not live takes its time and does nothing.
    ``emit`` messages enter the queue in this cycle, of ``room`` that it has; ``fired`` stands in
    the first of the cycles in which the messages of ``fan_at``, ``fan`` and ``payload`` do.
    """

    def __init__(self, sizes: BuildSizes) -> None:
        self.sizes = sizes
        slots = range(sizes.spike_out_slots + 2)
        super().__init__(
            {
                "start": In(1),
                "neurons": In(range(sizes.neurons + 1)),
                "step": In(STEP_BITS),
                "window": In(STEP_BITS),
                "first_step": In(STEP_BITS),
                "sent": In(PAYLOAD_BITS),
                "record_fan_at": In(FAN_BITS),
                "record_fan": In(FAN_BITS),
                "room": In(slots),
                "index": Out(range(sizes.neurons + 1)),
                "live": Out(1),
                "fresh": Out(1),
                "write": Out(1),
                "fired": Out(1),
                "fan_at": Out(FAN_BITS),
                "fan": Out(FAN_BITS),
                "payload": Out(PAYLOAD_BITS),
                "emit": Out(slots),
                "finished": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        clock, waiting, own_step = Signal(2), Signal(FAN_BITS), Signal(STEP_BITS)
        m.d.comb += [
            own_step.eq(self.step - self.first_step),
            self.live.eq((self.step >= self.first_step) & (own_step < self.window)),
            self.fresh.eq(self.step == self.first_step),
            self.write.eq(clock == 3),
            self.emit.eq(Mux(waiting > self.room, self.room, waiting)),
            self.finished.eq((self.index == self.neurons) & (clock == 0) & (waiting == 0)),
        ]
        through = Signal()
        m.d.comb += through.eq(waiting <= self.room)
        with m.If(clock == 0):
            m.d.sync += [waiting.eq(waiting - self.emit), self.fired.eq(0)]
            with m.If(through & (self.index != self.neurons)):
                m.d.sync += clock.eq(1)
        with m.Elif(clock == 3):
            sends = self.live & (self.sent != 0) & (self.record_fan != 0)
            m.d.sync += [
                clock.eq(0),
                self.index.eq(self.index + 1),
                waiting.eq(Mux(sends, self.record_fan, 0)),
                self.fired.eq(sends),
                self.fan_at.eq(self.record_fan_at),
                self.fan.eq(self.record_fan),
                self.payload.eq(self.sent),
            ]
        with m.Else():
            m.d.sync += clock.eq(clock + 1)
        with m.If(self.start):
            m.d.sync += self.index.eq(0)
        return m
