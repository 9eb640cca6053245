"""A network trained elsewhere becomes a bundle: read, place, record golden answers, write.

Integer networks (.net of lava-dl, .nir with the integer model of tssd) are taken over as they are,
without torch; a float graph (.nir of any tool) is calibrated and quantized first
(``tssd.chain.float_import``).
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tssd.calibration.int_network import InputCoding, IntNetwork
from tssd.calibration.integer import IntArray
from tssd.calibration.simulate import check_silence, over_time, reference
from tssd.calibration.tally import tally
from tssd.chain.bundle_writing import ExportOptions, Step, write_placed
from tssd.chain.placing import placed_for, placing_on, told_of
from tssd.chain.user_samples import load_integers
from tssd.errors import ConfigError, FileFormatError
from tssd.export.bundle.folder import Bundle
from tssd.export.bundle.manifest import sha256
from tssd.export.bundle.place import check_place
from tssd.export.netx.read import read_netx
from tssd.export.netx.to_integers import Imported, import_netx
from tssd.export.nir.graphs.profiles import Answers
from tssd.export.nir.integers.read import has_integer_model, read_nir
from tssd.hw_targets.chip.chips import load_chip
from tssd.hw_targets.mapping.fit import told_of_placement
from tssd.hw_targets.optimising.goal import Goal

DRAWN = 2  # golden samples drawn at random where none are given
DRAWN_RATE = 0.2  # of ones among drawn spikes


@dataclass(frozen=True)
class ImportOptions:
    """``samples``: input samples (N, *input shape) or frames (N, T, *input shape) for the golden
    answers of an integer network; drawn if None. ``coding``: what the input carries; None: spikes
    of a .net, which does not say. ``calibration``: samples that a float graph is quantized on;
    ``answers``: its missing words."""

    time_steps: int = 16
    coding: InputCoding | None = None
    samples: Path | None = None
    calibration: Path | None = None
    answers: Answers = Answers()
    export: ExportOptions = ExportOptions()


def import_bundle(
    path: Path,
    out: Path,
    options: ImportOptions,
    *,
    force: bool = False,
    on_step: Step = lambda text: None,
) -> Bundle:
    """The bundle of the network in *path*, by its suffix and content."""
    export = options.export
    given = (path, options.samples, options.calibration, export.placement, Path(export.target))
    check_place(out, force, given)
    if is_float_graph(path):
        from tssd.chain.float_import import FloatSource, import_graph  # in torch

        source = FloatSource(options.calibration, options.time_steps, options.answers)
        export = replace(export, input_coding=options.coding)
        return import_graph(path, out, source, export, force=force, on_step=on_step)
    if options.samples is None and export.optimise is not Goal.CORES:
        raise ConfigError(
            f"--optimise {export.optimise}",
            found="no samples, whose activity it goes by",
            hint="give --inputs x.npy",
        )
    on_step("read the integers")
    imported = read_network(path, options)
    network = imported.network
    check_silence(network)
    inputs = golden_inputs(network, options)
    on_step(placing_on(export.target, export.optimise))
    traffic = tally(reference(network, inputs))
    chip, goal = load_chip(export.target), export.optimise
    placement, placed = placed_for(
        goal, network, chip, traffic, lambda: inputs, export.seed, export.layout
    )
    on_step("write the bundle")
    origin = "drawn at random" if options.samples is None else options.samples.name
    about = {
        "source": {"imported": path.name, "sha256": sha256(path)},
        "golden_inputs": origin,
        **told_of(placed, imported.notes, told_of_placement(network, chip, placement)),
    }
    return write_placed(network, placement, inputs, out, export, about=about, force=force)


def is_float_graph(path: Path) -> bool:
    """Whether *path* is a NIR graph of floats, which is calibrated first."""
    return path.suffix == ".nir" and not has_integer_model(path)


def read_network(path: Path, options: ImportOptions) -> Imported:
    """The integers in *path*: .net (lava-dl netx) or .nir of tssd."""
    if path.suffix == ".net":
        coding = options.coding or InputCoding.SPIKES
        return _as_asked(import_netx(read_netx(path), options.time_steps, coding), path, options)
    if path.suffix == ".nir":
        return _as_asked(Imported(read_nir(path), ()), path, options)
    raise FileFormatError(
        str(path),
        found=f"a {path.suffix or 'nameless'} file",
        allowed=".net of lava-dl's netx, or .nir",
    )


def _as_asked(imported: Imported, path: Path, options: ImportOptions) -> Imported:
    """*imported*, whose file may say itself what enters: then another ``coding`` is refused."""
    says = imported.network.input_coding
    if options.coding not in (None, says):
        raise ConfigError(
            f"--input {options.coding}",
            found=f"{path.name}, whose input is {says}",
            allowed=f"auto, or {says}",
        )
    return imported


def golden_inputs(network: IntNetwork, options: ImportOptions) -> IntArray:
    """Samples held over all steps, or frames, as (T, N, *input shape)."""
    if options.samples is None:
        return over_time(_drawn(network, options.export.seed), network.time_steps)
    return load_integers(options.samples, network.source.shape, network.time_steps)


def _drawn(network: IntNetwork, seed: int) -> IntArray:
    rng = np.random.default_rng(seed)
    shape = (DRAWN, *network.source.shape)
    if network.input_coding.binary:
        return (rng.random(shape) < DRAWN_RATE).astype(np.int64)
    return rng.integers(0, min(network.input_max, 255) + 1, shape)
