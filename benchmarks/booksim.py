"""Our network-on-chip against BookSim 2 as it sits inside SANA-FE 2.2.9's cycle mode.

    python -m benchmarks.booksim [--source clone of SLAM-Lab/booksim2-sanafe]
    (also: make bench-booksim)

The BookSim that SANA-FE links (commit 01016e08, named by its CMakeLists.txt) is built with cmake
and given SANA-FE's own settings; that it takes the same cycles as the released sanafe package for
the same messages is checked first. SANA-FE gives every core two networks and uses them in turn; the
curves compare one network with one, as our machine merges both.

BookSim takes 4 cycles a hop and 6 through the core's own router, and with one virtual channel a
link passes a message every 2 cycles (one to win the channel, one the switch). These are our
machine's costs too. Traffic: a core has its next message ready after 2 cycles and a
geometric gap; ``load`` is messages per core and cycle.
"""

import argparse
import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.bench_sim import peer_environment
from benchmarks.harness import Row, at_most, report, write
from tssd.calibration.integer import IntArray
from tssd.hw_targets.sim.machine import Machine
from tssd.hw_targets.sim.timing import Traffic, time_steps

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / ".cache" / "booksim"
REPOSITORY = "https://github.com/SLAM-Lab/booksim2-sanafe"
COMMIT = "01016e08fe062085dee9bc9c1919385f8132ead5"
COMMAND = "python -m benchmarks.booksim"
# src/schedule.hpp of SANA-FE at 8951ab07, but for `subnets` and the statistics
SETTINGS = {
    "topology": "cmesh", "k": "8", "n": "2", "x": "8", "y": "4", "c": "4", "xr": "2", "yr": "2",
    "routing_function": "dor_no_express", "use_noc_latency": "0", "num_vcs": "1",
    "vc_buf_size": "8", "vc_allocator": "islip", "sw_allocator": "islip", "alloc_iters": "1",
    "credit_delay": "0", "routing_delay": "0", "vc_alloc_delay": "1", "sw_alloc_delay": "1",
    "input_speedup": "1", "output_speedup": "1", "internal_speedup": "1.0", "packet_size": "1",
    "injection_rate": "0.0", "clock_period": "1.0", "print_csv_results": "1",
}  # fmt: skip
MEAN_LATENCY = 5  # column of its line of statistics
CORES = 128
MACHINE = Machine(
    cycle_ns=1.0,
    width=8,
    height=4,
    cores_per_router=4,
    hop_x_cycles=4,
    hop_y_cycles=4,
    local_cycles=3,
    flit_cycles=2,
    credit_cycles=0,
    axon_in_cycles=0,
    axon_out_cycles=0,
    barrier_cycles=0,
    floor_cycles=0,
    buffer_flits=8,
    axon_in_flits=1024,  # BookSim's cores take whatever comes when it costs them nothing
    spike_out_slots=1,  # BookSim's cores hold one message
    synapse_slots=1,
)
LOADS = {
    "uniform": (0.005, 0.01, 0.02, 0.03, 0.04, 0.045, 0.05, 0.0525, 0.055, 0.06),
    "transpose": (0.01, 0.02, 0.03, 0.035, 0.04, 0.0425, 0.045, 0.05),
    "hotspot": (0.01, 0.02, 0.025, 0.03, 0.0325, 0.035, 0.04),
}
FULL = 0.5  # a core always has a message ready: a channel takes one every two cycles
WINDOW, FULL_WINDOW, SEEDS = 5000, 600, 3
KNEE = 2.0  # saturated: mean latency this many times the unloaded one
HOT_SHARE, HOT_CORE = 0.1, 52  # a tenth of all messages go to one core in the middle


@dataclass(frozen=True, eq=False)
class Messages:
    """Cores in BookSim's numbering (tile = 4 * x + y), in order of emission per core."""

    source: IntArray
    target: IntArray
    ready: IntArray

    def __len__(self) -> int:
        return len(self.source)


@dataclass(frozen=True)
class Outcome:
    """Mean cycles from the core's network interface to the target, and cycles until all is done."""

    latency: float
    cycles: int


