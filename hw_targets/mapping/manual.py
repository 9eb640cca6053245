"""A placement from a file, a bundle's or the user's own, checked against the same rules as ours.

The file is what ``Placement.to_json`` writes; ``hop_cost``, ``shapes``, each core's ``use`` and
each slice's ``stored`` may be left out, they are computed:

    {"schema": "tssd-placement/1",
     "input_from": "cores", "formats": {},    (may be left out: see ``choices``)
     "cores":  [{"core": 0, "chip": 0, "x": 3, "y": 1, "slot": 0}, ..],
     "slices": [{"population": "conv1", "core": 0, "box": [[0, 24], [0, 32], [0, 4]]}, ..]}

A slice names its neurons by a box of channels, rows and columns, or by ``runs`` of flat neurons
([[0, 100], [300, 400]]); ends are exclusive. Everything wrong is reported at once.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import numpy as np

from tssd import typed
from tssd.calibration.int_network import IntNetwork, Population
from tssd.calibration.tally import Tally
from tssd.hw_targets.chip.spec import ChipSpec
from tssd.hw_targets.mapping.choices import (
    NO_CHOICE,
    Choices,
    InputFrom,
    SynapseFormat,
    check_choices,
)
from tssd.hw_targets.mapping.fanout import box_of
from tssd.hw_targets.mapping.memory import NOTHING, Need, need_of_box, resident, thresholds_of
from tssd.hw_targets.mapping.mesh import hop_cost
from tssd.hw_targets.mapping.partition import Slice, axons_out, network_fanouts
from tssd.hw_targets.mapping.placement import (
    SITE,
    Placement,
    neurons_of,
    streams,
    traffic,
    with_port,
)
from tssd.hw_targets.mapping.rules import Finding, core_findings, network_findings, refuse

PLACE = "give each core a place of its own on the chip's mesh"


class CorePart(msgspec.Struct):
    """Where a core sits."""

    core: typed.Count
    chip: typed.Count
    x: typed.Count
    y: typed.Count
    slot: typed.Count


Span = tuple[typed.Count, typed.Count]


class SlicePart(msgspec.Struct):
    """Neurons of a population on a core: a box, or runs of flat neurons."""

    population: str
    core: typed.Count
    box: Annotated[list[Span], msgspec.Meta(min_length=3, max_length=3)] | None = None
    runs: Annotated[list[Span], msgspec.Meta(min_length=1)] | None = None

    def region(self) -> dict[str, list[Span]]:
        """The one of both that there is, for ``neurons_of``."""
        both = {"box": self.box, "runs": self.runs}
        return {key: value for key, value in both.items() if value is not None}


class ChoicesPart(msgspec.Struct, kw_only=True):
    """What its user decided (``choices``)."""

    input_from: InputFrom = InputFrom.CORES
    formats: dict[str, SynapseFormat] = {}

    def choices(self) -> Choices:
        return Choices(self.formats, self.input_from)


class PlacementPart(ChoicesPart, kw_only=True):
    """The file; what else it holds is computed anew."""

    schema: Literal["tssd-placement/1"]
    cores: Annotated[list[CorePart], msgspec.Meta(min_length=1)]
    slices: Annotated[list[SlicePart], msgspec.Meta(min_length=1)]


def read_placement(
    path: Path, network: IntNetwork, chip: ChipSpec, tally: Tally | None = None
) -> Placement:
    """The placement in *path*; TargetError lists everything that is wrong with it."""
    table = typed.from_json(dict[str, Any], path.read_bytes(), str(path))
    return manual_placement(table, network, chip, tally, str(path))


def choices_in(table: Any, where: str = "placement") -> Choices:
    """What the user of a placement decided; nothing where there is none."""
    return NO_CHOICE if table is None else typed.from_table(ChoicesPart, table, where).choices()


def manual_placement(
    table: Any,
    network: IntNetwork,
    chip: ChipSpec,
    tally: Tally | None = None,
    where: str = "placement",
) -> Placement:
    """*table* (see the module) as a checked Placement."""
    part = typed.from_table(PlacementPart, table, where)
    choices = part.choices()
    check_choices(network, choices)
    cores, entries = [msgspec.structs.asdict(core) for core in part.cores], part.slices
    findings = [*network_findings(network, chip), *_site_findings(cores, chip)]
    held = choices.on_cores(network)
    slices, wrong = _slices(entries, [c.get("core") for c in cores], held)
    findings += wrong
    findings += _coverage(slices, held)
    refuse(findings, chip)
    sites = np.zeros((len(cores), 4), np.int64)
    for entry in cores:
        sites[entry["core"]] = [entry[key] for key in SITE]
    fanouts = network_fanouts(network, slices)
    axons = axons_out(network, slices, fanouts, chip)
    needs = _needs(network, slices, axons, len(cores), chip, choices)
    refuse(
        [f for k, need in enumerate(needs) for f in core_findings(f"core {k}", need, chip)], chip
    )
    placement = with_port(network, chip, slices, sites, needs, choices)
    flow = traffic(streams(network, placement, chip, fanouts), placement, tally)
    return replace(placement, hop_cost=hop_cost(chip, flow, placement.sites))


def _site_findings(cores: list[dict[str, Any]], chip: ChipSpec) -> Iterator[Finding]:
    """Core numbers from 0 without gaps; sites that exist, none used twice."""
    numbers = [entry.get("core") for entry in cores]
    for number, times in Counter(map(str, numbers)).items():
        if times > 1:
            yield Finding("a core is named once", f"core {number}", f"{times} times", "1", PLACE)
    if not all(isinstance(n, int) and 0 <= n < len(cores) for n in numbers):
        yield Finding(
            "cores are numbered from 0",
            "cores",
            ", ".join(str(n) for n in numbers if n not in range(len(cores)))[:80],
            f"0 .. {len(cores) - 1}",
            "number the cores without gaps",
        )
    ends = (chip.limits.chips.count, chip.mesh.width.count, chip.mesh.height.count)
    limits = dict(zip(SITE, (*ends, chip.mesh.cores_per_router.count), strict=True))
    for entry in cores:
        for key, end in limits.items():
            value = entry.get(key)
            if not (isinstance(value, int) and 0 <= value < end):
                yield Finding(
                    "a core sits on the mesh",
                    f"core {entry.get('core')}: {key}",
                    repr(value),
                    f"0 .. {end - 1}",
                    PLACE,
                )
    taken = Counter(tuple(entry.get(key) for key in SITE) for entry in cores)
    for site, times in taken.items():
        if times > 1:
            text = ", ".join(f"{key} {value}" for key, value in zip(SITE, site, strict=True))
            yield Finding("a place holds one core", text, f"{times} cores", "1", PLACE)
    for board, used in Counter(entry.get("chip") for entry in cores).items():
        if used > chip.cores:
            yield Finding(
                "the cores of a chip suffice", f"chip {board}", str(used), str(chip.cores), PLACE
            )


def _slices(
    entries: list[SlicePart], cores: list[Any], held: Sequence[Population]
) -> tuple[list[Slice], list[Finding]]:
    shapes = {p.name: p.shape for p in held}
    slices: list[Slice] = []
    findings: list[Finding] = []
    pairs: Counter[tuple[str, int]] = Counter()
    for entry in entries:
        name, core = entry.population, entry.core
        if name not in shapes:
            known = ", ".join(shapes)
            findings.append(
                Finding("a slice is of a population", name, "unknown", known, "check the name")
            )
        elif core not in cores:
            findings.append(
                Finding("a slice is on a core", name, f"core {core!r}", "listed cores", "list it")
            )
        else:
            pairs[name, core] += 1
            slices += _slice(entry.region(), name, core, shapes[name], findings)
    findings += [
        Finding("a core holds one slice of a population", name, f"{n} on core {core}", "1", "join")
        for (name, core), n in pairs.items()
        if n > 1
    ]
    return slices, findings


def _slice(
    entry: Mapping[str, Any],
    name: str,
    core: int,
    shape: tuple[int, ...],
    findings: list[Finding],
) -> list[Slice]:
    try:
        return [Slice(name, core, neurons_of(entry, shape))]
    except (KeyError, TypeError, ValueError) as error:
        findings.append(
            Finding(
                "a slice is a part of its population",
                f"{name} on core {core}",
                str(error),
                f"shape {shape}",
                "a box [[c0, c1], [y0, y1], [x0, x1]] or runs [[a, b], ..], ends exclusive",
            )
        )
        return []


def _coverage(slices: list[Slice], held: Sequence[Population]) -> Iterator[Finding]:
    """Every neuron on exactly one core."""
    for population in held:
        times = np.zeros(population.neurons, np.int64)
        for s in slices:
            if s.population == population.name:
                times[s.neurons] += 1
        for label, wrong in (("missing", times == 0), ("on several cores", times > 1)):
            if wrong.any():
                yield Finding(
                    "every neuron sits on exactly one core",
                    population.name,
                    f"{int(wrong.sum()):,} of {population.neurons:,} {label}, "
                    f"first neuron {int(wrong.argmax())}",
                    "none",
                    "complete the slices",
                )


def _needs(
    network: IntNetwork,
    slices: list[Slice],
    axons: list[int],
    cores: int,
    chip: ChipSpec,
    choices: Choices,
) -> list[Need]:
    total, kept = [NOTHING] * cores, [set[int]() for _ in range(cores)]
    for s, out in zip(slices, axons, strict=True):
        population = network.population(s.population)
        box = box_of(s.neurons, population.shape)[0]
        held = resident(network, population, chip, choices)
        need = need_of_box(box, held, chip, len(s.neurons))
        total[s.core] += replace(need, axons_out=out)
        kept[s.core] |= set(thresholds_of(population).ravel()[s.neurons].tolist())
    return [replace(need, thresholds=len(own)) for need, own in zip(total, kept, strict=True)]
