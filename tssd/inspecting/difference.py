"""Two networks or two spike records, layer by layer, the first difference first."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tssd.arrays import Array
from tssd.calibration.int_network import IntNetwork, Population, Projection
from tssd.errors import FileFormatError, refusing
from tssd.export.bundle.folder import read_bundle
from tssd.export.nir.graphs.graph import Graph
from tssd.export.nir.graphs.read import read_graph
from tssd.export.nir.integers.read import has_integer_model, read_nir
from tssd.export.reading.arrays import DAMAGE, read_arrays
from tssd.train.handover.fields import arrays_of, plain_of

Content = Mapping[str, Any]  # layer -> field -> value, in the order of the layers


@dataclass(frozen=True)
class FileDifference:
    """``where`` names layer and field, for arrays also the first index; counts are of values."""

    where: str
    a: str
    b: str
    differing: int = 1
    of: int = 1


def diff(a: Path, b: Path) -> list[FileDifference]:
    """Everything in which *a* and *b* differ; an empty list: they are the same."""
    return list(_differences(content(a), content(b)))


def content(path: Path) -> Content:
    """The layers of a bundle, a ``.nir`` or an ``.npz`` record of spikes."""
    if path.is_dir():
        return _network(read_bundle(path).network)
    if path.suffix == ".nir":
        return _network(read_nir(path)) if has_integer_model(path) else _graph(read_graph(path))
    if path.suffix == ".npz":
        return _record(path)
    raise FileFormatError(
        str(path),
        found=f"a {path.suffix or 'nameless'} file" if path.exists() else "no such file",
        allowed="a bundle, .nir or .npz",
    )


def _network(network: IntNetwork) -> Content:
    """Populations with their parameters and incoming projections."""
    found: dict[str, Any] = {
        "network": {
            "time_steps": network.time_steps,
            "input_coding": str(network.input_coding),
            "input_max": network.input_max,
        }
    }
    for p in network.populations:
        found[p.name] = _fields(p)
        for label, projection in _labelled(network.incoming(p.name)):
            found[p.name] |= {f"{label}: {x}": v for x, v in _fields(projection).items()}
    return found


def _fields(value: Population | Projection) -> dict[str, Any]:
    return plain_of(value) | arrays_of(value)


def _labelled(projections: Sequence[Projection]) -> Iterator[tuple[str, Projection]]:
    """Each with a name of its own: there may be several from one population to another."""
    for k, projection in enumerate(projections):
        earlier = sum(j.name == projection.name for j in projections[:k])
        yield f"{projection.name} ({earlier + 1})" if earlier else projection.name, projection


def _graph(graph: Graph) -> Content:
    found: dict[str, Any] = {"graph": {"edges": tuple(sorted(graph.edges))}}
    for name, node in graph.nodes.items():
        found[name] = {"type": node.type, **node.params}
    return found


def _record(path: Path) -> Content:
    """Arrays of an ``.npz`` by name."""
    with refusing(DAMAGE, FileFormatError, str(path), "no readable .npz"):
        return {name: {"values": values} for name, values in read_arrays(path).items()}


def _differences(a: Content, b: Content) -> Iterator[FileDifference]:
    for name in [*a, *(n for n in b if n not in a)]:
        if name not in a or name not in b:
            yield FileDifference(name, _presence(name, a), _presence(name, b))
            continue
        for label in [*a[name], *(k for k in b[name] if k not in a[name])]:
            where = f"{name}: {label}"
            if label not in a[name] or label not in b[name]:
                yield FileDifference(where, _presence(label, a[name]), _presence(label, b[name]))
            else:
                yield from _values(where, a[name][label], b[name][label])


def _presence(name: str, table: Mapping[str, Any]) -> str:
    return "present" if name in table else "absent"


def _values(where: str, a: Any, b: Any) -> Iterator[FileDifference]:
    if not (isinstance(a, np.ndarray) and isinstance(b, np.ndarray)):
        if isinstance(a, np.ndarray) or isinstance(b, np.ndarray) or a != b:
            yield FileDifference(where, str(a)[:80], str(b)[:80])
        return
    if a.shape != b.shape:
        yield from _shapes(where, a, b)
        return
    unequal = a != b
    if np.any(unequal):
        index = tuple(int(i) for i in np.argwhere(unequal)[0])
        yield FileDifference(
            f"{where}[{', '.join(map(str, index))}]",
            str(a[index]),
            str(b[index]),
            int(unequal.sum()),
            int(a.size),
        )


def _shapes(where: str, a: Array, b: Array) -> Iterator[FileDifference]:
    """Parameters of two shapes are equal if one broadcasts to the other."""
    try:
        whole = np.broadcast_shapes(a.shape, b.shape)
    except ValueError:
        whole = None
    if whole not in (a.shape, b.shape) or whole is None:
        yield FileDifference(where, f"shape {a.shape}", f"shape {b.shape}")
        return
    yield from _values(where, np.broadcast_to(a, whole), np.broadcast_to(b, whole))
