"""What few bits cost `vgg-small` on Fashion-MNIST: by calibration alone, and after one more epoch.

The epoch is one in few bits (``trained``), or one in float with calibration behind it (``after``).

    python -m benchmarks.bits --runs runs/bits [--seeds 0 1 2] [--model vgg-small]

For each seed a float network is trained (``recipes/bits_base.toml``), then one further epoch in
float and one with each width; every run and every measurement is kept in its folder, so that the
command goes on where it was stopped, and seeds may be made by processes of their own. Accuracies
are those of the integers, on all test images; float is the network given the same further epoch.
Few bits are taught by the float network that they begin from; controls (``untaught-``) are not, or
by the one that had the same further epoch (``further-taught-``).
``ends8-`` leaves 8 bits to the first layer and to the read-out.
The rows tell how many seeds were done. What was trained comes before what is calibrated, which
needs no training (``--parts``).
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean

import numpy as np

from benchmarks.harness import Row, at_most, measured, report, write
from tssd import typed
from tssd.calibration.comparing.drift import rate_drift
from tssd.calibration.encode import encode
from tssd.calibration.int_network import IntNetwork
from tssd.calibration.precision import LOIHI, Precision
from tssd.calibration.quantizing.fold import align, fold
from tssd.calibration.quantizing.observe import Observation
from tssd.calibration.quantizing.quantize import apply
from tssd.calibration.quantizing.scales import choose
from tssd.calibration.simulate import layerwise
from tssd.chain.few_bits import integers_of
from tssd.hw_targets.gpu import engine as gpu
from tssd.hw_targets.onnx import engine as onnx
from tssd.hw_targets.sim.functional import activity, simulate
from tssd.hw_targets.sim.program import prepare
from tssd.train.data.data_sets import Dataset, load
from tssd.train.handover.float_activity import FloatActivity
from tssd.train.handover.float_network import FloatNetwork
from tssd.train.handover.float_run import run
from tssd.train.loop.checkpoint import load_net
from tssd.train.loop.folder import MANIFEST, begun
from tssd.train.networks.strip import strip
from tssd.train.quantization.network import QuantizedNet
from tssd.train.study.runs import interval

FLOAT, BASE = "float", "base"
CALIBRATED, TRAINED, AFTER = PARTS = ("calibrated", "trained", "after")
UNTAUGHT = "untaught-"  # the same bits without the float network as teacher: the control
# ... with the float network that had the same further epoch as teacher
FURTHER = "further-taught-"
ENDS = "ends8-"  # the same bits, but 8 in the first layer and in the read-out
ENDED = ENDS + "ternary"
CONTROLS = (*(UNTAUGHT + row for row in ("4", "ternary", ENDED)), FURTHER + "4")
# what a stopped campaign should have first
ORDER = (FLOAT, "4", "ternary", ENDED, "3", *CONTROLS, "binary", "8")
WIDTHS = {"8": 8, "4": 4, "3": 3, "ternary": 2}  # calibration has no binary weights
RECIPE = "benchmarks/recipes/bits_base.toml"
CALIBRATION = 1024  # samples
COMPARED = 32  # samples on which every spike of three engines is compared with the definition
# points that may be lost: by calibration alone, after training (None: only reported)
GOALS: Mapping[str, tuple[float | None, float | None]] = {
    "8": (0.1, 0.0),
    "4": (0.4, 0.05),
    "3": (1.5, 0.15),
    "ternary": (None, 0.5),
    "binary": (None, 1.2),
    **dict.fromkeys((ENDED, *CONTROLS), (None, None)),
}


@dataclass(frozen=True)
class Deployed:
    """One network as it is executed: accuracy in per cent on the test set, the drift of its firing
    rates from float's in the mean of the layers, CPU seconds of its calibration (0: trained),
    spikes and membranes that differ between three engines and the definition."""

    accuracy: float
    drift: float
    cpu_s: float = 0.0
    differing: int = 0


@dataclass(frozen=True)
class Measured:
    """One row of one seed: by calibration alone, after training in few bits, and by calibration
    behind training in float; None: not measured, or there is none."""

    calibrated: Deployed | None = None
    trained: Deployed | None = None
    after: Deployed | None = None


BySeed = Mapping[int, Measured]


def main() -> None:
    arguments = _arguments()
    runs, data = Path(arguments.runs), load("fashion-mnist")
    for seed in arguments.seeds:
        train(runs, BASE, seed, arguments.model)
        for part in arguments.parts:
            for row in arguments.rows:
                if part == TRAINED:
                    train(runs, row, seed, arguments.model)
                measure(runs, row, seed, part, data)
    command = "make bench-bits"
    write(arguments.name, command, rows(found(runs), arguments.model))


def train(runs: Path, row: str, seed: int, model: str) -> None:
    """The run of one row, unless it is done; one that was stopped goes on."""
    folder = runs / f"{row}-{seed}"
    if (folder / MANIFEST).is_file():
        return
    words = [*_words(runs, row, seed, model), "--seed", seed, "--out", folder]
    words += ["--resume"] if begun(folder) else []
    subprocess.run([sys.executable, "-m", "tssd", *map(str, words)], check=True)


def _words(runs: Path, row: str, seed: int, model: str) -> list[str | Path]:
    base = runs / f"{BASE}-{seed}"
    if row == BASE:
        return ["train", "--config", RECIPE, "--model", model]
    if row == FLOAT:
        recipe = ["--config", RECIPE, "--model", model, "--epochs", "1", "--lr", "1e-3"]
        settings = ["--set", "schedule=cosine", "--set", "warm_epochs=0"]
        return ["train", *recipe, *settings, "--start-from", base]
    taught: list[str | Path] = ["--set", "gamma=1", "--set", "teacher_steps=4"]
    if row.startswith(UNTAUGHT):
        taught = []
    elif row.startswith(FURTHER):
        taught += ["--teacher", runs / f"{FLOAT}-{seed}"]
    width = row.removeprefix(UNTAUGHT).removeprefix(FURTHER)
    bits = f"{width.removeprefix(ENDS)},conv1=8,readout=8" if width.startswith(ENDS) else width
    return ["calibrate", base, "--bits", bits, "--epochs", "1", "--lr", "1e-3", *taught]


# ---------------------------------------------------------------- measuring


def measure(runs: Path, row: str, seed: int, part: str, data: Dataset) -> None:
    """What *row* does in one of its parts, kept beside the runs; nothing where there is none."""
    path = runs / f"measured-{part}-{row}-{seed}.json"
    if not path.is_file() and (part == TRAINED or row == FLOAT or row in WIDTHS):
        begun = FLOAT if part == AFTER else BASE
        made = (
            _trained(runs, row, seed, data)
            if part == TRAINED
            else _calibrated(runs, row, (begun, seed), data)
        )
        path.write_text(json.dumps(asdict(made), indent=1) + "\n", encoding="utf-8")


def _trained(runs: Path, row: str, seed: int, data: Dataset) -> Deployed:
    net, checkpoint = load_net(runs / f"{row}-{seed}")
    if row == FLOAT:
        return Deployed(fired(runs, FLOAT, seed, data).accuracy(data.test.labels), 0.0)
    assert isinstance(net, QuantizedNet)
    integers = integers_of(net, data.val.images[:8], checkpoint.config.student_steps, LOIHI)
    return _deployed(integers, fired(runs, BASE, seed, data), data)


def _calibrated(runs: Path, row: str, begun: tuple[str, int], data: Dataset) -> Deployed:
    """The float network of run and seed *begun* itself, or calibrated with the defaults of its
    width on samples of the training split."""
    wanted = fired(runs, *begun, data)
    if row == FLOAT:
        return Deployed(wanted.accuracy(data.test.labels), 0.0)
    network = _network(runs, *begun, data)
    picked = np.sort(np.random.default_rng(0).permutation(len(data.train))[:CALIBRATION])
    shown, precision = Observation(data.train.images[picked], {}), Precision(WIDTHS[row])
    scales, cpu_s = measured(lambda: choose(network, shown, precision))
    return _deployed(apply(network, scales), wanted, data, cpu_s)


def fired(runs: Path, row: str, seed: int, data: Dataset) -> FloatActivity:
    """What a float network did on the test images, kept beside the runs: each row of a seed is
    held against it."""
    path, steps = runs / f"fired-{row}-{seed}.npz", "steps"
    if not path.is_file():
        network = _network(runs, row, seed, data)
        made = run(network, data.test.images)
        arrays = {**made.events, "logits": made.logits, steps: np.array(network.time_steps)}
        with path.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
    with np.load(path) as kept:
        arrays = {name: kept[name] for name in kept.files}
    logits, time_steps = arrays.pop("logits"), int(arrays.pop(steps))
    return FloatActivity(len(logits), time_steps, logits, arrays)


def _network(runs: Path, row: str, seed: int, data: Dataset) -> FloatNetwork:
    net, checkpoint = load_net(runs / f"{row}-{seed}")
    return align(fold(strip(net, data.train.images[:8], checkpoint.config.student_steps)))


def _deployed(
    integers: IntNetwork, wanted: FloatActivity, data: Dataset, cpu_s: float = 0.0
) -> Deployed:
    tally, slots = gpu.count(integers, data.test.images), wanted.samples * wanted.time_steps
    layers = [p.name for p in integers.populations if p.kind.fires]
    drifts = [rate_drift(wanted.events[n], tally.events[n], slots) for n in layers]
    accuracy = float(100 * np.mean(tally.classes() == data.test.labels))
    return Deployed(accuracy, fmean(drifts), cpu_s, _differing(integers, data))


def _differing(integers: IntNetwork, data: Dataset) -> int:
    """Spikes and final membranes in which torch, ONNX and the simulator differ from the
    definition."""
    inputs = encode(integers, data.test.images[:COMPARED])
    wanted = layerwise(integers, inputs)
    functional = activity(integers, simulate(prepare(integers), inputs, record=True))
    others = (gpu.run(integers, inputs), onnx.run(integers, inputs), functional)
    pairs = [(wanted.readout, other.readout) for other in others]
    pairs += [(wanted.spikes[n], other.spikes[n]) for other in others for n in wanted.spikes]
    return sum(int(np.count_nonzero(a != b)) for a, b in pairs)


# ---------------------------------------------------------------- rows


def found(runs: Path) -> dict[str, dict[int, Measured]]:
    """Every measurement by row and seed, in the order of ``GOALS``; of each part only seeds whose
    float network is measured too."""
    kept: dict[str, dict[int, Measured]] = {}
    for part in PARTS:
        for row in (FLOAT, *GOALS):
            for path in sorted(runs.glob(f"measured-{part}-{row}-*.json")):
                seed = path.stem.rpartition("-")[2]
                if (runs / f"measured-{part}-{FLOAT}-{seed}.json").is_file():
                    one = typed.from_json(Deployed, path.read_bytes(), str(path))
                    seeds = kept.setdefault(row, {})
                    seeds[int(seed)] = replace(seeds.get(int(seed), Measured()), **{part: one})
    return kept


def rows(kept: Mapping[str, BySeed], model: str) -> list[Row]:
    """The figures, mean over seeds; differences are paired by seed."""
    floats, how = kept[FLOAT], f"{model}, T = 4, 10,000 test images"
    made = []
    for name, part in (("float", "calibrated"), ("float, one more epoch", "trained")):
        if values := [one.accuracy for one in _parts(floats, part).values()]:
            mean = round(fmean(values), 2)
            made.append(report(f"{name}: accuracy", mean, "%", _told(how, values)))
    for row in (name for name in GOALS if name in kept):
        for part, goal in zip(PARTS, (*GOALS[row], None), strict=True):
            made += _rows(kept[row], floats, f"{row}, {part}", goal, how)
    return made


def _parts(ones: BySeed, part: str) -> dict[int, Deployed]:
    """One part of the seeds that have it."""
    found = {seed: getattr(one, part) for seed, one in ones.items()}
    return {seed: one for seed, one in found.items() if one is not None}


def _rows(ones: BySeed, floats: BySeed, name: str, goal: float | None, how: str) -> list[Row]:
    part = name.partition(", ")[2]
    of_part, of_float = _parts(ones, part), _parts(floats, part)
    if not of_part:
        return []
    made = list(of_part.values())
    lost = [of_float[seed].accuracy - one.accuracy for seed, one in of_part.items()]
    told, points = _told(how, lost), (f"{name}: points lost", round(fmean(lost), 2) + 0.0)  # not -0
    drift = round(fmean(one.drift for one in made), 5)
    equal = f"{COMPARED} images, spikes and final membranes of torch, ONNX and the simulator"
    return [
        report(f"{name}: accuracy", round(fmean(one.accuracy for one in made), 2), "%", told),
        report(*points, "points", told) if goal is None else at_most(*points, goal, "points", told),
        report(f"{name}: drift of firing rates", drift, "spikes per neuron and step", told),
        at_most(f"{name}: what differs", sum(one.differing for one in made), 0, "slots", equal),
        *_calibrating(name, made),
    ]


def _calibrating(name: str, made: list[Deployed]) -> list[Row]:
    cpu_s = round(fmean(one.cpu_s for one in made), 1)
    how = f"{CALIBRATION} samples"
    return [report(f"{name}: calibrating", cpu_s, "cpu s", how)] if cpu_s else []


def _told(how: str, values: list[float]) -> str:
    width = interval(values)
    spread = "one seed" if width is None else f"{len(values)} seeds, +- {width:.2f} (95 %)"
    return f"{how}, {spread}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--runs", default="runs/bits", help="folder of the runs")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2], help="none: only rows")
    parser.add_argument("--rows", nargs="*", default=ORDER, choices=ORDER)
    parser.add_argument("--parts", nargs="*", default=(TRAINED, CALIBRATED, AFTER), choices=PARTS)
    parser.add_argument("--model", default="vgg-small")
    parser.add_argument("--name", default="bits", help="results/<name>.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
