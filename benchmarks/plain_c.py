"""The exported C beside the functional engines on one core: steps per second, and sizes.

    python -m benchmarks.plain_c                    (also: make bench-c)

A 784-512-10 network with weights drawn at random and one input in twenty firing. Each engine runs
the same samples in this one process (the C program in its own), CPU seconds are compared; threads
are held to one by the Makefile's target or OMP_NUM_THREADS. Sizes are those of a digits network as
the demo trains it, where a bundle of it is given: python -m benchmarks.plain_c build/digits
"""

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from benchmarks.harness import Row, at_least, at_most, report, write
from tssd.calibration.int_network import (
    InputCoding,
    IntNetwork,
    Population,
    PopulationKind,
    Projection,
    ProjectionKind,
    Reset,
    constant,
    plain_population,
)
from tssd.calibration.integer import IntArray
from tssd.export.bundle.folder import read_bundle
from tssd.export.c.folder import write_c
from tssd.hw_targets.c.engine import compiler
from tssd.hw_targets.gpu import engine as gpu
from tssd.hw_targets.sim import functional, program

STEPS, SAMPLES, RATE = 16, 250, 0.05
SIZES = (784, 512, 10)


def network() -> IntNetwork:
    """784 inputs, 512 neurons, 10 integrators."""
    rng = np.random.default_rng(0)
    one, zero = constant(4096, (1,)), constant(0, (1,))
    hidden = Population(
        "fc1", (SIZES[1],), PopulationKind.LIF, Reset.HARD, one, constant(400, (1,)),
        constant(600, (1,)), zero,
    )  # fmt: skip
    last = Population(
        "readout", (SIZES[2],), PopulationKind.READOUT, Reset.NONE, one, zero, zero, zero
    )
    first = plain_population("input", (SIZES[0],), PopulationKind.INPUT)
    maps = [
        Projection(a, b, ProjectionKind.DENSE, rng.integers(-127, 128, (m, n)))
        for a, b, n, m in (("input", "fc1", *SIZES[:2]), ("fc1", "readout", *SIZES[1:]))
    ]
    return IntNetwork((first, hidden, last), tuple(maps), STEPS, InputCoding.SPIKES, 1)


def cpu_seconds(work: Callable[[], object]) -> float:
    """The least CPU seconds, own and of children, of three runs."""
    return min(_once(work) for _ in range(3))


def _once(work: Callable[[], object]) -> float:
    before = _spent()
    work()
    return _spent() - before


def _spent() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def speed_rows(folder: Path) -> list[Row]:
    """Steps per CPU second of each engine on the same samples."""
    net, rng = network(), np.random.default_rng(1)
    inputs = (rng.random((STEPS, SAMPLES, SIZES[0])) < RATE).astype(np.int64)
    ready = program.prepare(net)
    engines: dict[str, Callable[[], object]] = {
        "c": c_program(net, folder, inputs),
        "sim": lambda: functional.simulate(ready, inputs),
        "gpu (torch, one thread)": lambda: gpu.run(net, inputs),
    }
    torch.set_num_threads(1)
    for work in engines.values():
        work()
    steps = STEPS * SAMPLES
    speed = {name: steps / cpu_seconds(work) for name, work in engines.items()}
    how = f"784-512-10, {RATE:.0%} of inputs fire, {SAMPLES} samples x {STEPS} steps, CPU seconds"
    rows = [report(f"steps per second, {name}", s, "steps/s", how) for name, s in speed.items()]
    ratio = speed["c"] / speed["sim"]
    return [*rows, at_least("c over the simulator's functional engine", ratio, 4, "x", how)]


def c_program(net: IntNetwork, folder: Path, inputs: IntArray) -> Callable[[], object]:
    """The compiled program on *inputs*: it prints the class of each sample."""
    write_c(net, folder, "benchmark")
    command = [
        str(compiler()),
        "-std=c99",
        "-O3",
        "-march=native",
        "network.c",
        "main.c",
        "-o",
        "network",
    ]
    subprocess.run(command, cwd=folder, check=True)
    sent = np.ascontiguousarray(np.moveaxis(inputs, 1, 0), np.int32).tobytes()
    (folder / "samples.bin").write_bytes(sent)

    def work() -> object:
        with (folder / "samples.bin").open("rb") as file:
            done = subprocess.run(
                [str(folder / "network")], stdin=file, capture_output=True, check=True
            )
        return done.stdout

    return work


def size_rows(bundle: Path, folder: Path) -> list[Row]:
    """What the network of *bundle* takes on a small processor."""
    sizes = write_c(read_bundle(bundle).network, folder, bundle.name)
    command = [str(compiler()), "-std=c99", "-Os", "-c", "network.c", "-o", "network.o"]
    subprocess.run(command, cwd=folder, check=True)
    told = subprocess.run(
        ["size", "network.o"], cwd=folder, capture_output=True, text=True, check=True
    )
    text, data, bss = (int(x) for x in told.stdout.splitlines()[1].split()[:3])
    how = f"{bundle.name}: `size` of network.c at -Os on this machine"
    return [
        at_most("flash (code, constants)", (text + data) / 1024, 64, "kB", how),
        at_most("RAM (static arrays)", bss / 1024, 16, "kB", how),
        report("of these, constant tables", sizes.flash / 1024, "kB", "as the header says"),
    ]


def main(arguments: list[str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = speed_rows(folder)
        for bundle in map(Path, arguments):
            rows += size_rows(bundle, folder)
    write("plain_c", "python -m benchmarks.plain_c", rows)


if __name__ == "__main__":
    main(sys.argv[1:])
