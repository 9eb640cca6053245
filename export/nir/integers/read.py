"""``network.nir`` -> IntNetwork from the private group: the exact inverse of ``write_nir``.

A truncated, damaged, foreign or hostile file raises FileFormatError; nothing is read before its
kind, size and dtype are known to be right. General NIR graphs go another way.
"""

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from tssd.calibration.int_network import IntNetwork
from tssd.calibration.serial import SCHEMAS, from_arrays
from tssd.errors import FileFormatError, refusing
from tssd.export.nir.integers.write import GROUP, digest
from tssd.export.reading.geometry import check_projections
from tssd.export.reading.hdf5 import DAMAGE, MAX_VALUES, open_hdf5
from tssd.export.reading.header_check import check_header
from tssd.guard import guarded

MAX_HEADER = 1 << 26  # characters


def read_nir(path: Path) -> IntNetwork:
    """The integer model in *path*."""
    header, arrays, stamp = read_private(path)
    if digest(header, arrays) != stamp:
        raise FileFormatError(
            str(path),
            found="an integer model whose SHA-256 does not fit its content",
            allowed="an unchanged file",
            hint="export the network again",
        )
    check_header(header, f"{path}: /{GROUP}/header")
    network = from_arrays(
        header, {key: array.astype(np.int64) for key, array in arrays.items()}, str(path)
    )
    check_projections(network)
    return network


@guarded
def has_integer_model(path: Path) -> bool:
    """Whether *path* is a NIR file of ours; False for a general NIR graph."""
    damaged = refusing(
        DAMAGE, FileFormatError, str(path), "a damaged HDF5 file", allowed="a whole file"
    )
    with open_hdf5(path) as file, damaged:
        return GROUP in file


@guarded
def read_private(path: Path) -> tuple[str, dict[str, Any], str]:
    """Header, stored integer arrays and SHA-256 of the private group, not yet interpreted."""
    damaged = refusing(
        DAMAGE,
        FileFormatError,
        str(path),
        "a damaged HDF5 file",
        allowed=f"a /{GROUP} group of schema {SCHEMAS[-1]}",
        hint="export the network again",
    )
    with open_hdf5(path) as file, damaged:
        return _private(file, str(path))


def _private(file: h5py.File, where: str) -> tuple[str, dict[str, Any], str]:
    if GROUP not in file:
        raise FileFormatError(
            where,
            found=f"no /{GROUP} group: a NIR graph without the integer model",
            allowed="a .nir file written by tssd",
            hint="a graph from another tool is taken over by `tssd import --calibration`",
        )
    group = file[GROUP]
    schema, stamp = _text(group.attrs["schema"]), _text(group.attrs["sha256"])
    if schema not in SCHEMAS:
        allowed = ", ".join(SCHEMAS)
        raise FileFormatError(f"{where}: /{GROUP}", found=f"schema {schema!r}", allowed=allowed)
    header = _header(group["header"], where)
    return header, _arrays(group, where), stamp


def _header(item: Any, where: str) -> str:
    size = item.id.get_storage_size() if isinstance(item, h5py.Dataset) else -1
    if size < 0 or item.shape != () or size > MAX_HEADER:
        raise FileFormatError(f"{where}: /{GROUP}/header", found=str(item), allowed="one text")
    return _text(item[()])


def _arrays(group: h5py.Group, where: str) -> dict[str, Any]:
    """Every data set of the two array groups, checked before it is read."""
    arrays = {}
    for family in ("population", "projection"):
        for index in group[family]:
            for label, item in group[family][index].items():
                key = f"{family}/{index}/{label}"
                _check_item(item, f"{where}: /{GROUP}/{key}")
                arrays[key] = item[()]
    return arrays


def _check_item(item: Any, where: str) -> None:
    """Stored here, contiguous, of integers, and not larger than what a network can be."""
    if not isinstance(item, h5py.Dataset):
        raise FileFormatError(where, found="no data set", allowed="an array of integers")
    if item.dtype.kind != "i" or item.is_virtual or item.external or item.chunks:
        raise FileFormatError(
            where,
            found=f"a data set of {item.dtype}, virtual, external or chunked",
            allowed="signed integers stored contiguously in this file",
        )
    nominal = item.size * item.dtype.itemsize
    if item.size > MAX_VALUES or nominal > item.id.get_storage_size():
        raise FileFormatError(
            where,
            found=f"{item.size} values in {item.id.get_storage_size()} bytes",
            allowed=f"at most {MAX_VALUES} values, all stored",
        )


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode()
    if not isinstance(value, str):
        raise TypeError(f"text expected, not {type(value).__name__}")
    return value
