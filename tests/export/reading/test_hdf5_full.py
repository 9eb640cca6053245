"""A disk that is full while an HDF5 file is written: an error that can be caught, and no file."""

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from networks import mlp

from tssd.calibration.int_network import IntNetwork
from tssd.export.netx.write import write_netx
from tssd.export.nir.integers.write import write_nir


@contextmanager
def room(most_bytes: int) -> Iterator[None]:
    """No file may grow beyond *most_bytes*: what is written behind it fails, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("write", [write_nir, write_netx])
def test_no_room_is_one_error(write: Callable[[IntNetwork, Path], None], tmp_path: Path) -> None:
    network = mlp(40, 30, 10)
    write(network, tmp_path / "whole")
    size = (tmp_path / "whole").stat().st_size
    for most in (0, size // 2, size - 1):
        with room(most), pytest.raises(OSError, match="File too large"):
            write(network, tmp_path / "out")
        assert [path.name for path in tmp_path.iterdir()] == ["whole"]
