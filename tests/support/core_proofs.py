"""The open core's queues, router and mesh for a SAT solver: every input sequence up to a bound.

Each proof is a circuit with free inputs, which a solver chooses in every clock, and an output
``fine`` that it tries to bring to 0. What surrounds a unit is built so that it keeps the unit's own
rules (who has no credit does not send) and nothing else. One message is marked, by the solver's
choice: that it leaves once, at the right place, in its turn and in time holds for every message.
"""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from amaranth.back import verilog
from amaranth.hdl import Cat, ClockSignal, Const, Instance, Module, Mux, Signal, Value
from amaranth.lib.wiring import Component, In, Out

from tssd.errors import TargetError
from tssd.hw_targets.rtl.units.core import CLOCK_BITS
from tssd.hw_targets.rtl.units.host import HOST
from tssd.hw_targets.rtl.units.mesh import CORE, ROUTER, MeshCircuit
from tssd.hw_targets.rtl.units.queue import Credits, Queue
from tssd.hw_targets.rtl.units.router import Router
from tssd.hw_targets.rtl.units.widths import ARRIVAL, MESSAGE, STEP_BITS, WORD_BITS, BuildSizes

SMALL = BuildSizes(
    width=2, height=2, cores_per_router=1, neurons=2, fan_out=2, axons=2, synapses=2,
    link_slots=1, axon_in_slots=1, spike_out_slots=1, synapse_slots=1, barrier=8,
)  # fmt: skip
MARK = 8  # the bit of an axon that says which message is followed
INSTALL = "apt-get install yosys"  # it brings yosys-abc
# what no register holds and no wire drives is the solver's choice, in every clock anew
TO_GATES = (
    "hierarchy -top outer; proc; flatten; opt_clean; memory -nordff; opt -fast; "
    "techmap; opt; dffunmap; async2sync; simplemap; opt_clean -purge; "
    "setundef -anyseq; setundef -undriven -anyseq; aigmap; opt_clean -purge; "
    "write_aiger -zinit gates.aig"
)


@dataclass(frozen=True)
class Verdict:
    """``holds``: no input sequence of ``clocks`` clocks makes ``fine`` 0, or, with None for
    ``clocks``, none of any length. ``broken_at``: the clock in which the shortest one does."""

    holds: bool
    clocks: int | None
    broken_at: int | None = None


