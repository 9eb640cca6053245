"""Training with few bits beside Brevitas' weight-only training: same network, data and epochs.

    python -m benchmarks.brevitas_bits --runs runs/brevitas --seeds 0 1 2

in an environment with ``pip install brevitas==0.13.4`` beside this package. Of each seed a float
network is trained, then one more epoch each: in float (the control), with 4 bits of ours, and with
Brevitas' quantizers on the weights of the same network (``Int8WeightPerTensorFloat``, its default,
and ``Int8WeightPerChannelFloat``), everything else in float: neurons, normalisation, thresholds.
The same batches, learning rates and loss. Ours is read as it is executed, in integers; Brevitas'
both as it trained and as ``tssd export --weight-bits 4`` deploys its weights.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from benchmarks.harness import Row, at_least, report, write
from tssd.calibration.precision import Precision
from tssd.calibration.quantizing.fold import align, fold
from tssd.calibration.quantizing.observe import Observation
from tssd.calibration.quantizing.quantize import apply
from tssd.calibration.quantizing.scales import choose
from tssd.chain.few_bits import for_chip, precision_of_run, same_spikes, trained_on
from tssd.contracts import require
from tssd.hw_targets.gpu.engine import count
from tssd.train.config import Method, Schedule, TrainConfig, with_changes
from tssd.train.data.data_sets import Dataset, load
from tssd.train.loop.checkpoint import load_net
from tssd.train.loop.evaluate import accuracies
from tssd.train.loop.folder import MANIFEST
from tssd.train.loop.loop import epoch_batches, train
from tssd.train.loop.record import read_manifest
from tssd.train.loop.schedule import make_optimizer, rate
from tssd.train.loop.step import update
from tssd.train.networks.network import SpikingNet
from tssd.train.networks.strip import strip
from tssd.train.quantization.network import QuantizedNet
from tssd.train.study.runs import interval

BITS = 4
CALIBRATION = 256  # training images that deployed scales are fitted to
BASE = TrainConfig(
    dataset="fashion-mnist", model="tiny", method=Method.CE, epochs=2, lr=3e-3, train_limit=12_000
)
FLOAT, OURS = "float, one more epoch", "ours, as executed"
PER_CHANNEL = "Brevitas, per channel"
QUANTIZERS = {
    "Brevitas, per tensor": "Int8WeightPerTensorFloat",
    PER_CHANNEL: "Int8WeightPerChannelFloat",
}
DEPLOYED = f"{PER_CHANNEL}, deployed"
Accuracies = Mapping[str, float]  # in per cent, of the test set


class BrevitasWeight(nn.Module):
    """A weight as Brevitas' quantizer of the same layer makes it, with its gradient."""

    def __init__(self, layer: nn.Module, quantizer: str) -> None:
        super().__init__()
        import brevitas.nn as qnn
        from brevitas import quant

        chosen = {"weight_quant": getattr(quant, quantizer), "weight_bit_width": BITS}
        weight: Any = layer.weight
        if isinstance(layer, nn.Conv2d):
            shape = (layer.in_channels, layer.out_channels, layer.kernel_size)
            made = qnn.QuantConv2d(*shape, bias=False, **chosen)
        else:
            made = qnn.QuantLinear(weight.shape[1], weight.shape[0], bias=False, **chosen)
        made.weight.data = weight.detach().clone()
        self.quantize = made.weight_quant

    def forward(self, weight: Tensor) -> Tensor:
        found: Tensor = self.quantize(weight).value
        return found


def quantized(net: SpikingNet, quantizer: str) -> SpikingNet:
    """*net* with every weight behind Brevitas' quantizer."""
    for layer in list(net.modules()):
        if isinstance(layer, nn.Conv2d | nn.Linear):
            parametrize.register_parametrization(
                layer, "weight", BrevitasWeight(layer, quantizer), unsafe=True
            )
    return net


def plain(net: SpikingNet) -> SpikingNet:
    """The same network with the rounded weights as its own."""
    for layer in list(net.modules()):
        if parametrize.is_parametrized(layer):
            parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)
    return net


