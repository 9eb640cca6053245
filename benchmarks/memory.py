"""Peak memory of verify's comparison and of a simulation, as the number of samples grows.

python -m benchmarks.memory [--kind KIND ...] [--samples 10000] [--bundle B --about TEXT]

Random weights in the shapes of a small convolutional network on 28 x 28 images, 4 steps of graded
input, on Loihi 2; with --bundle, ``tssd simulate`` of a bundle's own test set in cycle mode, too.
Every figure is the largest resident set of a process of its own. Rows of kinds that are not asked
for stay as they were found before.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "support"))

from networks import dense, lif  # noqa: E402

from benchmarks import harness  # noqa: E402
from tssd.calibration.encode import Inputs, encode  # noqa: E402
from tssd.calibration.int_network import (  # noqa: E402
    InputCoding,
    IntNetwork,
    PopulationKind,
    Projection,
    ProjectionKind,
    Reset,
    plain_population,
)

COMMAND = "python -m benchmarks.memory"
GOAL_GB = 1.5
KINDS = ("simulate, bound", "simulate, cycle", "verify")
OF_A_BUNDLE = "tssd simulate, cycle"


def network() -> IntNetwork:
    """1 x 28 x 28 -> 16 -> 32 / 2 -> 32 / 2 -> 10."""
    rng = np.random.default_rng(0)
    shapes = ((16, 28, 28), (32, 14, 14), (32, 7, 7))
    populations = [plain_population("input", (1, 28, 28), PopulationKind.INPUT)]
    projections = []
    for i, shape in enumerate(shapes):
        source = populations[-1]
        populations.append(lif(f"conv{i}", shape))
        kernel = rng.integers(-40, 50, (shape[0], source.shape[0], 3, 3))
        step = source.shape[1] // shape[1]
        stride = (step, step)
        projections.append(
            Projection(
                source.name, populations[-1].name, ProjectionKind.CONV2D, kernel,
                weight_exp=-6 if i == 0 else 0, stride=stride, padding=(1, 1),
            )
        )  # fmt: skip
    readout = lif("readout", (10,), Reset.NONE)
    projections.append(dense(populations[-1], readout, rng))
    return IntNetwork((*populations, readout), tuple(projections), 4, InputCoding.GRADED, 255)


def work(kind: str, samples: int) -> float:
    """Do it, and say the peak resident set in GB."""
    net = network()
    images = np.random.default_rng(1).integers(0, 256, (samples, 1, 28, 28), dtype=np.uint8)
    inputs = Inputs(samples, lambda first, last: encode(net, images[first:last]))
    match kind:
        case "verify":
            compare(net, inputs)
        case "simulate, bound":
            simulate_on_chip(net, inputs, "bound")
        case _:
            simulate_on_chip(net, inputs, "cycle")
    return in_gb(resource.getrusage(resource.RUSAGE_SELF))


def in_gb(used: resource.struct_rusage) -> float:
    return used.ru_maxrss * 1024 / 1e9


def simulate_on_chip(net: IntNetwork, inputs: Inputs, timing: Literal["cycle", "bound"]) -> None:
    from tssd.hw_targets.chip.chips import load_chip
    from tssd.hw_targets.mapping.placement import place
    from tssd.hw_targets.sim.engine import run

    chip = load_chip("loihi2")
    run(net, inputs, place(net, chip), chip, timing, every_core=False)


def compare(net: IntNetwork, inputs: Inputs) -> None:
    """The comparison of ``tssd verify --against gpu``."""
    from tssd.checks.evaluation import EngineUnderTest, compare_engines
    from tssd.hw_targets.gpu.engine import run as torch_run
    from tssd.hw_targets.sim import program
    from tssd.hw_targets.sim.functional import activity, simulate

    ready = program.prepare(net)
    engine = EngineUnderTest("gpu", partial(torch_run, states=True), ("spikes", "u", "v"))
    _, rows = compare_engines(
        net,
        inputs,
        (engine,),
        stand_in=lambda same, part: activity(same, simulate(ready, part, record=True)),
    )
    failed = [row for row in rows if row.status == "fail"]
    if failed:
        sys.exit(f"{failed[0].name}: {failed[0].found}")


def apart(kind: str, samples: int) -> float:
    """The same in a process of its own."""
    words = [sys.executable, "-m", "benchmarks.memory", "--here", kind, "--samples", str(samples)]
    return float(subprocess.run(words, cwd=ROOT, check=True, capture_output=True, text=True).stdout)


def of_bundle(bundle: Path, samples: int) -> float:
    """The peak of ``tssd simulate`` in GB."""
    words = ["-m", "tssd", "simulate", str(bundle), "--timing", "cycle", "--samples", str(samples)]
    child = subprocess.Popen([sys.executable, *words], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(f"tssd simulate {bundle}: exit code {child.returncode}")
    return in_gb(used)


def rows(kinds: Sequence[str], samples: int, bundle: Path | None, about: str) -> list[harness.Row]:
    """Each kind for a tenth of *samples*, and for all."""
    found: list[harness.Row] = []
    for count in (samples // 10, samples):
        found += [row(k, apart(k, count), count, f"{COMMAND} --kind '{k}'") for k in kinds]
        if bundle is not None:
            how = f"tssd simulate B --timing cycle --samples {count}; {about}"
            found.append(row(OF_A_BUNDLE, of_bundle(bundle, count), count, how))
    return found


def row(kind: str, peak: float, samples: int, how: str) -> harness.Row:
    name = f"memory: {kind}: peak of {samples:,} samples"
    return harness.at_most(name, round(peak, 3), GOAL_GB, "GB", how)


def main() -> None:
    parser = argparse.ArgumentParser(description="Peak memory as the samples grow.")
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--kind", choices=(*KINDS, "none"), action="append", help="default: all")
    parser.add_argument("--bundle", type=Path, help="simulate this bundle's test set, too")
    parser.add_argument("--about", default="", help="what the bundle is, in a few words")
    parser.add_argument("--here", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.here is not None:
        print(work(given.here, given.samples))
        return
    kinds = [kind for kind in given.kind or KINDS if kind != "none"]
    made = {row.name: row for row in rows(kinds, given.samples, given.bundle, given.about)}
    before = json.loads((harness.RESULTS / "memory.json").read_text(encoding="utf-8"))["rows"]
    kept = {old["name"]: harness.Row(**old) for old in before}
    harness.write("memory", "make bench-memory", [*(kept | made).values()])


if __name__ == "__main__":
    main()
