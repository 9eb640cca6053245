"""A network trained elsewhere becomes a bundle: read, place, record golden answers, write."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tssd.calibration.int_network import Activity, InputCoding, IntNetwork
from tssd.calibration.integer import IntArray
from tssd.calibration.simulate import layerwise, over_time, pipelined
from tssd.calibration.tally import tally
from tssd.errors import DataError, FileFormatError
from tssd.export.bundle import Bundle, write_bundle
from tssd.export.golden import make_golden
from tssd.export.manifest import sha256
from tssd.export.netx_import import Imported, import_netx
from tssd.export.netx_read import read_netx
from tssd.export.nir_read import has_integer_model, read_nir
from tssd.hw_targets.chips import load_chip
from tssd.hw_targets.lava.handover import kit_files
from tssd.hw_targets.placement import place

DRAWN = 2  # golden samples drawn at random where none are given
DRAWN_RATE = 0.2  # of ones among drawn spikes


@dataclass(frozen=True)
class ImportOptions:
    """``samples``: an .npy file of input samples (N, *input shape) for the golden answers; drawn
    from ``seed`` if None. ``coding``: what the input carries, where the file does not say."""

    time_steps: int = 16
    coding: InputCoding = InputCoding.SPIKES
    target: str = "loihi2"
    samples: Path | None = None
    seed: int = 0


def import_bundle(
    path: Path, out: Path, options: ImportOptions, *, force: bool = False
) -> tuple[Bundle, tuple[str, ...]]:
    """The bundle of the network in *path*, and notes on how it was read."""
    imported = read_network(path, options)
    network = imported.network
    inputs = golden_inputs(network, options)
    run = engine_of(network)
    placement = place(network, load_chip(options.target), tally(run(network, inputs)), options.seed)
    bundle = write_bundle(
        out,
        network,
        placement_json=json.loads(placement.to_json()),
        golden=make_golden(network, inputs, run),
        manifest_extra={
            "source": {"imported": path.name, "sha256": sha256(path)},
            "target": options.target,
            "seed": options.seed,
            "golden_inputs": "drawn at random" if options.samples is None else options.samples.name,
            "notes": list(imported.notes),
        },
        extra_files=kit_files(network),
        force=force,
    )
    return bundle, imported.notes


def read_network(path: Path, options: ImportOptions) -> Imported:
    """The network in *path*, by its suffix: .net (lava-dl netx) or .nir (of tssd)."""
    if path.suffix == ".net":
        return import_netx(read_netx(path), options.time_steps, options.coding)
    if path.suffix == ".nir" and has_integer_model(path):
        return Imported(read_nir(path), ())
    raise FileFormatError(
        str(path),
        found=f"a {path.suffix or 'nameless'} file without a network that is known here",
        allowed=".net of lava-dl's netx, or .nir with an integer model of tssd",
    )


def engine_of(network: IntNetwork) -> Callable[[IntNetwork, IntArray], Activity]:
    """Layer by layer; recurrent networks in the order of the chip, each sample on its own."""
    recurrent = any(network.is_recurrent(j) for j in network.projections)
    return pipelined if recurrent else layerwise


def golden_inputs(network: IntNetwork, options: ImportOptions) -> IntArray:
    """Samples (N, *input shape) held over all steps: (T, N, *input shape)."""
    shape = network.source.shape
    if options.samples is None:
        samples = _drawn(network, options.seed)
    else:
        samples = _load(options.samples)
        if samples.shape[1:] != shape:
            raise DataError(
                str(options.samples),
                found=f"shape {samples.shape}",
                allowed=f"(N, {', '.join(map(str, shape))})",
            )
    return over_time(samples, network.time_steps)


def _load(path: Path) -> IntArray:
    try:
        samples = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DataError(str(path), found=f"no array ({error})", allowed="an .npy file") from None
    if not isinstance(samples, np.ndarray) or samples.dtype.kind not in "iub":
        raise DataError(str(path), found="no integer array", allowed="integers, one .npy")
    return samples.astype(np.int64)


def _drawn(network: IntNetwork, seed: int) -> IntArray:
    rng = np.random.default_rng(seed)
    shape = (DRAWN, *network.source.shape)
    if network.input_coding is InputCoding.SPIKES:
        return (rng.random(shape) < DRAWN_RATE).astype(np.int64)
    return rng.integers(0, min(network.input_max, 255) + 1, shape)