def one_epoch(net: SpikingNet, config: TrainConfig, data: Dataset) -> None:
    """What ``tssd train`` does in one epoch, on *net*."""
    training = data.train.first(config.train_limit)
    optimizer, batches = make_optimizer(net, config), len(training) // config.batch_size
    net.train()
    for batch, (images, labels) in enumerate(epoch_batches(config, training, 0)):
        done = batch / batches
        for group in optimizer.param_groups:
            group["lr"] = config.lr * rate(config, done)
        update(net, optimizer, config, images, labels, 0, done, {})
    net.eval()


def further(seed: int) -> TrainConfig:
    return with_changes(BASE, epochs=1, lr=1e-3, schedule=Schedule.COSINE, seed=seed)


def run_of(folder: Path, config: TrainConfig, data: Dataset, start: Path | None) -> float:
    """The test accuracy of a run, trained unless it is done."""
    if not (folder / MANIFEST).is_file():
        train(config, data, folder, resume=folder.exists(), start_from=start)
    manifest = read_manifest(folder)
    assert manifest is not None
    assert manifest.accuracy.test is not None
    return float(manifest.accuracy.test)


def deployed(net: SpikingNet, data: Dataset, steps: int) -> float:
    """What ``tssd export --weight-bits 4`` makes of *net*, on the test set."""
    folded = align(fold(strip(net, data.train.images[:8], steps)))
    picked = np.sort(np.random.default_rng(0).permutation(len(data.train))[:CALIBRATION])
    shown = Observation(data.train.images[picked], {})
    integers = apply(folded, choose(folded, shown, Precision(BITS)))
    return float(100 * np.mean(count(integers, data.test.images[:]).classes() == data.test.labels))


def ours(folder: Path, base: Path, seed: int, data: Dataset) -> float:
    """4 bits of ours; ContractError where one spike of the integers differs."""
    settings = {"bits": str(BITS), "epochs": 1, "lr": 1e-3, "seed": seed}
    config = for_chip(trained_on(with_changes(BASE, seed=seed), settings), "loihi2")
    found = run_of(folder, config, data, base)
    net, _ = load_net(folder)
    assert isinstance(net, QuantizedNet)
    shown = data.val.images[:]
    require([same_spikes(net, shown, config.student_steps, precision_of_run(config))])
    return found


def measured(runs: Path, seed: int, data: Dataset) -> Accuracies:
    """All rows of one seed, kept beside the runs."""
    path = runs / f"brevitas-{seed}.json"
    if path.is_file():
        return dict(json.loads(path.read_text(encoding="utf-8")))
    base, config = runs / f"base-{seed}", further(seed)
    found = {"float, before": run_of(base, with_changes(BASE, seed=seed), data, None)}
    found[FLOAT] = run_of(runs / f"float-{seed}", config, data, base)
    found[OURS] = ours(runs / f"ours-{seed}", base, seed, data)
    steps = config.student_steps
    for name, quantizer in QUANTIZERS.items():
        net, _ = load_net(base)
        assert isinstance(net, SpikingNet)
        made = quantized(net, quantizer)
        one_epoch(made, config, data)
        found[name] = accuracies(made, data.test, steps)[-1]
        if name == PER_CHANNEL:
            found[DEPLOYED] = deployed(plain(made), data, steps)
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return found


def rows(by_seed: Sequence[Accuracies]) -> list[Row]:
    """Means over the seeds; differences in pairs, with Student's 95 % interval."""
    how = (
        f"{BASE.model} on {BASE.train_limit:,} images of {BASE.dataset}, {BASE.epochs} epochs in "
        f"float and one more, {BITS} bits, 10,000 test images, {len(by_seed)} seeds"
    )
    means = {name: float(np.mean([one[name] for one in by_seed])) for name in by_seed[0]}
    made = [report(name, round(mean, 2), "%", how) for name, mean in means.items()]
    for name in (*QUANTIZERS, DEPLOYED):
        differences = [one[OURS] - one[name] for one in by_seed]
        width = interval(differences)
        said = "" if width is None else f"; 95 % interval ± {width:.2f}"
        value = round(float(np.mean(differences)), 2)
        made.append(at_least(f"ours minus {name}", value, 0, "points", how + said))
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--runs", type=Path, default=Path("runs/brevitas"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.runs.mkdir(parents=True, exist_ok=True)
    data = load(BASE.dataset)
    found = [measured(arguments.runs, seed, data) for seed in arguments.seeds]
    write("brevitas", "python -m benchmarks.brevitas_bits", rows(found))


if __name__ == "__main__":
    main()
