"""The chain on Fashion-MNIST: accuracy float and integer for both resets, spikes, energy.

    make bench-chain          (python -m benchmarks.bench_chain [--runs FOLDER])

Runs that are not there are trained first (``benchmarks/recipes``): the soft reset from scratch, the
hard reset from the soft one's weights. Accuracies are on the whole test set; scales come from the
training split. The accuracy rows need Fashion-MNIST (`tssd train --help`).
"""

import argparse
from pathlib import Path

import numpy as np

from benchmarks.harness import Row, at_least, at_most, report, write
from tssd.chain.pipeline import ExportOptions, export_run
from tssd.checks.verification import VerifyOptions, verify
from tssd.export.bundle.folder import Bundle
from tssd.hw_targets.gpu.engine import count
from tssd.train.config import configure
from tssd.train.data.data_sets import Split, load
from tssd.train.handover.float_file import FLOAT_FILE
from tssd.train.handover.float_file import read as read_float
from tssd.train.handover.float_run import run as run_float
from tssd.train.loop.loop import train

RECIPES = Path(__file__).resolve().parent / "recipes"
RESETS = ("soft", "hard")
FLOAT_GOAL_PERCENT, DROP_GOAL_POINTS, VERIFIED_SAMPLES = 92.5, 0.3, 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    folder = parser.parse_args().runs
    rows = [row for reset in RESETS for row in _deployed(folder, reset)]
    write("chain", "python -m benchmarks.bench_chain", rows)


def _deployed(folder: Path, reset: str) -> list[Row]:
    """Everything measured on the run of one reset."""
    run = folder / f"fmnist-{reset}"
    if not (run / "checkpoint.safetensors").exists():
        _train(folder, reset)
    out = folder / f"fmnist-{reset}-bundle"
    bundle = export_run(run, out, ExportOptions(), force=True)
    return _accuracy(bundle, reset) + _verified(out, reset)


def _train(folder: Path, reset: str) -> None:
    config = configure(None, RECIPES / f"fashion_{reset}.toml")
    begin = None if reset == "soft" else folder / "fmnist-soft"
    train(config, load(config.dataset), folder / f"fmnist-{reset}", start_from=begin)


def _accuracy(bundle: Bundle, reset: str) -> list[Row]:
    test = load("fashion-mnist").test
    stripped = read_float(bundle.file(FLOAT_FILE))
    before = run_float(stripped, test.images).accuracy(test.labels)
    after = _integer_percent(bundle, test)
    name, how = f"Fashion-MNIST vgg-small, {reset} reset", "whole test set, T_s = 4"
    lost = round(before - after, 3)
    return [
        at_least(f"{name}: float accuracy", round(before, 2), FLOAT_GOAL_PERCENT, "%", how),
        report(f"{name}: 8-bit integer accuracy", round(after, 2), "%", how),
        at_most(f"{name}: lost by quantization", lost, DROP_GOAL_POINTS, "points", how),
    ]


def _integer_percent(bundle: Bundle, test: Split) -> float:
    classes = count(bundle.network, test.images).classes()
    return float(100 * np.mean(classes == test.labels))


def _verified(out: Path, reset: str) -> list[Row]:
    """Contracts on some samples, and the estimate of energy and time."""
    options = VerifyOptions(("gpu", "onnx"), VERIFIED_SAMPLES)
    found = verify(out, options)
    failed = sum(contract.status == "fail" for contract in found.contracts)
    name, how = f"Fashion-MNIST vgg-small, {reset} reset", f"{VERIFIED_SAMPLES} test samples"
    totals, target = found.totals, f"{how}, {found.target} (scaled estimate)"
    dynamic = totals.energy_uj_per_inference.dynamic
    rows = [at_most(f"{name}: contracts that fail", failed, 0, "contracts", f"{how}, torch, ONNX")]
    if dynamic is not None:
        spread = f"{target}, {dynamic.low:.0f} to {dynamic.high:.0f} uJ"
        energy = round(dynamic.nominal, 1)
        rows.append(report(f"{name}: dynamic energy per inference", energy, "uJ", spread))
    synops = round(totals.synops or 0)
    return [*rows, report(f"{name}: synaptic operations per inference", synops, "synops", how)]


if __name__ == "__main__":
    main()
