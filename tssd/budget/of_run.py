"""A trained run within a budget: the widths of its layers are found, and exported as any others."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from tssd.budget.costs import Minimise
from tssd.budget.widths import ALONE_SAMPLES, MixedWidths, Told, WidthTrials, mixed_widths
from tssd.calibration.int_network import IntNetwork
from tssd.calibration.quantizing.checks import check_calibration
from tssd.calibration.quantizing.fold import align, fold
from tssd.calibration.quantizing.options import Options
from tssd.calibration.quantizing.quantize import apply
from tssd.calibration.quantizing.scales import chooser
from tssd.chain.calibration_draw import calibration_images, calibration_places, unseen_classes
from tssd.chain.few_bits import Quantized
from tssd.chain.own_data import data_of
from tssd.chain.pipeline import ExportOptions, export_run, quantizing
from tssd.errors import ConfigError
from tssd.export.bundle.folder import Bundle
from tssd.export.bundle.place import check_place
from tssd.hw_targets.chip.chips import load_chip
from tssd.hw_targets.chip.widths import precision_of
from tssd.hw_targets.gpu.counting import counter
from tssd.train.data.data_sets import Dataset
from tssd.train.handover.float_network import FloatNetwork
from tssd.train.handover.float_run import run as run_float
from tssd.train.loop.checkpoint import Checkpoint, load_net
from tssd.train.networks.network import SpikingNet
from tssd.train.networks.strip import strip


@dataclass(frozen=True)
class Budget:
    """Points of accuracy that may be lost against float, and what is to be small for them."""

    max_drop_points: float
    minimise: Minimise


def within_budget(
    run: Path,
    out: Path,
    budget: Budget,
    options: ExportOptions,
    *,
    data: Path | None = None,
    force: bool = False,
    on_step: Told = lambda text: None,
) -> tuple[MixedWidths, Bundle]:
    """Find the widths of *run*'s layers and export them: the bundle holds the integers that were
    measured."""
    check_place(out, force, (run, data, Path(options.target)))
    trials = trials_of(run, options, data)
    found = mixed_widths(trials, budget.minimise, budget.max_drop_points, on_step)
    quantize = replace(options.quantize, layer_bits=dict(found.found.widths))
    chosen = replace(options, quantize=quantize, tolerance_points=max(budget.max_drop_points, 0.0))
    return found, export_run(run, out, chosen, data=data, force=force, on_step=on_step)


def trials_of(run: Path, options: ExportOptions, data: Path | None = None) -> WidthTrials:
    """What the widths of *run* are tried on: scales from training samples, accuracy on validation
    samples."""
    net, checkpoint = built_in_float(run, "--max-drop")
    dataset = data_of(checkpoint.config, data)
    check_classes(dataset, options)
    stripped = strip(net, dataset.train.images[:8], checkpoint.config.student_steps)
    return width_trials(stripped, dataset, options)


class Draw(Protocol):
    """How many samples choose and measure, and the seed of those drawn: ``ExportOptions``,
    ``PruneOptions``."""

    @property
    def calibration_samples(self) -> int: ...
    @property
    def check_samples(self) -> int: ...
    @property
    def seed(self) -> int: ...


def check_classes(dataset: Dataset, draw: Draw, option: str = "--calibration-samples") -> None:
    """Samples that differ, of every class, choose (as many as *option* says) and measure the drop;
    DataError or ConfigError otherwise."""
    drawn = calibration_places(dataset, draw.calibration_samples, draw.seed)
    check_calibration(dataset.train.images[drawn])
    for name, labels in (
        (option, dataset.train.labels[drawn]),
        ("--check-samples", dataset.val.first(draw.check_samples).labels),
    ):
        unseen = unseen_classes(dataset.classes, labels)
        if unseen:
            raise ConfigError(
                f"{name} {len(labels)}",
                found=f"no sample of class {', '.join(unseen)}",
                allowed="so many that every class is there: what it loses would not be seen",
            )


def built_in_float(run: Path, what: str) -> tuple[SpikingNet, Checkpoint]:
    """The network of *run*; ConfigError for one whose layers are not known, or whole already."""
    net, checkpoint = load_net(run)
    if not isinstance(net, SpikingNet) or isinstance(net, Quantized):
        raise ConfigError(
            f"{what} of {run}",
            found="a run that was trained in integers"
            if isinstance(net, Quantized)
            else "a module of your own",
            allowed="a run of a built-in network in float",
            hint="the run that it began from",
        )
    return net, checkpoint


def width_trials(stripped: FloatNetwork, dataset: Dataset, options: ExportOptions) -> WidthTrials:
    """The same of a network and its samples."""
    chip = load_chip(options.target)
    precision = precision_of(chip)
    folded = align(fold(stripped, options.pooling), precision.delay_max)
    chosen = chooser(
        folded, calibration_images(dataset, options.calibration_samples, options.seed), precision
    )
    checked = dataset.val.first(options.check_samples)

    def integers(asked: Options) -> IntNetwork:
        return apply(folded, chosen(asked))

    images, labels = checked.images[:], checked.labels
    trials = WidthTrials(
        tuple(p.name for p in folded.populations if p.kind.has_state),
        integers,
        quantizing(chip, options),
        counter(images),
        labels,
        run_float(folded, images).classes() == labels,
        chip,
        options.seed,
    )
    few = slice(0, ALONE_SAMPLES)
    on_few = replace(
        trials,
        count=counter(images[few]),
        labels=labels[few],
        float_right=trials.float_right[few],
    )
    return replace(trials, few=on_few if len(labels) > ALONE_SAMPLES else None)
