"""``network.nir``: the plain NIR graph and, beside it, the exact integer model.

    /version, /node            as nir.write lays them out; any NIR reader sees these
    /tssd                      private group that ``nir.read`` ignores
        @schema  "tssd-int/..."    @sha256  of header and arrays
        header                     JSON text (``calibration.serial``)
        population/<i>/<parameter>, projection/<i>/weight

Integers are stored once, in the smallest signed dtype that holds them. The float32 weights of the
NIR part are HDF5 virtual data sets over them (the library converts on reading), and constant
parameters are fill values without storage, so the file is about as large as the raw integers.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np

from tssd.calibration.int_network import IntNetwork
from tssd.calibration.integer import IntArray
from tssd.calibration.serial import to_arrays
from tssd.export.nir.integers.graph import DT_SECONDS, NirMode, to_nir
from tssd.export.reading.hdf5 import hdf5_written_whole

GROUP = "tssd"
COMPRESS_FROM = 64  # values; smaller arrays are stored as they are


def write_nir(
    network: IntNetwork,
    path: Path,
    mode: NirMode = NirMode.COMPATIBLE,
    dt_seconds: float = DT_SECONDS,
) -> None:
    """Write *network* to *path*; the file appears whole or not at all, the same bytes each time."""
    graph = to_nir(network, mode, dt_seconds)
    header, arrays = to_arrays(network)
    small = {key: smallest(array) for key, array in arrays.items()}
    with hdf5_written_whole(path, libver=("earliest", "v110")) as file:
        stored = _write_private(file.create_group(GROUP), header, small)
        file.create_dataset("version", data=nir.version, dtype=h5py.string_dtype())
        _write_node(file.create_group("node"), graph, stored)


def smallest(array: IntArray) -> Any:
    """*array* in the smallest signed little-endian dtype that holds all its values."""
    low, high = (int(array.min()), int(array.max())) if array.size else (0, 0)
    for dtype in ("<i1", "<i2", "<i4"):
        limits = np.iinfo(dtype)
        if limits.min <= low and high <= limits.max:
            return array.astype(dtype)
    return array.astype("<i8")


def digest(header: str, arrays: Mapping[str, Any]) -> str:
    """SHA-256 of the header and of every array's key, dtype, shape and bytes, in key order."""
    total = hashlib.sha256(header.encode())
    for key in sorted(arrays):
        array = arrays[key]
        total.update(json.dumps([key, array.dtype.str, list(array.shape)]).encode())
        total.update(np.ascontiguousarray(array).data)
    return total.hexdigest()


def _write_private(group: h5py.Group, header: str, arrays: Mapping[str, Any]) -> dict[str, Any]:
    """The integer model; returns its data sets by key."""
    group.attrs["schema"] = json.loads(header)["schema"]
    group.attrs["sha256"] = digest(header, arrays)
    group.create_dataset("header", data=header, dtype=h5py.string_dtype())
    return {key: group.create_dataset(key, data=arrays[key]) for key in sorted(arrays)}


def _write_node(group: h5py.Group, node: Any, stored: Mapping[str, Any]) -> None:
    """A node as ``nir.write`` would lay it out: one data set per field, type and metadata."""
    group.create_dataset("type", data=type(node).__name__, dtype=h5py.string_dtype())
    if isinstance(node, nir.NIRGraph):
        nodes = group.create_group("nodes")
        for name, inner in node.nodes.items():
            _write_node(nodes.create_group(name), inner, stored)
        group.create_dataset("edges", data=node.edges, dtype=h5py.string_dtype())
    else:
        source = stored.get(f"projection/{node.metadata.get('projection')}/weight")
        for name, value in _fields(node).items():
            _write_value(group, name, value, source if name == "weight" else None)
    if node.metadata:
        about = group.create_group("metadata")
        for name, value in node.metadata.items():
            text = {"dtype": h5py.string_dtype()} if isinstance(value, str) else {}
            about.create_dataset(name, data=value, **text)


def _fields(node: Any) -> dict[str, Any]:
    """The fields of a NIR node under their names in the file."""
    if isinstance(node, nir.Input):
        return {"shape": node.input_type["input"]}
    if isinstance(node, nir.Output):
        return {"shape": node.output_type["output"]}
    hidden = {"output_type", "metadata"} | ({"input_type"} - _own_input_type(node))
    fields = {f.name: getattr(node, f.name) for f in dataclasses.fields(node)}
    if "input_type" not in hidden:
        fields["input_type"] = node.input_type["input"]
    return {name: value for name, value in fields.items() if name not in hidden}


def _own_input_type(node: Any) -> set[str]:
    return {"input_type"} if isinstance(node, nir.Flatten) else set()


def _write_value(group: h5py.Group, name: str, value: Any, source: Any) -> None:
    """One field: a view of *source* if that holds the same numbers, else the cheapest layout."""
    array = np.asarray(value)
    if source is not None and source.shape == array.shape and np.array_equal(source[()], array):
        _write_view(group, name, array.dtype, source)
    elif array.size >= COMPRESS_FROM and (array == array.flat[0]).all():
        group.create_dataset(name, array.shape, array.dtype, fillvalue=array.flat[0])
    elif array.size >= COMPRESS_FROM:
        packing = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
        group.create_dataset(name, data=array, **packing)
    else:
        group.create_dataset(name, data=value)


def _write_view(group: h5py.Group, name: str, dtype: Any, source: Any) -> None:
    """A virtual data set over *source* in the same file, without h5py's time stamp."""
    space = h5py.h5s.create_simple(source.shape)
    layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    layout.set_obj_track_times(False)
    layout.set_virtual(space, b".", source.name.encode(), h5py.h5s.create_simple(source.shape))
    h5py.h5d.create(group.id, name.encode(), h5py.h5t.py_create(dtype), space, layout)
