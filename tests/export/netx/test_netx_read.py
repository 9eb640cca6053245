"""The reader of netx files: layers as they are stored, and what is refused on the way."""

import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from netx_files import conv, dense, image, write_net
from netx_files import neuron as stored_neuron
from strategies import random_conv_network

from tssd.calibration.int_network import Reset
from tssd.errors import FileFormatError
from tssd.export.netx.read import _storage_bound, read_netx
from tssd.export.netx.write import write_netx


@pytest.fixture
def good(tmp_path: Path) -> Path:
    write_netx(random_conv_network(3, Reset.HARD, memory=True), tmp_path / "good.net")
    return tmp_path / "good.net"


def change(path: Path, key: str, value: object) -> None:
    with h5py.File(path, "r+") as file:
        if key in file:
            del file[key]
        file[key] = value


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("layer/1/type", b"batchnorm", "layer/1: found layer type 'batchnorm'"),
        ("layer/1/weight", np.full((2, 2, 3, 3), 0.5), "layer/1/weight: found fractions"),
        ("layer/1/weight", "text", "layer/1/weight"),
        ("layer/1/delay", np.int64(3), "layer/1: found conv with delay"),
        ("layer/1/neuron/type", b"SDNN", "layer/1/neuron: found neuron type 'SDNN'"),
        ("layer/9/type", b"conv", "found no such layer"),
    ],
)
def test_reader_refuses(good: Path, key: str, value: object, words: str) -> None:
    change(good, key, value)
    with pytest.raises(FileFormatError, match=words):
        read_netx(good)


def test_reader_needs_layers_and_parameters(good: Path, tmp_path: Path) -> None:
    with h5py.File(good, "r+") as file:
        del file["layer/1/groups"]
    with pytest.raises(FileFormatError, match=r"layer/1: found a layer .*'groups' doesn't exist"):
        read_netx(good)
    with h5py.File(tmp_path / "empty.net", "w"):
        pass
    with pytest.raises(FileFormatError, match="no netx layers"):
        read_netx(tmp_path / "empty.net")


def test_reader_takes_no_memory_bomb(good: Path) -> None:
    with h5py.File(good, "r+") as file:
        del file["layer/1/weight"]
        file.create_dataset("layer/1/weight", (1 << 24, 3, 3, 3), np.int8)
    with pytest.raises(FileFormatError, match="as many as are stored"):
        read_netx(good)


def test_a_kernel_of_three_axes_is_refused(tmp_path: Path) -> None:
    layers = [image((1, 3, 3)), conv(np.ones((2, 3, 3), np.int64), (2, 1, 1))]
    with pytest.raises(FileFormatError, match=r"layer/1/weight: found shape \(2, 3, 3\)"):
        read_netx(write_net(tmp_path / "n.net", layers))


@pytest.mark.parametrize("key", ["iDecay", "vDecay", "vThMant"])
@pytest.mark.parametrize("values", [[-1, 4096], [4096, -1]])
def test_one_negative_number_among_others_is_refused(
    key: str, values: list[int], tmp_path: Path
) -> None:
    layer = dense(np.ones((2, 3), np.int64), neuron=stored_neuron() | {key: np.array(values)})
    with pytest.raises(FileFormatError, match=f"neuron/{key}: found -1 .. 4096; allowed: 0"):
        read_netx(write_net(tmp_path / "n.net", [layer]))


LONGEST_MATCH, LEAST_BITS = 258, 2  # of deflate: bytes that one code repeats, bits of such a code


@pytest.mark.parametrize("filters", [0, 1])
def test_a_data_set_in_chunks_holds_what_deflate_can_unfold(filters: int, tmp_path: Path) -> None:
    """Three stored bytes, whatever they are: so many codes, each of the longest match; without
    chunks, nothing is packed."""
    most = 3 * 8 // LEAST_BITS * LONGEST_MATCH
    with h5py.File(tmp_path / "n.h5", "w") as file:
        item = file.create_dataset("w", (most,), np.int8, chunks=(most,), compression="gzip")
        item.id.write_direct_chunk((0,), b"abc", filters)
        assert _storage_bound(item) == most
        plain = file.create_dataset("p", data=np.zeros(7, np.int8))
        assert _storage_bound(plain) == 7


@given(st.integers(0, 5_000_000), st.integers(1, 9))
@settings(max_examples=30, deadline=None)
def test_zlib_unfolds_no_further(zeros: int, level: int) -> None:
    packed = zlib.compress(bytes(zeros), level)
    assert zeros <= len(packed) * 8 // LEAST_BITS * LONGEST_MATCH


def test_packed_zeros_are_read(good: Path) -> None:
    """The most that a file of its size can hold, and all of it is right."""
    with h5py.File(good, "r+") as file:
        size = file["layer/1/weight"].shape
        del file["layer/1/weight"]
        big = (100 * size[0], *size[1:])
        kept = file.create_dataset("layer/1/weight", big, "i8", chunks=big, compression="gzip")
        kept[...] = 0
        assert kept.size * 8 > 100 * kept.id.get_storage_size()
    weight = read_netx(good)[1].weight
    assert weight is not None
    assert not weight.any()
