"""Placement: which neuron sits on which core of which chip, and what each core then holds.

``place`` partitions a network (see ``partition``), then lays the cores out on the mesh by traffic
(see ``mesh``). ``manual.read_placement`` takes one from a JSON file instead.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from tssd.calibration.int_network import IntNetwork, Projection
from tssd.calibration.integer import IntArray
from tssd.calibration.tally import Tally
from tssd.hw_targets.chip.spec import ChipSpec
from tssd.hw_targets.mapping.choices import NO_CHOICE, Choices, SynapseFormat
from tssd.hw_targets.mapping.fanout import Fanout, as_image, box_of, neurons_in, sum_at
from tssd.hw_targets.mapping.memory import (
    NOTHING,
    Need,
    compartments_of,
    format_in,
    resident,
)
from tssd.hw_targets.mapping.mesh import Flow, MeshTraffic, hop_cost, hops, port_site, spread
from tssd.hw_targets.mapping.partition import (
    Partition,
    Slice,
    network_fanouts,
    partition,
)
from tssd.hw_targets.mapping.rules import network_findings, refuse, the_cores_suffice

SCHEMA = "tssd-placement/1"


@dataclass(frozen=True, eq=False)
class Placement:
    """Slices of populations on cores, and cores on the mesh.

    Cores are numbered from 0; ``sites[k]`` is (chip, x, y, slot) of core k and ``needs[k]`` what it
    holds; ``stored[i]`` is how the synapses into slice i lie in its memory, by projection. Input
    that comes from outside has a place of its own, the port, numbered after the cores:
    a slot beyond those of the corner router. ``hop_cost`` is the measured traffic times distance
    (see ``mesh``), or that of one spike per neuron where nothing was measured.
    """

    chip: str
    shapes: Mapping[str, tuple[int, ...]]  # of every population, in network order
    slices: tuple[Slice, ...]
    sites: IntArray  # (places, 4)
    needs: tuple[Need, ...]  # (places,)
    hop_cost: float
    stored: tuple[Mapping[str, SynapseFormat], ...]  # (slices,)
    choices: Choices = NO_CHOICE

    @property
    def places(self) -> int:
        """Cores, and the port."""
        return len(self.sites)

    @property
    def cores(self) -> int:
        return self.places - self.choices.outside

    @property
    def port(self) -> int | None:
        """The number of the port, where there is one."""
        return self.cores if self.choices.outside else None

    @property
    def core_sites(self) -> IntArray:
        """(cores, 4): the sites without the port."""
        return self.sites[: self.cores]

    @property
    def chips(self) -> int:
        """Chips that hold at least one core."""
        return len(np.unique(self.core_sites[:, 0]))

    @property
    def routers(self) -> int:
        """Routers with at least one core in use, over all chips."""
        return len(np.unique(self.core_sites[:, :3], axis=0))

    def cores_of(self, population: str) -> tuple[int, ...]:
        """The cores that hold one population, rising; none where it comes from outside."""
        return tuple(sorted({s.core for s in self.of(population)} - {self.port}))

    def of(self, population: str) -> tuple[Slice, ...]:
        """The slices of one population."""
        return tuple(s for s in self.slices if s.population == population)

    @cached_property
    def _cores(self) -> dict[str, IntArray]:
        tables = {name: np.full(int(np.prod(s)), -1) for name, s in self.shapes.items()}
        for s in self.slices:
            tables[s.population][s.neurons] = s.core
        return tables

    def core_of(self, population: str) -> IntArray:
        """(neurons,): the core of each neuron, in C, H, W order."""
        return self._cores[population]

    def to_table(self) -> dict[str, Any]:
        """Plain lists and numbers, the content of ``placement.json``."""
        slices = [
            {"population": s.population, "core": s.core}
            | _region(s, self.shapes[s.population])
            | ({"stored": dict(stored)} if stored else {})
            for s, stored in zip(self.slices, self.stored, strict=True)
            if s.core != self.port
        ]
        cores = [
            {
                "core": k,
                **dict(zip(SITE, map(int, self.sites[k]), strict=True)),
                "use": asdict(need),
            }
            for k, need in enumerate(self.needs[: self.cores])
        ]
        return {
            "schema": SCHEMA,
            "chip": self.chip,
            "hop_cost": round(self.hop_cost, 6),
            **self.choices.to_table(),
            "shapes": [[name, list(shape)] for name, shape in self.shapes.items()],
            "cores": cores,
            "slices": slices,
        }

    def to_json(self) -> str:
        """The table as text, a line per slice and core; the same placement gives the same bytes."""
        lines = [f' "{key}": {_lines(value)}' for key, value in self.to_table().items()]
        return "{\n" + ",\n".join(lines) + "\n}\n"


SITE = ("chip", "x", "y", "slot")


@dataclass(frozen=True, eq=False)
class MessageStream:
    """Messages of one kind: those of a projection to the cores that hold it in one format, or of
    neurons to themselves for their reset."""

    name: str
    source: str
    target: str
    stored: SynapseFormat
    table: Fanout


def streams(
    network: IntNetwork,
    placement: Placement,
    chip: ChipSpec,
    fanouts: tuple[Fanout, ...] | None = None,
) -> tuple[MessageStream, ...]:
    """All that is sent under *placement*: projections first, in network order; two streams of one
    that some cores hold dense and others sparse."""
    fanouts = placed_fanouts(network, placement) if fanouts is None else fanouts
    pairs = zip(network.projections, fanouts, strict=True)
    found = [stream for j, table in pairs for stream in _streams_of(j, table, placement)]
    for p in network.populations:
        if compartments_of(p, chip) > 1:
            each, home = np.arange(p.neurons), placement.core_of(p.name)
            itself = Fanout(p.neurons, each, home, np.ones(p.neurons, np.int64))
            found.append(
                MessageStream(f"{p.name}: reset", p.name, p.name, SynapseFormat.DENSE, itself)
            )
    return tuple(found)


def _streams_of(
    projection: Projection, table: Fanout, placement: Placement
) -> Iterator[MessageStream]:
    """The streams of one projection, by the format in which its targets' cores hold it."""
    kept = {
        s.core: stored[projection.name]
        for s, stored in zip(placement.slices, placement.stored, strict=True)
        if s.population == projection.target
    }
    for stored in sorted(set(kept.values())):
        there = np.isin(table.core, [core for core, own in kept.items() if own is stored])
        part = Fanout(
            table.sources, *(x[there] for x in (table.source, table.core, table.synapses))
        )
        yield MessageStream(projection.name, projection.source, projection.target, stored, part)


