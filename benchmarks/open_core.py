"""Random networks on random meshes: circuits against definition and timing kernel.

    python -m benchmarks.open_core                 (also: make campaign-rtl)

Goes on where it was stopped: what each build found is kept in ``build/open_core``, under the
circuits' own key, until all builds are through.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np

from benchmarks.harness import Row, at_least, at_most, report, write
from tssd.hw_targets.chip.chips import load_chip
from tssd.hw_targets.mapping.placement import place
from tssd.hw_targets.rtl.build import program
from tssd.hw_targets.rtl.image import image_of
from tssd.hw_targets.rtl.machine import MOST_CLOCKS, orders_of

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "support"))
KEPT = ROOT / "build" / "open_core"
BUILDS, EACH = 14, 72
LONG = 40  # samples of the run that is timed: loading is small beside it


def main() -> None:
    """Run all builds that are not through, then write the rows."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--builds", type=int, default=BUILDS)
    arguments.add_argument("--each", type=int, default=EACH)
    given = arguments.parse_args()
    found = [of_build(seed, given.each) for seed in range(given.builds)]
    write("open_core", "make campaign-rtl", [*rows(found), *speed_rows()])


def of_build(seed: int, each: int) -> dict[str, int]:
    """What a build of random sizes found on *each* random networks, from the file if it is kept."""
    from open_cores import compared, drawn, random_chip

    with tempfile.TemporaryDirectory() as name:
        chip = random_chip(seed, Path(name))
    case, image = drawn(1000 * seed, chip)
    kept = KEPT / f"{program(image.sizes).name}-{seed}-{each}.json"
    if kept.is_file():
        return dict(json.loads(kept.read_text(encoding="utf-8")))
    sums: dict[str, int] = {"networks": each, "cores": image.sizes.cores, "differing": 0}
    for number in range(each):
        case, image = drawn(1000 * seed + number, chip)
        done = asdict(compared(case, image))
        differences = done.pop("differences")
        sums["differing"] += bool(differences)
        for what in differences:
            print(f"build {seed}, network {number}: {what}")
        for key, value in done.items():
            sums[key] = sums.get(key, 0) + value
    KEPT.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps(sums), encoding="utf-8")
    print(f"build {seed}: {sums}", flush=True)
    return sums


def rows(found: list[dict[str, int]]) -> Iterator[Row]:
    """The campaign in figures."""
    how = "spikes, u, v by the definition; clocks of steps, cores, messages by the kernel"
    total = {key: sum(one[key] for one in found) for key in found[0]}
    meshes = f"{len(found)} builds of {min(o['cores'] for o in found)} to"
    meshes += f" {max(o['cores'] for o in found)} cores, queues of 0 to 5 messages"
    yield at_least("open core: random networks", total["networks"], 1000, "networks", meshes)
    yield at_most("open core: networks that differ", total["differing"], 0, "networks", how)
    for key, unit in (("values", "values"), ("steps", "steps"), ("messages", "messages")):
        yield report(f"open core: {key} compared", total[key], unit, how)
    yield report("open core: clocks compared", total["clocks"], "clocks", how)


def speed_rows() -> Iterator[Row]:
    """Clocks of the packaged mesh per CPU second of the Verilated program."""
    from networks import mlp

    network, chip = mlp(512, 400, 400, 10), load_chip("open-core")
    image = image_of(network, place(network, chip), chip)
    shape = (network.time_steps, LONG, *network.source.shape)
    inputs = (np.random.default_rng(1).random(shape) < 0.1).astype(np.int64)
    orders = orders_of(image, inputs)
    command = [str(program(image.sizes)), str(MOST_CLOCKS)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    done = subprocess.run(command, input=orders, capture_output=True, check=True)
    spent = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
    clocks = int(done.stderr.split()[0])
    how = f"512-400-400-10, {clocks:,} clocks, host's included, CPU seconds of one core"
    yield at_least("open core: clocks of 16 cores", clocks / spent, 2e5, "clocks/s", how)


if __name__ == "__main__":
    main()
