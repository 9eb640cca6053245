"""From a bundle and options to a simulated run: what ``tssd simulate`` and ``tssd sweep`` share."""

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tssd.calibration.integer import IntArray
from tssd.calibration.simulate import check_inputs, over_time
from tssd.errors import ConfigError, DataError, FileFormatError, refusing
from tssd.export.bundle.folder import Bundle, read_bundle
from tssd.export.reading.arrays import DAMAGE, read_arrays, whole_numbers
from tssd.hw_targets.chip.chip_copy import bundled_chip
from tssd.hw_targets.chip.chips import load_chip
from tssd.hw_targets.chip.spec import ChipSpec
from tssd.hw_targets.mapping.manual import manual_placement, read_placement
from tssd.hw_targets.mapping.placement import Placement, place
from tssd.hw_targets.sim.engine import Mode, Run, run, run_record
from tssd.hw_targets.sim.record import read_record

SECTIONS_OF_PLACEMENT = ("mesh", "limits", "bits")  # a change there needs a new placement
ALIASES = {"noc.buffer": "buffers.link"}


@dataclass(frozen=True)
class Request:
    """What to simulate: everything but the bundle has a default."""

    bundle: Path
    samples: int | None = None
    inputs: Path | None = None
    spikes: Path | None = None
    placement: Path | None = None
    chip: str | None = None
    settings: tuple[tuple[str, float], ...] = ()
    mode: Mode = "cycle"

    @property
    def command(self) -> str:
        """The command line that makes this run again: every option that is not at its default."""
        options = {
            "--samples": self.samples,
            "--inputs": self.inputs,
            "--spikes": self.spikes,
            "--placement": self.placement,
            "--chip": self.chip,
            "--timing": None if self.mode == "cycle" else self.mode,
        }
        words = ["tssd", "simulate", str(self.bundle)]
        for name, value in options.items():
            words += [] if value is None else [name, str(value)]
        for key, number in self.settings:
            words += ["--set", f"{key}={number:.15g}"]
        return shlex.join(words)


def simulate_bundle(request: Request, progress: Callable[[int], None] | None = None) -> Run:
    """Read the bundle, place it where needed, simulate."""
    bundle = read_bundle(request.bundle)
    chip = chip_of(request, bundle)
    placement = placement_of(request, bundle, chip)
    network = bundle.network
    if request.spikes is not None:
        record = read_record(request.spikes, network)
        return run_record(network, record, placement, chip, request.mode, progress=progress)
    inputs = inputs_of(request, bundle)
    return run(network, inputs, placement, chip, request.mode, progress)


def chip_of(request: Request, bundle: Bundle) -> ChipSpec:
    """The chip asked for, else the one the bundle was placed on, with the settings applied."""
    own = bundled_chip(bundle.folder, bundle.manifest)
    placed = str((bundle.placement or {}).get("chip", own.name))
    chip = own if (request.chip or placed) == own.name else load_chip(request.chip or placed)
    for name, value in request.settings:
        chip = chip.with_value(ALIASES.get(name, name), value)
    return chip


def placement_of(request: Request, bundle: Bundle, chip: ChipSpec) -> Placement:
    """The manual placement, the bundle's own if it is for this chip, or a new one."""
    if request.placement is not None:
        return read_placement(request.placement, bundle.network, chip)
    moved = any(name.split(".")[0] in SECTIONS_OF_PLACEMENT for name, _ in request.settings)
    own: Mapping[str, object] | None = bundle.placement
    if own is None or own.get("chip") != chip.name or moved:
        return place(bundle.network, chip)
    where = str(bundle.folder / "placement.json")
    return manual_placement(own, bundle.network, chip, where=where)


def inputs_of(request: Request, bundle: Bundle) -> IntArray:
    """(T, B, *shape): from ``--inputs``, else the bundle's golden inputs."""
    network = bundle.network
    if request.inputs is not None:
        inputs = _read_inputs(request.inputs, network.time_steps, len(network.source.shape))
    elif bundle.golden is not None:
        inputs = bundle.golden.inputs
    else:
        raise DataError(
            str(request.bundle), found="no golden inputs in the bundle", hint="give --inputs x.npz"
        )
    check_inputs(network, inputs)
    if request.samples is not None:
        if not 1 <= request.samples <= inputs.shape[1]:
            raise ConfigError(
                "--samples", found=str(request.samples), allowed=f"1 .. {inputs.shape[1]}"
            )
        inputs = inputs[:, : request.samples]
    return inputs


def _read_inputs(path: Path, time_steps: int, rank: int) -> IntArray:
    """The array ``inputs`` of an ``.npz``: (T, B, *shape), or (B, *shape) shown at every step."""
    with refusing(
        DAMAGE,
        FileFormatError,
        str(path),
        "no inputs",
        allowed="an .npz with the array `inputs` of whole numbers",
    ):
        inputs = whole_numbers(read_arrays(path, ("inputs",)), "inputs")
    return over_time(inputs, time_steps) if inputs.ndim == rank + 1 else inputs
