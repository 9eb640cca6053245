"""Placement: how much shorter traffic gets, how long it takes, Intel's partition beside ours.

python -m benchmarks.placement            (also: make bench-placement)
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "support"))

from networks import mlp, pilotnet, resnet18

from benchmarks.harness import Row, at_least, at_most, cpu_seconds, report, write
from tssd.calibration.int_network import IntNetwork
from tssd.hw_targets.chip.chips import load_chip
from tssd.hw_targets.mapping.mesh import hop_cost, in_order, sites
from tssd.hw_targets.mapping.partition import partition
from tssd.hw_targets.mapping.placement import place, placed_fanouts, traffic

COMMAND = "python -m benchmarks.placement"
INTEL = {"input": 13, "conv1": 25, "conv2": 13, "conv3": 3, "conv4": 3, "conv5": 2}


def main() -> None:
    networks = {
        "PilotNet": pilotnet(),
        "ResNet-18 (32 x 32)": resnet18(),
        "MLP 784-2048-2048-10": mlp(784, 2048, 2048, 10),
    }
    rows = [row for name, network in networks.items() for row in measure(name, network)]
    write("placement", COMMAND, [*rows, *against_intel()])


def measure(name: str, network: IntNetwork) -> list[Row]:
    chip = load_chip("loihi2")
    found = []
    seconds = cpu_seconds(lambda: found.append(place(network, chip)))
    placement = found[0]
    flow = traffic(network, placement, placed_fanouts(network, placement))
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


if __name__ == "__main__":
    main()