Run = Callable[[Messages], Outcome]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=Path, help=f"clone of {REPOSITORY} (else cloned)")
    program = build(parser.parse_args().source)
    rows = [same_as_released(program), unloaded(program)]
    for pattern, loads in LOADS.items():
        rows += compare(program, pattern, loads)
    write("booksim", COMMAND, rows)


def build(source: Path | None) -> Path:
    """Build BookSim and the program that feeds it; the program."""
    if source is None:
        source = CACHE / "source"
        if not source.exists():
            subprocess.run(["git", "clone", "--quiet", REPOSITORY, source], check=True)
    folder, program = CACHE / "build", CACHE / "booksim_run"
    tree = CACHE / "tree"
    tree.mkdir(parents=True, exist_ok=True)
    files = subprocess.run(
        ["git", "-C", source, "archive", COMMIT], check=True, capture_output=True
    )
    subprocess.run(["tar", "x", "-C", tree], check=True, input=files.stdout)
    options = ("CMAKE_BUILD_TYPE=Release", "BOOKSIM_GENERATE_PARSER=OFF", "BOOKSIM_INSTALL=OFF")
    defined = [f"-D{option}" for option in options]
    subprocess.run(["cmake", "-S", tree, "-B", folder, *defined], check=True, capture_output=True)
    subprocess.run(["cmake", "--build", folder, "--target", "booksim"], check=True)
    headers = ("", "arbiters", "allocators", "routers", "networks", "power")
    paths = [f"-I{tree / 'src' / name}" for name in headers]
    main_file = Path(__file__).parent / "peers" / "booksim_run.cpp"
    library = folder / "src" / "libbooksim.a"
    compiler: list[str | Path] = [
        "c++",
        "-O2",
        "-std=c++17",
        main_file,
        *paths,
        library,
        "-o",
        program,
    ]
    subprocess.run(compiler, check=True)
    return program


def theirs(program: Path, messages: Messages, **changes: str) -> Outcome:
    """BookSim's outcome."""
    path = CACHE / "traffic.txt"
    columns = [messages.source, messages.target, messages.ready, np.zeros(len(messages), np.int64)]
    np.savetxt(path, np.column_stack(columns), fmt="%d")
    settings = {"subnets": "1"} | SETTINGS | changes
    command: list[str | Path] = [
        program,
        path,
        *(f"{name} = {value}" for name, value in settings.items()),
    ]
    found = subprocess.run(command, check=True, capture_output=True, text=True)
    lines = dict(line.split(":", 1) for line in found.stdout.splitlines() if ":" in line)
    latency = float(lines["results"].split(",")[MEAN_LATENCY])
    return Outcome(latency, round(float(lines["cycles"])))


