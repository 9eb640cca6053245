"""The ONNX graphs beside the integer definition: differing spikes and membranes, all of them.

python -m benchmarks.onnx_equality BUNDLE ... [--samples 10000] [--networks 1000]

Whole test sets of the bundles' data set (every step's u and v too), and random networks that use
everything the format allows. Both are compared slot by slot.
"""

import argparse
import os
import sys
from collections import Counter
from collections.abc import Iterator
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
from tssd.errors import NetworkError  # noqa: E402
from tssd.export.bundle import read_bundle  # noqa: E402
from tssd.export.onnx_graph import scan_bytes, step_bytes  # noqa: E402
from tssd.hw_targets.onnx import engine  # noqa: E402
from tssd.verification import VerifyOptions, load_samples  # noqa: E402

COMMAND = "python -m benchmarks.onnx_equality"
BATCH = 20
FIRST_SEED = 100


def differences(expected: Activity, found: Activity) -> Counter[str]:
    """Slots compared and slots that differ, of spikes and of membranes (u, v, final v)."""
    counts: Counter[str] = Counter()
    groups = {
        "spikes": [(expected.spikes[n], found.spikes[n]) for n in expected.spikes],
        "membranes": [
            *((expected.u[n], found.u[n]) for n in found.u),
            *((expected.v[n], found.v[n]) for n in found.v),
            (expected.readout, found.readout),
        ],
    }
    for label, pairs in groups.items():
        counts[label] += sum(a.size for a, _ in pairs)
        counts[f"differing {label}"] += sum(int(np.count_nonzero(a != b)) for a, b in pairs)
    return counts


def compared(network: IntNetwork, inputs: IntArray) -> Counter[str]:
    """The traced Scan graph and the one-step graph on all of *inputs*, batch by batch."""
    whole = engine.open_model(scan_bytes(network, trace=True))
    step = engine.open_model(step_bytes(network))
    counts: Counter[str] = Counter()
    for first in range(0, inputs.shape[1], BATCH):
        part = inputs[:, first : first + BATCH]
        expected = layerwise(network, part)
        counts += differences(expected, engine.run_model(whole, part))
        if first % (10 * BATCH) == 0:
            counts += differences(expected, engine.run_model(step, part))
    return counts


def bundle_rows(folder: Path, samples: int) -> Iterator[harness.Row]:
    bundle = read_bundle(folder)
    inputs = load_samples(bundle, VerifyOptions(samples=samples)).inputs
    counts = compared(bundle.network, inputs)
    resets = "/".join(sorted({str(p.reset) for p in bundle.network.populations} - {"none"}))
    data = bundle.manifest.get("source", {}).get("dataset", "golden inputs")
    what = f"{inputs.shape[1]:,} test samples of {data}, {resets} reset"
    yield from difference_rows(what, counts, f"{COMMAND} {folder.name} --samples {samples}")


def random_rows(networks: int) -> Iterator[harness.Row]:
    counts: Counter[str] = Counter()
    seed, done = FIRST_SEED, 0
    while done < networks:
        case = wild_case(seed)
        seed += 1
        try:
            counts += compared(case.network, case.inputs)
            done += 1
        except NetworkError as error:
            if "no exact float" not in str(error):
                raise
            counts["refused"] += 1
    refused = f"{counts['refused']} more refused: a payload without an exact sum"
    how = f"{COMMAND} --networks {networks}; {refused}"
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
    parser.add_argument("--networks", type=int, default=1000)
    options = parser.parse_args()
    rows = [row for folder in options.bundles for row in bundle_rows(folder, options.samples)]
    if options.networks:
        rows += random_rows(options.networks)
    harness.write("onnx_equality", COMMAND, rows)


if __name__ == "__main__":
    main()
