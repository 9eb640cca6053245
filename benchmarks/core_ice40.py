"""One small core on an iCE40 UltraPlus 5K: cells, memory, multipliers, the fastest clock.

    python -m benchmarks.core_ice40                 (also: make core-ice40)

The chip has fewer pins than a core has wires: a shift register drives the core's inputs, and a
register behind each output keeps the pins out of the paths that are timed. Both take cells of
their own, which are counted with the placed ones and not with the core's.
"""

import json
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from amaranth.back import verilog
from amaranth.hdl import Cat, ClockSignal, Instance, Module, ResetSignal, Shape, Signal
from amaranth.lib.wiring import Component, In, Out

from benchmarks.core_ecp5 import counted, found, told
from benchmarks.harness import Row, at_most, report, write
from tssd.errors import TargetError
from tssd.hw_targets.rtl.units.core import Core
from tssd.hw_targets.rtl.units.mesh import CORE
from tssd.hw_targets.rtl.units.widths import BuildSizes
from tssd.hw_targets.rtl.verilog import text

# as deep as a block of 4 kbit is at 16 bits, and all of the single-port memory for synapses
SIZES = BuildSizes(
    width=1, height=1, cores_per_router=1, neurons=256, fan_out=256, axons=256, synapses=32768,
    link_slots=2, axon_in_slots=2, spike_out_slots=2, synapse_slots=1, barrier=8,
)  # fmt: skip
# kind -> title, how many the chip has
THERE = {"LC": ("logic cells", 5280), "RAM": ("memory blocks of 4 kbit", 30),
         "DSP": ("multipliers", 8), "SPRAM": ("memories of 256 kbit", 4)}  # fmt: skip
CELLS = {"SB_LUT4": "LUT4", "SB_CARRY": "carry cells"}
USED = re.compile(r"ICESTORM_(\w+): +(\d+)/")
CLOCK = re.compile(r"Max frequency for clock.*?: ([\d.]+) MHz")
ASKED_MHZ = 12  # what the placer works towards: a usual oscillator beside this chip
TOP = "pins"


class Pins(Component):
    """A core between a shift register and registers whose parity is one pin."""

    def __init__(self, core: Core) -> None:
        self.core = core
        super().__init__({"drives": In(1), "parity": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m, wires, seen, chain = Module(), {}, [], self.drives
        for name, member in self.core.signature.members.items():
            bits = Shape.cast(member.shape).width
            inside = Signal(bits, name=name)
            if member.flow is In:
                m.d.sync += inside.eq(Cat(chain, inside))
                wires[f"i_{name}"], chain = inside, inside[-1]
            else:
                held = Signal(bits, name=f"{name}_held")
                m.d.sync += held.eq(inside)
                wires[f"o_{name}"] = inside
                seen.append(held)
        m.submodules.core = Instance(CORE, i_clk=ClockSignal(), i_rst=ResetSignal(), **wires)
        m.d.sync += self.parity.eq(Cat(seen).xor())
        return m


def main() -> None:
    """Synthesise, place, route; write the rows."""
    with tempfile.TemporaryDirectory() as name:
        write("core_ice40", "make core-ice40", list(rows(Path(name))))


def rows(folder: Path) -> Iterator[Row]:
    """The core alone by Yosys, then with its pins by nextpnr."""
    yosys, nextpnr = found("yosys"), found("nextpnr-ice40")
    for name, tool in (("yosys", yosys), ("nextpnr-ice40", nextpnr)):
        if tool is None:
            raise TargetError(name, found="not installed", hint="make core-ice40 installs it")
    assert yosys is not None
    assert nextpnr is not None
    core = Core(SIZES)
    (folder / "core.v").write_text(text(CORE, core), encoding="utf-8")
    (folder / "pins.v").write_text(verilog.convert(Pins(core), name=TOP), encoding="utf-8")
    for top, files in ((CORE, "core.v"), (TOP, "core.v pins.v")):
        script = f"read_verilog {files}; synth_ice40 -spram -dsp -top {top} -json {top}.json"
        told(folder, yosys, "-q", "-p", script)
    cells = counted(json.loads((folder / f"{CORE}.json").read_text(encoding="utf-8")), CORE)
    how = f"UltraPlus 5K, {yosys}; {SIZES.neurons} neurons, {SIZES.synapses:,} synapses"
    for cell, title in CELLS.items():
        yield report(f"iCE40, {CORE}: {title}", cells[cell], "", how)
    placed = told(folder, nextpnr, "--up5k", "--package", "sg48", "--json", f"{TOP}.json",
                  "--freq", str(ASKED_MHZ), "--pcf-allow-unconstrained")  # fmt: skip
    used = {kind: int(number) for kind, number in USED.findall(placed)}
    for kind, (title, most) in THERE.items():
        yield at_most(f"iCE40, placed: {title}", used[kind], most, "", f"{nextpnr}, with pins")
    fastest = float(CLOCK.findall(placed)[-1])
    yield report("iCE40, placed: fastest clock", fastest, "MHz", f"{nextpnr}, with pins")


if __name__ == "__main__":
    main()
