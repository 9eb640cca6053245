"""A build: the mesh of given sizes, through Verilator, as a program that is kept.

A program is made once for its sizes and for the sources that it is made of; networks are loaded
into it as it runs.
"""

import hashlib
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from tssd.atomic import written_whole
from tssd.compiling import key_of
from tssd.errors import TargetError
from tssd.hw_targets.engine import Presence, version
from tssd.hw_targets.lava.environment import cache_root
from tssd.hw_targets.rtl.units.mesh import MESH
from tssd.hw_targets.rtl.units.widths import BuildSizes
from tssd.hw_targets.rtl.verilog import modules

INSTALL = "apt-get install verilator g++ make"  # or the system's own way to them
TOOLS = ("verilator", "make", "g++")
HERE = Path(__file__).parent
HARNESS = HERE / "harness.cpp"
# The modules stay apart: each is compiled once, however many the mesh has of it.
VERILATE = [
    *("--cc", "--exe", "-O3", "-fno-inline", "--x-assign", "fast", "--x-initial", "fast"),
    *("--noassert", "-Wno-fatal", "-Wno-lint", "--top-module", MESH, "--Mdir", "made"),
]
MAKE = ["make", "-C", "made", "-f", f"V{MESH}.mk", "OPT_FAST=-O2", "OPT_SLOW=-O0"]


def presence() -> Presence:
    """Whether Verilator and what compiles its output are here."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        return Presence("missing", f"no {', '.join(missing)}", INSTALL)
    return Presence("ready", _verilator())


def program(sizes: BuildSizes) -> Path:
    """The program of a build, made where it is not kept. TargetError where it cannot be made."""
    found = presence()
    if found.state == "missing":
        raise TargetError("engine rtl", found=found.detail, hint=found.fix)
    kept = cache_root() / "rtl" / f"mesh-{_key(sizes)}"
    if not kept.is_file():
        kept.parent.mkdir(parents=True, exist_ok=True)
        _make(sizes, kept)
    return kept


@cache
def _verilator() -> str:
    told = subprocess.run(["verilator", "--version"], capture_output=True, text=True, check=False)
    return " ".join(told.stdout.split()[:2]) or "Verilator"


def _key(sizes: BuildSizes) -> str:
    """A hash of all that a program is made of."""
    made_by = [(HERE / "verilog.py").read_text(), HARNESS.read_text(), ports(sizes)]
    parts = [repr(sizes), key_of(HERE / "units"), *made_by]
    parts += [_verilator(), str(version("amaranth")), repr(VERILATE), repr(MAKE)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _make(sizes: BuildSizes, kept: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="tssd-rtl-") as name:
        folder = Path(name)
        sources = modules(sizes)
        for file, text in {**sources, "ports.h": ports(sizes)}.items():
            (folder / file).write_text(text)
        shutil.copy(HARNESS, folder)
        _run(
            ["verilator", *VERILATE, "-CFLAGS", "-I..", *sources, HARNESS.name, "-o", MESH], folder
        )
        _run(MAKE, folder)
        with written_whole(kept) as part:
            shutil.copy(folder / "made" / MESH, part)


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        told = (done.stderr or done.stdout).strip()[-500:]
        raise TargetError("engine rtl", found=f"{command[0]} does not take the mesh: {told}")


def ports(sizes: BuildSizes) -> str:
    """What the harness must know of a mesh: where each core's arrivals show."""
    wide = sizes.cores > 64  # Verilator has more bits than a word of C++ as an array
    lines = []
    for core in range(sizes.cores):
        word, bit = (f"[{core // 32}]", core % 32) if wide else ("", core)
        seen = f"{{{core}u, mesh.axon_{core}, mesh.now + 1}}"
        lines.append(f"    if (mesh.arrived{word} >> {bit} & 1) seen.insert(seen.end(), {seen});")
    body = "\n".join(lines)
    return (
        "#include <vector>\n"
        "// core, axon and clock of what the cores take in this cycle\n"
        f"static inline void watch(V{MESH}& mesh, std::vector<uint32_t>& seen) {{\n{body}\n}}\n"
    )
