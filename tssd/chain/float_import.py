"""A float network from elsewhere becomes a bundle: calibrated, quantized, placed, recorded.

A NIR graph of any tool brings weights but no data, so the samples that the scales are fitted to
come from the user.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from tssd.arrays import FloatArray
from tssd.calibration.comparing.levels import rounding_note
from tssd.chain.pipeline import GOLDEN_SAMPLES, ExportOptions, Material, Step, deploy, write
from tssd.chain.platform_notes import differing, platform_notes
from tssd.chain.user_samples import UserSamples, load_samples
from tssd.errors import ConfigError
from tssd.export.bundle.folder import Bundle
from tssd.export.bundle.manifest import sha256
from tssd.export.nir.graphs.graph import Graph
from tssd.export.nir.graphs.profiles import Answers, SteppingRule, resolve
from tssd.export.nir.graphs.read import read_graph
from tssd.export.nir.graphs.to_float import no_delay_refused, to_float
from tssd.train.handover.float_activity import ImageArray, presented
from tssd.train.handover.float_network import FloatNetwork
from tssd.train.handover.input_map import plain_map
from tssd.train.handover.mapped_input import with_input_map

NOTED_SAMPLES = 8  # on which spikes are counted for a note
ROUNDED_SAMPLES = 64  # on which the input's rounding is measured


@dataclass(frozen=True)
class FloatSource:
    """What the network does not bring itself: ``answers`` about time, calibration samples, steps
    of one inference."""

    calibration: Path | None
    time_steps: int
    answers: Answers = Answers()


def import_graph(
    path: Path,
    out: Path,
    source: FloatSource,
    options: ExportOptions,
    *,
    force: bool = False,
    on_step: Step = lambda text: None,
) -> Bundle:
    """The bundle of the NIR graph in *path*."""
    on_step("read the graph")
    told = {"imported": path.name, "sha256": sha256(path)}
    return export_graph(read_graph(path), out, source, options, told, force=force, on_step=on_step)


def export_graph(
    graph: Graph,
    out: Path,
    source: FloatSource,
    options: ExportOptions,
    told: Mapping[str, Any],
    *,
    force: bool = False,
    on_step: Step = lambda text: None,
) -> Bundle:
    """The bundle of *graph*; *told* goes into the manifest."""
    rule = resolve(graph, source.answers)
    if rule.twice:
        _refuse_no_delay(graph, rule, source)
    stripped = to_float(graph, source.time_steps, rule)
    shape = stripped.populations[0].shape
    if source.calibration is None:
        raise ConfigError(
            "--calibration",
            found="a float network and no samples to fit its integers to",
            allowed=f"an .npz file with 'inputs' (N, {', '.join(map(str, shape))})",
            hint="a few hundred samples like those of training; 'labels' are checked if present",
        )
    samples = load_samples(source.calibration, shape)
    material = material_of(samples, options)
    traced, stripped = stripped, with_input_map(stripped, samples.entry)
    deployable = deploy(stripped, material, options, on_step)
    about = {**told, "rule": {k: str(v) for k, v in asdict(rule).items()}}
    seen = _frames(source, stripped, material.calibration)
    notes = (
        *halves_note(samples, material, options),
        *platform_notes(graph, rule, source.answers, seen),
        *rounding(traced, stripped, samples),
    )
    return write(
        deployable, material, out, options, about, notes=notes, force=force, on_step=on_step
    )


def _frames(source: FloatSource, network: FloatNetwork, levels: ImageArray) -> FloatArray:
    """The first samples as the graph is given them, (T, B, *input shape)."""
    entry = network.entry or plain_map(network.populations[0].shape)
    seen = presented(network, entry.to_values(levels[:NOTED_SAMPLES]))
    frames: FloatArray = np.broadcast_to(seen, (source.time_steps, *seen.shape[1:])).copy()
    return frames


def _refuse_no_delay(graph: Graph, rule: SteppingRule, source: FloatSource) -> NoReturn:
    """No integer neuron has that reset: told with the slots in which the plain one differs."""
    plain = replace(rule, twice=False)
    network = to_float(graph, source.time_steps, plain)
    if source.calibration is None:
        raise no_delay_refused(graph)
    samples = load_samples(source.calibration, network.populations[0].shape)
    mapped = with_input_map(network, samples.entry)
    frames = _frames(source, mapped, samples.images)
    slots, whole = differing(graph, rule, plain, frames)
    raise no_delay_refused(graph, f": {slots:,} of {whole:,} slots differ from a plain subtract")


def rounding(network: FloatNetwork, mapped: FloatNetwork, samples: UserSamples) -> tuple[str, ...]:
    """What the levels of the input cost, on a few samples."""
    if samples.values is None:
        return ()
    few = slice(ROUNDED_SAMPLES)
    values = samples.values[few].astype(np.float64)
    note = rounding_note(network, values, mapped, samples.images[few])
    return (note,) if note else ()


def material_of(samples: UserSamples, options: ExportOptions) -> Material:
    """With labels the samples are halved: what is checked was not calibrated on. The halves are
    drawn, for files are often in the order of their classes."""
    images, labels = samples.images, samples.labels
    if not _halved(samples):
        used = images[: options.calibration_samples]
        return Material(used, used, None, images[:GOLDEN_SAMPLES])
    assert labels is not None
    order = np.random.default_rng(options.seed).permutation(len(images))
    half = min(options.calibration_samples, len(images) // 2)
    used, checked = np.sort(order[:half]), np.sort(order[half : half + options.check_samples])
    unseen = np.setdiff1d(labels, labels[used])
    return Material(
        images[used],
        images[checked],
        labels[checked],
        images[checked[:GOLDEN_SAMPLES]],
        tuple(str(name) for name in unseen.tolist()),
    )


def _halved(samples: UserSamples) -> bool:
    return samples.labels is not None and len(samples.images) > 1


def halves_note(
    samples: UserSamples, material: Material, options: ExportOptions
) -> tuple[str, ...]:
    """Which samples calibrate and which check."""
    if not _halved(samples):
        return ()
    return (
        f"of your {len(samples.images):,} labelled samples {len(material.calibration):,} calibrate "
        f"and {len(material.checked):,} others check, drawn by seed {options.seed}",
    )
