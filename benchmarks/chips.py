"""Chip files against what was measured on silicon: counts, step time, energy, floors, rates.

    python -m benchmarks.chips [network.net]            (also: make bench-chips)

PilotNet LIF comes from lava-dl's wheel, which is downloaded unless the file is given, goes through
what `tssd import` does and is simulated as `tssd simulate` does. Its published run had a silent
input (the frame went to an attribute that the neuron does not have), so no image is needed: zero
bias, 16 steps per frame. Every row says whether the chip file was set on that run ("calibrated on
it") or never saw it ("test"); `docs/validation.md` is made from these rows.
"""

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np

from benchmarks.harness import Row, at_most, near, report, same, write
from benchmarks.small_networks import one_population, us_per_step
from tssd.calibration.int_network import Reset
from tssd.chain.importing import ImportOptions, import_bundle
from tssd.chain.pipeline import ExportOptions
from tssd.hw_targets.chip.chips import load_chip
from tssd.hw_targets.costs.counters import Counters
from tssd.hw_targets.costs.energy import price, running_pj
from tssd.hw_targets.mapping.choices import Choices, SynapseFormat
from tssd.hw_targets.sim.engine import Run
from tssd.hw_targets.sim.kernels.kernel import COUNTER_NAMES
from tssd.hw_targets.sim.timing import Mode
from tssd.simulating.simulation import Request, prepared, simulate

COMMAND = "python -m benchmarks.chips"
WHEEL = ("lava-dl==0.6.0", "tests/lava/lib/dl/netx/gts/pilotnet_lif/network.net")
NOTEBOOK = "lava-dl pilotnet_snn/benchmark.ipynb at b9e3691"
US, UJ = 152.85, 68.35  # per step
# operations and messages per step of full cores, read off the notebook's figures (+-2 %)
SYNOPS = {"conv2": 131_000, "conv3": 150_700, "conv4": 52_700, "conv5": 51_000}
MESSAGES_IN = {"conv2": 2510, "conv3": 2150, "conv4": 360}
PERIOD_US = (201, 107, 181, 125)  # how its step times alternate (digitised)
DENSE_ROWS = "conv5 -> fc1"  # three quarters zeros, and stored dense by the table in the notebook
STEPS, FRAMES = 16, 4
FRAME = slice(STEPS, STEPS * FRAMES)  # chip steps in which every layer is busy
SET, TEST = "calibrated on it", "test"
MODES: tuple[Mode, ...] = ("cycle", "bound")
ROLES = {"loihi2": SET, "loihi2-brief": TEST}


