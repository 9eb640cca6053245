"""The same Scan graphs in onnxruntime-web (node, WebAssembly) and in onnxruntime: equal sums.

npm install --prefix build/web onnxruntime-web@1.20.1
python -m benchmarks.onnx_web build/web
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "support"))

import numpy as np  # noqa: E402
from strategies import random_conv_network  # noqa: E402

from benchmarks import bench_exchange, harness  # noqa: E402
from tssd.calibration.int_network import IntNetwork, Reset  # noqa: E402
from tssd.export.onnx.graph import scan_bytes  # noqa: E402
from tssd.hw_targets.onnx import engine  # noqa: E402

COMMAND = "python -m benchmarks.onnx_web build/web"
SCRIPT = Path(__file__).with_suffix(".cjs")
STEPS, BATCH = 5, 3
SEEDS = (3, 5, 8)  # random networks with synaptic memory: their states travel in float64


def compare(network: IntNetwork, modules: Path) -> tuple[int, int]:
    """Outputs (spikes over time, final membranes), and how many of their sums differ."""
    data = scan_bytes(network)
    shape = (network.time_steps, BATCH, *network.source.shape)
    inputs = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    session = engine.open_model(data).session
    names = [output.name for output in session.get_outputs()]
    values = session.run(names, {session.get_inputs()[0].name: inputs})
    ours = {n: int(v.astype(np.int64).sum()) for n, v in zip(names, values, strict=True)}
    with tempfile.TemporaryDirectory() as folder:
        model, frames = Path(folder) / "n.onnx", Path(folder) / "x.bin"
        model.write_bytes(data)
        frames.write_bytes(inputs.tobytes())
        command = ["node", str(SCRIPT), str(model), str(frames), json.dumps(inputs.shape)]
        environment = os.environ | {"NODE_PATH": str(modules / "node_modules")}
        answer = subprocess.run(command, env=environment, capture_output=True, check=True)
    theirs = {name: int(total) for name, total in json.loads(answer.stdout).items()}
    return len(names), sum(ours[name] != theirs[name] for name in names)


def rows(modules: Path) -> list[harness.Row]:
    package = modules / "node_modules" / "onnxruntime-web" / "package.json"
    version = json.loads(package.read_text())["version"]
    networks = [bench_exchange.network(STEPS)]
    networks += [random_conv_network(seed, Reset.SOFT, memory=True) for seed in SEEDS]
    found = [compare(network, modules) for network in networks]
    how = (
        f"{COMMAND}; {len(networks)} convolutional networks of {STEPS} and 4 steps, batch {BATCH}, "
    )
    how += f"in float32 and float64; onnxruntime-web {version}, WebAssembly in node, one thread"
    total, differing = (sum(numbers) for numbers in zip(*found, strict=True))
    name = "onnx in onnxruntime-web: outputs whose sums differ"
    return [
        harness.report("onnx in onnxruntime-web: outputs compared", total, "tensors", how),
        harness.at_most(name, differing, 0, "tensors", how),
    ]


if __name__ == "__main__":
    harness.write("exchange_web", COMMAND, rows(Path(sys.argv[1]).resolve()))
