"""Runs inside an environment that holds sanafe (and not tssd): time it and keep what it found.

python sanafe_run.py dvs_challenge.npz result.json spikes.npz

The network is built and mapped as in SANA-FE's notebook tutorial_5_dvs.
"""

import json
import resource
import sys
import time
from typing import Any

import numpy as np
import sanafe  # type: ignore[import-not-found]  # pyright: ignore[reportMissingImports]
import sanafe.layers  # type: ignore[import-not-found]  # pyright: ignore[reportMissingImports]

STEPS = 1000
CYCLE_FROM, CYCLE_STEPS = 500, 10  # its cycle mode is slow: some steps from the middle of the run
CORES = (1, 4, 16, 16, 4, 1)


def build(weights: str) -> tuple[Any, list[Any]]:
    """The mapped chip, and its layers from the input on."""
    arch, net = sanafe.load_loihi(), sanafe.Network()
    data, make = np.load(weights), sanafe.layers
    thresholds = data["thresholds"]
    layers = [make.Input2D(net, 32, 32, threshold=thresholds[0])]
    for i in range(1, 5):
        stride = 2 if i == 1 else 1
        layers.append(
            make.Conv2D(
                net,
                layers[-1],
                data[f"conv{i}"],
                stride_width=stride,
                stride_height=stride,
                threshold=thresholds[i],
            )
        )
    layers.append(make.Dense(net, layers[-1], 11, data["dense1"], threshold=thresholds[5]))
    for neuron, bias in zip(layers[0], data["inputs"], strict=True):
        neuron.set_attributes(model_attributes={"bias": bias})
    cores, used = arch.cores(), 0
    for layer, count in zip(layers, CORES, strict=True):
        each = len(layer) // count
        for c in range(count):
            last = len(layer) if c == count - 1 else (c + 1) * each
            for neuron in layer[c * each : last]:
                neuron.set_attributes(log_spikes=True)
                neuron.map_to_core(cores[used])
            used += 1
    chip = sanafe.SpikingChip(arch)
    chip.load(net)
    return chip, layers


def timed(chip: Any, steps: int, mode: str) -> dict[str, float]:
    """One run: steps, CPU and wall seconds."""
    cpu, wall = time.process_time(), time.perf_counter()
    chip.sim(steps, timing_model=mode, processing_threads=1)
    return {
        "steps": steps,
        "cpu_s": time.process_time() - cpu,
        "wall_s": time.perf_counter() - wall,
    }


def main(weights: str, result: str, spikes: str) -> None:
    wall, cpu = time.perf_counter(), time.process_time()
    chip, layers = build(weights)
    out: dict[str, Any] = {
        "build_wall_s": time.perf_counter() - wall,
        "build_cpu_s": time.process_time() - cpu,
    }
    # first: a reset leaves counters, input trains and what is on its way
    found = chip.sim(STEPS, timing_model="detailed", processing_threads=1, spike_trace=True)
    groups = [layer.group.get_name() for layer in layers]
    rows = [
        (step, groups.index(a.group_name), a.neuron_offset)
        for step, fired in enumerate(found["spike_trace"])
        for a in fired
    ]
    np.savez_compressed(spikes, rows=np.array(rows))
    out["trace"] = {
        "steps": STEPS,
        "energy_j": {key: float(value) for key, value in found["energy"].items()},
        "sim_time_s": found["sim_time"],
        "synops": found["spikes"],
        "messages": found["packets_sent"],
        "updates": found["neurons_updated"],
        "firings": found["neurons_fired"],
    }
    for mode in ("simple", "detailed"):
        chip.reset()
        out[mode] = timed(chip, STEPS, mode)
    chip.reset()
    chip.sim(CYCLE_FROM, timing_model="simple", processing_threads=1)
    out["cycle"] = timed(chip, CYCLE_STEPS, "cycle")
    out["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    with open(result, "w", encoding="utf-8") as file:
        json.dump(out, file, indent=1)


if __name__ == "__main__":
    main(*sys.argv[1:4])