def formats_of(
    network: IntNetwork, slices: Sequence[Slice], chip: ChipSpec, choices: Choices = NO_CHOICE
) -> tuple[dict[str, SynapseFormat], ...]:
    """How the synapses into each slice lie in its core's memory, by projection."""
    return tuple(_formats_into(network, s, chip, choices) for s in slices)


def _formats_into(
    network: IntNetwork, s: Slice, chip: ChipSpec, choices: Choices
) -> dict[str, SynapseFormat]:
    population = network.population(s.population)
    box = box_of(s.neurons, population.shape)[0]
    held = resident(network, population, chip, choices)
    return {one.projection.name: format_in(one, box, held.shape, chip) for one in held.incoming}


def place(
    network: IntNetwork,
    chip: ChipSpec,
    tally: Tally | None = None,
    seed: int = 0,
    choices: Choices = NO_CHOICE,
) -> Placement:
    """Partition into the fewest cores, then lay out by the traffic that *tally* measured (else one
    spike per neuron).

    Raises TargetError listing everything that does not fit, ConfigError for *choices* that this
    network does not have.
    """
    return lay_out(network, chip, partition(network, chip, choices), tally, seed)


def lay_out(
    network: IntNetwork,
    chip: ChipSpec,
    parts: Partition,
    tally: Tally | None = None,
    seed: int = 0,
) -> Placement:
    """The cores of *parts* on the mesh, as ``place`` does it."""
    findings = network_findings(network, chip) + list(parts.findings)
    refuse(findings + the_cores_suffice(parts.cores, chip), chip)
    nowhere = np.zeros((parts.cores, 4), np.int64)
    unplaced = with_port(network, chip, parts.slices, nowhere, parts.needs, parts.choices)
    flow = traffic(streams(network, unplaced, chip, parts.fanouts), unplaced, tally)
    where = spread(chip, flow, parts.cores, seed, unplaced.sites[parts.cores :])
    return replace(unplaced, sites=where, hop_cost=hop_cost(chip, flow, where))


def with_port(
    network: IntNetwork,
    chip: ChipSpec,
    slices: Sequence[Slice],
    sites: IntArray,
    needs: Sequence[Need],
    choices: Choices,
) -> Placement:
    """The placement of *slices*, and of the input that comes from outside, without its cost."""
    shapes = {p.name: p.shape for p in network.populations}
    if choices.outside:
        source = network.source
        port = Slice(source.name, len(sites), np.arange(source.neurons))
        slices, needs = [port, *slices], [*needs, NOTHING]
        sites = np.vstack([sites, port_site(chip)])
    stored = formats_of(network, slices, chip, choices)
    return Placement(chip.name, shapes, tuple(slices), sites, tuple(needs), 0.0, stored, choices)


