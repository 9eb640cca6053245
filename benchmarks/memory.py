"""Peak memory of verify's comparison and of a simulation, as the number of samples grows.

python -m benchmarks.memory [--samples 10000] [--timing bound]

Random weights in the shapes of a small convolutional network on 28 x 28 images, 4 steps of graded
input, on Loihi 2. Every figure is the largest resident set of a process of its own.
"""

import argparse
import resource
import subprocess
import sys
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
Work = Literal["simulate", "verify"]


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


def work(kind: Work, samples: int, timing: Literal["cycle", "bound"]) -> float:
    """Do it, and say the peak resident set in GB."""
    net = network()
    images = np.random.default_rng(1).integers(0, 256, (samples, 1, 28, 28), dtype=np.uint8)
    inputs = Inputs(samples, lambda first, last: encode(net, images[first:last]))
    if kind == "simulate":
        from tssd.hw_targets.chip.chips import load_chip
        from tssd.hw_targets.mapping.placement import place
        from tssd.hw_targets.sim.engine import run

        chip = load_chip("loihi2")
        run(net, inputs, place(net, chip), chip, timing, every_core=False)
    else:
        compare(net, inputs)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


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


def apart(kind: Work, samples: int, timing: str) -> float:
    """The same in a process of its own."""
    words = [sys.executable, "-m", "benchmarks.memory", "--samples", str(samples)]
    words += ["--timing", timing, "--only", kind]
    told = subprocess.run(words, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return float(told)


def main() -> None:
    parser = argparse.ArgumentParser(description="Peak memory as the samples grow.")
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--timing", choices=["cycle", "bound"], default="bound")
    parser.add_argument("--only", choices=["simulate", "verify"])
    given = parser.parse_args()
    if given.only is not None:
        print(work(given.only, given.samples, given.timing))
        return
    rows = []
    kinds: tuple[Work, ...] = ("simulate", "verify")
    for kind in kinds:
        for samples in (given.samples // 10, given.samples):
            how = f"{COMMAND} --samples {given.samples} --timing {given.timing}"
            peak = apart(kind, samples, given.timing)
            rows.append(
                harness.at_most(f"{kind}: peak of {samples:,} samples", peak, GOAL_GB, "GB", how)
            )
    harness.write("memory", COMMAND, rows)


if __name__ == "__main__":
    main()
