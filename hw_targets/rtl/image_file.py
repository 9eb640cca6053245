"""An image as a folder of text, for whoever has a mesh and a host port but not this program.

    image.json     the mesh it is for, what it holds, the checksum of the two others
    load.txt       what a host writes once: the memories
    samples.txt    golden samples: what it writes before each step, and what it must then read

Both texts hold one order of the host port a line, numbers in hexadecimal: ``w ADDRESS VALUE``
writes, ``r ADDRESS VALUE`` reads what must be the value, ``go`` waits until no step is running.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from tssd import typed
from tssd.calibration.int_network import Activity, depths
from tssd.calibration.integer import IntArray
from tssd.calibration.simulate import reference
from tssd.errors import FileFormatError, TargetError, counted
from tssd.hw_targets.rtl.image import Image
from tssd.hw_targets.rtl.machine import (
    BEFORE_THE_FIRST,
    finished_at,
    presented,
    register,
    states_at,
)
from tssd.hw_targets.rtl.proof import StepClocks, kernel_times
from tssd.hw_targets.rtl.units.host import (
    AXON_WORDS,
    EVERYTHING,
    RECORD_WORDS,
    MeshRegister,
    Region,
    address,
)
from tssd.hw_targets.rtl.units.widths import CORE_SHIFT, WORD_PLACES, BuildSizes
from tssd.hw_targets.sim.record import length_alone

DESCRIPTION, LOAD, SAMPLES = "image.json", "load.txt", "samples.txt"
FORMAT = 1
GO = "go"
ORDER = re.compile(r"([wr]) ([0-9a-f]{8}) ([0-9a-f]{8})")
AGAIN = "write it again: tssd convert BUNDLE --rtl FOLDER"
# memory -> its region, words of one entry, and what of a build's sizes is its depth
MEMORIES = {
    "neurons": (Region.NEURONS, RECORD_WORDS, "neurons"),
    "entries of fan-out": (Region.FAN_OUT, 1, "fan_out"),
    "axons": (Region.AXONS, AXON_WORDS, "axons"),
    "synapses": (Region.SYNAPSES, 1, "synapses"),
}
DEPTHS = tuple(depth for _, _, depth in MEMORIES.values())


@dataclass(frozen=True)
class KeptImage:
    """What was read, its checksums right: the mesh it is for, and for each memory the most entries
    that a core needs, with the core. ``load`` and ``samples`` are the orders, (word, address,
    value): word ``w``, ``r`` or ``go``."""

    folder: Path
    sizes: BuildSizes
    used: dict[str, tuple[int, int]]
    steps: int
    load: list[tuple[str, int, int]]
    samples: list[tuple[str, int, int]]


def write_image(image: Image, inputs: IntArray, folder: Path) -> str:
    """Write *image* and the samples ``inputs`` (T, B, *shape) into *folder*, which must be there;
    returns what it holds."""
    texts = {LOAD: _load(image), SAMPLES: _samples(image, inputs)}
    told = {}
    for name, lines in texts.items():
        data = "".join(f"{line}\n" for line in lines).encode("ascii")
        (folder / name).write_bytes(data)
        told[name] = {"sha256": hashlib.sha256(data).hexdigest(), "lines": data.count(b"\n")}
    steps = length_alone(image.network) * inputs.shape[1]
    table = {"format": FORMAT, "sizes": asdict(image.sizes), "steps": steps, "files": told}
    (folder / DESCRIPTION).write_text(json.dumps(table, indent=1) + "\n", encoding="ascii")
    held = f"{len(image.words):,} words for {counted(image.sizes.cores, 'core')}"
    of = f"{counted(inputs.shape[1], 'sample')}, {counted(steps, 'step')}"
    return f"{held}; {of} with their spikes and clocks"


def _load(image: Image) -> Iterator[str]:
    """The memories; two steps of nobody, which clear the sums; the window of the network."""
    yield from _writes(image.words)
    yield from _writes(register(MeshRegister.WINDOW, 0))
    yield from _run(2)
    yield from _writes(register(MeshRegister.WINDOW, image.network.time_steps))


def _samples(image: Image, inputs: IntArray) -> Iterator[str]:
    """Each sample by itself, with what the definition and the timing kernel say of it."""
    source = image.network.source
    for number in range(inputs.shape[1]):
        sample = inputs[:, number : number + 1]
        did = reference(image.network, sample)
        times, sent = kernel_times(image, did), sent_in_steps(image, did)
        yield from _writes(register(MeshRegister.STEP, BEFORE_THE_FIRST))
        for step, payloads in enumerate(sent):
            if step < len(sample):
                yield from _writes(presented(image, source, sample[step].ravel()))
            yield from _run(1)
            yield from _reads(image, times, step, payloads)


def sent_in_steps(image: Image, activity: Activity) -> IntArray:
    """(steps, neurons): what each neuron sends in each step of a sample, all populations one after
    the other; a population at depth d works in steps d .. d + T - 1."""
    network, length = image.network, length_alone(image.network)
    depth, found = depths(network), []
    for population in network.populations:
        spikes = activity.spikes[population.name].reshape(network.time_steps, -1)
        laid = np.zeros((length, population.neurons), np.int64)
        laid[depth[population.name] :][: network.time_steps] = spikes
        found.append(laid)
    return np.concatenate(found, axis=1)


def _writes(words: IntArray) -> Iterator[str]:
    for place, value in words.tolist():
        yield f"w {place:08x} {value:08x}"


def _run(steps: int) -> Iterator[str]:
    yield from _writes(register(MeshRegister.RUN, steps))
    yield GO


def _reads(image: Image, times: StepClocks, step: int, payloads: IntArray) -> Iterator[str]:
    """Clocks of the step and of its cores; then what every neuron sent."""
    clocks = address(EVERYTHING, 0, MeshRegister.CLOCKS)
    sent = states_at(image)[-len(payloads) :]
    places = np.concatenate([[clocks], finished_at(image), sent])
    values = np.concatenate([[times.clocks[step]], times.finished[step], payloads])
    for place, value in zip(places.tolist(), (values & 0xFFFFFFFF).tolist(), strict=True):
        yield f"r {place:08x} {value:08x}"


def read_image(folder: Path) -> KeptImage:
    """The image in *folder*; FileFormatError where it is damaged."""
    where = str(folder / DESCRIPTION)
    data = (folder / DESCRIPTION).read_bytes()
    table = typed.from_json(dict[str, Any], data, where, hint=AGAIN)
    if table.get("format") != FORMAT:
        raise FileFormatError(
            where, found=f"format {table.get('format')!r}", allowed=str(FORMAT), hint=AGAIN
        )
    sizes, steps = _sizes(table.get("sizes"), where), table.get("steps")
    if not isinstance(steps, int) or isinstance(steps, bool) or steps < 1:
        raise FileFormatError(where, found=f"steps {steps!r}", allowed="1 or more", hint=AGAIN)
    load, samples = (_orders(folder, name, table, sizes) for name in (LOAD, SAMPLES))
    return KeptImage(folder, sizes, _used(load), steps, load, samples)


def _sizes(told: object, where: str) -> BuildSizes:
    names = [field.name for field in fields(BuildSizes)]
    given: dict[str, Any] = told if isinstance(told, dict) else {}
    whole = all(type(number) is int and number >= 0 for number in given.values())
    if sorted(given) != sorted(names) or not whole:
        raise FileFormatError(
            where, found="other sizes", allowed=f"whole numbers {', '.join(names)}", hint=AGAIN
        )
    return BuildSizes(**given)


def _orders(
    folder: Path, name: str, table: dict[str, Any], sizes: BuildSizes
) -> list[tuple[str, int, int]]:
    """The lines of a text whose checksum is right, each an order that the mesh has."""
    path, files = folder / name, table.get("files")
    told = files.get(name) if isinstance(files, dict) else None
    wanted = told.get("sha256") if isinstance(told, dict) else None
    if not path.is_file():
        raise FileFormatError(str(path), found="no such file", hint=AGAIN)
    data = path.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != wanted:
        raise FileFormatError(
            str(path),
            found=f"sha256 {found[:12]}…, a file that was changed or cut off",
            allowed=f"{wanted[:12]}…" if isinstance(wanted, str) else f"the one in {DESCRIPTION}",
            hint=AGAIN,
        )
    lines = data.decode("ascii", errors="replace").splitlines()
    return [_order(line, f"{path}, line {i}", sizes) for i, line in enumerate(lines, 1)]


def _order(line: str, where: str, sizes: BuildSizes) -> tuple[str, int, int]:
    if line == GO:
        return GO, 0, 0
    found = ORDER.fullmatch(line)
    if found is None:
        raise FileFormatError(
            where, found=repr(line[:40]), allowed="w or r with two numbers of 8 digits, or go"
        )
    word, place, value = found[1], int(found[2], 16), int(found[3], 16)
    core = place >> CORE_SHIFT
    if core >= sizes.cores and core != EVERYTHING:
        raise FileFormatError(where, found=f"core {core}", allowed=f"0 .. {sizes.cores - 1}")
    return word, place, value


def _used(load: list[tuple[str, int, int]]) -> dict[str, tuple[int, int]]:
    """For each memory: the most entries that a core needs, and which core."""
    most: dict[str, tuple[int, int]] = dict.fromkeys(MEMORIES, (0, 0))
    regions = {int(region): (name, words) for name, (region, words, _) in MEMORIES.items()}
    for _, place, _ in load:
        core, region = place >> CORE_SHIFT, place >> WORD_PLACES & 7
        if core != EVERYTHING and region in regions:
            name, words = regions[region]
            entries = (place & (1 << WORD_PLACES) - 1) // words + 1
            most[name] = max(most[name], (entries, core))
    return most


def misfits(image: KeptImage, sizes: BuildSizes) -> Iterator[str]:
    """Why a mesh of *sizes* does not take *image*: which parameter or memory, and by how much.

    A memory may be deeper than the image's own. All else must be the same: cores would be others,
    or the clocks that are to be read.
    """
    for field in fields(BuildSizes):
        mine, there = getattr(image.sizes, field.name), getattr(sizes, field.name)
        if field.name not in DEPTHS and mine != there:
            yield f"{field.name}: {mine}; the mesh has {there}"
    for name, (_, _, depth) in MEMORIES.items():
        (needed, core), there = image.used[name], getattr(sizes, depth)
        if needed > there:
            over = needed - there
            yield f"core {core}: {needed:,} {name}; limit {there:,}; {over:,} too many"


def check_fits(image: KeptImage, sizes: BuildSizes, chip: str) -> None:
    """TargetError where a mesh of *sizes* does not take *image*."""
    found = list(misfits(image, sizes))
    if found:
        lines = "".join(f"\n  - {one}" for one in found)
        raise TargetError(
            f"{image.folder} on {chip}",
            found=f"{counted(len(found), 'number')} that do not fit:{lines}".replace(
                "1 number that do", "1 number that does"
            ),
            hint="export the bundle for that chip, then tssd convert BUNDLE --rtl FOLDER",
        )
