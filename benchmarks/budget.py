"""What a network answers for what it takes: bits, steps, channels and early exit, as one front.

    python -m benchmarks.budget --run RUN --work FOLDER --name digits [--kinds bits mixed ...]

*RUN* is a trained float run. Accuracies are those of the integers on the test samples; what is
chosen (mixed widths, the margin) is chosen on validation samples. Costs are of one sample alone on
the chip, on the fewest cores: energy and latency by the step bound. Pruned runs, and the run itself
as their control, are trained on for some epochs in float. Every point is kept in *FOLDER*: the
command goes on where it was stopped.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.budget_page import KINDS, PREFIX, FrontPoint, figure
from benchmarks.harness import Row, at_least, at_most, report, write
from tssd import typed
from tssd.budget.costs import Minimise
from tssd.budget.early_exit import Stepwise, exit_cost, exit_tallies, stepwise
from tssd.budget.margins import chosen_margin, margin_row, margin_walk
from tssd.budget.of_bundle import ExitSamples
from tssd.budget.of_run import width_trials
from tssd.budget.pruning import PruneOptions, prune_run
from tssd.budget.widths import MixedWidths, WidthTrials, mixed_widths
from tssd.calibration.comparing.paired import paired_loss
from tssd.calibration.encode import Inputs, encode
from tssd.calibration.int_network import IntNetwork
from tssd.calibration.integer import IntArray
from tssd.calibration.quantizing.scales import Options, Rounding
from tssd.chain.own_data import data_of
from tssd.chain.pipeline import ExportOptions
from tssd.errors import ConfigError
from tssd.hw_targets.chip.chips import load_chip
from tssd.hw_targets.mapping.placement import place
from tssd.train.data.data_sets import Dataset, Split
from tssd.train.loop.checkpoint import CHECKPOINT, load_net, read_checkpoint
from tssd.train.loop.folder import CONFIG, MANIFEST, begun
from tssd.train.networks.network import SpikingNet
from tssd.train.networks.strip import strip

WIDTHS = (8, 6, 5, 4, 3, 2)  # of all layers
SHARES = ("1", "0.75", "0.5", "0.25")
PRUNED_BITS = (8, 4)
EXIT_DROP = 0.2  # points that an early exit may cost, by the bound on validation samples: the goal
MIXED_DROP, MIXED_SHARE, EXIT_SAVED = 0.1, 50.0, 30.0  # the goals


@dataclass(frozen=True)
class FrontWork:
    """One front: the run, where points are kept, and how they are measured."""

    run: Path
    folder: Path
    name: str
    options: ExportOptions
    max_drop: float
    epochs: int
    tested: int

    def kept(self, label: str, make: Callable[[], FrontPoint]) -> FrontPoint:
        """The point called *label*, from its file or made."""
        path = self.folder / f"{label.replace(' ', '-').replace(',', '')}.json"
        if not path.is_file():
            path.write_text(json.dumps(asdict(make()), indent=1) + "\n", encoding="utf-8")
            print(label, flush=True)
        return typed.from_json(FrontPoint, path.read_bytes(), str(path))


def main() -> None:
    arguments = _arguments()
    rounding = None if arguments.rounding == "auto" else Rounding(arguments.rounding)
    options = ExportOptions(
        calibration_samples=arguments.calibration,
        check_samples=arguments.check,
        quantize=Options(rounding=rounding),
    )
    work = FrontWork(
        arguments.run, arguments.work, arguments.name, options, arguments.max_drop,
        arguments.epochs, arguments.tested,
    )  # fmt: skip
    work.folder.mkdir(parents=True, exist_ok=True)
    points = list(front(work, arguments.kinds, arguments.bits))
    given = [f"--{key} {value}" for key, value in _told(arguments).items()]
    command = f"python -m benchmarks.budget --run runs/{work.name} --work runs/budget-{work.name}"
    write(f"{PREFIX}{work.name}", " ".join([command, *given]), rows(points))
    figure()


def front(work: FrontWork, kinds: list[str], widths: list[int]) -> Iterator[FrontPoint]:
    """The points of all *kinds*; *widths*: those of the kind ``bits``."""
    data = data_of(read_checkpoint(work.run / CHECKPOINT).config, None)
    trials = _trials(work.run, data, work.options)
    if "bits" in kinds:
        for bits in widths:
            yield work.kept(f"{bits} bits", partial(_of_bits, trials, bits, work, data))
    if "mixed" in kinds:
        yield work.kept("mixed widths", partial(_mixed, trials, work, data))
    if "steps" in kinds:
        whole = _with(trials, 8)
        for t in range(1, whole.time_steps):
            label = f"8 bits, {t} of {whole.time_steps} steps"
            fewer = whole.with_time_steps(t)
            yield work.kept(label, partial(_plain, "steps", label, fewer, work, data))
    if "exit" in kinds:
        yield work.kept("8 bits, early exit", partial(_exit, trials, work, data))
    if "prune" in kinds:
        for share in SHARES:
            yield from _pruned(work, share, data)


def _of_bits(trials: WidthTrials, bits: int, work: FrontWork, data: Dataset) -> FrontPoint:
    return _plain("bits", f"{bits} bits", _with(trials, bits), work, data)


def _trials(run: Path, data: Dataset, options: ExportOptions) -> WidthTrials:
    net, checkpoint = load_net(run)
    assert isinstance(net, SpikingNet)
    stripped = strip(net, data.train.images[:8], checkpoint.config.student_steps)
    return width_trials(stripped, data, options)


def _with(trials: WidthTrials, bits: int) -> IntNetwork:
    every = dict.fromkeys(trials.layers, bits)
    return trials.integers(replace(trials.options, layer_bits=every))


def _plain(
    kind: str, label: str, network: IntNetwork, work: FrontWork, data: Dataset
) -> FrontPoint:
    """Every sample takes all steps."""
    part = data.test.first(work.tested)
    return _point(kind, label, network, part, np.full(len(part), network.time_steps), work)


def _point(
    kind: str,
    label: str,
    network: IntNetwork,
    part: Split,
    exits: IntArray,
    work: FrontWork,
    note: str = "",
) -> FrontPoint:
    chip = load_chip(work.options.target)
    placement = place(network, chip)
    tallies = exit_tallies(network, _inputs(network, part), exits)
    cost = exit_cost(network, tallies, placement, chip)
    seen: dict[int, int] = {}
    right = 0
    for e, tally in tallies.items():
        wanted = part.labels[exits == e]
        right += int((tally.classes() == wanted).sum())
        seen[e] = tally.samples
    return FrontPoint(
        kind,
        label,
        100 * right / len(part),
        len(part),
        sum(e * n for e, n in seen.items()) / len(part),
        cost.synops,
        sum(need.memory_bytes for need in placement.needs),
        placement.cores,
        cost.energy_uj,
        cost.latency_us,
        note,
    )


def _inputs(network: IntNetwork, part: Split) -> Inputs:
    return Inputs(len(part), lambda a, b: encode(network, part.images[a:b]))


def _mixed(trials: WidthTrials, work: FrontWork, data: Dataset) -> FrontPoint:
    found: MixedWidths = mixed_widths(
        trials, Minimise.MEMORY, work.max_drop, lambda text: print(text, flush=True)
    )
    widths = ", ".join(f"{name} {bits}" for name, bits in found.found.widths.items())
    note = f"{widths}; {found.found.lost} on {found.found.lost.samples:,}"
    note += f" validation samples, which chose from {found.tried} networks"
    made = _plain("mixed", "mixed widths", found.found.network, work, data)
    return replace(made, note=note)


def _exit(trials: WidthTrials, work: FrontWork, data: Dataset) -> FrontPoint:
    network = _with(trials, 8)
    val, test = data.val.first(ExitSamples().choosing), data.test.first(work.tested)
    margin, how = _margin(stepwise(network, _inputs(network, val)), val.labels)
    seen = stepwise(network, _inputs(network, test))
    exits, whole = seen.exits(margin), seen.exits(np.inf)
    saved = 1 - seen.operations(exits, at_once=True) / seen.operations(whole, at_once=True)
    lost = paired_loss(*(seen.answered(way) == test.labels for way in (whole, exits)))
    if np.isfinite(margin):
        how += f"; test: {lost}; {100 * saved:.1f} % of the operations saved step by step"
    return _point("exit", "8 bits, early exit", network, test, exits, work, how)


def _margin(choosing: Stepwise, labels: IntArray) -> tuple[float, str]:
    """The margin whose bound is within the drop, and what that is; infinite where none is."""
    walk = margin_walk(choosing, labels)
    samples = f"{walk.samples:,} validation samples"
    try:
        row = margin_row(choosing, labels, chosen_margin(walk, EXIT_DROP))
    except ConfigError:
        needed = walk.loss(0).samples_for(EXIT_DROP)
        return np.inf, (
            f"all steps: {samples} show for no margin that it loses at most {EXIT_DROP:g} points"
            + ("" if needed is None else f", {needed:,} would")
        )
    assert row.margin is not None
    return row.margin, (
        f"margin {row.margin:,} loses at most {row.most_lost_points:.2f} points (95 %; measured"
        f" {row.lost_points:.2f}) on {samples}"
    )


def _pruned(work: FrontWork, share: str, data: Dataset) -> Iterator[FrontPoint]:
    """A run with a share of its channels, trained on."""
    folder = work.folder / f"keep-{share}"
    if not (folder / "on" / MANIFEST).is_file():
        began = work.run
        if share != "1":
            began = folder / "pruned"
            if not (began / MANIFEST).is_file():
                prune_run(work.run, began, PruneOptions(share, calibration_samples=64))
        config = read_checkpoint(began / CHECKPOINT).config
        words = ["train", "--config", began / CONFIG, "--epochs", work.epochs, "--lr", "1e-3"]
        words += ["--set", "schedule=cosine", "--set", "warm_epochs=0", "--start-from", began]
        words += ["--set", f"channels={config.channels}"] if config.channels else []
        words += ["--resume"] if begun(folder / "on") else []
        words += ["--out", folder / "on"]
        subprocess.run([sys.executable, "-m", "tssd", *map(str, words)], check=True)
    for bits in PRUNED_BITS:
        yield work.kept(f"keep {share}, {bits} bits", partial(_smaller, work, share, bits, data))


def _smaller(work: FrontWork, share: str, bits: int, data: Dataset) -> FrontPoint:
    trials = _trials(work.folder / f"keep-{share}" / "on", data, work.options)
    return _plain("prune", f"keep {share}, {bits} bits", _with(trials, bits), work, data)


# ---------------------------------------------------------------- rows


def rows(points: list[FrontPoint]) -> list[Row]:
    """Every figure of every point, and the goals."""
    found = []
    for p in points:
        how = f"{p.samples:,} test samples" + (f"; {p.note}" if p.note else "")
        found += [
            report(f"{p.label}: accuracy", round(p.accuracy, 2), "%", f"{p.kind}: {how}"),
            report(f"{p.label}: steps", round(p.steps, 3), "steps", "mean"),
            report(f"{p.label}: synaptic operations", round(p.synops), "", "an inference"),
            report(f"{p.label}: synaptic memory", p.memory_bytes, "bytes", f"{p.cores} cores"),
            report(
                f"{p.label}: energy",
                None if p.energy_uj is None else round(p.energy_uj, 3),
                "uJ",
                "one sample alone",
            ),
            report(f"{p.label}: latency", round(p.latency_us, 2), "us", "step bound"),
        ]
    return found + list(_goals({p.label: p for p in points}))


def _goals(found: dict[str, FrontPoint]) -> Iterator[Row]:
    whole, mixed = found.get("8 bits"), found.get("mixed widths")
    early = found.get("8 bits, early exit")
    if whole and mixed:
        share = 100 * mixed.memory_bytes / whole.memory_bytes
        how = f"test: {mixed.accuracy - whole.accuracy:+.2f} points beside 8 bits"
        yield at_most(
            "goal: mixed widths, memory of 8 bits", round(share, 1), MIXED_SHARE, "%", how
        )
        lost = round(whole.accuracy - mixed.accuracy, 2)
        yield at_most(
            "goal: mixed widths, points lost", lost, MIXED_DROP, "points", "beside 8 bits"
        )
    if whole and early:
        saved = round(100 * (1 - early.synops / whole.synops), 1)
        how = "on the chip, whose layers work at once"
        yield at_least("goal: early exit, operations saved", saved, EXIT_SAVED, "%", how)
        name, how = "goal: early exit, points lost", "test samples, beside all steps"
        if early.steps == whole.steps:  # nothing was chosen: that loses nothing, and meets nothing
            yield Row(name, "not shown", "", f"<= {EXIT_DROP:g}", False, how)
        else:
            lost = round(whole.accuracy - early.accuracy, 2)
            yield at_most(name, lost, EXIT_DROP, "points", how)


def _told(arguments: argparse.Namespace) -> dict[str, object]:
    keys = ("name", "max_drop", "epochs", "calibration", "check", "tested", "rounding")
    told = {key.replace("_", "-"): getattr(arguments, key) for key in keys}
    chosen = {"kinds": (arguments.kinds, KINDS), "bits": (arguments.bits, WIDTHS)}
    parts = {key: words for key, (words, every) in chosen.items() if set(words) != set(every)}
    return {**told, **{key: " ".join(map(str, words)) for key, words in parts.items()}}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--bits", nargs="+", type=int, default=list(WIDTHS), choices=WIDTHS)
    parser.add_argument("--max-drop", type=float, default=0.3)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--calibration", type=int, default=256)
    parser.add_argument("--check", type=int, default=2000)
    parser.add_argument("--tested", type=int, default=10_000)
    parser.add_argument("--rounding", default="auto", choices=("auto", "nearest", "compensated"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
