"""A user's own module -> a bundle: taken over, proved equal, then the chain as for any network."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from tssd.chain.float_import import halves_note, material_of, rounding
from tssd.chain.module_source import ModelSource
from tssd.chain.own_module import ModuleReading, Taken, accuracy, ask, module_accuracy, take_over
from tssd.chain.pipeline import ExportOptions, Step, deploy, write
from tssd.chain.user_data import Given, gather
from tssd.chain.user_samples import UserSamples, check_shape, fitting
from tssd.contracts import Contract, require
from tssd.errors import ConfigError
from tssd.export.bundle.folder import Bundle
from tssd.export.bundle.manifest import sha256
from tssd.export.bundle.place import check_place
from tssd.train.handover.mapped_input import with_input_map
from tssd.train.recording.record import entering


@dataclass(frozen=True, eq=False)
class ExportedModule:
    """A bundle, and the samples that it was checked on."""

    bundle: Bundle
    samples: UserSamples


def export_model(
    model: ModelSource,
    samples: str | None,
    reading: ModuleReading,
    out: Path,
    options: ExportOptions,
    *,
    force: bool = False,
    on_step: Step = lambda text: None,
) -> Bundle:
    """The bundle of the module that *model* names."""
    if samples is None:
        raise ConfigError(
            "--samples",
            found="a module and no samples to compare and calibrate it on",
            allowed="an .npz file with 'inputs' (N, ...) and, if known, 'labels' (N,)",
            hint="a few hundred samples like those of training",
        )
    given_files = (model.weights, Path(samples), options.placement, Path(options.target))
    check_place(out, force, given_files)
    on_step("load module and samples")
    given, reading = with_samples(model, samples, reading, most_of(options))
    module, told = model.load(), {"model": model.name}
    if model.weights is not None:
        told |= {"weights": model.weights.name, "sha256": sha256(model.weights)}
    return export_module(
        module, given, reading, out, options, told, force=force, on_step=on_step
    ).bundle


def most_of(options: ExportOptions) -> int:
    """How many samples are used: to calibrate on, and others to check with."""
    return options.calibration_samples + options.check_samples


def with_samples(
    model: ModelSource, samples: str | None, reading: ModuleReading, most: int
) -> tuple[Given, ModuleReading]:
    """The samples of *model*, drawn at random where there are none, and whether they are frames
    where its input's shape is said."""
    shape = model.shape
    if samples is None:
        if shape is None:
            raise ConfigError(
                "--samples", found="neither samples nor --input-shape", allowed="one of them"
            )
        drawn = np.random.default_rng(0).integers(0, 256, (most, *shape)).astype(np.uint8)
        return gather(drawn), replace(reading, frames=False)
    given = gather(samples, None, most).part(slice(most))
    if shape is None:
        return given, reading
    frames = given.inputs.ndim == len(shape) + 2
    check_shape(given, shape, frames)
    return given, replace(reading, frames=frames)


def export_module(
    module: nn.Module,
    given: Given,
    reading: ModuleReading,
    out: Path,
    options: ExportOptions,
    told: Mapping[str, Any],
    *,
    force: bool = False,
    on_step: Step = lambda text: None,
) -> ExportedModule:
    """The bundle of *module*, which is in inference mode; *told* goes into the manifest."""
    check_place(out, force)
    on_step("run the module, read it, compare")
    taken = take_over(module, given.as_seen(), reading)
    contracts = proofs(taken, given)
    samples = entered(module, taken, given)
    material = material_of(samples, options)
    network = with_input_map(taken.network, samples.entry)
    deployable = deploy(network, material, options, on_step, contracts)
    notes = (
        *taken.recording.notes,
        *taken.notes(given.labels),
        *halves_note(samples, material, options),
        *rounding(taken.network, network, samples),
    )
    bundle = write(
        deployable,
        material,
        out,
        options,
        {**told, **taken.told()},
        notes=notes,
        force=force,
        on_step=on_step,
    )
    checked = replace(samples, images=material.checked, labels=material.labels, values=None)
    return ExportedModule(bundle, checked)


def proofs(taken: Taken, given: Given) -> tuple[Contract, ...]:
    """Contract 0 and the module's own accuracy; raises where one fails or a question is open."""
    contracts = [taken.agreement.contract()]
    require(contracts)
    if given.labels is not None:
        ask(taken, given.labels)
        found = accuracy(taken.agreement.answers, given.labels)
        contracts.append(module_accuracy(found, None, len(given)))
    return tuple(contracts)


def entered(module: nn.Module, taken: Taken, given: Given) -> UserSamples:
    """What enters the chip: the samples, or the frames that the module's own encoder makes."""
    if taken.recording.encoder is not None:
        frames = entering(module, taken.recording, given.as_seen())
        given = replace(given, inputs=np.asarray(frames), unit=1)
    return fitting(given, taken.network.populations[0].shape)
