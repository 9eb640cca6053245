"""The cases of the suite: NIR graphs with inputs and the spikes that follow from NIR's equations.

Each node is stepped by Euler at the suite's dt, each edge takes no time but one that closes a
cycle (one step), and a neuron that fires is set to v_reset in the same step. What v is before the
first step, which NIR does not say, makes no difference where v_reset is not 0; else it is 0.

Arrays are time first: (T, B, *shape). Inputs are multiples of 1/256, and no spike moves when every
threshold is moved by one part in 1e5 either way: float32 is enough.
"""

import io
import json
import zipfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import h5py
import numpy as np

from tssd.arrays import FloatArray
from tssd.atomic import write_bytes
from tssd.config import unknown_name

ARCHIVE = "cases.zip"
TIMES = ("tau", "tau_mem", "tau_syn", "delay")  # parameters in seconds
PER_TIME = ("I", "IF")  # dv/dt = r I: their r is in 1 / seconds
OUTPUT = "output"  # the output node of every graph


@dataclass(frozen=True, eq=False)
class Case:
    """``image``: a NIR file at the suite's ``dt_seconds``; ``inputs`` (T, B, *input shape);
    ``expected``: node to what it sends (T, B, *shape), 0 or 1 but for those in ``values``."""

    name: str
    group: str
    nodes: tuple[str, ...]
    dt_seconds: float
    image: bytes
    inputs: FloatArray
    expected: Mapping[str, FloatArray]
    values: frozenset[str]

    def write(self, path: Path, dt_seconds: float | None = None) -> None:
        """The graph as a file whose times count in steps of *dt_seconds* (None: the suite's)."""
        factor = 1.0 if dt_seconds is None else dt_seconds / self.dt_seconds
        write_bytes(path, self.image if factor == 1 else _stretched(self.image, factor))


@dataclass(frozen=True)
class Suite:
    """All cases in order, and the networks of the matrix that NIR cannot say, with the reason."""

    cases: tuple[Case, ...]
    unsaid: Mapping[str, str]


def load(names: Collection[str] = ()) -> Suite:
    """The suite, or of its cases those named."""
    packed = resources.files("tssd.conformance").joinpath(ARCHIVE).read_bytes()
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        about = json.loads(archive.read("suite.json"))
        listed = {row["name"]: row for row in about["cases"]}
        for name in names:
            if name not in listed:
                raise unknown_name("--only", f"case {name!r}", name, listed)
        wanted = [row for name, row in listed.items() if not names or name in names]
        return Suite(tuple(_case(archive, row, about["dt"]) for row in wanted), about["unsaid"])


def _case(archive: zipfile.ZipFile, row: dict[str, object], dt: float) -> Case:
    name = str(row["name"])
    with np.load(io.BytesIO(archive.read(f"{name}.npz"))) as arrays:
        found = {key: arrays[key].astype(np.float64) for key in arrays.files}
    inputs = found.pop("inputs") / 256
    nodes, values = row["nodes"], row["values"]
    assert isinstance(nodes, list)
    assert isinstance(values, list)
    image = archive.read(f"{name}.nir")
    return Case(
        name, str(row["group"]), tuple(nodes), dt, image, inputs, found, frozenset(values)
    )  # fmt: skip


def _stretched(image: bytes, factor: float) -> bytes:
    """The same file with every time, and the dt that it tells, multiplied by *factor*."""
    copy = io.BytesIO(image)
    with h5py.File(copy, "r+") as file:
        for node in file["node/nodes"].values():
            for name in set(TIMES) & set(node):
                node[name][...] = node[name][()] * factor
            if node["type"].asstr()[()] in PER_TIME:
                node["r"][...] = node["r"][()] / factor
        told = file["node/metadata"]
        told["dt"][...] = told["dt"][()] * factor
    return copy.getvalue()
