"""From a bundle and options to a simulated run: what ``tssd simulate`` and ``tssd sweep`` share."""

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from tssd.calibration.encode import as_inputs
from tssd.calibration.int_network import IntNetwork
from tssd.calibration.integer import IntArray
from tssd.calibration.simulate import check_inputs, over_time
from tssd.chain.samples import AT_ONCE, Samples, bundle_samples, golden_samples
from tssd.errors import ConfigError, DataError, FileFormatError, counted, refusing
from tssd.export.bundle.folder import Bundle, read_bundle
from tssd.export.nir.event_data import read_event_data
from tssd.export.reading.arrays import DAMAGE, read_arrays, whole_numbers
from tssd.hw_targets.chip.chip_copy import bundled_chip
from tssd.hw_targets.chip.chips import CHIPS, load_chip
from tssd.hw_targets.chip.fingerprint import fingerprint
from tssd.hw_targets.chip.spec import ChipSpec
from tssd.hw_targets.mapping.choices import Choices, InputFrom, SynapseFormat
from tssd.hw_targets.mapping.manual import choices_in, manual_placement, read_placement
from tssd.hw_targets.mapping.placement import Placement, place
from tssd.hw_targets.sim.engine import Run, run, run_record
from tssd.hw_targets.sim.record import read_record
from tssd.hw_targets.sim.timing import Mode

SECTIONS_OF_PLACEMENT = ("mesh", "limits", "bits")  # a change there needs a new placement
USUAL_SAMPLES = 64  # of a data set, as tssd verify takes them
EVENT_FILES = (".h5", ".hdf5")  # NIR's event data
ALIASES = {"noc.buffer": "buffers.link"}


@dataclass(frozen=True)
class Request:
    """What to simulate: everything but the bundle has a default.

    Samples are those of ``inputs``; else the first ones of the data set, with files in ``data``;
    else, where they are enough, the golden inputs of the bundle.
    """

    bundle: Path
    samples: int | None = None
    inputs: Path | None = None
    data: Path | None = None
    spikes: Path | None = None
    placement: Path | None = None
    chip: str | None = None
    settings: tuple[tuple[str, float], ...] = ()
    mode: Mode = "cycle"
    board: str | None = None
    host: bool = False
    input_from: InputFrom | None = None  # None: as the bundle's placement has it
    formats: tuple[tuple[str, SynapseFormat], ...] = ()

    @property
    def command(self) -> str:
        """The command line that makes this run again: every option that is not at its default."""
        options = {
            "--samples": self.samples,
            "--inputs": self.inputs,
            "--data": self.data,
            "--spikes": self.spikes,
            "--placement": self.placement,
            "--chip": self.chip,
            "--board": self.board,
            "--input-from": self.input_from,
            "--timing": None if self.mode == "cycle" else self.mode,
        }
        words = ["tssd", "simulate", str(self.bundle)]
        for name, value in options.items():
            words += [] if value is None else [name, str(value)]
        words += ["--host"] if self.host else []
        for name, stored in self.formats:
            words += ["--format", f"{name}={stored}"]
        for key, number in self.settings:
            words += ["--set", f"{key}={number:.15g}"]
        return shlex.join(words)


class Placed(StrEnum):
    """Where the placement of a simulation comes from."""

    OWN = "own"  # of the bundle
    FILE = "file"
    AFRESH = "afresh"  # on the fewest cores: the bundle has none for this chip


AFRESH_TOLD = (
    "placed afresh, on the fewest cores: the bundle's own placement is for another chip, other"
    " limits or another layout; `tssd export` with --optimise places by activity"
)


@dataclass(frozen=True, eq=False)
class ReadySimulation:
    """A request with everything read; ``samples`` is None where spikes were given."""

    request: Request
    bundle: Bundle
    chip: ChipSpec
    placement: Placement
    samples: Samples | None
    placed: Placed


def prepared(request: Request) -> ReadySimulation:
    """Read the bundle and its samples, place it where needed."""
    bundle = read_bundle(request.bundle)
    chip = chip_of(request, bundle)
    placement, placed = placement_of(request, bundle, chip)
    samples = None if request.spikes is not None else samples_of(request, bundle)
    return ReadySimulation(request, bundle, chip, placement, samples, placed)


def simulate(
    ready: ReadySimulation,
    progress: Callable[[int], None] | None = None,
    *,
    every_core: bool = False,
) -> Run:
    """Run what is *ready*; *every_core*: keep what every core does in every step."""
    request, network = ready.request, ready.bundle.network
    if ready.samples is not None:
        inputs = ready.samples.inputs
        where = ready.placement, ready.chip, request.mode, progress
        return run(network, inputs, *where, every_core=every_core, host=request.host)
    assert request.spikes is not None
    record = read_record(request.spikes, network)
    return run_record(
        network, record, ready.placement, ready.chip, request.mode,
        progress=progress, every_core=every_core, host=request.host,
    )  # fmt: skip


def simulate_bundle(request: Request, progress: Callable[[int], None] | None = None) -> Run:
    """Read, place where needed, simulate."""
    return simulate(prepared(request), progress)


