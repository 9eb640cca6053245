"""The ONNX graphs beside the integer definition: differing spikes and membranes, all of them.

python -m benchmarks.onnx_equality BUNDLE ... [--samples 10000] [--traced 500] [--networks 1000]

Whole test sets of the bundles' data set beside the torch reference: all spikes, the readout's
membranes. Their first samples beside the definition: every step's u and v too, and the one-step
graph. Random networks that use everything the format allows likewise. All slot by slot.
"""

import argparse
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "support"))

import numpy as np  # noqa: E402
from wild_networks import wild_case  # noqa: E402

from benchmarks import harness  # noqa: E402
from tssd.calibration.int_network import Activity, IntNetwork  # noqa: E402
from tssd.calibration.integer import IntArray  # noqa: E402
from tssd.calibration.simulate import layerwise  # noqa: E402
from tssd.chain.samples import bundle_samples  # noqa: E402
from tssd.errors import NetworkError  # noqa: E402
from tssd.export.bundle.folder import read_bundle  # noqa: E402
from tssd.export.onnx.graph import scan_bytes, step_bytes  # noqa: E402
from tssd.hw_targets.gpu import engine as gpu  # noqa: E402
from tssd.hw_targets.onnx import engine  # noqa: E402

Reference = Callable[[IntNetwork, IntArray], Activity]
COMMAND = "python -m benchmarks.onnx_equality"
BATCH = 20
FIRST_SEED = 100


def differences(expected: Activity, found: Activity) -> Counter[str]:
    """Slots compared and slots that differ, of spikes and of membranes (u, v, final v)."""
    counts: Counter[str] = Counter()
    groups = {
        "spikes": [(expected.spikes[n], found.spikes[n]) for n in expected.spikes],
        "membranes": [
            *((expected.states[x][n], a) for x in found.states for n, a in found.states[x].items()),
            (expected.readout, found.readout),
        ],
    }
    for label, pairs in groups.items():
        counts[label] += sum(a.size for a, _ in pairs)
        counts[f"differing {label}"] += sum(int(np.count_nonzero(a != b)) for a, b in pairs)
    return counts


def compared(
    network: IntNetwork, inputs: IntArray, reference: Reference, *, trace: bool
) -> Counter[str]:
    """The Scan graph on all of *inputs*, batch by batch; traced, and the one-step graph, too."""
    whole = engine.open_model(scan_bytes(network, trace=trace))
    step = engine.open_model(step_bytes(network)) if trace else None
    counts: Counter[str] = Counter()
    for first in range(0, inputs.shape[1], BATCH):
        part = inputs[:, first : first + BATCH]
        expected = reference(network, part)
        counts += differences(expected, engine.run_model(whole, part))
        if step is not None:
            counts += differences(expected, engine.run_model(step, part))
    return counts


def bundle_rows(folder: Path, samples: int, traced: int) -> Iterator[harness.Row]:
    bundle = read_bundle(folder)
    network = bundle.network
    inputs = bundle_samples(bundle, samples, None).inputs.whole()
    resets = "/".join(sorted({str(p.reset) for p in network.populations} - {"none"}))
    data = bundle.manifest.get("source", {}).get("dataset", "golden inputs")
    told = f"{COMMAND} {folder.name} --samples {samples} --traced {traced}"
    what = f"{inputs.shape[1]:,} test samples of {data}, {resets} reset"
    counts = compared(network, inputs, gpu.run, trace=False)
    yield from difference_rows(what, counts, f"{told}; beside the torch reference")
    first = inputs[:, :traced]
    counts = compared(network, first, layerwise, trace=True)
    what = f"every step of the first {first.shape[1]:,}, {resets} reset"
    yield from difference_rows(what, counts, f"{told}; beside the definition, both graphs")


def random_rows(networks: int) -> Iterator[harness.Row]:
    counts: Counter[str] = Counter()
    seed, done = FIRST_SEED, 0
    while done < networks:
        case = wild_case(seed)
        seed += 1
        try:
            counts += compared(case.network, case.inputs, layerwise, trace=True)
            done += 1
        except NetworkError as error:
            if "no exact float" not in str(error):
                raise
            counts["refused"] += 1
    refused = f"{counts['refused']} more refused: a payload without an exact sum"
    how = f"{COMMAND} --networks {networks}; beside the definition, both graphs; {refused}"
    yield from difference_rows(f"{networks:,} random networks", counts, how)


def difference_rows(what: str, counts: Counter[str], how: str) -> Iterator[harness.Row]:
    for label in ("spikes", "membranes"):
        name = f"onnx: differing {label}, {what}"
        told = f"{how}; {counts[label]:,} values compared"
        yield harness.at_most(name, counts[f"differing {label}"], 0, label, told)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("bundles", nargs="*", type=Path)
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--traced", type=int, default=500)
    parser.add_argument("--networks", type=int, default=1000)
    options = parser.parse_args()
    rows = [
        row
        for folder in options.bundles
        for row in bundle_rows(folder, options.samples, options.traced)
    ]
    if options.networks:
        rows += random_rows(options.networks)
    harness.write("onnx_equality", COMMAND, rows)


if __name__ == "__main__":
    main()
