"""Chip files against what was measured on silicon, by counters and the step-time bound.

    python -m benchmarks.chips [network.net]            (also: make bench-chips)

PilotNet LIF comes from lava-dl's wheel, which is downloaded unless the file is given. Its
published run had a silent input (the frame went to an attribute that the neuron does not have), so
no image is needed: zero bias, 16 steps per frame. Rows say which runs a chip file was set on (no
test of it) and which it never saw.
"""

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np

from benchmarks.harness import Row, at_most, report, write
from tssd.calibration.int_network import Activity, IntNetwork, depths
from tssd.calibration.simulate import layerwise
from tssd.calibration.tally import Tally, tally
from tssd.export.netx_import import import_netx
from tssd.export.netx_read import read_netx
from tssd.hw_targets.bound import us_per_step
from tssd.hw_targets.chips import load_chip
from tssd.hw_targets.counters import Counters, count
from tssd.hw_targets.energy import price
from tssd.hw_targets.placement import place, placed_fanouts
from tssd.hw_targets.spec import ChipSpec, Level

COMMAND = "python -m benchmarks.chips"
WHEEL = ("lava-dl==0.6.0", "tests/lava/lib/dl/netx/gts/pilotnet_lif/network.net")
NOTEBOOK = "lava-dl pilotnet_snn/benchmark.ipynb at b9e3691: 152.85 us, 68.35 uJ per step"
# synaptic operations per step of full cores, read off the notebook's figure (+-2 %)
PER_CORE = {"conv2": 131_000, "conv3": 150_700, "conv4": 52_700, "conv5": 51_000}
STEPS = 16


