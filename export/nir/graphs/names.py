"""Names of populations for the nodes of a graph, which may be called anything."""

from collections.abc import Container
from itertools import chain, count

from tssd.export.nir.graphs.graph import NEURONS, Graph


def population_names(graph: Graph, last: str, readout: str) -> dict[str, str]:
    """Input becomes ``input``, *last* becomes *readout*; other neurons keep their node's name, or
    that with a number where it is taken."""
    names = {graph.input: "input", last: readout}
    taken = {"input", readout}
    for name in graph.of_type(*NEURONS):
        if name == last:
            continue
        plain = name.replace("/", "_")
        plain = f"lif_{plain}" if plain.isdigit() or plain in ("input", readout) else plain
        names[name] = free_name(plain, taken)
        taken.add(names[name].replace(".", "_"))
    return names


def free_name(wanted: str, taken: Container[str]) -> str:
    """*wanted*, or *wanted* with the first number that makes it a new one, also where a dot counts
    as ``_`` (files have no dots in names)."""
    names = chain([wanted], (f"{wanted}_{i}" for i in count(2)))
    return next(name for name in names if name.replace(".", "_") not in taken)
