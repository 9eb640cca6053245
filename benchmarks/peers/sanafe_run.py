"""Runs inside an environment that holds sanafe (and not tssd): time it and keep what it found.

python sanafe_run.py dvs.yaml result.json spikes.npz
"""

import json
import resource
import sys
import time
from typing import Any

import numpy as np
import sanafe  # type: ignore[import-not-found]  # pyright: ignore[reportMissingImports]

STEPS = {"simple": 300, "detailed": 300, "cycle": 10}
TRACE_STEPS = 1000


def main(network: str, result: str, spikes: str) -> None:
    wall, cpu = time.perf_counter(), time.process_time()
    arch = sanafe.load_loihi()
    net = sanafe.load_net(network, arch)
    chip = sanafe.SpikingChip(arch)
    chip.load(net)
    out: dict[str, Any] = {
        "build_wall_s": time.perf_counter() - wall,
        "build_cpu_s": time.process_time() - cpu,
    }
    for mode, steps in STEPS.items():
        chip.reset()
        cpu, wall = time.process_time(), time.perf_counter()
        found = chip.sim(steps, timing_model=mode, processing_threads=1)
        out[mode] = {
            "steps": steps,
            "cpu_s": time.process_time() - cpu,
            "wall_s": time.perf_counter() - wall,
            "sim_time_s": found["sim_time"],
        }
    chip.reset()
    found = chip.sim(TRACE_STEPS, timing_model="detailed", processing_threads=1, spike_trace=True)
    rows = [
        (step, int(a.group_name), a.neuron_offset)
        for step, fired in enumerate(found["spike_trace"])
        for a in fired
    ]
    np.savez_compressed(spikes, rows=np.array(rows))
    out["trace"] = {
        "steps": TRACE_STEPS,
        "energy_j": {key: float(value) for key, value in found["energy"].items()},
        "sim_time_s": found["sim_time"],
        "synops": found["spikes"],
        "firings": len(rows),
        "keys": {k: v for k, v in found.items() if isinstance(v, (int, float))},
    }
    out["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    with open(result, "w", encoding="utf-8") as file:
        json.dump(out, file, indent=1)


if __name__ == "__main__":
    main(*sys.argv[1:4])
