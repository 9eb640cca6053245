"""What stands in place of the file that was meant is told as what it is, by every reader."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from tssd.chain.user_samples import load_samples
from tssd.chain.weights import read_weights
from tssd.errors import TssdError
from tssd.export.netx.read import read_netx
from tssd.export.nir.graphs.read import read_graph
from tssd.export.nir.integers.read import read_nir
from tssd.export.onnx.read import read_onnx
from tssd.export.reading.stand_in import kind_of

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
STAND_INS = {
    "pointer": (POINTER, "a Git LFS pointer.*\n.*git lfs pull"),
    "page": (b"\n<!DOCTYPE html>\n<html><body>404</body></html>", "a web page"),
    "empty": (b"", "an empty file"),
}
READERS: dict[str, Callable[[Path], Any]] = {
    "x.nir": read_graph,
    "y.nir": read_nir,
    "x.net": read_netx,
    "x.onnx": read_onnx,
    "x.npz": lambda path: load_samples(path, (3,)),
    "x.npy": lambda path: load_samples(path, (3,)),
    "x.safetensors": read_weights,
    "x.pt": read_weights,
}


@pytest.mark.parametrize("stand_in", STAND_INS)
@pytest.mark.parametrize("name", READERS)
def test_a_stand_in_is_told(name: str, stand_in: str, tmp_path: Path) -> None:
    content, told = STAND_INS[stand_in]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TssdError, match=f"{name}: found {told}"):
        READERS[name](tmp_path / name)


@pytest.mark.parametrize("name", READERS)
def test_no_file_and_a_folder_are_told(name: str, tmp_path: Path) -> None:
    with pytest.raises(TssdError, match="found no such file"):
        READERS[name](tmp_path / name)
    (tmp_path / name).mkdir()
    with pytest.raises(TssdError, match="found a folder"):
        READERS[name](tmp_path / name)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"*Vertices 2\n1 'a'\n*Arcs\n1 2 0.5\n", "text"),
        ("Größe: 3\n".encode() * 200, "text"),
        (b"PK\x03\x04rest", "a zip archive"),
        (b"\x80\x04\x95", "a Python pickle"),
        (bytes(range(256)), "bytes of no known format"),
    ],
)
def test_a_file_of_another_format_is_named(content: bytes, kind: str, tmp_path: Path) -> None:
    path = tmp_path / "x.net"
    path.write_bytes(content)
    assert kind_of(path).startswith(kind)
    with pytest.raises(TssdError, match=rf"found {kind}.*; allowed: a whole \.net file"):
        read_netx(path)


def test_only_a_cut_file_is_called_truncated(tmp_path: Path) -> None:
    path = tmp_path / "x.nir"
    with h5py.File(path, "w") as file:
        file["values"] = np.arange(1000)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(TssdError, match="no readable HDF5 file.*\n.*truncated"):
        read_graph(path)
