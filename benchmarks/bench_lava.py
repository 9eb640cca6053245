"""Lava beside our engines: PilotNet's record, random networks, bundles, steps per second.

Run: ``python benchmarks/bench_lava.py [BUNDLE ...]`` (``make bench-lava BUNDLES="a b"``).
Bundles run their first 64 test samples: as a process graph, and through netx where they hold a
network.net. Those of ``make bench-chain``, and a residual one: ``tssd train --dataset fashion-mnist
--model resnet-18 --reset hard --epochs 2 --set width=0.125 --set train_limit=4000``.
"""

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

import pilotnet  # noqa: E402
from lava_networks import lava_case  # noqa: E402

from benchmarks.harness import Row, at_least, at_most, report, write  # noqa: E402
from tssd.calibration.int_network import SPIKES, Activity, IntNetwork  # noqa: E402
from tssd.calibration.integer import IntArray  # noqa: E402
from tssd.calibration.simulate import chip_steps, pipelined, reference  # noqa: E402
from tssd.chain.samples import bundle_samples  # noqa: E402
from tssd.checks.engines import engines_of  # noqa: E402
from tssd.checks.verification import VerifyOptions  # noqa: E402
from tssd.export.bundle.folder import Bundle, read_bundle  # noqa: E402
from tssd.hw_targets.gpu import engine as gpu  # noqa: E402
from tssd.hw_targets.lava import engine as lava  # noqa: E402
from tssd.hw_targets.lava.engine import LavaOptions  # noqa: E402

COMMAND = "make bench-lava"
CAMPAIGN = 1200
CHUNK = 300
SAMPLES = 64
AT_ONCE = 16  # of them in one run of Lava, back to back
BATCH = 8  # samples of PilotNet at once in the torch engine
WAYS = {"lava": "Lava's processes", "netx": "netx"}


def main(folders: list[str]) -> None:
    where = pilotnet.folder()
    if where is None:
        sys.exit("no full Lava environment: tssd lava install --full")
    bundles = [read_bundle(Path(folder)) for folder in folders]
    rows = [*record_rows(where), *speed_rows(where), campaign_row(), import_row(where)]
    for bundle in bundles:
        write("lava", COMMAND, rows)  # an interrupted run keeps what it has
        rows += bundle_rows(bundle)
    write("lava", COMMAND, rows)


def record_rows(where: Path) -> list[Row]:
    """Every recorded s, u and v of PilotNet LIF against the two engines."""
    network, inputs = pilotnet.load(where)
    total, numpy_wrong = definition_against_record(where, network, inputs)
    covered, torch_wrong = torch_against_record(where, network, inputs)
    how = "import of network.net from lava-dl's wheel; records conv-*, fc-*, input"
    return [
        report("PilotNet LIF recorded values", total, "values", how),
        at_most("PilotNet LIF, numpy definition: differing", numpy_wrong, 0, "values", how),
        report(
            "PilotNet LIF recorded values within sample windows",
            covered,
            "values",
            "a layer-by-layer engine has no steps before a layer's first window",
        ),
        at_most("PilotNet LIF, torch reference: differing", torch_wrong, 0, "values", how),
    ]


def definition_against_record(
    where: Path, network: IntNetwork, inputs: IntArray
) -> tuple[int, int]:
    seen = list(chip_steps(network, inputs, pilotnet.INTERVAL, pilotnet.STEPS))
    ours = {
        p.name: tuple(np.stack([step[p.name][k] for step in seen]) for k in range(3))
        for p in network.populations
    }
    return _compare(where, network, lambda name: (0, ours[name]))


def torch_against_record(where: Path, network: IntNetwork, inputs: IntArray) -> tuple[int, int]:
    activity = gpu.run(network, inputs[:, :1], states=True)
    depth = {p.name: k for k, p in enumerate(network.populations)}

    def shown(name: str) -> tuple[int, tuple[IntArray, ...]]:
        """From the layer's first window on: the sample once, and again from its beginning."""
        parts = (activity.spikes[name], *(activity.states[x][name] for x in ("u", "v")))
        twice = tuple(np.concatenate([x[:, 0], x[:, 0]]) for x in parts)
        return depth[name], twice

    return _compare(where, network, shown)


def _compare(
    where: Path,
    network: IntNetwork,
    ours: Callable[[str], tuple[int, tuple[IntArray, ...]]],
) -> tuple[int, int]:
    """(values compared, values that differ); ``ours`` gives the first chip step and s, u, v."""
    compared = different = 0
    for name, quantity, record in pilotnet.records(where, network):
        first, (spikes, u, v) = ours(name)
        value = {"spikes": spikes, "u": u, "v": pilotnet.as_recorded(spikes, v)}[quantity]
        wanted = record[first:]
        compared += wanted.size
        different += int(np.count_nonzero(value[: len(wanted)] != wanted))
    return compared, different


@dataclass(frozen=True)
class Cost:
    """Seconds of wall clock, and of CPU including all children."""

    wall_s: float
    cpu_s: float


def cost_of(work: Callable[[], object]) -> Cost:
    wall, cpu = time.perf_counter(), _cpu_s()
    work()
    return Cost(time.perf_counter() - wall, _cpu_s() - cpu)


