"""Simulator against SANA-FE 2.2.9, on SANA-FE's own DVS-gesture network and its own spikes.

    python -m benchmarks.bench_sim --dvs path/to/SANA-FE/snn/dvs.yaml [--peer results of a peer run]

The network file is not in the PyPI package; it comes from a clone of SLAM-Lab/SANA-FE (commit
8951ab07) and is only read. The peer is installed into ``.cache/sanafe`` by this program.
"""

import argparse
import json
import re
import resource
import subprocess
import time
import venv
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import Row, at_least, at_most, best_of, report, write
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
from tssd.hw_targets.chips import load_chip
from tssd.hw_targets.energy import price
from tssd.hw_targets.memory import Need
from tssd.hw_targets.partition import Slice
from tssd.hw_targets.placement import Placement
from tssd.hw_targets.sim.engine import Mode, run_record, time_record
from tssd.hw_targets.sim.functional import simulate_sample
from tssd.hw_targets.sim.plan import Plan, make_plan
from tssd.hw_targets.sim.program import Program, prepare
from tssd.hw_targets.sim.record import SpikeRecord, from_samples

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / ".cache" / "sanafe"
PEER = "sanafe==2.2.9"
STEPS = 1000
GROUPS = ("input", "conv1", "conv2", "conv3", "conv4", "dense")
SHAPES: tuple[tuple[int, ...], ...] = (
    (1, 32, 32),
    (16, 15, 15),
    (32, 13, 13),
    (64, 11, 11),
    (11, 9, 9),
    (11,),
)
WEIGHTS = ("conv1", "conv2", "conv3", "conv4", "dense1")
STRIDES = (2, 1, 1, 1)
COMMAND = "python -m benchmarks.bench_sim --dvs SANA-FE/snn/dvs.yaml"


@dataclass(frozen=True, eq=False)
class Gesture:
    """SANA-FE's network in our terms. ``counted`` has ones where its weights are zero: SANA-FE
    stores and charges those synapses, so synapses are counted on it."""

    network: IntNetwork
    counted: IntNetwork
    bias: IntArray
    placement: Placement


def read_gesture(dvs: Path, weights: Path) -> Gesture:
    """Biases and mapping from ``dvs.yaml``, weights and thresholds from ``dvs_challenge.npz``."""
    arrays = np.load(weights)
    populations = [
        _lif(name, shape, int(threshold))
        for name, shape, threshold in zip(GROUPS, SHAPES, arrays["thresholds"], strict=True)
    ]
    projections = [_projection(i, arrays[key].astype(np.int64)) for i, key in enumerate(WEIGHTS)]
    text = dvs.read_text()
    bias = np.zeros(1024, np.int64)
    for neuron, value in re.findall(r"- \{(\d+): \{bias: (\d+)\}\}", text):
        bias[int(neuron)] = int(value)
    network = IntNetwork(
        tuple(populations), tuple(projections), STEPS, InputCoding.BIAS, int(bias.max())
    )
    ones = tuple(replace(j, weight=np.where(j.weight == 0, 1, j.weight)) for j in projections)
    counted = replace(network, projections=ones)
    return Gesture(network, counted, bias.reshape(1, 32, 32), _placement(text))


def _lif(name: str, shape: tuple[int, ...], threshold: int) -> Population:
    def of(value: int) -> IntArray:
        return constant(value, shape)

    return Population(
        name, shape, PopulationKind.LIF, Reset.HARD, of(4096), of(1), of(threshold), of(0)
    )


def _projection(i: int, weight: IntArray) -> Projection:
    if weight.ndim == 2:  # neurons of an image count channels, rows, columns, as ours do
        dense = np.ascontiguousarray(weight.T)
        return Projection(GROUPS[i], GROUPS[i + 1], ProjectionKind.DENSE, dense)
    kernel = np.ascontiguousarray(weight.transpose(3, 2, 0, 1))
    stride = (STRIDES[i], STRIDES[i])
    return Projection(GROUPS[i], GROUPS[i + 1], ProjectionKind.CONV2D, kernel, stride=stride)