class Outer(Component):
    """A proof without a reset that the solver could pull: only the start is one."""

    def __init__(self, proof: Component) -> None:
        inputs = {n: In(m.shape) for n, m in proof.signature.members.items() if n != "fine"}
        super().__init__({**inputs, "wrong": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m, fine = Module(), Signal()
        names = [name for name in self.signature.members if name != "wrong"]
        inputs = {f"i_{name}": getattr(self, name) for name in names}
        m.submodules.proof = Instance(
            "proof", i_clk=ClockSignal(), i_rst=Const(0, 1), o_fine=fine, **inputs
        )
        m.d.comb += self.wrong.eq(~fine)
        return m


def proved(
    top: Component, clocks: int | None, parts: dict[str, Component] | None = None
) -> Verdict:
    """What ABC finds of *top*, in *clocks* clocks or in any number; *parts* are modules that it
    names and does not hold."""
    named = {**(parts or {}), "proof": top, "outer": Outer(top)}
    with tempfile.TemporaryDirectory(prefix="tssd-proof-") as name:
        folder = Path(name)
        for module, part in named.items():
            (folder / f"{module}.v").write_text(verilog.convert(part, name=module))
        files = " ".join(f"{module}.v" for module in named)
        _told(folder, tool("yosys"), "-q", "-p", f"read_verilog {files}; {TO_GATES}")
        search = "scorr; dc2; " + ("pdr" if clocks is None else f"bmc3 -F {clocks}")
        told = _told(folder, tool("yosys-abc"), "-c", f"read gates.aig; {search}; print_status")
    return _verdict(told, clocks)


def _verdict(told: str, clocks: int | None) -> Verdict:
    broken = re.search(r"was asserted in frame (\d+)", told)
    if broken is not None:
        return Verdict(False, clocks, int(broken[1]))
    if "Property proved" in told or (clocks is not None and "No output asserted" in told):
        return Verdict(True, clocks)
    raise TargetError("yosys-abc", found=told[-500:])


def tool(name: str) -> str:
    """The program *name*; TargetError with what installs it."""
    found = shutil.which(name)
    if found is None:
        raise TargetError(name, found="not installed", hint=INSTALL)
    return found


def _told(folder: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise TargetError(command[0], found=(done.stdout + done.stderr)[-500:])
    return done.stdout


class QueueProof(Component):
    """Nothing is lost, doubled or overtaken; the level is the number of entries."""

    def __init__(self, queue: Queue) -> None:
        self.queue = queue
        super().__init__({"asks": In(1), "pops": In(1), "mark": In(1), "fine": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m, depth = Module(), self.queue.depth
        m.submodules.queue = queue = self.queue
        held, ahead = Signal(range(depth + 1)), Signal(range(depth + 1))
        inside, seen, marked = Signal(), Signal(), Signal()
        m.d.comb += [
            queue.push.eq(self.asks & (held != depth)),
            queue.pop.eq(self.pops & (held != 0)),
            marked.eq(self.mark & queue.push & ~seen),
            queue.entry.eq(marked),
            self.fine.eq(
                (queue.level == held) & ((held == 0) | (queue.first == (inside & (ahead == 0))))
            ),
        ]
        m.d.sync += [held.eq(held + queue.push - queue.pop), seen.eq(seen | marked)]
        with m.If(marked):
            m.d.sync += [inside.eq(1), ahead.eq(held - queue.pop)]
        with m.Elif(inside & queue.pop):
            m.d.sync += [inside.eq(ahead != 0), ahead.eq(ahead - 1)]
        return m


class CreditProof(Component):
    """A sender with credits and the queue they stand for: there is room exactly where a place is
    neither taken nor on its way back, so that credits are never below zero nor above the depth."""

    def __init__(self, credits: Credits, queue: Queue) -> None:
        self.credits, self.queue = credits, queue
        super().__init__({"asks": In(1), "pops": In(1), "fine": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m, depth = Module(), self.queue.depth
        m.submodules.queue, m.submodules.credits = queue, credits = self.queue, self.credits
        held, back = Signal(range(2 * depth + 2)), Signal()
        m.d.comb += [
            queue.push.eq(self.asks & credits.room),
            queue.pop.eq(self.pops & (held != 0)),
            credits.sent.eq(queue.push),
            credits.freed.eq(back),
            self.fine.eq(
                (held <= depth) & (queue.level == held) & (credits.room == (held + back != depth))
            ),
        ]
        m.d.sync += [held.eq(held + queue.push - queue.pop), back.eq(queue.pop)]
        return m


def receiver(
    m: Module, name: str, arrives: Value, asks: Value, slots: int, wait: int
) -> tuple[Value, Value]:
    """Who takes messages from a buffer of *slots* when the solver says, at the latest *wait*
    clocks after it could: (takes, whether more lie there than it holds)."""
    held, waited = Signal(range(slots + 2), name=f"{name}_held"), Signal(2, name=f"{name}_waited")
    takes, over = Signal(name=f"{name}_takes"), Signal(name=f"{name}_over")
    m.d.comb += takes.eq((held != 0) & (asks | (waited >= wait)))
    m.d.sync += waited.eq(Mux((held != 0) & ~takes, waited + 1, 0))
    m.d.sync += [held.eq(held + arrives - takes), over.eq(over | (held + arrives - takes > slots))]
    return takes, over


class RouterProof(Component):
    """One router between senders that keep to their credits and receivers that take in the end:
    no buffer overflows; the marked message leaves once, by the right port, within ``most`` clocks;
    while it is in it the router is not quiet."""

    def __init__(self, router: Router, most: int) -> None:
        self.router, self.most, ports = router, most, router.sizes.ports
        free = {"asks": In(ports), "takes": In(ports), "mark": In(ports)}
        ways = {f"{axis}_{p}": In(2) for p in range(ports) for axis in "xy"}
        super().__init__({**free, **ways, "fine": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m, router, sizes = Module(), self.router, self.router.sizes
        m.submodules.router = router
        m.d.comb += [router.x.eq(1), router.y.eq(1)]
        seen, inside, way = Signal(), Signal(), Signal(range(sizes.ports))
        enters = [self._sender(m, p, seen) for p in range(sizes.ports)]
        leaves, overs = [], []
        for o in range(sizes.ports):
            send, out = getattr(router, f"send_{o}"), getattr(router, f"out_{o}")
            slots = sizes.axon_in_slots if o < sizes.cores_per_router else sizes.link_slots
            takes, over = receiver(m, f"ahead_{o}", send, self.takes[o], slots, 1)
            m.d.comb += getattr(router, f"freed_{o}").eq(takes)
            leaves.append(send & out.to.axon[MARK])
            overs.append(over)
        for p, entered in enumerate(enters):
            with m.If(entered):
                m.d.sync += way.eq(self._way(p))
        age = Signal(range(self.most + 2))
        enter, leave = Cat(enters).any(), Cat(leaves)
        m.d.sync += [
            seen.eq(seen | enter),
            inside.eq((inside | enter) & ~leave.any()),
            age.eq(Mux(inside & ~leave.any(), age + 1, 0)),
        ]
        right = (leave == 0) | (inside & (leave == (1 << way)[: sizes.ports]))
        m.d.comb += self.fine.eq(
            right & ~Cat(overs).any() & (age <= self.most) & ~(inside & router.quiet)
        )
        return m

    def _sender(self, m: Module, p: int, seen: Signal) -> Value:
        """What comes in at port *p*, if it has credit: whether it is the marked message."""
        router = self.router
        m.submodules[f"sender_{p}"] = credits = Credits(router.sizes.link_slots)
        arrives, message = getattr(router, f"arrives_{p}"), getattr(router, f"in_{p}")
        first = Cat(self.mark[:p] & self.asks[:p]) == 0  # one mark at a time
        marked = Signal(name=f"marked_{p}")
        m.d.comb += [
            arrives.eq(self.asks[p] & credits.room),
            marked.eq(arrives & self.mark[p] & first & ~seen),
            credits.sent.eq(arrives),
            credits.freed.eq(getattr(router, f"credit_{p}")),
            message.to.x.eq(getattr(self, f"x_{p}")),
            message.to.y.eq(getattr(self, f"y_{p}")),
            message.to.axon.eq(marked << MARK),
        ]
        return marked

    def _way(self, p: int) -> Value:
        """The port by which what came in at *p* must leave a router at (1, 1): x before y."""
        x, y, cores = getattr(self, f"x_{p}"), getattr(self, f"y_{p}"), 1
        on_y = Mux(y > 1, cores + 2, Mux(y < 1, cores + 3, 0))
        return Mux(x > 1, cores, Mux(x < 1, cores + 1, on_y))


class Stub(Component):
    """In a core's place: sends where the solver says, if it has credit, and takes what comes. What
    the solver says stands on the host's wires. The core that the host addresses marks a message,
    once; it shows whether it has, and whether its buffer held."""

    def __init__(self, sizes: BuildSizes) -> None:
        self.sizes = sizes
        ports = {"start": In(1), "bank": In(1), "now": In(CLOCK_BITS), "step": In(STEP_BITS)}
        ports |= {"window": In(STEP_BITS), "host": In(HOST), "number": In(HOST["core"].shape)}
        ports |= {"host_out": Out(WORD_BITS), "send": Out(1), "message": Out(MESSAGE)}
        ports |= {"freed": In(1), "arrives": In(1), "arrival": In(ARRIVAL), "take": Out(1)}
        super().__init__({**ports, "quiet": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.credits = credits = Credits(self.sizes.link_slots)
        asks, takes, x, y = (self.host.data.word_select(self.number, 4)[i] for i in range(4))
        seen, marked = Signal(), Signal()
        taken, over = receiver(m, "inbox", self.arrives, takes, self.sizes.axon_in_slots, 0)
        m.d.comb += [
            self.send.eq(asks & credits.room),
            credits.sent.eq(self.send),
            credits.freed.eq(self.freed),
            marked.eq(self.send & self.host.word[0] & (self.host.core == self.number) & ~seen),
            self.message.to.x.eq(x),
            self.message.to.y.eq(y),
            self.message.to.axon.eq(Cat(x, y) | (marked << MARK)),
            self.take.eq(taken),
            self.host_out.eq(Cat(seen, over)),
        ]
        m.d.sync += seen.eq(seen | marked)
        return m


class MeshProof(Component):
    """Routers and links of a 2 x 2 mesh with ``Stub`` cores: whatever they send, each message
    arrives where it is addressed; the marked one, of core ``sender``, once and within ``most``
    clocks: neither lost nor in a deadlock."""

    def __init__(self, mesh: MeshCircuit, sender: int, most: int) -> None:
        self.mesh, self.sender, self.most = mesh, sender, most
        super().__init__({"says": In(WORD_BITS), "mark": In(1), "fine": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m, mesh = Module(), self.mesh
        m.submodules.mesh = mesh
        m.d.comb += [
            mesh.host.core.eq(self.sender),
            mesh.host.data.eq(self.says),
            mesh.host.word.eq(self.mark),
        ]
        seen, over = mesh.host_out[0], mesh.host_out[1]
        marks, astray = [], []
        for c in range(mesh.sizes.cores):
            axon = getattr(mesh, f"axon_{c}")
            marks.append(mesh.arrived[c] & axon[MARK])
            astray.append(mesh.arrived[c] & (axon[:2] != c))
        arrived, done, age = Cat(marks).any(), Signal(), Signal(range(self.most + 2))
        m.d.sync += [
            done.eq(done | arrived),
            age.eq(Mux(seen & ~done & ~arrived, age + 1, 0)),
        ]
        m.d.comb += self.fine.eq(
            ~Cat(astray).any() & ~over & (age <= self.most) & ~(arrived & done) & ~(arrived & ~seen)
        )
        return m


def mesh_proof(sender: int, most: int, slots: int = 1) -> tuple[MeshProof, dict[str, Component]]:
    """The proof of a 2 x 2 mesh with buffers of *slots*; the modules of its cores and routers."""
    sizes = replace(SMALL, link_slots=slots, axon_in_slots=slots)
    return MeshProof(MeshCircuit(sizes), sender, most), {CORE: Stub(sizes), ROUTER: Router(sizes)}


@dataclass(frozen=True)
class Case:
    """One proof: what it is called, what it demands, for how many clocks (None: any number), and
    how to build it."""

    name: str
    demands: str
    clocks: int | None
    build: Callable[[], tuple[Component, dict[str, Component]]]


def _queue(depth: int) -> tuple[Component, dict[str, Component]]:
    return QueueProof(Queue(1, depth)), {}


def _credits(depth: int) -> tuple[Component, dict[str, Component]]:
    return CreditProof(Credits(depth), Queue(1, depth)), {}


ORDERED = "nothing lost, doubled or overtaken; the level is right"
COUNTED = "credits never below zero or above the depth; the queue never overflows"
ONCE = "the marked message leaves once, by the right port, within {} clocks; no overflow"
ARRIVES = "each message arrives at its core, the marked one once and within {} clocks"
ROUTER_CLOCKS, MESH_CLOCKS = 20, 30  # from its entry; all that lies ahead of it takes turns
PROOFS = (
    *(Case(f"queue of {d}", ORDERED, None, partial(_queue, d)) for d in (1, 2, 3, 4)),
    *(Case(f"credits of {d}", COUNTED, None, partial(_credits, d)) for d in (1, 2, 3, 4)),
    Case(
        "router, buffers of 1",
        ONCE.format(ROUTER_CLOCKS),
        40,
        lambda: (RouterProof(Router(SMALL), ROUTER_CLOCKS), {}),
    ),
    *(
        Case(
            f"2 x 2 mesh, buffers of 1, a message of core {c}",
            ARRIVES.format(MESH_CLOCKS),
            48,
            partial(mesh_proof, c, MESH_CLOCKS),
        )
        for c in (0, 3)
    ),
)


class FaultyQueue(Queue):
    """A queue that loses what is pushed as another is popped, or keeps what is popped when full."""

    def __init__(self, depth: int, keeps: bool) -> None:
        self.keeps = keeps
        super().__init__(1, depth)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.inner = inner = Queue(1, self.depth)
        stays, lost = self.keeps & (inner.level == self.depth), ~Const(self.keeps, 1) & self.pop
        m.d.comb += [
            inner.push.eq(self.push & ~lost),
            inner.entry.eq(self.entry),
            inner.pop.eq(self.pop & ~stays),
            self.first.eq(inner.first),
            self.level.eq(inner.level),
        ]
        return m


class FaultyRouter(Router):
    """Turns along y before it is in its column."""

    def _ways(self, to: Value) -> Iterator[Value]:
        *cores, east, west, north, south = super()._ways(to)
        yield from cores
        yield from (east & (to.y == self.y), west & (to.y == self.y), to.y > self.y, to.y < self.y)


# what must be found: name -> the proof of a circuit that is broken
BROKEN: dict[str, Callable[[], Component]] = {
    "a queue that loses what comes as another leaves": lambda: QueueProof(FaultyQueue(2, False)),
    "a full queue that gives an entry twice": lambda: QueueProof(FaultyQueue(2, True)),
    "a credit too many": lambda: CreditProof(Credits(3), Queue(1, 2)),
    "a router that turns too early": lambda: RouterProof(FaultyRouter(SMALL), ROUTER_CLOCKS),
    "a router that must be quicker than it is": lambda: RouterProof(Router(SMALL), 2),
}