def _cpu_s() -> float:
    both = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(sum(resource.getrusage(who)[:2]) for who in both)


def speed_rows(where: Path) -> list[Row]:
    """Steps per second on PilotNet LIF; Lava's start-up is taken out by two lengths of run."""
    theirs = _difference(_lava_cost(where, 51), _lava_cost(where, 17), 34)
    network, inputs = pilotnet.load(where)
    batch = np.broadcast_to(inputs[:1, :1], (len(inputs), BATCH, *inputs.shape[2:]))
    gpu.count(network, batch)
    ours = cost_of(lambda: gpu.count(network, batch))
    steps = BATCH * pilotnet.INTERVAL
    how = (
        f"torch engine, {BATCH} samples x {pilotnet.INTERVAL} steps, beside netx in Lava's runtime"
    )
    shared = "CPU seconds of all processes: the machine may be shared"
    wall, cpu = theirs.wall_s * steps / ours.wall_s, theirs.cpu_s * steps / ours.cpu_s
    return [
        report("PilotNet LIF, Lava's runtime", round(1 / theirs.wall_s, 2), "steps/s", how),
        report("PilotNet LIF, torch engine", round(steps / ours.wall_s, 1), "steps/s", how),
        at_least("steps per second over Lava's", round(wall, 1), 50, "x", how),
        at_least("steps per CPU second over Lava's", round(cpu, 1), 50, "x", shared),
    ]


def _lava_cost(where: Path, time_steps: int) -> Cost:
    network, inputs = pilotnet.load(where)
    longer = network.with_time_steps(time_steps)
    shown = np.broadcast_to(inputs[0, :1], (time_steps, 1, *inputs.shape[2:]))
    options = LavaOptions(nets=(where / "network.net",), states=False)
    return cost_of(lambda: lava.run(longer, shown, mode="netx", options=options))


def _difference(more: Cost, less: Cost, steps: int) -> Cost:
    return Cost((more.wall_s - less.wall_s) / steps, (more.cpu_s - less.cpu_s) / steps)


def campaign_row() -> Row:
    """Random networks in Lava's own models."""
    different = 0
    for first in range(0, CAMPAIGN, CHUNK):
        cases = [lava_case(seed) for seed in range(first, first + CHUNK)]
        found = lava.run_many([(c.network, c.inputs) for c in cases], mode="inprocess")
        for case, activity in zip(cases, found, strict=True):
            different += count_differences(pipelined(case.network, case.inputs), activity)
    name = f"{CAMPAIGN} random networks: differing spikes, u and v"
    return at_most(name, different, 0, "values", "tests/support/lava_networks.py, seeds 0 .. 1199")


def count_differences(expected: Activity, found: Activity) -> int:
    total = int(np.count_nonzero(expected.readout != found.readout))
    for quantity in (SPIKES, *expected.states):
        wanted, got = expected.recorded(quantity), found.recorded(quantity)
        total += sum(int(np.count_nonzero(wanted[name] != got[name])) for name in got)
    return total


def import_row(where: Path) -> Row:
    """Someone else's network through every command: does any of them fail?"""
    with tempfile.TemporaryDirectory() as folder:
        frame, out = Path(folder) / "frame.npy", str(Path(folder) / "pilotnet")
        np.save(frame, np.load(where / "image.npy").transpose(2, 1, 0)[None])
        commands = (
            ["import", str(where / "network.net"), "--out", out, "--inputs", str(frame)],
            ["verify", out, "--against", "gpu,onnx,sim,lava"],
            ["simulate", out],
            ["report", out],
        )
        run = (subprocess.run([sys.executable, "-m", "tssd", *c], cwd=ROOT) for c in commands)
        failed = sum(done.returncode != 0 for done in run)
    name = "PilotNet LIF through tssd import, verify, simulate, report: commands that fail"
    how = "verified against torch, ONNX, the simulator, Lava's processes and netx"
    return at_most(name, failed, 0, "commands", how)


def bundle_rows(bundle: Bundle, ways: tuple[str, ...] = ("lava",)) -> list[Row]:
    """What verify --against lava compares, counted: both ways where the bundle has both."""
    options = VerifyOptions(ways, SAMPLES)
    engines, _ = engines_of(bundle, options.engines, options.device)
    inputs = bundle_samples(bundle, options.samples, None).inputs.whole()
    different = dict.fromkeys([engine.name for engine in engines], 0)
    for first in range(0, inputs.shape[1], AT_ONCE):
        part = inputs[:, first : first + AT_ONCE]
        expected = reference(bundle.network, part)
        for engine in engines:
            found = engine.run(bundle.network, part)
            different[engine.name] += count_differences(expected, found)
    return [
        at_most(
            f"{_title(bundle)}, {WAYS[way]}: differing spikes, u, v, membranes",
            count,
            0,
            "values",
            f"{inputs.shape[1]} test samples; tssd verify {bundle.folder.name} --against {way}",
        )
        for way, count in different.items()
    ]


def _title(bundle: Bundle) -> str:
    """Data set, model and reset of a trained bundle; the folder's name of any other."""
    source = bundle.manifest["source"]
    if "train" not in source:
        return bundle.folder.name
    return "{dataset}, {model}, {reset} reset".format(**source["train"])


if __name__ == "__main__":
    main(sys.argv[1:])
