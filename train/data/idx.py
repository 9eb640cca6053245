"""The idx format of MNIST and its kin: magic, big-endian sizes, bytes; plain or gzip."""

import gzip
import io
import math
import zlib
from hashlib import sha256
from pathlib import Path

import numpy as np

from tssd.arrays import ByteArray
from tssd.errors import DataError

UNSIGNED_BYTE = 0x08
MOST_UNPACKED = 1 << 30  # the largest of these files has 47 MB


def read_idx(path: Path, rank: int, published: tuple[int, str] | None = None) -> ByteArray:
    """The array in *path*; raises DataError unless it is unsigned bytes of *rank* axes, whole.

    A file with as many items as *published*, (items, SHA-256), must have that hash.
    """
    head = 4 + 4 * rank
    raw = read_bytes(path)
    magic = bytes((0, 0, UNSIGNED_BYTE, rank))
    if raw[:4] != magic:
        raise DataError(
            str(path), found=f"magic {raw[:4].hex() or 'none'}", allowed=f"{magic.hex()} (idx)"
        )
    shape = np.frombuffer(raw[4:head], ">u4").tolist() if len(raw) >= head else None
    expected = head + math.prod(shape) if shape is not None else head
    if shape is None or len(raw) != expected:
        raise DataError(
            str(path),
            found=f"{len(raw)} bytes",
            allowed=f"{expected}, as its header says",
            hint="the file is truncated or damaged: fetch it again",
        )
    if published is not None and shape[0] == published[0]:
        found = sha256(raw).hexdigest()
        if found != published[1]:
            raise DataError(
                str(path),
                found=f"SHA-256 {found} ({len(raw)} bytes)",
                allowed=published[1],
                hint="the file is damaged: fetch it again",
            )
    return np.frombuffer(raw, np.uint8, offset=head).reshape(shape).copy()


def read_bytes(path: Path) -> bytes:
    """The file's bytes, unpacked if its name ends in .gz."""
    raw = path.read_bytes()
    if path.suffix != ".gz":
        return raw
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(raw)) as file:
            unpacked = file.read(MOST_UNPACKED + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            str(path),
            found=f"{len(raw)} bytes that are no whole gzip file ({error})",
            hint="the file is truncated or damaged: fetch it again",
        ) from None
    if len(unpacked) > MOST_UNPACKED:
        raise DataError(
            str(path),
            found=f"{len(raw)} bytes that unpack to more than {MOST_UNPACKED >> 20} MiB",
            allowed="an idx file of a data set like MNIST",
        )
    return unpacked
