"""Simulator against SANA-FE 2.2.9, on SANA-FE's own DVS-gesture network and its own spikes.

    python -m benchmarks.bench_sim [--peer folder with the results of an earlier peer run]

The peer is installed into ``.cache/sanafe`` by this program; its package holds the network
(``benchmarks.dvs_gesture`` says how it is built). Both programs run one after the other here; the
peer on one thread, which is its fastest setting.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import time
import venv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.dvs_gesture import NAMES, STEPS, Gesture, integrate_and_fire, read_gesture
from benchmarks.harness import Row, at_least, at_most, best_of, report, write
from tssd.calibration.int_network import (
    InputCoding,
    IntNetwork,
    PopulationKind,
    Projection,
    ProjectionKind,
    constant,
    plain_population,
)
from tssd.calibration.integer import IntArray
from tssd.hw_targets.chip.chips import load_chip
from tssd.hw_targets.chip.spec import ChipSpec
from tssd.hw_targets.costs.energy import price
from tssd.hw_targets.sim.engine import run_record, time_record
from tssd.hw_targets.sim.functional import simulate_sample
from tssd.hw_targets.sim.plan import Plan, make_plan
from tssd.hw_targets.sim.program import Program, prepare
from tssd.hw_targets.sim.record import SpikeRecord, from_samples
from tssd.hw_targets.sim.timing import Mode

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / ".cache" / "sanafe"
PEER = "sanafe==2.2.9"
COMMAND = "python -m benchmarks.bench_sim"
REPEATS = 5


def peer_environment() -> Path:
    """The interpreter of an environment that holds the peer; built on first use."""
    python = CACHE / "env" / "bin" / "python"
    if not python.exists():
        venv.create(CACHE / "env", with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", PEER, "numpy"], check=True)
    return python


def peer_weights(python: Path) -> Path:
    """The network that the peer's package ships."""
    code = "import sanafe, pathlib; print(pathlib.Path(sanafe.__file__).parent)"
    found = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True)
    return Path(found.stdout.strip().splitlines()[-1]) / "examples" / "dvs_challenge.npz"


def run_peer(python: Path, weights: Path) -> Path:
    """Run the peer on its network; the folder with ``peer.json`` and ``peer.npz``."""
    script = Path(__file__).parent / "peers" / "sanafe_run.py"
    files = [str(CACHE / "peer.json"), str(CACHE / "peer.npz")]
    quiet = subprocess.DEVNULL  # it prints its progress
    subprocess.run([python, script, str(weights), *files], check=True, stdout=quiet)
    return CACHE


def sanafe_loihi() -> ChipSpec:
    """SANA-FE's chip as that network uses it: without a choice of synapse unit, every synapse runs
    on the first one, ``loihi_dense_synapse``."""
    chip = load_chip("sanafe-loihi")
    chip = chip.with_value("energy_pj.synop_conv", chip.energy_pj.synop_dense.value)
    return chip.with_value("time_ns.synop_conv", chip.time_ns.synop_dense.value)


def our_record(gesture: Gesture) -> SpikeRecord:
    """The first 1000 chip steps of our functional engine; SANA-FE stores synapses of weight zero,
    and a neuron that meets one counts as updated."""
    inputs = np.broadcast_to(gesture.bias, (STEPS, *gesture.bias.shape))
    program = prepare(gesture.network, stored_zeros=True)
    record = from_samples(gesture.network, [simulate_sample(program, inputs)])
    spikes = {name: e[e[:, 0] < STEPS] for name, e in record.spikes.items()}
    return SpikeRecord(STEPS, spikes, {name: a[:STEPS] for name, a in record.active.items()})


def peer_spikes(path: Path) -> dict[str, IntArray]:
    """The peer's spike trace in our numbering."""
    rows = np.load(path)["rows"]
    return {name: rows[rows[:, 1] == g][:, [0, 2]] for g, name in enumerate(NAMES)}


def differing(a: dict[str, IntArray], b: dict[str, IntArray]) -> int:
    """Spikes that only one of two traces has."""
    total = 0
    for name in NAMES:
        total += len({tuple(r) for r in a[name].tolist()} ^ {tuple(r) for r in b[name].tolist()})
    return total


def equality(
    gesture: Gesture, record: SpikeRecord, folder: Path, peer: dict[str, Any]
) -> list[Row]:
    """Same spikes, synaptic operations, messages and energy; the times of both, side by side."""
    trace = peer["trace"]
    theirs = peer_spikes(folder / "peer.npz")
    given = SpikeRecord(STEPS, theirs, record.active)
    run = run_record(gesture.counted, given, gesture.placement, sanafe_loihi())
    energy_j = price(run.counters, run.chip).total().nominal * 1e-12
    synops = sum(run.counters.synops().values())
    updates = sum(int(active.sum()) for active in record.active.values())
    fast = time_record(run.plan, given, "bound")
    how = f"{STEPS} steps, its spikes, its chip file"
    unequal = differing(dict(record.spikes), theirs)
    return [
        report("firings in SANA-FE's trace", trace["firings"], "spikes", how),
        at_most("our integer engine against that trace: spikes that differ", unequal, 0, "", how),
        _same("synaptic operations", synops, trace["synops"], how),
        _same("messages", run.timing.messages, trace["messages"], how),
        _same("neuron updates", updates, trace["updates"], how),
        at_most(
            "energy, relative difference",
            abs(energy_j / trace["energy_j"]["total"] - 1),
            1e-6,
            "",
            how,
        ),
        report("step time, SANA-FE detailed", trace["sim_time_s"] / STEPS * 1e6, "us", how),
        report("step time, ours cycle", run.timing.us_per_step, "us", how),
        report("step time, ours bound (barrier within the maximum)", fast.us_per_step, "us", how),
        at_least(
            "least cycle / bound over all steps",
            float((run.timing.cycles / fast.cycles).min()),
            1.0,
            "ratio",
            how,
        ),
    ]


