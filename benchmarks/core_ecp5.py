"""One core, and a router, on a Lattice ECP5: cells, memory, multipliers, the fastest clock.

    python -m benchmarks.core_ecp5                 (also: make core-ecp5)

Yosys and nextpnr as they are found: the system's own, else those of YoWASP, which start slowly.
Each part is placed and routed out of context: its pins lead to other parts, not to a package.
"""

import json
import re
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from benchmarks.harness import Row, at_least, at_most, report, write
from tssd.errors import TargetError
from tssd.hw_targets.rtl.units.mesh import CORE, ROUTER
from tssd.hw_targets.rtl.units.widths import BuildSizes
from tssd.hw_targets.rtl.verilog import modules

# four such cores and their routers are the most that the memory blocks of an ECP5-85 hold
SIZES = BuildSizes(
    width=2, height=2, cores_per_router=1, neurons=256, fan_out=1024, axons=512, synapses=16384,
    link_slots=4, axon_in_slots=4, spike_out_slots=4, synapse_slots=4, barrier=8,
)  # fmt: skip
CELLS = {"LUT4": "LUT4", "CCU2C": "carry cells", "DP16KD": "memory blocks of 18 kbit",
         "MULT18X18D": "multipliers", "TRELLIS_FF": "flip-flops"}  # fmt: skip
LUT4_OF = {"CCU2C": 2, "TRELLIS_DPR16X4": 4}  # what other cells take of the same
# of an ECP5-85, as nextpnr counts them
HAS = {"LUT4, carry and small memories included": 83640, "memory blocks of 18 kbit": 208,
       "multipliers": 156}  # fmt: skip
GOAL_MHZ, MOST_LUT4 = 50, 5000
CLOCK = re.compile(r"Max frequency for clock.*?: ([\d.]+) MHz")


def main() -> None:
    """Synthesise, place, route; write the rows."""
    sources = modules(SIZES)
    with tempfile.TemporaryDirectory() as name:
        rows = [
            row
            for part in (CORE, ROUTER)
            for row in rows_of(part, sources[f"{part}.v"], Path(name))
        ]
    write("core_ecp5", "make core-ecp5", [*rows, *capacity(rows)])


def rows_of(part: str, source: str, folder: Path) -> Iterator[Row]:
    """The figures of one module."""
    (folder / f"{part}.v").write_text(source, encoding="utf-8")
    yosys, nextpnr = found("yosys"), found("nextpnr-ecp5")
    if yosys is None:
        raise TargetError("yosys", found="not installed", hint="make core-ecp5 installs it")
    script = f"read_verilog {part}.v; synth_ecp5 -top {part} -json {part}.json"
    told(folder, yosys, "-q", "-p", script)
    cells = counted(json.loads((folder / f"{part}.json").read_text(encoding="utf-8")), part)
    how = f"ECP5, {yosys}; {SIZES.neurons} neurons, {SIZES.synapses:,} synapses, queues of 4"
    whole = cells["LUT4"] + sum(number * cells[cell] for cell, number in LUT4_OF.items())
    if part == CORE:
        yield at_most(f"{part}: LUT4, carry and small memories included", whole, MOST_LUT4, "", how)
    else:
        yield report(f"{part}: LUT4, carry and small memories included", whole, "", how)
    for cell, title in CELLS.items():
        yield report(f"{part}: {title}", cells[cell], "", how)
    if nextpnr is None:
        yield report(f"{part}: fastest clock", None, "MHz", "no nextpnr-ecp5 was there")
        return
    routed = told(folder, nextpnr, "--85k", "--json", f"{part}.json", "--out-of-context",
                  "--freq", str(GOAL_MHZ), "--timing-allow-fail")  # fmt: skip
    fastest = float(CLOCK.findall(routed)[-1])
    yield at_least(f"{part}: fastest clock", fastest, GOAL_MHZ, "MHz", f"{nextpnr}, ECP5-85")


def capacity(rows: list[Row]) -> Iterator[Row]:
    """How many such cores, each with a router, one ECP5-85 has the cells for, and what they hold.

    By its cells alone: a mesh of them was not placed and routed.
    """
    value = {row.name: row.value for row in rows}
    cores = []
    for title, there in HAS.items():
        needed = sum(float(value[f"{part}: {title}"] or 0) for part in (CORE, ROUTER))
        cores.append(int(there // needed))
        yield report(f"ECP5-85: cores by {title.split(',')[0]}", cores[-1], "",
                     f"{there:,} there, {needed:,.0f} for a core and its router")  # fmt: skip
    fit, how = min(cores), "by its cells; no mesh was routed"
    yield report("ECP5-85: neurons", fit * SIZES.neurons, "", how)
    yield report("ECP5-85: synapses, shared rows counted once", fit * SIZES.synapses, "", how)


def found(name: str) -> str | None:
    """The program *name* as it is called here, if it is."""
    return next((x for x in (name, f"yowasp-{name}") if shutil.which(x)), None)


def told(folder: Path, *command: str) -> str:
    """What a program says; its end where it fails."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise TargetError(command[0], found=(done.stdout + done.stderr)[-2000:])
    return done.stdout + done.stderr


def counted(
    netlist: dict[str, dict[str, dict[str, dict[str, dict[str, str]]]]], part: str
) -> Counter[str]:
    """Cells of *part* by kind."""
    return Counter(cell["type"] for cell in netlist["modules"][part]["cells"].values())


if __name__ == "__main__":
    main()