def main(arguments: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(arguments[0]) if arguments else download(Path(folder))
        network = import_netx(read_netx(path), STEPS).network
    silence = np.zeros((STEPS, 1, *network.source.shape), np.int64)
    activity = layerwise(network, silence)
    found = tally(activity)
    rows = count_rows(network, found)
    for name, role in (("loihi2", "set on it"), ("loihi2-brief", "never saw it")):
        rows += pilotnet_rows(network, found, steps(network, activity), load_chip(name), role)
    rows += [*floor_rows(), *lsnn_rows(), *peak_rows()]
    write("chips", COMMAND, rows)


def download(folder: Path) -> Path:
    """PilotNet's file out of the wheel of lava-dl."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "-d", str(folder)]
    options = ["--only-binary", ":all:", "--python-version", "3.10"]
    subprocess.run([*pip, *options, WHEEL[0]], check=True)
    wheel = next(folder.glob("*.whl"))
    return Path(zipfile.ZipFile(wheel).extract(WHEEL[1], folder))


def count_rows(network: IntNetwork, found: Tally) -> list[Row]:
    """Operations of the fullest core of each layer against the published figure."""
    chip = load_chip("loihi2")
    placement = place(network, chip, found)
    per_core = count(network, found, placement, chip).by_core("synop_conv") / STEPS
    rows = []
    for layer, published in PER_CORE.items():
        fullest = max(float(per_core[s.core]) for s in placement.of(layer))
        name = f"PilotNet {layer}: synops per step of a full core, off by"
        how = f"{fullest:,.0f} counted, {published:,} digitised from the notebook"
        rows.append(at_most(name, 100 * abs(fullest / published - 1), 2, "%", how))
    return rows


def steps(network: IntNetwork, activity: Activity) -> list[Tally]:
    """One tally for each chip step of a frame: layer k is k steps behind, frames repeat."""
    depth = depths(network)
    return [
        Tally(
            1,
            1,
            {
                name: (spikes[(step - depth[name]) % STEPS, 0] != 0).astype(np.int64)
                for name, spikes in activity.spikes.items()
            },
            activity.readout,
        )
        for step in range(STEPS)
    ]


def pilotnet_rows(
    network: IntNetwork, found: Tally, each: list[Tally], chip: ChipSpec, role: str
) -> list[Row]:
    placement = place(network, chip, found)
    counters = count(network, found, placement, chip)
    energy = price(counters, chip).total().scaled(1e-6 / counters.steps)
    mean = us_per_step(network, found, counters, placement, chip)
    fanouts = placed_fanouts(network, placement)
    counted = [count(network, one, placement, chip, fanouts=fanouts) for one in each]
    times = [
        us_per_step(network, one, its, placement, chip)
        for one, its in zip(each, counted, strict=True)
    ]
    time = float(np.mean(times))
    label = f"PilotNet on {chip.name} ({role})"
    return [
        at_most(f"{label}: step time off by", 100 * abs(time / 152.85 - 1), 25, "%", NOTEBOOK),
        report(f"{label}: step time, mean over steps", time, "us", NOTEBOOK),
        report(f"{label}: step time, shortest step", min(times), "us", NOTEBOOK),
        report(f"{label}: step time, longest step", max(times), "us", NOTEBOOK),
        report(f"{label}: step time of the mean step", mean, "us", NOTEBOOK),
        at_most(
            f"{label}: energy off by", 100 * abs(energy.nominal / 68.35 - 1), 25, "%", NOTEBOOK
        ),
        report(f"{label}: energy", energy.nominal, "uJ", NOTEBOOK),
        report(f"{label}: energy, low", energy.low, "uJ", NOTEBOOK),
        report(f"{label}: energy, high", energy.high, "uJ", NOTEBOOK),
        report(f"{label}: layer of the busiest core", busiest(counters), "", NOTEBOOK),
    ]


def busiest(counters: Counters) -> str:
    return counters.slice_population[int(counters.columns["synop_conv"].argmax())]


def floor_rows() -> list[Row]:
    """The quadratic program's step: 528 microcoded updates on one core, by the maximum form."""
    chip = load_chip("loihi2")
    updates = 528 * chip.time_ns.neuron_microcode.value
    step = max(updates, chip.time_ns.barrier.at(1)) / 1e3
    how = "lava-optimization QP tutorial: 8.137 us; the maximum form, on a constant set by the sum"
    return [
        report("QP solver on loihi2 (set on it): step time", step, "us", how),
        at_most("QP solver on loihi2: step time off by", 100 * abs(step / 8.137 - 1), 25, "%", how),
    ]


def lsnn_rows() -> list[Row]:
    """The neuron part of one step of a recurrent network on one Loihi 1 core, held out."""
    how = (
        "intel-nrc-ecosystem/models at 3dc53bfc, lsnn/apps/seqmnist: 26.4 nJ a step on the core,"
        " synapses included; 140 + 2 x 100 + 10 compartments"
    )
    rows = []
    for name in ("loihi1-nahuku", "loihi1-davies2018"):
        table = load_chip(name).energy_pj
        for label, q in (("idle", table.neuron_idle), ("active", table.neuron_active)):
            title = f"sequential MNIST on {name} (held out): neurons only, all {label}"
            rows.append(report(title, 350 * q.value / 1e3, "nJ", how))
    return rows


def peak_rows() -> list[Row]:
    """All 140,544 cores of Hala Point at the rates of the file, below what is known."""
    chip, cores = load_chip("loihi2"), 140_544
    rate = cores / chip.time_ns.synop_conv.value * 1e9
    updates = cores / chip.time_ns.neuron_active.value * 1e9
    watts = rate * chip.energy_pj.synop_conv.value * 1e-12
    low = rate * chip.energy_pj.synop_conv.at(Level.LOW) * 1e-12
    how = "Hala Point release: at most 380e12 synops/s, 240e12 updates/s, 2600 W"
    return [
        at_most("Hala Point by loihi2: synops", rate / 1e12, 380, "1e12/s", how),
        at_most("Hala Point by loihi2: neuron updates", updates / 1e12, 240, "1e12/s", how),
        at_most("Hala Point by loihi2: power, every core busy", watts, 2600, "W", how),
        report("Hala Point by loihi2: power at the low energy", low, "W", how),
    ]


if __name__ == "__main__":
    main(sys.argv[1:])
