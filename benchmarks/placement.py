"""Placement: how much shorter traffic gets, how long it takes, Intel's partition beside ours, and
what ``--optimise`` buys.

    python -m benchmarks.placement build/vgg-brief            (also: make bench-placement)

The bundle is of ``vgg-small`` after one epoch on 6,400 images of Fashion-MNIST: its spike rates are
those of a trained network, its accuracy is not (73 %).
"""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "support"))

from networks import mlp, pilotnet, resnet18

from benchmarks.harness import Row, at_least, at_most, cpu_seconds, report, write
from tssd.calibration.int_network import IntNetwork
from tssd.calibration.integer import IntArray
from tssd.chain.samples import bundle_samples
from tssd.export.bundle.folder import read_bundle
from tssd.hw_targets.chip.chips import load_chip
from tssd.hw_targets.mapping.mesh import hop_cost, in_order, sites
from tssd.hw_targets.mapping.partition import partition
from tssd.hw_targets.mapping.placement import Placement, place, streams, traffic
from tssd.hw_targets.optimising.goal import Goal
from tssd.hw_targets.optimising.optimise import optimise
from tssd.hw_targets.sim.engine import run
from tssd.hw_targets.sim.functional import simulate, tally_of
from tssd.hw_targets.sim.program import prepare
from tssd.hw_targets.sim.summary import RunTotals, totals

COMMAND = "python -m benchmarks.placement build/vgg-brief"
HOW = "cycle mode, 8 test samples that no placement went by, steady state; static energy included"
INTEL = {"input": 13, "conv1": 25, "conv2": 13, "conv3": 3, "conv4": 3, "conv5": 2}


GOLDEN, MORE = 64, 8  # samples that the placement goes by, and others on which it is compared


def main(folder: Path) -> None:
    networks = {
        "PilotNet": pilotnet(),
        "ResNet-18 (32 x 32)": resnet18(),
        "MLP 784-2048-2048-10": mlp(784, 2048, 2048, 10),
    }
    rows = [row for name, network in networks.items() for row in measure(name, network)]
    write("placement", COMMAND, [*rows, *against_intel(), *optimised(folder)])


def measure(name: str, network: IntNetwork) -> list[Row]:
    chip = load_chip("loihi2")
    found = []
    seconds = cpu_seconds(lambda: found.append(place(network, chip)))
    placement = found[0]
    flow = traffic(streams(network, placement, chip), placement)
    plain = hop_cost(chip, flow, in_order(sites(chip, placement.chips))[: placement.cores])
    how = "messages x distance, one spike per neuron; against network order, router by router"
    size = f"{sum(p.neurons for p in network.populations):,} neurons on {placement.cores} cores"
    return [
        report(f"{name}: traffic shortened", plain / placement.hop_cost, "ratio", how),
        at_most(f"{name}: partition and place", seconds, 10.0, "cpu s", size),
        report(f"{name}: chips", placement.chips, "chips", size),
    ]


def against_intel() -> list[Row]:
    parts = partition(pilotnet(), load_chip("loihi2"))
    cores = [s.population for s in parts.slices]
    agree = sum(cores.count(name) == n for name, n in INTEL.items())
    how = "table in lava-dl's pilotnet_snn/benchmark.ipynb"
    return [
        at_least("PilotNet: image layers cut as by Intel's compiler", agree, 6, "of 6", how),
        report("PilotNet: cores (Intel's compiler: 74)", parts.cores, "cores", how),
    ]


def optimised(folder: Path) -> list[Row]:
    """What each goal buys, on samples of the test set that no placement went by."""
    bundle, chip = read_bundle(folder), load_chip("loihi2")
    network = bundle.network
    inputs = bundle_samples(bundle, GOLDEN + MORE, None).inputs.whole()
    shown, others = inputs[:, :GOLDEN], inputs[:, GOLDEN:]
    tally = tally_of(network, simulate(prepare(network), shown))
    smallest = taken(network, place(network, chip, tally), others)
    rows = [
        report("vgg-small: smallest", smallest.cores, "cores", HOW),
        report("vgg-small: smallest, step", smallest.us_per_step, "us", HOW),
        report("vgg-small: smallest, energy", energy_uj(smallest), "uJ/inference", HOW),
    ]
    for goal in (Goal.TIME, Goal.ENERGY):
        begun = time.process_time()
        found = optimise(network, chip, tally, shown, goal)
        seconds = time.process_time() - begun
        after = taken(network, found.placement, others)
        label = f"vgg-small for {goal}"
        faster = smallest.us_per_step / after.us_per_step
        saved = 100 * (1 - energy_uj(after) / energy_uj(smallest))
        rows += [
            report(f"{label}: cores", after.cores, "cores", f"{found.cores_there} there; {HOW}"),
            report(f"{label}: step", after.us_per_step, "us", HOW),
            report(f"{label}: energy", energy_uj(after), "uJ/inference", HOW),
            at_most(f"{label}: found in", seconds, 60, "cpu s", "all of it, proof included"),
        ]
        if goal is Goal.TIME:
            rows.append(at_least(f"{label}: steps shorter", faster, 4, "x", HOW))
        else:
            rows.append(at_least(f"{label}: energy saved", saved, 40, "%", HOW))
    return rows


def taken(network: IntNetwork, placement: Placement, inputs: IntArray) -> RunTotals:
    """What the simulated chip takes, in cycle mode."""
    return totals(run(network, inputs, placement, load_chip("loihi2")))


def energy_uj(run: RunTotals) -> float:
    assert run.dynamic_pj is not None
    assert run.static_pj is not None
    return (run.dynamic_pj.nominal + run.static_pj.nominal) / 1e6


if __name__ == "__main__":
    main(Path(sys.argv[1]))
