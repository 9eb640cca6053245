"""``.nir`` -> Graph, without trusting the file: types, names, ranks, sizes and links are checked.

The reader is our own because ``nir.read`` builds whatever it finds: it asserts, loops on cyclic
HDF5 links and allocates what a header claims. Here nothing is read before its size is known, the
total is bounded by the file's own size, and sub-graphs are spliced into one flat graph.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from tssd.errors import FileFormatError, refusing
from tssd.export.nir.graphs.graph import FIELDS, OPTIONAL, Edge, Graph, Node
from tssd.export.reading.hdf5 import DAMAGE, open_hdf5
from tssd.guard import guarded

MAX_NODES = 20_000
MAX_EDGES = 100_000
MAX_DEPTH = 8  # nested sub-graphs
MAX_GRAPHS = 500
FREE_BYTES = 1 << 28  # constants stored as fill values take no room in the file
BYTES_PER_FILE_BYTE = 200  # gzip of repeated numbers
MAX_TEXT = 1 << 20


@guarded
def read_graph(path: Path) -> Graph:
    """The graph in *path*; FileFormatError or NetworkError says what is wrong with it."""
    with (
        open_hdf5(path) as file,
        refusing(
            DAMAGE,
            FileFormatError,
            str(path),
            "a damaged NIR file",
            allowed="a whole .nir file",
            hint="export it again from the tool that made it",
        ),
    ):
        return _Reader(str(path), path.stat().st_size).whole(file)


class _Reader:
    """Counts what it reads, so that a file cannot ask for more than it holds."""

    def __init__(self, where: str, file_bytes: int) -> None:
        self.where = where
        self.left = FREE_BYTES + BYTES_PER_FILE_BYTE * file_bytes
        self.nodes: dict[str, Node] = {}
        self.edges: list[Edge] = []
        self.groups = 0

    def fault(self, what: str, found: str, allowed: str) -> FileFormatError:
        return FileFormatError(f"{self.where}: {what}", found=found, allowed=allowed)

    def whole(self, file: h5py.File) -> Graph:
        if "node" not in file:
            raise self.fault("/node", "nothing", "a NIR graph")
        root = self._group(file, "node", "/node")
        if self._text(root, "type", "/node") != "NIRGraph":
            raise self.fault("/node/type", "no NIRGraph", "NIRGraph")
        self._graph(root, "", 0)
        return Graph(self.nodes, tuple(self.edges), self._metadata(root, "/node"), self.where)

    def _graph(self, group: h5py.Group, prefix: str, depth: int) -> tuple[str, str] | None:
        """Read nodes and edges under *prefix*; the inner Input and Output of a sub-graph."""
        self.groups += 1  # hard links can make a group its own member
        if depth > MAX_DEPTH or self.groups > MAX_GRAPHS:
            raise self.fault(prefix, f"graphs nested deeper than {MAX_DEPTH}", "fewer")
        members = self._group(group, "nodes", prefix or "/node")
        ports: dict[str, tuple[str, str]] = {}
        ends: dict[str, list[str]] = {"Input": [], "Output": []}
        for name in members:
            path = f"{prefix}{name}"
            node = self._group(members, name, path)
            kind = self._text(node, "type", path)
            if kind == "NIRGraph":
                inner = self._graph(node, f"{path}.", depth + 1)
                if inner is None:
                    raise self.fault(path, "a sub-graph without one Input and one Output", "both")
                ports[name] = inner
                continue
            self._node(node, path, kind)
            ports[name] = (path, path)
            if kind in ends:
                ends[kind].append(path)
        self._edges(group, prefix, ports)
        if depth and all(len(found) == 1 for found in ends.values()):
            return self._open_ports(ends["Input"][0]), self._open_ports(ends["Output"][0])
        return None

    def _open_ports(self, path: str) -> str:
        """An inner Input or Output passes its sum on: Scale by one of unspecified shape."""
        self.nodes[path] = Node("Scale", {"scale": np.ones(())})
        return path

    def _node(self, group: h5py.Group, path: str, kind: str) -> None:
        if kind not in FIELDS:
            raise self.fault(f"node {path}", f"type {kind!r}", ", ".join(FIELDS))
        if len(self.nodes) >= MAX_NODES:
            raise self.fault("nodes", f"more than {MAX_NODES}", "fewer")
        params = {}
        for name, form in FIELDS[kind].items():
            if name in OPTIONAL and name not in group:
                params[name] = np.full((), OPTIONAL[name])
                continue
            params[name] = self._param(group, name, form, path)
        self._shapes_fit(path, kind, params)
        self.nodes[path] = Node(kind, params, self._metadata(group, path))

    def _shapes_fit(self, path: str, kind: str, params: Mapping[str, Any]) -> None:
        """A neuron's parameters fit one shape; a bias fits the rows of its weights."""
        arrays = {name: p for name, p in params.items() if isinstance(p, np.ndarray)}
        shapes = {name: p.shape for name, p in arrays.items()}
        if "weight" in shapes:
            shapes["weight"] = shapes["weight"][:1]
        try:
            np.broadcast_shapes(*shapes.values())
        except ValueError:
            found = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
            raise self.fault(f"node {path}", f"shapes {found}", "shapes that fit") from None

    def _param(self, group: h5py.Group, name: str, form: str, path: str) -> Any:
        value = self._value(group, name, f"{path}.{name}")
        if isinstance(value, str):
            if name == "padding" and value in ("same", "valid"):
                return value
            raise self.fault(f"node {path}: {name}", f"the text {value[:40]!r}", form)
        if form in ("ints", "int"):
            return self._integers(value, form, f"node {path}: {name}")
        array = np.asarray(value)
        if array.dtype.kind not in "fiub" or array.size == 0:
            raise self.fault(f"node {path}: {name}", f"{array.dtype} x {array.size}", "numbers")
        with np.errstate(invalid="ignore", over="ignore"):  # a signalling NaN, a long double
            array = array.astype(np.float64)
        if not np.isfinite(array).all():
            raise self.fault(f"node {path}: {name}", "a value that is not finite", "finite")
        if form.startswith("weight") and array.ndim != int(form[-1]):
            raise self.fault(f"node {path}: {name}", f"rank {array.ndim}", f"rank {form[-1]}")
        return array

    def _integers(self, value: Any, form: str, what: str) -> Any:
        array = np.asarray(value).reshape(-1)
        whole = array.dtype.kind in "iuf" and np.all(np.abs(array) < 1 << 24)
        if not whole or np.any(array != np.round(array)) or not 1 <= array.size <= 8:
            raise self.fault(what, str(array)[:60], "small whole numbers")
        numbers = tuple(int(x) for x in array)
        return numbers if form == "ints" else numbers[0]

    def _edges(self, group: h5py.Group, prefix: str, ports: Mapping[str, tuple[str, str]]) -> None:
        table = np.asarray(self._value(group, "edges", f"{prefix}edges", text=True))
        if table.size == 0:
            return
        if table.ndim != 2 or table.shape[1] != 2 or len(self.edges) + len(table) > MAX_EDGES:
            raise self.fault(f"{prefix}edges", f"shape {table.shape}", "(edges, 2) names")
        for row in table:
            source, target = (e.decode() if isinstance(e, bytes) else str(e) for e in row)
            for end in (source, target):
                if end not in ports:
                    raise self.fault(
                        f"edge {prefix}{source} -> {target}", f"no node {end!r}", "a node"
                    )
            self.edges.append((ports[source][1], ports[target][0]))

    def _metadata(self, group: h5py.Group, path: str) -> dict[str, Any]:
        """Numbers, texts and small arrays; anything deeper is left out, as NIR allows."""
        if "metadata" not in group:
            return {}
        found = {}
        table = self._group(group, "metadata", path)
        for name in list(table)[:1000]:
            if isinstance(table.get(name, getlink=True), h5py.HardLink) and isinstance(
                table[name], h5py.Dataset
            ):
                value = self._value(table, name, f"{path}.metadata.{name}", text=True)
                plain = isinstance(value, np.generic)
                found[name] = value.item() if plain else value
        return found

    def _group(self, parent: Any, name: str, path: str) -> h5py.Group:
        self._hard_link(parent, name, path)
        item = parent[name]
        if not isinstance(item, h5py.Group):
            raise self.fault(path, "no group", "a group")
        return item

    def _hard_link(self, parent: Any, name: str, path: str) -> None:
        """A soft or external link could name another file, or its own parent."""
        if not isinstance(parent.get(name, getlink=True), h5py.HardLink):
            raise self.fault(f"{path}/{name}", "nothing, or a link", "stored in this file")

    def _text(self, group: h5py.Group, name: str, path: str) -> str:
        value = self._value(group, name, f"{path}.{name}")
        if not isinstance(value, str):
            raise self.fault(f"{path}.{name}", "no text", "text")
        return value

    def _value(self, group: h5py.Group, name: str, path: str, *, text: bool = False) -> Any:
        """One data set's content, after its size is found to be affordable."""
        self._hard_link(group, name, path)
        item = group[name]
        if not isinstance(item, h5py.Dataset) or item.shape is None:
            raise self.fault(path, "no data set", "a data set")
        self._local(item, path)
        words = h5py.check_string_dtype(item.dtype) is not None
        if item.dtype.kind not in "fiubSO" or (item.dtype.kind == "O" and not words):
            raise self.fault(path, f"dtype {item.dtype}", "numbers or text")
        size = int(np.prod(item.shape, dtype=object)) * max(item.dtype.itemsize, 8)
        self.left -= size
        if self.left < 0 or (words and item.shape != () and not text):
            raise self.fault(path, f"{item.shape} values", "no more than the file can hold")
        value = item[()]
        if isinstance(value, bytes):
            return value[:MAX_TEXT].decode()
        return value

    def _local(self, item: h5py.Dataset, path: str) -> None:
        """Data in this very file: no external storage, virtual sources only from here."""
        if item.external or (
            item.is_virtual and any(s.file_name != "." for s in item.virtual_sources())
        ):
            raise self.fault(path, "data kept in another file", "data in this file")