def ours(messages: Messages) -> Outcome:
    """Our machine's outcome; its routers count along rows."""
    tile, slot = np.divmod(np.arange(CORES), 4)
    core = ((tile % 4) * MACHINE.width + tile // 4) * 4 + slot
    source, target = core[messages.source], core[messages.target]
    order = np.argsort(source, kind="stable")
    first = np.searchsorted(source[order], np.arange(CORES + 1))[None]
    one, none = np.ones(len(messages), np.int64), np.zeros(len(messages), np.int64)
    ready, tail = messages.ready[order], np.zeros((1, CORES), np.int64)
    times = time_steps(MACHINE, Traffic(first, target[order], one, ready, none, tail))
    _, sent, arrived, _ = times.messages.T
    return Outcome(float((arrived - sent).mean()), int(times.cycles[0]))


def traffic(pattern: str, load: float, window: int, seed: int) -> Messages:
    """As many messages from every core as *load* means in *window* cycles."""
    rng = np.random.default_rng(seed)
    tiles = 16 if pattern == "transpose" else CORES // 4  # a square: 4 x 4 of the 8 x 4 tiles
    source = np.repeat(np.arange(4 * tiles), max(1, int(window * load)))
    ready = np.full(len(source), 2)
    if load < FULL:
        ready += rng.geometric(1 / (1 / load - 1), len(source)) - 1
    return Messages(source, targets(pattern, source, rng), ready)


def targets(pattern: str, source: IntArray, rng: np.random.Generator) -> IntArray:
    """The target core of each message."""
    found: IntArray = rng.integers(0, CORES, len(source))
    if pattern == "hotspot":
        found = np.where(rng.random(len(source)) < HOT_SHARE, HOT_CORE, found)
    if pattern == "transpose":
        tile, slot = np.divmod(source, 4)
        found = (4 * (tile % 4) + tile // 4) * 4 + slot
    return found


def same_as_released(program: Path) -> Row:
    """Both networks of BookSim against the released package, given the same messages."""
    script, unequal = Path(__file__).parent / "peers" / "sanafe_noc.py", 0
    cases = (("uniform", FULL, 60), ("hotspot", FULL, 60), ("transpose", 0.06, 1000))
    for pattern, load, window in cases:
        messages = traffic(pattern, load, window, 0)
        files = CACHE / "traffic.npz", CACHE / "released.json"
        np.savez(files[0], source=messages.source, target=messages.target, ready=messages.ready)
        subprocess.run([peer_environment(), script, *files], check=True, capture_output=True)
        released = json.loads(files[1].read_text())
        here = theirs(program, messages, subnets="2").cycles
        unequal += round(released["ns"]) != here or released["messages"] != len(messages)
    how = "sim_time of sanafe 2.2.9, cycle mode, of three traffics against BookSim built here"
    return at_most("BookSim here and inside sanafe 2.2.9: times that differ", unequal, 0, "", how)


def unloaded(program: Path) -> Row:
    """One message alone, to every core."""
    rows = [Messages(*(np.array([v]) for v in (0, target, 2))) for target in range(CORES)]
    worst = max(abs(theirs(program, m).latency - ours(m).latency) for m in rows)
    how = "one message from core 0 to each of 128 cores: 6 cycles and 4 a hop"
    return at_most("unloaded latency: largest difference", worst, 0, "cycles", how)


def compare(program: Path, pattern: str, loads: tuple[float, ...]) -> list[Row]:
    """The curves of one pattern, where they bend, and what goes through when sources are full."""
    runs: tuple[Run, Run] = (lambda messages: theirs(program, messages), ours)
    curves = [[mean_latency(pattern, load, run) for load in loads] for run in runs]
    bends = [saturation(loads, latencies) for latencies in curves]
    pairs = list(zip(loads, *curves, strict=True))
    worst = max(abs(b / a - 1) for load, a, b in pairs if load <= bends[0])
    full = traffic(pattern, FULL, FULL_WINDOW, 0)
    most = [len(full) / len(set(full.source.tolist())) / run(full).cycles for run in runs]
    how = f"BookSim, ours; {WINDOW} cycles, mean of {SEEDS} seeds; buffers of 8"
    rows = [
        report(f"{pattern}, load {load:g}: mean latency", f"{a:.2f}, {b:.2f}", "cycles", how)
        for load, a, b in pairs
    ]
    where = f"{bends[0]:.4f}, {bends[1]:.4f} messages per core and cycle; latency twice unloaded"
    passed = f"{most[0]:.4f}, {most[1]:.4f} messages per core and cycle"
    return [
        *rows,
        at_most(f"{pattern}: latency off below saturation, at most", 100 * worst, 5, "%", how),
        at_most(f"{pattern}: saturation off by", off(bends), 10, "%", where),
        at_most(f"{pattern}: throughput of full sources off by", off(most), 10, "%", passed),
    ]


def mean_latency(pattern: str, load: float, run: Run) -> float:
    """The mean over the seeds."""
    found = [run(traffic(pattern, load, WINDOW, seed)).latency for seed in range(SEEDS)]
    return float(np.mean(found))


def saturation(loads: tuple[float, ...], latencies: list[float]) -> float:
    """The load at which the latency is KNEE times that of the least load."""
    return float(np.interp(KNEE * latencies[0], latencies, loads))


def off(pair: list[float]) -> float:
    """By how many percent the second differs from the first."""
    return 100 * abs(pair[1] / pair[0] - 1)


if __name__ == "__main__":
    main()
