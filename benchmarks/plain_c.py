"""The exported C beside the functional engines on one core, and what it takes by bits of a weight.

    python -m benchmarks.plain_c [RUN]                  (also: make bench-c RUNS=runs)

A 784-512-10 network with weights drawn at random and one input in twenty firing. Each engine runs
the same samples in this one process (the C program in its own), one after the other, five times;
CPU seconds are compared; threads are held to one by the Makefile's target or OMP_NUM_THREADS. RUN
is a digits network as the demo trains it: it is exported at several widths and roundings, and its
program's flash, RAM, instructions and accuracy on the whole test set are measured.
"""

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch

from benchmarks.c_page import BETWEEN
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
from tssd.calibration.quantizing.scales import Options, Rounding
from tssd.chain.pipeline import ExportOptions, export_run
from tssd.chain.samples import bundle_samples
from tssd.checks.evaluation import accuracy
from tssd.errors import TargetError
from tssd.export.bundle.folder import Bundle, read_bundle
from tssd.export.c.folder import write_c
from tssd.hw_targets.c.engine import compiler
from tssd.hw_targets.c.measure import footprint
from tssd.hw_targets.gpu import engine as gpu
from tssd.hw_targets.sim import functional, program

STEPS, SAMPLES, RATE, TURNS = 16, 250, 0.05, 5
BITS, WHOLE, COUNTED = (8, 7, 6, 5, 4, 3), 10**6, 16  # widths; samples: all, under valgrind
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


def cpu_seconds(engines: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """The least CPU seconds of each, own and of children, of five runs in turn."""
    runs = [{name: _once(work) for name, work in engines.items()} for _ in range(TURNS)]
    return {name: min(run[name] for run in runs) for name in engines}


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
    speed = {name: STEPS * SAMPLES / s for name, s in cpu_seconds(engines).items()}
    how = f"784-512-10, {RATE:.0%} of inputs fire, {SAMPLES} samples x {STEPS} steps, CPU seconds"
    rows = [report(f"steps per second, {name}", s, "steps/s", how) for name, s in speed.items()]
    over = {name: speed["c"] / s for name, s in speed.items() if name != "c"}
    rows.append(at_least("c over the simulator's functional engine", over.pop("sim"), 4, "x", how))
    return [*rows, *(report(f"c over {name}", ratio, "x", how) for name, ratio in over.items())]


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


def width_rows(run: Path, folder: Path) -> list[Row]:
    """What the network of *run* takes at each width and rounding, and what it still gets right."""
    rows = []
    for bits in BITS:
        for rounding in Rounding:
            out = folder / f"{bits}-{rounding}"
            quantize = Options(rounding=rounding)
            options = ExportOptions(weight_bits=bits, tolerance_points=100, quantize=quantize)
            bundle = export_run(run, out, options)
            rows += _of_bundle(bundle, f"digits, {bits} bits, {rounding}{BETWEEN}", folder)
    return [*rows, _entropy(read_bundle(folder / f"{BITS[0]}-{Rounding.NEAREST}").network)]


def _of_bundle(bundle: Bundle, name: str, folder: Path) -> list[Row]:
    samples = bundle_samples(bundle, WHOLE, None)
    inputs, network = samples.inputs.whole(), bundle.network
    tally = functional.tally_of(network, functional.simulate(program.prepare(network), inputs))
    right = accuracy(tally, samples.labels)
    found = footprint(network, inputs[:, :COUNTED])
    tables = write_c(network, folder, "network").flash
    if found.flash_bytes is None or found.ram_bytes is None or right is None:
        raise TargetError("benchmark", found=f"not measured: {', '.join(found.missing)}")
    built, mean = found.built, f"valgrind, mean of {found.samples} samples"
    return [
        at_most(f"{name}flash", found.flash_bytes / 1024, 64, "KiB", f"code, constants; {built}"),
        at_most(
            f"{name}RAM", found.ram_bytes / 1024, 16, "KiB", "static arrays, without the stack"
        ),
        report(f"{name}constant tables", tables / 1024, "KiB", "as the header says"),
        report(f"{name}accuracy", 100 * right, "%", samples.shown),
        report(f"{name}instructions", found.instructions, "an inference", mean),
    ]


def _entropy(network: IntNetwork) -> Row:
    """What a prefix code of single weights could reach at best, each weight as often as it is used:
    n times - sum p log2 p bits of each projection."""
    bits = 0.0
    for projection in network.projections:
        counts = np.unique(projection.weight, return_counts=True)[1]
        bits -= float((counts * np.log2(counts / projection.weight.size)).sum())
    how = f"{BITS[0]} bits, nearest; without code and parameters, no row left out"
    return report("digits: all weights at their entropy", bits / 8 / 1024, "KiB", how)


def main(arguments: list[str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = speed_rows(folder)
        for run in map(Path, arguments):
            rows += width_rows(run, folder)
    write("plain_c", "make bench-c RUNS=runs", rows)


if __name__ == "__main__":
    main(sys.argv[1:])