def main(arguments: list[str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = Path(arguments[0]) if arguments else download(folder)
        np.save(folder / "silence.npy", np.zeros((FRAMES, 3, 66, 200), np.int64))
        export = ExportOptions(layout=Choices({DENSE_ROWS: SynapseFormat.DENSE}))
        options = ImportOptions(STEPS, samples=folder / "silence.npy", export=export)
        import_bundle(path, folder / "pilotnet", options)
        requests = [
            Request(folder / "pilotnet", chip=chip, mode=mode) for chip in ROLES for mode in MODES
        ]
        runs = [simulate(prepared(request), every_core=True) for request in requests]
    rows = count_rows(runs[0].counters)
    for cycle, bound, role in zip(runs[::2], runs[1::2], ROLES.values(), strict=True):
        rows += pilotnet_rows(cycle, bound, role)
    write("chips", COMMAND, [*rows, *qp_rows(), *floor_rows(), *lsnn_rows(), *peak_rows()])


def download(folder: Path) -> Path:
    """PilotNet's file out of the wheel of lava-dl."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "-d", str(folder)]
    options = ["--only-binary", ":all:", "--python-version", "3.10"]
    subprocess.run([*pip, *options, WHEEL[0]], check=True)
    wheel = next(folder.glob("*.whl"))
    return Path(zipfile.ZipFile(wheel).extract(WHEEL[1], folder))


def count_rows(counters: Counters) -> list[Row]:
    """Work of the fullest core of each layer against the published figures; no chip file has a
    part in these counts."""
    how = f"{TEST}; {NOTEBOOK}, digitised +-2 %"
    synops = [
        near(
            f"PilotNet {layer}: synops per step of a full core",
            fullest(counters, "synop_conv", layer),
            measured,
            2,
            "synops",
            how,
        )
        for layer, measured in SYNOPS.items()
    ]
    messages = [
        report(
            f"PilotNet {layer}: messages into a full core per step",
            fullest(counters, "message_in", layer),
            "messages",
            f"{how}; measured {measured}",
        )
        for layer, measured in MESSAGES_IN.items()
    ]
    return synops + messages


def fullest(counters: Counters, column: str, layer: str) -> float:
    """What the busiest core of *layer* counts in a step."""
    mine = [name == layer for name in counters.slice_population]
    return float(counters.columns[column][mine].max()) / (counters.samples * counters.time_steps)


def pilotnet_rows(cycle: Run, bound: Run, role: str) -> list[Row]:
    """Step time by both modes, energy, and what limits the steps."""
    chip, how = cycle.chip, f"{role}; {NOTEBOOK}"
    steps = cycle.counters.samples * cycle.counters.time_steps
    times = cycle.timing.step_us[FRAME]
    stepping = running_pj(chip, cycle.placement.chips, float(times.mean())).scaled(1e-6)
    energy = price(cycle.counters, chip).total().scaled(1e-6 / steps) + stepping
    phases = np.sort(times.reshape(-1, 4).mean(axis=0))[::-1]
    label = f"PilotNet on {chip.name}"
    shown = ", ".join(f"{t:.0f}" for t in phases)
    measured = ", ".join(str(t) for t in sorted(PERIOD_US, reverse=True))
    long = [step for step, us in enumerate(cycle.timing.step_us) if us > times.mean()]
    return [
        near(f"{label}: step time, cycle", float(times.mean()), US, 25, "us a step", how),
        near(
            f"{label}: step time, bound",
            float(bound.timing.step_us[FRAME].mean()),
            US,
            25,
            "us a step",
            how,
        ),
        report(
            f"{label}: the four phases, cycle", shown, "us a step", f"{how}; measured {measured}"
        ),
        same(
            f"{label}: layer of the busiest core in long phases", busiest(cycle, long), "conv3", how
        ),
        near(f"{label}: dynamic energy", energy.nominal, UJ, 25, "uJ a step", how),
        report(
            f"{label}: dynamic energy, low .. high",
            f"{energy.low:.1f} .. {energy.high:.1f}",
            "uJ a step",
            how,
        ),
    ]


def busiest(run: Run, steps: list[int]) -> str:
    """The layer whose cores are the busiest in *steps*."""
    cores = run.timing.core[steps, :, COUNTER_NAMES.index("synapse_busy")].argmax(axis=1)
    return ", ".join(sorted({run.layer_of_core(int(run.timing.cores[i])) for i in cores}))


def qp_rows() -> list[Row]:
    """A quadratic program's solver: 288 and 528 microcoded neurons on two cores."""
    chip = load_chip("loihi2")
    network = one_population(288 + 528, 400 + 754, Reset.SOFT)
    how = (
        f"{SET}, as neurons plus floor; lava-optimization QP tutorial; 528 updates and 264 spikes"
        " on the larger core, the published number of synapses drawn at random"
    )
    return [
        near(
            f"QP solver on loihi2: step time, {mode}",
            us_per_step(network, chip, (288, 528), (288, 264), mode),
            8.137,
            25,
            "us a step",
            how,
        )
        for mode in MODES
    ]


def floor_rows() -> list[Row]:
    """Winner-take-all networks of few neurons a core: the floor hides their work."""
    chip, rows = load_chip("loihi2"), []
    how = f"flat: {TEST}; OzU-CAST/LoihiScalingEfficiency at 1c5a162d, digitised"
    for neurons, cores in ((200, 5), (1200, 69)):
        network = one_population(neurons, neurons * neurons, Reset.HARD)
        sizes = [len(part) for part in np.array_split(np.arange(neurons), cores)]
        us = us_per_step(network, chip, sizes, [max(1, n // 10) for n in sizes], "cycle")
        name = f"WTA on loihi2, {neurons} neurons on {cores} cores: step time, cycle"
        said = f"{how}; a tenth fires in each step; measured 1.77"
        rows.append(report(name, us, "us a step", said))
    return rows


def lsnn_rows() -> list[Row]:
    """The neuron part of one step of a recurrent network on one Loihi 1 core, held out."""
    how = (
        f"{TEST}; intel-nrc-ecosystem/models at 3dc53bfc, lsnn/apps/seqmnist: 26.4 nJ a step on the"
        " core, synapses included; 140 + 2 x 100 + 10 compartments"
    )
    rows = []
    for name in ("loihi1-nahuku", "loihi1-davies2018"):
        table = load_chip(name).energy_pj
        for label, q in (("idle", table.neuron_idle), ("active", table.neuron_active)):
            title = f"sequential MNIST on {name}: neurons only, all {label}"
            rows.append(report(title, 350 * q.value / 1e3, "nJ", how))
    return rows


def peak_rows() -> list[Row]:
    """All 140,544 cores of Hala Point at the rates of the file, below what is known."""
    chip, cores = load_chip("loihi2"), 140_544
    rate = cores / chip.time_ns.synop_conv.value * 1e9
    updates = cores / chip.time_ns.neuron_active.value * 1e9
    watts = rate * chip.energy_pj.synop_conv.value * 1e-12
    how = f"{TEST}; Hala Point release, April 2024: every core of 1152 chips busy at once"
    return [
        at_most("Hala Point by loihi2: synops", rate / 1e12, 380, "1e12/s", how),
        at_most("Hala Point by loihi2: neuron updates", updates / 1e12, 240, "1e12/s", how),
        at_most("Hala Point by loihi2: power, every core busy", watts, 2600, "W", how),
    ]


if __name__ == "__main__":
    main(sys.argv[1:])
