"""The static arrays of a network in C, and what the parts of its text share."""

from collections.abc import Mapping
from dataclasses import dataclass

from tssd.calibration.int_network import IntNetwork, Population, state_names
from tssd.export.c.maps import Map
from tssd.export.c.widths import Widths


@dataclass(frozen=True)
class Names:
    """What the parts of the text share."""

    network: IntNetwork
    widths: Mapping[str, Widths]
    lags: Mapping[int, int]  # projection -> steps that its spikes are kept
    maps: tuple[Map, ...]

    def number(self, population: Population) -> int:
        return self.network.index(population.name)

    def kept(self, population: Population) -> int:
        """How many steps of a population's spikes are kept."""
        mine = (j for j, p in enumerate(self.network.projections) if p.source == population.name)
        return 1 + max((self.lags[j] for j in mine), default=0)


def arrays(names: Names) -> tuple[str, int]:
    """The static arrays, and their bytes."""
    lines, ram = [], 0
    sums: dict[str, int] = {}
    for population in names.network.populations:
        i, n, w = names.number(population), population.neurons, names.widths[population.name]
        kept = names.kept(population)
        lines.append(f"static {w.payload_type} s{i}[{kept}][{n}];")
        ram += kept * n * size_of(w.payload_type)
        if names.network.incoming(population.name):
            kind = f"{w.sum_type} sum_{w.sum_type}"
            sums[kind] = max(sums.get(kind, 0), n)
        if population.has_state:
            lines.append(f"static int32_t v{i}[{n}];")
            ram += 4 * n
        if population.membrane_read.of_every_step:
            lines.append(f"static int32_t m{i}[{n}];")
            ram += 4 * n
        if w.memory:
            lines.append(f"static {w.current_type} u{i}[{n}];")
            ram += size_of(w.current_type) * n
    for m in names.maps:
        if not m.direct:
            kind = f"{m.sum_type} part_{m.sum_type}"
            size = names.network.population(m.projection.target).neurons
            sums[kind] = max(sums.get(kind, 0), size)
    for kind, n in sums.items():
        lines.append(f"static {kind}[{n}];")
        ram += size_of(kind.partition(" ")[0]) * n
    lines += [
        "#ifdef TSSD_TRACE",
        f"int64_t {traces(names.network)};",
        "#endif",
    ]
    return "\n".join(lines) + "\n", ram


def size_of(kind: str) -> int:
    return int(kind.strip("uint_")) // 8


def traced(network: IntNetwork) -> tuple[str, ...]:
    """What a traced build keeps of every neuron, in its order: payloads, then states."""
    return ("s", *state_names(network))


def traces(network: IntNetwork) -> str:
    """The arrays that a traced build keeps it in, as C declares them."""
    return ", ".join(f"tssd_{name}[TSSD_NEURONS]" for name in traced(network))