def chip_of(request: Request, bundle: Bundle) -> ChipSpec:
    """The chip asked for, else the one the bundle was placed on, on its board, with the settings
    applied.

    A name that comes with tssd, or a file, is that chip, whatever the bundle's own is called.
    """
    own = bundled_chip(bundle.folder, bundle.manifest)
    wanted = request.chip or str((bundle.placement or {}).get("chip", own.name))
    elsewhere = request.chip is not None and (wanted in CHIPS or Path(wanted).is_file())
    chip = own if wanted == own.name and not elsewhere else load_chip(wanted)
    chip = chip if request.board is None else chip.on_board(request.board)
    for name, value in request.settings:
        chip = chip.with_value(ALIASES.get(name, name), value)
    return chip


def placement_of(request: Request, bundle: Bundle, chip: ChipSpec) -> tuple[Placement, Placed]:
    """The manual placement, the bundle's own if *chip* can hold it as its own chip does, or a new
    one."""
    own: Mapping[str, object] | None = bundle.placement
    has = choices_in(own)
    formats, fed = {**has.formats, **dict(request.formats)}, request.input_from or has.input_from
    wanted = Choices(formats, fed)
    if request.placement is not None:
        if request.input_from is not None or request.formats:
            raise ConfigError(
                "--input-from, --format",
                found="a placement of your own",
                allowed="a placement file says both itself: input_from, formats",
            )
        return read_placement(request.placement, bundle.network, chip), Placed.FILE
    elsewhere = own is None or own.get("chip") != chip.name or not _holds_alike(bundle, chip)
    if elsewhere or wanted != has:
        return place(bundle.network, chip, choices=wanted), Placed.AFRESH
    where = str(bundle.folder / "placement.json")
    return manual_placement(own, bundle.network, chip, where=where), Placed.OWN


def _holds_alike(bundle: Bundle, chip: ChipSpec) -> bool:
    """Whether *chip* has the numbers of the bundle's own chip that a placement rests on."""
    own = chip_of(Request(bundle.folder), bundle)
    ours, theirs = (fingerprint(c, SECTIONS_OF_PLACEMENT) for c in (own, chip))
    return ours == theirs


def samples_of(request: Request, bundle: Bundle) -> Samples:
    """The samples to run, as ``Request`` says."""
    network, count = bundle.network, request.samples
    if count is not None and count < 1:
        raise ConfigError("--samples", found=str(count), allowed="1 or more")
    if request.inputs is not None:
        inputs = _read_inputs(request.inputs, network)
        shown = f"{counted(inputs.shape[1], 'sample')} of your own {request.inputs.name}"
        found = Samples(as_inputs(inputs), None, None, shown)
    elif request.data is not None or _from_data_set(bundle, count):
        found = bundle_samples(bundle, count or USUAL_SAMPLES, request.data)
    elif bundle.golden is not None:
        found = golden_samples(bundle)
    else:
        raise DataError(
            str(request.bundle), found="no golden inputs in the bundle", hint="give --inputs x.npz"
        )
    for _, part in found.inputs.batches(AT_ONCE):
        check_inputs(network, part)
    return _first(found, count)


def _from_data_set(bundle: Bundle, count: int | None) -> bool:
    """Whether *count* samples are more than the golden ones, and there is a data set."""
    known = bundle.manifest.get("source", {}).get("dataset") is not None
    golden = 0 if bundle.golden is None else bundle.golden.inputs.shape[1]
    return known and (golden == 0 or (count or 0) > golden)


def _first(samples: Samples, count: int | None) -> Samples:
    """The first *count* of *samples*; more than there are raise ConfigError."""
    there = samples.inputs.samples
    if count is None or count == there:
        return samples
    if count > there:
        raise ConfigError(
            "--samples",
            found=str(count),
            allowed=f"1 .. {there}",
            hint=f"there are {samples.shown}; --data or --inputs brings others",
        )
    return replace(
        samples, inputs=samples.inputs.first(count), shown=f"first {count:,} of {samples.shown}"
    )


def _read_inputs(path: Path, network: IntNetwork) -> IntArray:
    """The array ``inputs`` of an ``.npz``: (T, B, *shape), or (B, *shape) shown at every step; or
    NIR's event data, of the node called as the network's input, or of the only one."""
    if path.suffix in EVENT_FILES:
        return _event_inputs(path, network)
    time_steps, rank = network.time_steps, len(network.source.shape)
    with refusing(
        DAMAGE,
        FileFormatError,
        str(path),
        "no inputs",
        allowed="an .npz with the array `inputs` of whole numbers",
    ):
        inputs = whole_numbers(read_arrays(path, ("inputs",)), "inputs")
    return over_time(inputs, time_steps) if inputs.ndim == rank + 1 else inputs


def _event_inputs(path: Path, network: IntNetwork) -> IntArray:
    nodes, source = read_event_data(path), network.source
    name = source.name if source.name in nodes else next(iter(nodes), source.name)
    if name not in nodes or (name != source.name and len(nodes) > 1):
        found = ", ".join(nodes) or "no nodes"
        raise FileFormatError(str(path), found=found[:200], allowed=f"a node {source.name!r}")
    return nodes[name].frames(source.shape, network.time_steps, f"{path}: node {name}")
