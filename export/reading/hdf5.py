"""HDF5 files opened without trust, and told apart from what is none."""

from pathlib import Path

import h5py

from tssd.errors import FileFormatError
from tssd.export.reading.stand_in import HDF5, kind_of, refuse_stand_in

DAMAGE = (  # what h5py raises over damaged files
    *(OSError, LookupError, RuntimeError, ValueError, TypeError, AttributeError, MemoryError),
)
MAX_VALUES = 1 << 30  # of one array: far above any Loihi-class network, far below a memory bomb


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