def traffic(
    sent: tuple[MessageStream, ...],
    placement: Placement,
    tally: Tally | None = None,
    bits: Mapping[str, int] | None = None,
) -> MeshTraffic:
    """Messages between places: one per spike, projection and destination core.

    With ``bits`` (of a message of each population) the amounts are bits instead.
    """
    places = placement.places
    total = np.zeros(0, np.int64), np.zeros(0, np.int64)
    for stream in sent:
        events = _events(tally, stream.source, stream.table.sources)[stream.table.source]
        events = events * (1 if bits is None else bits[stream.source])
        keys = placement.core_of(stream.source)[stream.table.source] * places + stream.table.core
        total = _sum_by_key(*(np.concatenate(x) for x in zip(total, (keys, events), strict=True)))
    return MeshTraffic(total[0] // places, total[0] % places, total[1])


def traffic_table(
    placement: Placement, flow: MeshTraffic, chip: ChipSpec
) -> dict[tuple[str, str], Flow]:
    """The traffic matrix by population: (sender, receiver) -> what flows between them.

    For cores that hold one population each; a shared core counts for its first population.
    """
    home = [""] * placement.places
    for s in reversed(placement.slices):
        home[s.core] = s.population
    ew, ns, crossed = hops(chip, placement.sites[flow.source], placement.sites[flow.target])
    sums: dict[tuple[str, str], list[int]] = {}
    columns = (flow.source, flow.target, flow.messages, ew + ns, crossed)
    for source, target, messages, length, chips in zip(
        *map(np.ndarray.tolist, columns), strict=True
    ):
        total = sums.setdefault((home[source], home[target]), [0, 0, 0])
        total[0] += messages
        total[1] += messages * length
        total[2] += messages * chips
    return {pair: Flow(m, h / max(m, 1), c) for pair, (m, h, c) in sums.items()}


def placed_fanouts(network: IntNetwork, placement: Placement) -> tuple[Fanout, ...]:
    """The fan-out of every projection of *network* under *placement*."""
    return network_fanouts(network, placement.slices)


def neurons_of(entry: Mapping[str, Any], shape: tuple[int, ...]) -> IntArray:
    """Flat neurons of a JSON entry: ``box`` [[c0, c1], [y0, y1], [x0, x1]], or ``runs`` [[a, b]].

    Ends are exclusive. ValueError where they leave the population.
    """
    if "box" in entry:
        spans = [(int(a), int(b)) for a, b in entry["box"]]
        whole = as_image(shape)
        if len(spans) != 3 or not all(
            0 <= a < b <= n for (a, b), n in zip(spans, whole, strict=True)
        ):
            raise ValueError(f"box {entry['box']} outside of {whole}")
        return neurons_in((spans[0], spans[1], spans[2]), shape)
    size = int(np.prod(shape))
    runs = [(int(a), int(b)) for a, b in entry["runs"]]
    if not runs or not all(0 <= a < b <= size for a, b in runs):
        raise ValueError(f"runs {entry['runs']} outside of 0 .. {size}")
    return np.unique(np.concatenate([np.arange(a, b) for a, b in runs]))


def _region(s: Slice, shape: tuple[int, ...]) -> dict[str, Any]:
    box, taken = box_of(s.neurons, shape)
    if taken.all():
        return {"box": [list(span) for span in box]}
    breaks = np.flatnonzero(np.diff(s.neurons) != 1) + 1
    edges = [0, *breaks.tolist(), len(s.neurons)]
    return {"runs": [[int(s.neurons[a]), int(s.neurons[b - 1]) + 1] for a, b in pairwise(edges)]}


def _lines(value: Any) -> str:
    """JSON with one line per entry of a list, so that a placement can be read and compared."""
    if not isinstance(value, list):
        return json.dumps(value)
    return "[\n" + ",\n".join(f"  {json.dumps(item)}" for item in value) + "\n ]"


def _events(tally: Tally | None, name: str, neurons: int) -> IntArray:
    return np.ones(neurons, np.int64) if tally is None else tally.events[name].ravel()


def _sum_by_key(keys: IntArray, values: IntArray) -> tuple[IntArray, IntArray]:
    unique, index = np.unique(keys, return_inverse=True)
    return unique, sum_at(index, values, len(unique))
