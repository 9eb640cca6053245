"""Bits of the first layers, spikes of the published Braille readers, and a CIFAR-10 network of
depthwise convolutions in integers.

    python -m benchmarks.bits_in [--cifar FOLDER] [--runs FOLDER] [--epochs N] [--images N]

The first FOLDER holds CIFAR-10's binary batches; what was trained on them is kept in the second.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from benchmarks.harness import Row, at_least, at_most, report, write
from tssd.calibration.comparing.kept import kept
from tssd.calibration.int_network import IntNetwork
from tssd.calibration.precision import LOIHI
from tssd.calibration.quantizing.fold import align, fold
from tssd.calibration.quantizing.observe import observe
from tssd.calibration.quantizing.quantize import apply
from tssd.calibration.quantizing.scales import (
    BiasRoute,
    Exponents,
    Options,
    Scales,
    Search,
    choose,
)
from tssd.chain.torch_module import FloatModule
from tssd.export.nir.graphs.profiles import Answers, resolve
from tssd.export.nir.graphs.read import read_graph
from tssd.export.nir.graphs.to_float import to_float
from tssd.hw_targets.gpu.engine import count
from tssd.train.handover.float_activity import ImageArray
from tssd.train.handover.float_file import read, to_bytes
from tssd.train.handover.float_network import (
    FloatArray,
    FloatNetwork,
    FloatPopulation,
    FloatProjection,
    Norm,
    PopulationKind,
    ProjectionKind,
    Reset,
)
from tssd.train.handover.float_run import run

GRAPHS = Path(__file__).resolve().parents[1] / "tests" / "golden" / "nir"
BITS_GOAL, BRAILLE_GOAL_PERCENT, CIFAR_GOAL_POINTS = 7, 2.0, 2.0
PROFILES = {"norse": Answers("norse", dt_seconds=1e-4), "spyx": Answers("spyx", dt_seconds=1e-4)}
DRAWS = 6
BATCH = 64
WAYS = {
    "as deployed": Options(),
    "all levels, a smaller scale": Options(bias_route=BiasRoute.SCALE),
    "scales by the weights alone": Options(bias_route=BiasRoute.SCALE, search=Search.WEIGHT_MSE),
}


def main() -> None:
    arguments = _arguments()
    rows = [*_mlp(), *_braille()]
    command = "python -m benchmarks.bits_in"
    if arguments.cifar is not None:
        rows += _cifar(arguments.cifar, arguments)
        command += f" --cifar FOLDER --epochs {arguments.epochs} --images {arguments.images}"
        command += f" --checked {arguments.checked}"
    write("bits_in", command, rows)


def _integers(
    network: FloatNetwork, images: ImageArray, options: Options
) -> tuple[IntNetwork, Scales]:
    scales = choose(network, observe(network, images), LOIHI, options)
    return apply(network, scales), scales


# ---------------------------------------------------------------- 784 pixels into a dense layer


def _mlp() -> list[Row]:
    rng = np.random.default_rng(0)
    ways = {
        "soft reset": (Reset.SOFT, Exponents.ALWAYS),
        "hard reset": (Reset.HARD, Exponents.WORTH),
        "hard reset, --for-netx": (Reset.HARD, Exponents.NEVER),
    }
    grey = np.where(rng.random((32, 784)) < 0.2, rng.integers(100, 256, (32, 784)), 0)
    two = np.where(rng.random((32, 10, 784)) < 0.1, 255, 0)
    rows = []
    for way, (reset, exponents) in ways.items():
        network = _dense(rng, reset)
        for label, images in (("pixels", grey), ("frames of two values", two)):
            made, _ = _integers(network, images.astype(np.uint8), Options(exponents=exponents))
            first = kept(made)[0]
            name, bits = f"first layer, {way}, {label}: bits kept", round(first.bits, 2)
            how = (
                f"784-64-10 with fresh weights, {made.input_coding} up to {made.input_max}, weight "
                f"exponent {first.exponent}"
            )
            rows.append(
                report(name, bits, "bit", how)
                if exponents is Exponents.NEVER
                else at_least(name, bits, BITS_GOAL, "bit", how)
            )
    return rows


def _dense(rng: np.random.Generator, reset: Reset) -> FloatNetwork:
    sizes = (784, 64, 10)
    layers = [
        FloatProjection(
            f"l{k}",
            f"l{k + 1}",
            ProjectionKind.DENSE,
            rng.uniform(-1, 1, (sizes[k + 1], sizes[k])) / np.sqrt(sizes[k]),
            rng.uniform(-1, 1, sizes[k + 1]) / np.sqrt(sizes[k]),
        )
        for k in range(2)
    ]
    made = (_plain("l0", (784,)), _lif("l1", (64,), reset, 0.95), _readout("l2", 10))
    return align(fold(FloatNetwork(made, tuple(layers), 10)))


# ---------------------------------------------------------------- the published Braille readers


def _braille() -> list[Row]:
    """Hidden spikes of the integers over those of the platform's rule, samples of 256 steps. A
    recurrent layer amplifies what rounding changes: so several draws, each calibrated anew."""
    rows = []
    for profile, answers in PROFILES.items():
        graph = read_graph(GRAPHS / "braille_noDelay_noBias_subtract.nir")
        network = align(fold(to_float(graph, 256, resolve(graph, answers))))
        draws = [_spikes(network, np.random.default_rng(k)) for k in range(DRAWS)]
        found, wanted = (sum(counts) for counts in zip(*draws, strict=True))
        each = [100 * (found / wanted - 1) for found, wanted in draws]
        off = round(abs(100 * (found / wanted - 1)), 2)
        how = (
            f"random events, {DRAWS} draws of 24 samples that did not calibrate: {found} spikes of "
            f"{wanted}; single draws {min(each):+.1f} .. {max(each):+.1f} %"
        )
        rows.append(
            at_most(f"Braille, {profile}: hidden spikes off", off, BRAILLE_GOAL_PERCENT, "%", how)
        )
    return rows


def _spikes(network: FloatNetwork, rng: np.random.Generator) -> tuple[int, int]:
    """(found, wanted) spikes of the hidden layer."""
    frames = np.where(rng.random((40, 256, 12)) < 0.05, 255, 0).astype(np.uint8)
    seen, unseen = frames[:16], frames[16:]
    made, _ = _integers(network, seen, Options())
    wanted = run(network, unseen, dtype="float64").spike_total("lif1.lif")
    return count(made, unseen).spikes("lif1.lif"), wanted


# ---------------------------------------------------------------- depthwise convolutions on CIFAR


def _cifar(folder: Path, arguments: argparse.Namespace) -> list[Row]:
    images, labels = _pictures(folder / "data_batch_1.bin", arguments.images)
    shown, wanted = _pictures(folder / "test_batch.bin", arguments.checked)
    place = arguments.runs / f"cifar-depthwise-{arguments.epochs}x{len(images)}.safetensors"
    if not place.exists():
        torch.manual_seed(0)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(to_bytes(_trained(_mobile(), images, labels, arguments.epochs)))
    folded = align(fold(read(place)))
    before = run(folded, shown).accuracy(wanted)
    how = f"{len(shown)} test images, trained on {len(images)} for {arguments.epochs} epochs"
    rows = [report("CIFAR-10, depthwise: float accuracy", round(before, 2), "%", how)]
    biases = sum(p.bias.size for p in folded.populations if p.kind.has_state)
    for name, options in WAYS.items():
        made, scales = _integers(folded, images[:128], options)
        lost = round(before - float(100 * np.mean(count(made, shown).classes() == wanted)), 2)
        clipped = sum(c.count for c in scales.clips if c.quantity == "bias mantissas")
        first = kept(made)[0]
        way = f"{made.input_max} levels{', constant channel' if scales.constant_channel else ''}"
        name = f"CIFAR-10, depthwise, {name}"
        points = (f"{name}: points lost", lost)
        deployed = options == Options()
        rows.append(
            at_most(*points, CIFAR_GOAL_POINTS, "points", f"{how}; {way}")
            if deployed
            else report(*points, "points", f"{how}; {way}")
        )
        rows.append(report(f"{name}: bits of the first layer", round(first.bits, 2), "bit", way))
        rows.append(report(f"{name}: biases clipped", clipped, f"of {biases}", way))
    return rows


def _pictures(path: Path, amount: int) -> tuple[ImageArray, npt.NDArray[np.int64]]:
    rows = np.fromfile(path, np.uint8).reshape(-1, 3073)[:amount]
    return rows[:, 1:].reshape(-1, 3, 32, 32), rows[:, 0].astype(np.int64)


def _mobile() -> FloatNetwork:
    """3x3 stride 2, then depthwise and pointwise pairs, all normalised; soft reset, four steps."""
    rng = np.random.default_rng(0)
    shapes = [(3, 32, 32), (32, 16, 16), (32, 8, 8), (64, 8, 8), (64, 4, 4), (128, 4, 4)]
    kinds = [(3, 2, 1), (3, 2, 32), (1, 1, 1), (3, 2, 64), (1, 1, 1)]  # kernel, stride, groups
    names = ["input", *(f"l{k}" for k in range(1, 6)), "out"]
    made: list[FloatPopulation] = [_plain("input", shapes[0])]
    links = []
    for k, (kernel, stride, groups) in enumerate(kinds):
        into, out = shapes[k][0], shapes[k + 1]
        fan = into // groups * kernel * kernel
        weight = rng.normal(0, (2 / fan) ** 0.5, (out[0], into // groups, kernel, kernel))
        one = np.ones(out[0])
        links.append(
            FloatProjection(
                names[k],
                names[k + 1],
                ProjectionKind.CONV2D,
                weight,
                None,
                (stride, stride),
                (kernel // 2, kernel // 2),
                groups=groups,
                norm=Norm(0 * one, one, one, 0 * one, 1e-5),
            )
        )
        made.append(_lif(names[k + 1], out, Reset.SOFT, 0.5))
    last = rng.normal(0, 0.02, (10, 2048))
    links.append(FloatProjection("l5", "out", ProjectionKind.DENSE, last, np.zeros(10)))
    return FloatNetwork((*made, _readout("out", 10)), tuple(links), 4)


def _trained(
    network: FloatNetwork, images: ImageArray, labels: npt.NDArray[np.int64], epochs: int
) -> FloatNetwork:
    module = FloatModule(network).train()
    steps = epochs * (len(images) // BATCH)
    optimizer = torch.optim.AdamW(module.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
    order = np.random.default_rng(0)
    for _ in range(epochs):
        shuffled = order.permutation(len(images))
        for first in range(0, len(images) - BATCH + 1, BATCH):
            part = shuffled[first : first + BATCH]
            logits = module(module.inputs(images[part]))
            loss = nn.functional.cross_entropy(logits, torch.tensor(labels[part]))
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    return _back(network, module.eval())


def _back(network: FloatNetwork, module: FloatModule) -> FloatNetwork:
    """The trained parameters in the network that the module was made of."""

    def array(x: torch.Tensor) -> FloatArray:
        return x.detach().double().numpy()

    links = []
    for j, link in zip(network.projections, module.links, strict=True):
        state = {name: array(x) for name, x in link.state_dict().items() if x.ndim}
        norm = None
        if j.norm is not None:
            norm = Norm(
                mean=state["norm.running_mean"],
                variance=state["norm.running_var"],
                gain=state["norm.weight"],
                shift=state["norm.bias"],
                eps=j.norm.eps,
            )
        bias = state.get("linear.bias")
        links.append(replace(j, weight=state["linear.weight"], bias=bias, norm=norm))
    biases = [np.asarray(p.bias) for p in network.populations[:1]]
    biases += [array(neurons.get_parameter("bias")) for neurons in module.neurons]
    pairs = zip(network.populations, biases, strict=True)
    return replace(
        network,
        populations=tuple(replace(p, bias=b) for p, b in pairs),
        projections=tuple(links),
    )


def _lif(name: str, shape: tuple[int, ...], reset: Reset, decay: float) -> FloatPopulation:
    one = np.ones((1,) * len(shape))
    return FloatPopulation(name, shape, PopulationKind.LIF, reset, decay * one, one, 0 * one)


def _plain(name: str, shape: tuple[int, ...]) -> FloatPopulation:
    zero = np.zeros((1,) * len(shape))
    return FloatPopulation(name, shape, PopulationKind.INPUT, Reset.NONE, zero, zero, zero)


def _readout(name: str, classes: int) -> FloatPopulation:
    zero = np.zeros(1)
    kind = PopulationKind.READOUT
    return FloatPopulation(name, (classes,), kind, Reset.NONE, zero + 1, zero, zero)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--cifar", type=Path, help="folder with CIFAR-10's binary batches")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--images", type=int, default=8000, help="to train on")
    parser.add_argument("--checked", type=int, default=2000, help="test images")
    return parser.parse_args()


if __name__ == "__main__":
    main()
