"""The mesh: routers and cores in rows, the barrier between steps, and the host port.

Cores and routers are instances of two modules, so a mesh of any size holds each of them once.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from amaranth.hdl import Array, Cat, ClockSignal, Const, Instance, Module, Mux, ResetSignal, Signal
from amaranth.lib.wiring import Component, In, Out

from tssd.hw_targets.rtl.units.core import CLOCK_BITS
from tssd.hw_targets.rtl.units.host import EVERYTHING, HOST, MeshRegister
from tssd.hw_targets.rtl.units.router import EAST, NORTH, SOUTH, WEST
from tssd.hw_targets.rtl.units.widths import (
    AXON_BITS,
    MESSAGE,
    MESSAGE_BITS,
    STEP_BITS,
    WORD_BITS,
    X_BITS,
    Y_BITS,
    BuildSizes,
)

CORE, ROUTER, MESH = "tssd_core", "tssd_router", "tssd_mesh"  # names of the modules
AWAY = {EAST: (1, 0), WEST: (-1, 0), NORTH: (0, 1), SOUTH: (0, -1)}


@dataclass(frozen=True)
class MessageLink:
    """A directed link: a message, whether one is on it, and the credit that comes back."""

    message: Signal
    sent: Signal
    freed: Signal


def link(name: str) -> MessageLink:
    """An idle link."""
    return MessageLink(
        Signal(MESSAGE_BITS, name=f"{name}_message"),
        Signal(name=f"{name}_sent"),
        Signal(name=f"{name}_freed"),
    )


class MeshCircuit(Component):
    """``host_out`` follows ``host.read`` by three clocks. ``now`` counts the clocks of a step;
    ``arrived`` has a bit for each core whose axon-in queue takes a message at the end of this
    clock, and ``axon_<core>`` is its axon: for whoever watches, nothing in the mesh reads them."""

    def __init__(self, sizes: BuildSizes) -> None:
        self.sizes = sizes
        axons = {f"axon_{c}": Out(AXON_BITS) for c in range(sizes.cores)}
        super().__init__(
            {
                "host": In(HOST),
                "host_out": Out(WORD_BITS),
                "now": Out(CLOCK_BITS),
                "busy": Out(1),
                "arrived": Out(sizes.cores),
                **axons,
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # Registers at the door: no wire leads from a pin to a core, so the clock does not hang on
        # who drives the pins, and a simulator works through the mesh once a clock, not three times.
        self.heard, self.reset = Signal(HOST), Signal(init=1, reset_less=True)
        m.d.sync += [self.heard.eq(self.host), self.reset.eq(ResetSignal())]
        self.start, self.bank = Signal(), Signal()
        self.step, self.window = Signal(STEP_BITS), Signal(STEP_BITS)
        outs = [Signal(WORD_BITS, name=f"host_out_{c}") for c in range(self.sizes.cores)]
        quiet = [Signal(name=f"quiet_{i}") for i in range(self.sizes.cores + self.sizes.routers)]
        into = [link(f"into_{c}") for c in range(self.sizes.cores)]  # a router, from core c
        out_of = [link(f"out_of_{c}") for c in range(self.sizes.cores)]
        for c in range(self.sizes.cores):
            self._core(m, c, outs[c], quiet[c], into[c], out_of[c])
        between = {pair: link("link_{}_{}_{}".format(*pair)) for pair in self._pairs()}
        for r in range(self.sizes.routers):
            first = r * self.sizes.cores_per_router
            mine = slice(first, first + self.sizes.cores_per_router)
            self._router(m, r, quiet[self.sizes.cores + r], into[mine], out_of[mine], between)
        self._barrier(m, Cat(quiet).all(), Array(outs))
        return m

    def _pairs(self) -> Iterator[tuple[int, int, int]]:
        """(x, y, direction) of every link between two routers, by where it starts."""
        for r in range(self.sizes.routers):
            y, x = divmod(r, self.sizes.width)
            for direction, (dx, dy) in AWAY.items():
                if 0 <= x + dx < self.sizes.width and 0 <= y + dy < self.sizes.height:
                    yield x, y, direction

    def _core(
        self,
        m: Module,
        c: int,
        host_out: Signal,
        quiet: Signal,
        into: MessageLink,
        out_of: MessageLink,
    ) -> None:
        arrival = MESSAGE(out_of.message)
        m.d.comb += [self.arrived[c].eq(out_of.sent)]
        m.d.comb += getattr(self, f"axon_{c}").eq(arrival.to.axon)
        m.submodules[f"core_{c}"] = Instance(
            CORE,
            i_clk=ClockSignal(),
            i_rst=self.reset,
            i_start=self.start,
            i_bank=self.bank,
            i_now=self.now,
            i_step=self.step,
            i_window=self.window,
            i_host=self.heard,
            i_number=Const(c, HOST["core"].shape),
            o_host_out=host_out,
            o_send=into.sent,
            o_message=into.message,
            i_freed=into.freed,
            i_arrives=out_of.sent,
            i_arrival=Cat(arrival.to.axon, arrival.payload),
            o_take=out_of.freed,
            o_quiet=quiet,
        )

    def _router(
        self,
        m: Module,
        r: int,
        quiet: Signal,
        into: list[MessageLink],
        out_of: list[MessageLink],
        between: dict[tuple[int, int, int], MessageLink],
    ) -> None:
        y, x = divmod(r, self.sizes.width)
        nothing = MessageLink(Signal(MESSAGE_BITS), Signal(), Signal())
        ahead = [between.get((x, y, way), nothing) for way in AWAY]
        behind = [between.get((x - dx, y - dy, way), nothing) for way, (dx, dy) in AWAY.items()]
        ports = {"i_clk": ClockSignal(), "i_rst": self.reset, "i_start": self.start}
        ports |= {"i_x": Const(x, X_BITS), "i_y": Const(y, Y_BITS), "o_quiet": quiet}
        for p, (arriving, leaving) in enumerate(zip(into + behind, out_of + ahead, strict=True)):
            ports |= {f"i_arrives_{p}": arriving.sent, f"i_in_{p}": arriving.message}
            ports |= {f"i_freed_{p}": leaving.freed}
            if arriving is not nothing:
                ports[f"o_credit_{p}"] = arriving.freed
            if leaving is not nothing:
                ports |= {f"o_send_{p}": leaving.sent, f"o_out_{p}": leaving.message}
        m.submodules[f"router_{r}"] = Instance(ROUTER, **ports)

    def _barrier(self, m: Module, quiet: object, outs: Array) -> None:
        """Steps on the host's word: from the start to the last core's end, then the barrier."""
        todo, running, clocks = Signal(WORD_BITS), Signal(), Signal(CLOCK_BITS)
        closing = Signal(range(self.sizes.barrier + 1))
        registers = self.heard.core == EVERYTHING
        writes = registers & self.heard.write
        written = {place: writes & (self.heard.word == place) for place in MeshRegister}
        m.d.comb += [
            self.start.eq(~running & (closing <= 1) & (todo != 0)),
            self.busy.eq(running | (closing != 0) | (todo != 0) | written[MeshRegister.RUN]),
        ]
        m.d.sync += self.now.eq(self.now + 1)
        with m.If(closing != 0):
            m.d.sync += closing.eq(closing - 1)
        with m.If(self.start):
            m.d.sync += [
                self.now.eq(0),
                running.eq(1),
                todo.eq(todo - 1),
                self.step.eq(self.step + 1),
                self.bank.eq(~self.bank),
            ]
        with m.Elif(running & quiet):
            m.d.sync += [
                running.eq(0),
                closing.eq(self.sizes.barrier - 1),
                clocks.eq(self.now + self.sizes.barrier),
            ]
        for place, register in (
            (MeshRegister.RUN, todo),
            (MeshRegister.STEP, self.step),
            (MeshRegister.WINDOW, self.window),
        ):
            with m.If(written[place]):
                m.d.sync += register.eq(self.heard.data)
        own = Mux(self.heard.word == MeshRegister.BUSY, self.busy, clocks)
        m.d.comb += self.host_out.eq(Mux(registers, own, outs[self.heard.core]))
