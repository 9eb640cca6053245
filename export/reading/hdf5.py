"""HDF5 files opened without trust, told apart from what is none, and written whole."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py

from tssd.atomic import write_bytes
from tssd.errors import FileFormatError
from tssd.export.reading.stand_in import HDF5, kind_of, refuse_stand_in

DAMAGE = (  # what h5py raises over damaged files
    *(OSError, LookupError, RuntimeError, ValueError, TypeError, AttributeError, MemoryError),
)
MAX_VALUES = 1 << 30  # of one array: far above any Loihi-class network, far below a memory bomb


@contextmanager
def hdf5_written_whole(path: Path, **options: Any) -> Iterator[h5py.File]:
    """A file to write into, that stands in *path* when the block has ended. It is made in memory:
    libhdf5 crashes on a disk that is full when it closes a file."""
    image = io.BytesIO()
    with h5py.File(image, "w", **options) as file:
        yield file
    write_bytes(path, image.getvalue())


def open_hdf5(path: Path) -> h5py.File:
    """*path* opened for reading; FileFormatError says what else it is."""
    allowed = f"a whole {path.suffix or 'HDF5'} file (HDF5)"
    refuse_stand_in(path, allowed)
    try:
        return h5py.File(path, "r")
    except OSError as error:
        reason = str(error).splitlines()[0][:160]
    with path.open("rb") as file:
        truncated = file.read(len(HDF5)) == HDF5
    raise FileFormatError(
        str(path),
        found=f"no readable HDF5 file ({reason})" if truncated else kind_of(path),
        allowed=allowed,
        hint="copy it again; it may be truncated" if truncated else "is it of another tool?",
    )