def _placement(text: str) -> Placement:
    mapping = re.findall(r"- \{'(\d+)\.(\d+)': \{core: '(\d+)\.(\d+)'\}\}", text)
    rows = np.array(mapping, np.int64)
    cores = sorted({(int(t), int(c)) for t, c in rows[:, 2:]})
    slices, needs = [], []
    for k, (tile, slot) in enumerate(cores):
        here = rows[(rows[:, 2] == tile) & (rows[:, 3] == slot)]
        for group in sorted(set(here[:, 0].tolist())):
            mine = here[here[:, 0] == group, 1]
            slices.append(Slice(GROUPS[group], k, np.sort(mine)))
        needs.append(Need(len(here), 2 * len(here), 0, 0))
    sites = np.array([(0, tile // 4, tile % 4, slot) for tile, slot in cores])
    shapes: dict[str, tuple[int, ...]] = dict(zip(GROUPS, SHAPES, strict=True))
    return Placement("sanafe-loihi", shapes, tuple(slices), sites, tuple(needs), 0.0)


def peer_environment() -> Path:
    """The interpreter of an environment that holds the peer; built on first use."""
    python = CACHE / "env" / "bin" / "python"
    if not python.exists():
        venv.create(CACHE / "env", with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", PEER, "numpy"], check=True)
    return python


def peer_weights(python: Path) -> Path:
    """The weights that the peer's package ships."""
    code = "import sanafe, pathlib; print(pathlib.Path(sanafe.__file__).parent)"
    found = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True)
    return Path(found.stdout.strip().splitlines()[-1]) / "examples" / "dvs_challenge.npz"


def run_peer(python: Path, dvs: Path) -> Path:
    """Run the peer on its network; the folder with ``peer.json`` and ``peer.npz``."""
    script = Path(__file__).parent / "peers" / "sanafe_run.py"
    files = [str(CACHE / "peer.json"), str(CACHE / "peer.npz")]
    subprocess.run([python, script, str(dvs.resolve()), *files], check=True)
    return CACHE


def our_record(gesture: Gesture) -> SpikeRecord:
    """The first 1000 chip steps of our functional engine."""
    inputs = np.broadcast_to(gesture.bias, (STEPS, *gesture.bias.shape))
    record = from_samples(gesture.network, [simulate_sample(prepare(gesture.network), inputs)])
    spikes = {name: e[e[:, 0] < STEPS] for name, e in record.spikes.items()}
    return SpikeRecord(STEPS, spikes, {name: a[:STEPS] for name, a in record.active.items()})


def peer_spikes(path: Path) -> dict[str, IntArray]:
    """The peer's spike trace in our numbering."""
    rows = np.load(path)["rows"]
    return {name: rows[rows[:, 1] == g][:, [0, 2]] for g, name in enumerate(GROUPS)}


def differing(a: dict[str, IntArray], b: dict[str, IntArray]) -> int:
    """Spikes that only one of two traces has."""
    total = 0
    for name in GROUPS:
        total += len({tuple(r) for r in a[name].tolist()} ^ {tuple(r) for r in b[name].tolist()})
    return total


def equality(
    gesture: Gesture, record: SpikeRecord, folder: Path, peer: dict[str, Any]
) -> list[Row]:
    """Same spikes, synaptic operations, messages and energy; the times of both, side by side."""
    chip, trace = load_chip("sanafe-loihi"), peer["trace"]
    theirs = peer_spikes(folder / "peer.npz")
    given = SpikeRecord(STEPS, theirs, record.active)
    run = run_record(gesture.counted, given, gesture.placement, chip)
    energy_j = price(run.counters, chip).total().nominal * 1e-12
    total = trace["energy_j"]["total"]
    synops = sum(run.counters.synops().values())
    fast = time_record(run.plan, given, "bound")
    how = f"{COMMAND}; {STEPS} steps"
    unequal = differing(dict(record.spikes), theirs)
    return [
        report("firings in SANA-FE's trace", trace["firings"], "spikes", how),
        at_most("our integer engine against that trace: spikes that differ", unequal, 0, "", how),
        at_most(
            "synaptic operations, ours minus theirs", abs(synops - trace["synops"]), 0, "", how
        ),
        report("messages from their spikes", run.timing.messages, "messages", how),
        at_most("energy, relative difference", abs(energy_j / total - 1), 1e-6, "", how),
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


def speed(
    gesture: Gesture, record: SpikeRecord, peer: dict[str, Any] | None, when: str
) -> list[Row]:
    """Steps per CPU second of both programs, and of wall time for the record."""
    chip = load_chip("sanafe-loihi")
    began = time.process_time()
    plan = make_plan(gesture.counted, gesture.placement, chip)
    program = prepare(gesture.network)
    build_s = time.process_time() - began
    rows = []
    rates: dict[str, float] = {}
    modes: tuple[Mode, ...] = ("cycle", "bound")
    for mode in modes:
        rates[mode] = STEPS / best_of(lambda mode=mode: time_record(plan, record, mode), 3)  # type: ignore[misc]
        wall = _steps_per_wall_s(plan, record, mode)
        rows.append(report(f"{mode}: steps per CPU second", rates[mode], "steps/s", "best of 3"))
        rows.append(report(f"{mode}: steps per second on all cores", wall, "steps/s", "wall"))
    dvs = STEPS / best_of(lambda: _functional(program, gesture.bias), 2)
    rows.append(at_least("functional engine, DVS net", dvs, 2000, "steps/s", "CPU, best of 2"))
    mlp = mlp_steps_per_s()
    rows.append(at_least("functional engine, 784-512-10", mlp, 20000, "steps/s", "CPU, best of 3"))
    if peer is not None:
        theirs = {m: peer[m]["steps"] / peer[m]["cpu_s"] for m in ("simple", "detailed", "cycle")}
        how = f"steps per CPU second, same network and machine; the peer {when}"
        rows += [report(f"SANA-FE {m}", rate, "steps/s", "CPU") for m, rate in theirs.items()]
        rows += [
            at_least("cycle / SANA-FE detailed", rates["cycle"] / theirs["detailed"], 20, "x", how),
            at_least("cycle / SANA-FE cycle", rates["cycle"] / theirs["cycle"], 2000, "x", how),
            at_least("bound / SANA-FE simple", rates["bound"] / theirs["simple"], 30, "x", how),
            at_least("build, place, load", peer["build_cpu_s"] / build_s, 20, "x", "CPU seconds"),
            report("SANA-FE peak memory", peer["peak_mb"], "MB", "maximum resident set"),
        ]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    rows.append(at_most("peak memory of this whole benchmark", peak, 300, "MB", "resident set"))
    return rows


def _functional(program: Program, bias: IntArray) -> None:
    simulate_sample(program, np.broadcast_to(bias, (STEPS, *bias.shape)))


def _steps_per_wall_s(plan: Plan, record: SpikeRecord, mode: Mode) -> float:
    began = time.perf_counter()
    time_record(plan, record, mode)
    return record.steps / (time.perf_counter() - began)


def mlp_steps_per_s() -> float:
    """784-512-10, dense random weights, 10 % of the inputs firing."""
    rng = np.random.default_rng(0)
    populations = (
        plain_population("input", (784,), PopulationKind.INPUT),
        replace(_lif("hidden", (512,), 300), dv=constant(128, (512,))),
        replace(_lif("out", (10,), 300), dv=constant(128, (10,))),
    )
    weights = (rng.integers(-127, 128, (512, 784)), rng.integers(-127, 128, (10, 512)))
    projections = tuple(
        Projection(a.name, b.name, ProjectionKind.DENSE, w)
        for a, b, w in zip(populations[:-1], populations[1:], weights, strict=True)
    )
    network = IntNetwork(populations, projections, STEPS, InputCoding.SPIKES, 1)
    inputs = (rng.random((STEPS, 784)) < 0.1).astype(np.int64)
    program = prepare(network)
    return STEPS / best_of(lambda: simulate_sample(program, inputs), 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dvs", type=Path, required=True, help="snn/dvs.yaml of SANA-FE")
    parser.add_argument("--peer", type=Path, help="folder with peer.json and peer.npz")
    parser.add_argument("--weights", type=Path, help="dvs_challenge.npz")
    options = parser.parse_args()
    when = "in an earlier run (--peer)" if options.peer else "in this run"
    if options.peer is None:
        options.peer = run_peer(peer_environment(), options.dvs)
    weights = options.weights or peer_weights(peer_environment())
    gesture = read_gesture(options.dvs, weights)
    peer = json.loads((options.peer / "peer.json").read_text())
    record = our_record(gesture)
    rows = equality(gesture, record, options.peer, peer) + speed(gesture, record, peer, when)
    write("sim", COMMAND, rows)


if __name__ == "__main__":
    main()
