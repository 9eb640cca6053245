"""The open core as Verilog: one text for each module of a build."""

import re

from amaranth.back import verilog

from tssd.hw_targets.rtl.units.core import Core
from tssd.hw_targets.rtl.units.mesh import CORE, MESH, ROUTER, MeshCircuit
from tssd.hw_targets.rtl.units.router import Router
from tssd.hw_targets.rtl.units.widths import BuildSizes

# A memory's contents at power-up, which nothing relies on: the host loads what is read, and two
# empty steps clear the sums. Left in, they are most of the text.
FIRST_CONTENTS = re.compile(r"^\s*\\?[\w$.]+ ?\[\d+\] = \d+'[hdb][0-9a-fx]+;\n", re.MULTILINE)


def modules(sizes: BuildSizes) -> dict[str, str]:
    """Verilog by file name."""
    parts: dict[str, Core | Router | MeshCircuit] = {
        CORE: Core(sizes),
        ROUTER: Router(sizes),
        MESH: MeshCircuit(sizes),
    }
    return {f"{name}.v": text(name, part) for name, part in parts.items()}


def text(name: str, part: Core | Router | MeshCircuit) -> str:
    """One module with all that lies in it, under names of its own."""
    source = verilog.convert(part, name=name, emit_src=False)
    return FIRST_CONTENTS.sub("", source)
