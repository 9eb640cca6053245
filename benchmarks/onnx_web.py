"""The same Scan graph in onnxruntime-web (node, WebAssembly) and in onnxruntime: equal sums.

npm install --prefix build/web onnxruntime-web@1.20.1
python -m benchmarks.onnx_web build/web
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks import bench_exchange
from tssd.export.onnx_graph import scan_bytes
from tssd.hw_targets.onnx import engine

SCRIPT = Path(__file__).with_suffix(".cjs")
STEPS, BATCH = 5, 3


def compare(modules: Path) -> bool:
    """Whether the sum of every output (spikes and final membranes) is the same in both."""
    network = bench_exchange.network(STEPS)
    data = scan_bytes(network)
    frames_shape = (STEPS, BATCH, *network.source.shape)
    inputs = np.random.default_rng(0).integers(0, 256, frames_shape).astype(np.uint8)
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
    for name in names:
        print(f"{name:24} {ours[name]:>16} {theirs[name]:>16}")
    return ours == theirs


if __name__ == "__main__":
    sys.exit(0 if compare(Path(sys.argv[1]).resolve()) else 1)
