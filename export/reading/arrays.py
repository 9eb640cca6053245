"""Arrays of ``.npz`` and ``.npy`` files from anywhere: no pickles, no more memory than stored.

An array's header is held against the size it is stored in before memory is taken for it, and all
arrays of an archive together against ``max_bytes``.
"""

import io
import struct
import sys
import tokenize
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from tssd.arrays import Array
from tssd.calibration.integer import IntArray

MAX_BYTES = 1 << 31  # of all arrays read from one file
ENDING = ".npy"
HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
DAMAGE = (  # what numpy and zipfile raise over damaged arrays
    *(zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, MemoryError),
    *(LookupError, ValueError, TypeError, OverflowError),
    *(SyntaxError, tokenize.TokenError),  # an array's header is a Python literal
    RuntimeError,  # an encrypted member, or a compression of another kind
)


class Arrays(dict[str, Array]):
    """Arrays by name; to ask for one that is not there is damage too."""

    def __missing__(self, name: str) -> Array:
        raise ValueError(f"no item named '{name}{ENDING}'")


def read_arrays(
    source: Path | io.BytesIO, names: Collection[str] | None = None, max_bytes: int = MAX_BYTES
) -> Arrays:
    """Those arrays of an ``.npz`` that *names* has (None: all), by name; what is wrong with the
    file raises one of ``DAMAGE``."""
    with zipfile.ZipFile(source) as archive:
        found = {
            item.filename.removesuffix(ENDING): item
            for item in archive.infolist()
            if names is None or item.filename.removesuffix(ENDING) in names
        }
        if sum(item.file_size for item in found.values()) > max_bytes:
            raise ValueError(f"more than {max_bytes >> 20:,} MiB of arrays")
        arrays = Arrays()
        for name, item in found.items():
            if not item.filename.endswith(ENDING):
                raise ValueError(f"a member that is no array: {item.filename}")
            with archive.open(item) as stream:
                arrays[name] = _array(name, stream, item.file_size)
        return arrays


def read_array(path: Path, max_bytes: int = MAX_BYTES) -> Array:
    """The array of an ``.npy``; raises as ``read_arrays`` does."""
    with path.open("rb") as stream:
        return _array(path.name, stream, min(path.stat().st_size, max_bytes))


def whole_numbers(arrays: Arrays, name: str) -> IntArray:
    """The array *name* as int64; ValueError for numbers of another kind."""
    array = arrays[name]
    if array.dtype.kind not in "iub":
        raise ValueError(f"{name}: {array.dtype} in place of whole numbers")
    if array.size * 8 > MAX_BYTES:  # a byte of a file becomes eight
        raise ValueError(f"{name}: {array.size:,} numbers")
    return array.astype(np.int64)


def _array(name: str, stream: Any, stored: int) -> Array:
    """The array at the start of *stream*, which holds *stored* bytes."""
    version = np.lib.format.read_magic(stream)
    if version not in HEADERS:
        raise ValueError(f"{name}: an array format of version {version}")
    shape, _, dtype = HEADERS[version](stream)
    size = int(np.prod(shape, dtype=object)) * dtype.itemsize
    if dtype.hasobject or min(shape, default=0) < 0 or size > stored:
        raise ValueError(f"{name}: {dtype} array of shape {shape}"[:120])
    stream.seek(0)
    array: Array = np.lib.format.read_array(stream, allow_pickle=False)
    if dtype.kind == "U" and _codes(array).max(initial=0) > sys.maxunicode:
        raise ValueError(f"{name}: a text of no characters")  # Python would take it, and crash
    return array


def _codes(texts: Array) -> Array:
    """The characters of an array of texts as numbers."""
    plain = np.ascontiguousarray(texts).astype(texts.dtype.newbyteorder("="))
    return plain.reshape(-1).view(np.uint32)
