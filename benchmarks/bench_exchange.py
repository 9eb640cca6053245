"""Exchange: ONNX speed beside a float loop in torch, and equality with the definition.

python -m benchmarks.bench_exchange
"""

import os
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "support"))

import numpy as np  # noqa: E402
import snntorch as snn  # noqa: E402
import torch  # noqa: E402
from strategies import random_inputs, readout  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from benchmarks import harness  # noqa: E402
from tssd.calibration.int_network import (  # noqa: E402
    IntNetwork,
    Population,
    PopulationKind,
    Projection,
    ProjectionKind,
    Reset,
    constant,
    plain_population,
)
from tssd.calibration.simulate import layerwise  # noqa: E402
from tssd.export.onnx.graph import scan_bytes  # noqa: E402
from tssd.hw_targets.onnx import engine  # noqa: E402

COMMAND = "python -m benchmarks.bench_exchange"
STEPS, REPEATS = 25, 25


def network(time_steps: int = STEPS) -> IntNetwork:
    """1x28x28 -> conv 16 -> pool -> conv 32 -> pool -> 128 -> 10, tau 2, soft reset."""
    rng = np.random.default_rng(0)
    shapes = [(1, 28, 28), (16, 28, 28), (16, 14, 14), (32, 14, 14), (32, 7, 7)]
    populations = [
        plain_population("input", shapes[0], PopulationKind.INPUT),
        _lif("conv1", shapes[1]),
        plain_population("pool1", shapes[2], PopulationKind.RELAY),
        _lif("conv2", shapes[3]),
        plain_population("pool2", shapes[4], PopulationKind.RELAY),
        _lif("fc1", (128,)),
        readout("readout", 10, rng),
    ]
    conv, pool, dense = ProjectionKind.CONV2D, ProjectionKind.SUM_POOL, ProjectionKind.DENSE
    ones = [np.ones((c, 1, 2, 2), np.int64) for c in (16, 32)]
    return IntNetwork(
        tuple(populations),
        (
            Projection("input", "conv1", conv, _weights(rng, 16, 1, 3, 3), padding=(1, 1)),
            Projection("conv1", "pool1", pool, ones[0], stride=(2, 2), groups=16),
            Projection("pool1", "conv2", conv, _weights(rng, 32, 16, 3, 3), padding=(1, 1)),
            Projection("conv2", "pool2", pool, ones[1], stride=(2, 2), groups=32),
            Projection("pool2", "fc1", dense, _weights(rng, 128, 1568)),
            Projection("fc1", "readout", dense, _weights(rng, 10, 128)),
        ),
        time_steps,
    )


def _weights(rng: np.random.Generator, *shape: int) -> "np.typing.NDArray[np.int64]":
    return np.clip(np.rint(rng.normal(0, 40, shape)), -127, 127).astype(np.int64)


def _lif(name: str, shape: tuple[int, ...]) -> Population:
    return Population(
        name,
        shape,
        PopulationKind.LIF,
        Reset.SOFT,
        du=constant(4096, shape),
        dv=constant(2048, shape),
        vth=constant(400, shape),
        bias_mant=constant(7, shape),
    )


class FloatLoop:
    """The same layers as a float loop over time, with snnTorch's neuron or the bare equations."""

    def __init__(self, neuron: str) -> None:
        self.maps = [nn.Conv2d(1, 16, 3, padding=1), nn.Conv2d(16, 32, 3, padding=1)]
        self.dense = [nn.Linear(1568, 128), nn.Linear(128, 10)]
        self.cells = [snn.Leaky(beta=0.5) for _ in range(3)] if neuron == "snntorch" else []

    def __call__(self, frames: Tensor) -> Tensor:
        state: list[Tensor] = [torch.zeros(())] * 3
        total = torch.zeros(len(frames[0]), 10)
        with torch.no_grad():
            for frame in frames:
                s = functional.avg_pool2d(self.fire(0, self.maps[0](frame), state), 2)
                s = functional.avg_pool2d(self.fire(1, self.maps[1](s), state), 2)
                s = self.fire(2, self.dense[0](s.flatten(1)), state)
                total = total + self.dense[1](s)
        return total

    def fire(self, i: int, current: Tensor, state: list[Tensor]) -> Tensor:
        if self.cells:
            fired: Tensor
            fired, state[i] = self.cells[i](current, state[i] if state[i].ndim else None)
            return fired
        membrane = 0.5 * state[i] + current
        spikes = (membrane >= 1).float()
        state[i] = membrane - spikes
        return spikes


def interleaved(work: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """Best CPU seconds of each, taken in turn, so that a busy machine meets all alike."""
    best = {name: harness.best_of(run, 1) for name, run in work.items()}
    for _ in range(REPEATS):
        for name, run in work.items():
            best[name] = min(best[name], harness.cpu_seconds(run))
    return best


def onnx_rows() -> list[harness.Row]:
    torch.set_num_threads(1)
    net = network()
    model = engine.open_model(scan_bytes(net))
    inputs = random_inputs(net, 0, batch=1)
    frames = torch.tensor(inputs / 255, dtype=torch.float32)
    final = f"{net.readout.name}.v.final"
    feed = {f"{model.source}.series": inputs.astype(model.input_dtype)}
    loops = {neuron: FloatLoop(neuron) for neuron in ("snntorch", "bare")}
    seconds = interleaved(
        {
            "session": lambda: model.session.run([final], feed),
            "engine": lambda: engine.run_model(model, inputs),
            **{neuron: partial(loop, frames) for neuron, loop in loops.items()},
        }
    )
    how = (
        f"{COMMAND}; conv 16-32-128-10, T = {STEPS}, batch 1, one thread, CPU time, best of "
        f"{REPEATS} in turn; from frames to the readout's sum"
    )
    rows = [
        harness.report("onnx: one sample, frames to readout", 1e3 * seconds["session"], "ms", how),
        harness.report("onnx: one sample, all spikes as int64", 1e3 * seconds["engine"], "ms", how),
    ]
    for neuron in loops:
        name = f"onnx: times faster than a torch float loop ({neuron} neurons)"
        rows.append(harness.at_least(name, seconds[neuron] / seconds["session"], 3, "x", how))
    expected, got = layerwise(net, inputs), engine.run(net, inputs, trace=True)
    spikes = sum(int((expected.spikes[n] != got.spikes[n]).sum()) for n in expected.spikes)
    membranes = sum(int((expected.states["v"][n] != x).sum()) for n, x in got.states["v"].items())
    rows.append(harness.at_most("onnx: differing spikes", spikes, 0, "spikes", how))
    rows.append(harness.at_most("onnx: differing membranes", membranes, 0, "values", how))
    return rows


if __name__ == "__main__":
    harness.write("exchange", COMMAND, onnx_rows())
