"""Run an integer network as its exported C program, compiled with the machine's own compiler."""

import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tssd.calibration.int_network import SPIKES, Activity, IntNetwork, Runner, activity, state_names
from tssd.calibration.integer import IntArray
from tssd.calibration.simulate import check_inputs
from tssd.errors import TargetError
from tssd.export.c.folder import write_c
from tssd.hw_targets.engine import Presence, Setting, prepared

COMPILERS = ("cc", "gcc", "clang")
STANDARD = "-std=c99"
STRICT = ("-Wall", "-Wextra", "-Werror")  # of the tests: a later compiler may warn of more
SANITIZED = (*STRICT, "-O1", "-fsanitize=undefined,address", "-fno-sanitize-recover=all")
INSTALL = "apt-get install gcc"  # or the system's own way to a C compiler


@dataclass(frozen=True, eq=False)
class Compiled:
    """A network, and the program made of it."""

    network: IntNetwork
    program: bytes


def compiler() -> str | None:
    """The machine's C compiler, if there is one."""
    return next((found for name in COMPILERS if (found := shutil.which(name))), None)


def required_compiler() -> str:
    """The machine's C compiler. TargetError without one."""
    found = compiler()
    if found is None:
        raise TargetError("engine c", found="no C compiler", hint=INSTALL)
    return found


def presence() -> Presence:
    """Whether there is a compiler."""
    found = compiler()
    if found is None:
        return Presence("missing", f"no C compiler ({', '.join(COMPILERS)})", INSTALL)
    return Presence("ready", f"compiled by {found}")


def opened(setting: Setting) -> Runner:
    """The engine: compiles with the first batch."""
    return prepared(compile_network, run)


def compile_network(network: IntNetwork, flags: tuple[str, ...] = ("-O2",)) -> Compiled:
    """*network* as a program that writes its trace. TargetError without a compiler."""
    cc = required_compiler()
    with tempfile.TemporaryDirectory(prefix="tssd-c-") as name:
        folder = Path(name)
        write_c(network, folder, "network")
        command = [cc, STANDARD, *flags, "-DTSSD_TRACE", "network.c", "main.c", "-o", "network"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            told = done.stderr.strip()[:500]
            raise TargetError("engine c", found=f"{cc} does not take the network: {told}")
        return Compiled(network, (folder / "network").read_bytes())


def run(compiled: Compiled, inputs: IntArray) -> Activity:
    """Run ``inputs`` (T, B, *input shape)."""
    network = compiled.network
    check_inputs(network, inputs)
    steps, batch = inputs.shape[:2]
    sent = np.ascontiguousarray(np.moveaxis(inputs, 1, 0), np.int32).tobytes()
    with tempfile.TemporaryDirectory(prefix="tssd-c-") as name:
        program = Path(name) / "network"
        program.write_bytes(compiled.program)
        program.chmod(0o700)
        done = subprocess.run([str(program)], input=sent, capture_output=True, check=False)
    if done.returncode:
        told = done.stderr.decode(errors="replace").strip()[:500]
        raise TargetError("engine c", found=f"the program ended with {done.returncode}: {told}")
    neurons = sum(p.neurons for p in network.populations)
    kept = 1 + len(state_names(network))
    trace = np.frombuffer(done.stdout, np.int64).reshape(batch, steps, kept, neurons)
    return _activity(network, np.moveaxis(trace, 0, 2))  # steps, kept, batch, neurons


def _activity(network: IntNetwork, trace: IntArray) -> Activity:
    steps, _, batch, _ = trace.shape
    names = (SPIKES, *state_names(network))  # in the order of the trace
    kept: dict[str, dict[str, IntArray]] = {name: {} for name in names}
    first = 0
    for population in network.populations:
        mine = trace[..., first : first + population.neurons]
        first += population.neurons
        for name in (SPIKES, *population.states):
            array = mine[:, names.index(name)].reshape(steps, batch, *population.shape)
            kept[name][population.name] = array
    return activity(network, kept.pop(SPIKES), kept)
