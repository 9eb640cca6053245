"""One core: its four stages, its memories, and their side of the host port."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib.memory import Memory, ReadPort, WritePort
from amaranth.lib.wiring import Component, In, Out

from tssd.hw_targets.rtl.units.axon_in import AxonIn
from tssd.hw_targets.rtl.units.host import (
    AXON_WORDS,
    HOST,
    RECORD_WORDS,
    STATE_WORDS,
    CoreRegister,
    Record,
    Region,
)
from tssd.hw_targets.rtl.units.neuron import Neuron
from tssd.hw_targets.rtl.units.neuron_stage import NeuronStage
from tssd.hw_targets.rtl.units.spike_out import SpikeOut
from tssd.hw_targets.rtl.units.synapse_stage import SynapseStage
from tssd.hw_targets.rtl.units.widths import (
    ARRIVAL,
    CURRENT_BITS,
    MEMBRANE_BITS,
    MESSAGE,
    PAYLOAD_BITS,
    STEP_BITS,
    SUM_BITS,
    WEIGHT_BITS,
    WORD_BITS,
    BuildSizes,
)

CLOCK_BITS = 32  # of a step


class Core(Component):
    """``send`` a ``message`` to the router, which says ``freed`` when its buffer has a place again;
    ``arrives`` from there, ``take`` when the axon-in queue has one again. ``quiet``: all stages
    and queues are through. ``bank``: which of the two banks of sums this step reads."""

    def __init__(self, sizes: BuildSizes) -> None:
        self.sizes = sizes
        super().__init__(
            {
                "start": In(1),
                "bank": In(1),
                "now": In(CLOCK_BITS),
                "step": In(STEP_BITS),
                "window": In(STEP_BITS),
                "host": In(HOST),
                "number": In(HOST["core"].shape),
                "host_out": Out(WORD_BITS),
                "send": Out(1),
                "message": Out(MESSAGE),
                "freed": In(1),
                "arrives": In(1),
                "arrival": In(ARRIVAL),
                "take": Out(1),
                "quiet": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        self.mine = Signal()
        m.d.comb += self.mine.eq(self.host.core == self.number)
        m.submodules.neurons = stage = NeuronStage(self.sizes)
        m.submodules.neuron = neuron = Neuron()
        m.submodules.spike_out = out = SpikeOut(self.sizes)
        m.submodules.axon_in = axon = AxonIn(self.sizes)
        m.submodules.synapses = synapse = SynapseStage(self.sizes)
        self._update(m, stage, neuron, synapse)
        self._send(m, stage, out)
        self._receive(m, axon, synapse)
        self._finish(m, stage, out, axon, synapse)
        return m

    def _writes(self, m: Module, region: Region) -> Signal:
        """Whether the host writes into *region* in this cycle."""
        here = Signal()
        m.d.comb += here.eq(self.mine & self.host.write & (self.host.region == region))
        return here

    def _memory(self, m: Module, name: str, shape: object, depth: int) -> Memory:
        memory = Memory(shape=shape, depth=depth, init=[])
        m.submodules[name] = memory
        return memory

    def _written(self, m: Module, memory: Memory, en: Value, addr: Value, data: Value) -> WritePort:
        port = memory.write_port()
        m.d.comb += [port.en.eq(en), port.addr.eq(addr), port.data.eq(data)]
        return port

    def _loaded(
        self, m: Module, region: Region, name: str, depth: int, words: int = 1
    ) -> list[ReadPort]:
        """*words* memories side by side that the host alone writes, word by word."""
        here, ports = self._writes(m, region), []
        bits = (words - 1).bit_length()
        for word in range(words):
            memory = self._memory(m, f"{name}_{word}", WORD_BITS, depth)
            mine = here & (self.host.word[:bits] == word) if bits else here
            self._written(m, memory, mine, self.host.word[bits:], self.host.data)
            ports.append(memory.read_port())
        return ports

    def _synapses(self, m: Module, read_at: Value) -> Value:
        """The largest memory: one port for host and stage, which never meet, so that memories with
        a single port can hold it."""
        writes = self._writes(m, Region.SYNAPSES)
        at = Signal(range(self.sizes.synapses))
        m.d.comb += at.eq(Mux(writes, self.host.word, read_at))
        memory = self._memory(m, "synapses_of", WORD_BITS, self.sizes.synapses)
        self._written(m, memory, writes, at, self.host.data)
        port = memory.read_port()
        m.d.comb += [port.addr.eq(at), port.en.eq(~writes)]
        return port.data

    def _update(self, m: Module, stage: NeuronStage, neuron: Neuron, synapse: SynapseStage) -> None:
        """The neuron stage with parameters, states and sums."""
        count = Signal(range(self.sizes.neurons + 1))
        with m.If(self._writes(m, Region.REGISTERS) & (self.host.word == CoreRegister.NEURONS)):
            m.d.sync += count.eq(self.host.data)
        record = self._loaded(m, Region.NEURONS, "record", self.sizes.neurons, RECORD_WORDS)
        m.d.comb += [port.addr.eq(stage.index) for port in record]
        decays = record[Record.DECAYS].data
        fan_at, fan = (record[Record.FAN].data.word_select(i, 16) for i in (0, 1))
        m.d.comb += [
            stage.start.eq(self.start),
            stage.neurons.eq(count),
            stage.step.eq(self.step),
            stage.window.eq(self.window),
            stage.first_step.eq(record[Record.FIRST_STEP].data),
            stage.record_fan_at.eq(fan_at),
            stage.record_fan.eq(fan),
            stage.sent.eq(neuron.sent),
            Cat(neuron.keep_u, neuron.keep_v, neuron.mode, neuron.reset).eq(decays),
            neuron.threshold.eq(record[Record.THRESHOLD].data),
            neuron.subtracted.eq(record[Record.SUBTRACTED].data),
            neuron.bias.eq(record[Record.BIAS].data),
            neuron.a.eq(self._sums(m, stage, synapse)),
        ]
        u, v, sent = self._states(m, stage, neuron)
        m.d.comb += [
            neuron.u.eq(u),
            neuron.v.eq(v),
            neuron.fresh.eq(stage.fresh),
        ]
        kind, finished = Signal(2), Signal(CLOCK_BITS)
        m.d.sync += kind.eq(self.host.word[:2])
        self.finished = finished
        states = Mux(kind == 0, u, Mux(kind == 1, v, sent))
        registers = Signal()
        m.d.sync += registers.eq(self.host.region == Region.REGISTERS)
        m.d.sync += self.host_out.eq(Mux(registers, finished, states.as_signed()))

    def _states(self, m: Module, stage: NeuronStage, neuron: Neuron) -> tuple[Value, Value, Value]:
        """What each neuron keeps, and what it sent last, for the host alone."""
        reads = self.host.read & self.mine
        at = Mux(reads, self.host.word[(STATE_WORDS - 1).bit_length() :], stage.index)
        kept = []
        for name, bits, value in (
            ("u", CURRENT_BITS, neuron.next_u),
            ("v", MEMBRANE_BITS, neuron.next_v),
            ("sent", PAYLOAD_BITS, Mux(stage.live, neuron.sent, 0)),
        ):
            memory = self._memory(m, name, signed(bits), self.sizes.neurons)
            self._written(m, memory, stage.write, stage.index, value)
            port = memory.read_port()
            m.d.comb += port.addr.eq(at)
            kept.append(port.data)
        return kept[0], kept[1], kept[2]

    def _sums(self, m: Module, stage: NeuronStage, synapse: SynapseStage) -> Value:
        """Two banks of accumulators: one is read and cleared, the other collects for the next
        step; the host writes the latter."""
        host = self._writes(m, Region.SUMS)
        read = []
        for bank in (0, 1):
            memory = self._memory(m, f"sums_{bank}", signed(SUM_BITS), self.sizes.neurons)
            reading = self.bank == bank
            enable = Mux(reading, stage.write, synapse.add | host)
            at = Mux(reading, stage.index, Mux(host, self.host.word, synapse.add_at))
            value = Mux(reading, 0, Mux(host, self.host.data, synapse.total_out))
            writes = self._written(m, memory, enable, at, value)
            port = memory.read_port(transparent_for=(writes,))
            m.d.comb += port.addr.eq(Mux(reading, stage.index, synapse.target))
            read.append(port.data)
        m.d.comb += synapse.total.eq(Mux(self.bank, read[0], read[1]))
        return Mux(self.bank, read[1], read[0])

    def _send(self, m: Module, stage: NeuronStage, out: SpikeOut) -> None:
        (fan_out,) = self._loaded(m, Region.FAN_OUT, "fan_out", self.sizes.fan_out)
        m.d.comb += [
            stage.room.eq(out.room),
            out.emit.eq(stage.emit),
            out.fired.eq(stage.fired),
            out.fan_at.eq(stage.fan_at),
            out.fan.eq(stage.fan),
            out.payload.eq(stage.payload),
            fan_out.addr.eq(out.read_at),
            out.to.eq(fan_out.data),
            out.freed.eq(self.freed),
            self.send.eq(out.send),
            self.message.eq(out.message),
        ]

    def _receive(self, m: Module, axon: AxonIn, synapse: SynapseStage) -> None:
        rows = self._loaded(m, Region.AXONS, "axons", self.sizes.axons, AXON_WORDS)
        weights = self._synapses(m, synapse.read_at)
        m.d.comb += [
            axon.arrives.eq(self.arrives),
            axon.arrival.eq(self.arrival),
            axon.synapses_free.eq(synapse.free),
            axon.handed.eq(synapse.handed),
            self.take.eq(axon.start),
            *(port.addr.eq(axon.axon) for port in rows),
            *(port.en.eq(axon.start) for port in rows),
            synapse.offered.eq(axon.ready),
            synapse.payload.eq(axon.payload),
            synapse.row.eq(rows[0].data),
            Cat(synapse.count, synapse.base).eq(rows[1].data),
            synapse.weight.eq(weights[:WEIGHT_BITS]),
            synapse.offset.eq(weights[WEIGHT_BITS:]),
        ]

    def _finish(
        self, m: Module, stage: NeuronStage, out: SpikeOut, axon: AxonIn, synapse: SynapseStage
    ) -> None:
        """The clock in which the last stage was through."""
        m.d.comb += self.quiet.eq(stage.finished & out.quiet & axon.quiet & synapse.quiet)
        with m.If(self.start):
            m.d.sync += self.finished.eq(0)
        with m.Elif(~self.quiet):
            m.d.sync += self.finished.eq(self.now + 1)
