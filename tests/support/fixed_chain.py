"""One small network through the whole chain, as hashes of everything that must stay as it is.

Weights, images and norms are given by whole numbers and powers of two, so that sums are exact in
any order and the chain gives the same integers on every machine. Floats that are computed on the
way (scales, time constants, energies) count by nine digits; versions and file layouts do not count.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from float_nets import HALVE, lif, stateless

from tssd.calibration import serial
from tssd.calibration.quantizing.fold import fold
from tssd.chain.pipeline import Deployable, ExportOptions, Material, deploy, write
from tssd.export.bundle.folder import Bundle
from tssd.hw_targets.chip.chips import load_chip
from tssd.hw_targets.costs.energy import price
from tssd.hw_targets.sim.engine import run
from tssd.train.handover.float_activity import ImageArray
from tssd.train.handover.float_network import (
    FloatArray,
    FloatNetwork,
    FloatProjection,
    Norm,
    PopulationKind,
    ProjectionKind,
    Reset,
)

DIGITS = 9
CHIPS = ("loihi2-brief", "loihi1-davies2018")  # set on no measurement that a new fit would move


def counted(*shape: int, factor: int, below: int) -> FloatArray:
    """Whole numbers -below .. below in a fixed disorder, as 64ths."""
    n = np.arange(int(np.prod(shape)), dtype=np.int64)
    return ((n * factor + 7) % (2 * below + 1) - below).reshape(shape) / 64


def network(reset: Reset) -> FloatNetwork:
    """conv with a norm, conv behind a pool, dense readout."""
    norm = Norm(
        mean=counted(3, factor=5, below=8),
        variance=np.full(3, 1 - 2.0**-10),
        gain=np.array([1.0, 2.0, 0.5]),
        shift=np.array([0.5, 0.25, 0.375]),
        eps=2.0**-10,
    )
    populations = (
        stateless("input", (1, 8, 8), PopulationKind.INPUT),
        lif("conv1", (3, 8, 8), reset),
        lif("conv2", (4, 4, 4), reset),
        stateless("readout", (5,), PopulationKind.READOUT),
    )
    conv, dense = ProjectionKind.CONV2D, ProjectionKind.DENSE
    first = counted(3, 1, 3, 3, factor=11, below=60)
    second = counted(4, 3, 3, 3, factor=29, below=40)
    bias = np.full(4, 0.375)
    last = counted(5, 64, factor=37, below=30)
    projections = (
        FloatProjection("input", "conv1", conv, first, padding=(1, 1), norm=norm),
        FloatProjection("conv1", "conv2", conv, second, bias, padding=(1, 1), pool=HALVE),
        FloatProjection("conv2", "readout", dense, last, bias=counted(5, factor=3, below=8)),
    )
    return FloatNetwork(populations, projections, 4)


def images(count: int = 16) -> ImageArray:
    n = np.arange(count * 64)
    return ((n * 53 + n // 64 * 17) % 256).astype(np.uint8).reshape(count, 1, 8, 8)


def deployed(reset: Reset, chip: str) -> tuple[Deployable, Material]:
    shown = images()
    material = Material(shown, shown, None, shown[:2])
    return deploy(network(reset), material, ExportOptions(target=chip)), material


def hashes(folder: Path) -> dict[str, str]:
    """What every step leaves, for both resets and two chips, by name."""
    found: dict[str, str] = {}
    for reset in (Reset.SOFT, Reset.HARD):
        folded = fold(network(reset))
        found[f"{reset}: folded"] = digest([j.weight for j in folded.projections])
        for chip in CHIPS:
            name = f"{reset}, {chip}"
            done, material = deployed(reset, chip)
            bundle = write(done, material, folder / name, ExportOptions(target=chip), {})
            found |= {f"{name}: {part}": value for part, value in _of_bundle(bundle).items()}
            found[f"{name}: simulation"] = _of_simulation(done, material, chip)
    return found


def _of_bundle(bundle: Bundle) -> dict[str, str]:
    header, arrays = serial.to_arrays(bundle.network)
    assert bundle.golden is not None
    assert bundle.placement is not None
    with np.load(bundle.folder / "golden.npz") as file:
        answers = {name: file[name] for name in file.files}
    found = {
        "files": digest(sorted(bundle.manifest["files"])),
        "integers": digest([json.loads(header), arrays]),
        "placement": digest(bundle.placement),
        "golden": digest(answers),
        "network.nir": digest(dict(_datasets(bundle.folder / "network.nir"))),
    }
    if (bundle.folder / "network.net").exists():
        found["network.net"] = digest(dict(_datasets(bundle.folder / "network.net")))
    return found


def _of_simulation(done: Deployable, material: Material, chip: str) -> str:
    spec = load_chip(chip)
    result = run(done.network, done.encode(material.golden), done.placement, spec)
    pj = price(result.counters, spec).total()
    return digest([result.timing.cycles, result.timing.messages, [pj.low, pj.nominal, pj.high]])


def _datasets(path: Path) -> Iterator[tuple[str, Any]]:
    """Every dataset of an HDF5 file but the version of what wrote it."""
    names: list[str] = []
    with h5py.File(path) as file:
        file.visit(names.append)
        for name in sorted(names):
            if isinstance(file[name], h5py.Dataset) and "version" not in name:
                yield name, file[name][()]


def digest(value: Any) -> str:
    """SHA-256 of a value of arrays, numbers, texts, lists and tables."""
    text = json.dumps(_plain(value), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: Any) -> Any:
    match value:
        case Mapping():
            return {str(name): _plain(part) for name, part in value.items()}
        case list() | tuple():
            return [_plain(part) for part in value]
        case np.ndarray() | np.generic():
            return [list(value.shape), _plain(value.ravel().tolist())]
        case bytes():
            text = value.decode()
            return _plain(json.loads(text)) if text.startswith("{") else text
        case bool() | int() | str() | None:
            return value
        case float():
            return float(f"{value:.{DIGITS}g}") + 0.0
        case _:
            raise TypeError(type(value).__name__)
