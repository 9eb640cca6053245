"""Damaged and hostile .nir files with the integer model: refused, and said why."""

import contextlib
import json
from pathlib import Path

import h5py
import nir
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import (
    residual_network,
)

from tssd.calibration.int_network import (
    Reset,
)
from tssd.calibration.serial import from_arrays, to_arrays
from tssd.errors import FileFormatError, NetworkError, TssdError
from tssd.export.nir.integers.graph import to_nir
from tssd.export.nir.integers.read import has_integer_model, read_nir, read_private
from tssd.export.nir.integers.write import digest, write_nir
from tssd.export.reading.geometry import check_projections
from tssd.export.reading.header_check import check_header


@pytest.fixture
def good(tmp_path: Path) -> Path:
    write_nir(residual_network(4, Reset.HARD), tmp_path / "good.nir")
    return tmp_path / "good.nir"


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="no such file"):
        read_nir(tmp_path / "none.nir")


def test_text_is_no_hdf5(tmp_path: Path) -> None:
    (tmp_path / "t.nir").write_text("hello")
    with pytest.raises(FileFormatError, match="found text"):
        read_nir(tmp_path / "t.nir")


def test_every_truncation_is_refused(good: Path) -> None:
    whole = good.read_bytes()
    for keep in range(0, len(whole), len(whole) // 40):
        good.write_bytes(whole[:keep])
        with pytest.raises(FileFormatError, match="HDF5"):
            read_nir(good)


def test_a_plain_graph_is_told_apart(tmp_path: Path) -> None:
    nir.write(tmp_path / "g.nir", to_nir(residual_network(4, Reset.HARD)))
    assert not has_integer_model(tmp_path / "g.nir")
    with pytest.raises(FileFormatError, match="tssd import"):
        read_nir(tmp_path / "g.nir")


def test_flipped_weight_is_found(good: Path) -> None:
    with h5py.File(good, "r+") as file:
        file["tssd/projection/1/weight"][0, 0, 0, 0] += 1
    with pytest.raises(FileFormatError, match="SHA-256 does not fit"):
        read_nir(good)


def test_other_schema_is_refused(good: Path) -> None:
    with h5py.File(good, "r+") as file:
        file["tssd"].attrs["schema"] = "tssd-int/9"
    with pytest.raises(FileFormatError, match="found schema 'tssd-int/9'; allowed: tssd-int/1"):
        read_nir(good)


@pytest.mark.parametrize("what", ["missing", "float", "bomb", "virtual", "group"])
def test_hostile_data_sets_are_refused(good: Path, what: str) -> None:
    key = "projection/1/weight"
    with h5py.File(good, "r+") as file:
        group = file["tssd"]
        del group[key]
        if what == "float":
            group[key] = np.zeros(3)
        elif what == "bomb":
            group.create_dataset(key, (1 << 40,), np.int8)
        elif what == "virtual":
            layout = h5py.VirtualLayout((1,), np.int8)
            layout[...] = h5py.VirtualSource("/etc/hostname", "x", (1,))
            group.create_virtual_dataset(key, layout)
        elif what == "group":
            group.create_group(key)
    words = "SHA-256|signed integers stored|all stored|an array of integers"
    with pytest.raises(FileFormatError, match=words):
        read_nir(good)


def with_header(path: Path, header: str) -> None:
    """Put *header* in place with a SHA-256 that fits it."""
    _, arrays, _ = read_private(path)
    with h5py.File(path, "r+") as file:
        del file["tssd/header"]
        file["tssd"].create_dataset("header", data=header, dtype=h5py.string_dtype())
        file["tssd"].attrs["sha256"] = digest(header, arrays)


@pytest.mark.parametrize(
    ("family", "key", "value"),
    [
        ("", "time_steps", 0),
        ("", "time_steps", float("inf")),
        ("", "input_max", "many"),
        ("populations", "shape", [0]),
        ("populations", "shape", [1 << 20, 1 << 20]),
        ("populations", "kind", "cube"),
        ("populations", "scale", float("nan")),
        ("populations", "bias_exp", 10**9),
        ("projections", "stride", [0, 1]),
        ("projections", "groups", True),
        ("projections", "delay", -1),
        ("projections", "weight_exp", 99),
        ("projections", "other", 1),
    ],
)
def test_headers_out_of_range_are_refused(good: Path, family: str, key: str, value: object) -> None:
    table = json.loads(read_private(good)[0])
    (table[family][1] if family else table)[key] = value
    with_header(good, json.dumps(table))
    no_json = isinstance(value, float)  # NaN and infinity
    with pytest.raises(FileFormatError, match="/tssd/header.*" + ("JSON" if no_json else family)):
        read_nir(good)


@pytest.mark.parametrize("header", ["", "[]", "{}", "[" * 100_000, "null"])
def test_headers_of_another_kind_are_refused(good: Path, header: str) -> None:
    with_header(good, header)
    with pytest.raises(FileFormatError, match="/tssd/header: found"):
        read_nir(good)


def test_weights_that_do_not_fit_are_refused(good: Path) -> None:
    table = json.loads(read_private(good)[0])
    table["projections"][0]["padding"] = [0, 1]
    with_header(good, json.dumps(table))
    with pytest.raises(NetworkError, match=r"input -> a: found shape \(2, 3, 5\)"):
        read_nir(good)


HEADER_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.lists(st.integers(-3, 300), max_size=4),
)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_no_header_value_gets_past_as_another_error(data: st.DataObject) -> None:
    """Any value anywhere: refused with a message of ours, or a network that computes its shapes."""
    header, arrays = to_arrays(residual_network(4, Reset.HARD))
    table = json.loads(header)
    family = data.draw(st.sampled_from(["", "populations", "projections"]))
    place = table[family][data.draw(st.integers(0, 4))] if family else table
    place[data.draw(st.sampled_from(sorted(place)))] = data.draw(HEADER_VALUES)
    text = json.dumps(table)
    with contextlib.suppress(TssdError):  # any other error fails the test
        check_header(text, "file")
        check_projections(from_arrays(text, arrays))
