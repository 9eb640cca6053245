"""What a network takes as a C program: flash and RAM by ``size``, instructions by valgrind."""

import platform
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from tssd.calibration.int_network import IntNetwork
from tssd.calibration.integer import IntArray
from tssd.errors import TargetError
from tssd.export.c.folder import write_c
from tssd.hw_targets.c.engine import STANDARD, required_compiler
from tssd.hw_targets.c.footprint import Footprint

FOR_SIZE = (STANDARD, "-Os")
VALGRIND, BINUTILS = "apt-get install valgrind", "apt-get install binutils"
COUNTED = re.compile(r"^(?:summary|totals): (\d+)", re.M)  # callgrind's file


def footprint(network: IntNetwork, inputs: IntArray) -> Footprint:
    """What *network* takes, its instructions those of ``inputs`` (T, B, *input shape). TargetError
    without a compiler; what another program is missing for is None, and said."""
    cc = required_compiler()
    with tempfile.TemporaryDirectory(prefix="tssd-c-") as name:
        folder = Path(name)
        write_c(network, folder, "network")
        _told([cc, *FOR_SIZE, "-c", "network.c"], folder)
        _told([cc, *FOR_SIZE, "network.o", "main.c", "-o", "network"], folder)
        sizes, instructions = _sizes(folder), _instructions(folder, inputs)
    missing = [] if sizes else [f"flash and RAM: {BINUTILS}"]
    missing += [] if instructions is not None else [f"instructions: {VALGRIND}"]
    flash, ram = sizes or (None, None)
    samples = 0 if instructions is None else inputs.shape[1]
    return Footprint(_built(cc), flash, ram, instructions, samples, tuple(missing))


def _built(cc: str) -> str:
    version = _told([cc, "--version"]).partition("\n")[0]
    return f"{version}, {' '.join(FOR_SIZE)}, {platform.machine()}"


def _sizes(folder: Path) -> tuple[int, int] | None:
    """Flash and RAM of network.o, where there is a ``size`` that tells them as GNU's does."""
    tool = shutil.which("size")
    told = "" if tool is None else _told([tool, "network.o"], folder)
    if told.split()[:3] != ["text", "data", "bss"]:
        return None
    text, data, bss = (int(x) for x in told.splitlines()[1].split()[:3])
    return text + data, data + bss


def _instructions(folder: Path, inputs: IntArray) -> float | None:
    """Instructions of ``tssd_run`` per sample; None without valgrind."""
    tool = shutil.which("valgrind")
    if tool is None:
        return None
    out = folder / "callgrind.out"
    watched = ("--tool=callgrind", "--toggle-collect=tssd_run", f"--callgrind-out-file={out}")
    sent = np.ascontiguousarray(np.moveaxis(inputs, 1, 0), np.int32).tobytes()
    _told([tool, *watched, "./network"], folder, sent)
    counted = COUNTED.findall(out.read_text(encoding="utf-8", errors="replace"))
    return float(counted[-1]) / len(inputs[0])


def _told(command: list[str], folder: Path | None = None, sent: bytes = b"") -> str:
    """What *command* writes; TargetError where it fails."""
    done = subprocess.run(command, cwd=folder, input=sent, capture_output=True, check=False)
    if done.returncode:
        told = done.stderr.decode(errors="replace").strip()[:500]
        raise TargetError("engine c", found=f"{command[0]} ended with {done.returncode}: {told}")
    return done.stdout.decode(errors="replace")