def _same(what: str, ours: int, theirs: int, how: str) -> Row:
    return at_most(f"{what}, ours minus theirs ({theirs})", abs(ours - theirs), 0, "", how)


def speed(gesture: Gesture, record: SpikeRecord, peer: dict[str, Any], when: str) -> list[Row]:
    """Steps per CPU second of both programs; on a shared machine a clock measures neighbours."""
    began = time.process_time()
    plan = make_plan(gesture.counted, gesture.placement, sanafe_loihi())
    program = prepare(gesture.network)
    build_s = time.process_time() - began
    cpu = _our_rates(plan, record)
    theirs = {m: peer[m]["steps"] / peer[m]["cpu_s"] for m in ("simple", "detailed", "cycle")}
    rows = [
        at_least("cycle: steps per CPU second", cpu["cycle"], 2000, "steps/s", "best"),
        report("bound: steps per CPU second", cpu["bound"], "steps/s", "best"),
    ]
    rows += [
        report(f"SANA-FE {m}: steps per CPU second", r, "steps/s", when) for m, r in theirs.items()
    ]
    how = f"CPU seconds, one core against one; the peer on one thread, its fastest; {when}"
    pairs = (("cycle", "detailed", 20), ("cycle", "cycle", 2000), ("bound", "simple", 30))
    for ours, other, goal in pairs:
        ratio = cpu[ours] / theirs[other]
        rows.append(at_least(f"{ours} / SANA-FE {other}", ratio, goal, "x", how))
    rows.append(at_least("build, place, load", peer["build_cpu_s"] / build_s, 20, "x", "CPU"))
    dvs = STEPS / best_of(lambda: _functional(program, gesture.bias), REPEATS)
    rows.append(at_least("functional engine, DVS net", dvs, 2000, "steps/s", "CPU, best of 5"))
    mlp = mlp_steps_per_s()
    rows.append(at_least("functional engine, 784-512-10", mlp, 20000, "steps/s", "CPU, best of 5"))
    return rows


def _our_rates(plan: Plan, record: SpikeRecord) -> dict[str, float]:
    """Steps per CPU second of both modes, the best of some runs."""
    modes: tuple[Mode, ...] = ("cycle", "bound")
    return {
        mode: STEPS / best_of(lambda mode=mode: time_record(plan, record, mode), REPEATS)  # type: ignore[misc]
        for mode in modes
    }


def _functional(program: Program, bias: IntArray) -> None:
    simulate_sample(program, np.broadcast_to(bias, (STEPS, *bias.shape)))


def mlp_steps_per_s() -> float:
    """784-512-10, dense random weights, 10 % of the inputs firing."""
    rng = np.random.default_rng(0)
    populations = (
        plain_population("input", (784,), PopulationKind.INPUT),
        replace(integrate_and_fire("hidden", (512,), 300), dv=constant(128, (512,))),
        replace(integrate_and_fire("out", (10,), 300), dv=constant(128, (10,))),
    )
    weights = (rng.integers(-127, 128, (512, 784)), rng.integers(-127, 128, (10, 512)))
    projections = tuple(
        Projection(a.name, b.name, ProjectionKind.DENSE, w)
        for a, b, w in zip(populations[:-1], populations[1:], weights, strict=True)
    )
    network = IntNetwork(populations, projections, STEPS, InputCoding.SPIKES, 1)
    inputs = (rng.random((STEPS, 784)) < 0.1).astype(np.int64)
    program = prepare(network)
    return STEPS / best_of(lambda: simulate_sample(program, inputs), REPEATS)


def memory(weights: Path, peer: dict[str, Any]) -> list[Row]:
    """Peak memory of a process that does nothing but simulate the network, spikes and cycles."""
    command = [sys.executable, "-m", "benchmarks.bench_sim", "--only-simulate", str(weights)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    how = "largest resident set: build, 1000 steps of spikes, their cycles; code compiled before"
    return [
        at_most("peak memory", float(done.stdout), 300, "MB", how),
        report("SANA-FE peak memory", peer["peak_mb"], "MB", "the same, and its other modes"),
    ]


def only_simulate(weights: Path) -> None:
    """Simulate the network once and print the peak memory in MB."""
    gesture = read_gesture(weights)
    record = our_record(gesture)
    time_record(make_plan(gesture.counted, gesture.placement, sanafe_loihi()), record)
    print(peak_mb())


def peak_mb() -> float:
    """The largest resident set of this process; ``getrusage`` would include its parent's."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024  # type: ignore[index]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer", type=Path, help="folder with peer.json and peer.npz")
    parser.add_argument("--weights", type=Path, help="dvs_challenge.npz, if not from the package")
    parser.add_argument("--only-simulate", type=Path, help="dvs_challenge.npz: print peak memory")
    options = parser.parse_args()
    if options.only_simulate:
        only_simulate(options.only_simulate)
        return
    weights = options.weights or peer_weights(peer_environment())
    when = "the peer in an earlier run" if options.peer else "both in this run"
    when += f", load average {os.getloadavg()[0]:.1f}"
    folder = options.peer or run_peer(peer_environment(), weights)
    peer = json.loads((folder / "peer.json").read_text())
    gesture = read_gesture(weights)
    record = our_record(gesture)
    rows = equality(gesture, record, folder, peer) + speed(gesture, record, peer, when)
    write("sim", COMMAND, rows + memory(weights, peer))


if __name__ == "__main__":
    main()
