"""``golden.npz``: a few inputs with what every population did, so any platform can check itself.

inputs            (T, B, *input shape)
counts/<name>     (B, *shape)   events (non-zero payloads) per neuron over the T steps
readout           (B, *shape)   membrane of the last population after the last step
spikes/<name>     (T, *shape)   all spikes or payloads of the first sample
"""

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tssd.calibration.int_network import IntNetwork, Runner
from tssd.calibration.integer import IntArray
from tssd.calibration.simulate import reference
from tssd.contracts import Contract, check, not_run
from tssd.errors import FileFormatError, refusing
from tssd.export.nir.integers.write import smallest
from tssd.export.reading.arrays import DAMAGE, read_arrays, whole_numbers

EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date a zip file can hold: no clock in the bytes


@dataclass(frozen=True, eq=False)
class Golden:
    """Inputs and the answers of the integer network to them."""

    inputs: IntArray
    counts: Mapping[str, IntArray]
    spikes: Mapping[str, IntArray]
    readout: IntArray


def make_golden(network: IntNetwork, inputs: IntArray, engine: Runner = reference) -> Golden:
    """Run ``inputs`` (T, B, *shape) through *engine* and keep what identifies the network."""
    activity = engine(network, inputs)
    return Golden(
        inputs,
        {name: np.count_nonzero(s, axis=0) for name, s in activity.spikes.items()},
        {name: s[:, 0] for name, s in activity.spikes.items()},
        activity.readout,
    )


def check_golden(golden: Golden, network: IntNetwork, engine: Runner) -> list[Contract]:
    """Per population: counts of all samples and spikes of the first; then the membranes."""
    found = make_golden(network, golden.inputs, engine)
    rows = []
    for population in network.populations:
        name = population.name
        if name not in found.counts:
            rows.append(not_run("golden: spikes", f"{name}: the engine does not report it"))
            continue
        for label, a, b in (
            ("spike counts", golden.counts[name], found.counts[name]),
            ("spikes of sample 0", golden.spikes[name], found.spikes[name]),
        ):
            rows.append(_same(f"golden: {label}", name, a, b))
    return [*rows, _same("golden: membranes", network.readout.name, golden.readout, found.readout)]


def _same(name: str, population: str, wanted: IntArray, found: IntArray) -> Contract:
    """A row that counts differing values and names the first."""
    wrong = np.argwhere(wanted != found) if wanted.shape == found.shape else np.zeros((1, 0), int)
    where = population
    if len(wrong):
        where += f" at {tuple(int(i) for i in wrong[0])}"
    return check(name, not len(wrong), f"{len(wrong)} differ", "0 differ", where)


def to_bytes(golden: Golden) -> bytes:
    """The npz file; the same arrays give the same bytes."""
    arrays = {"inputs": golden.inputs, "readout": golden.readout}
    arrays |= {f"counts/{name}": array for name, array in golden.counts.items()}
    arrays |= {f"spikes/{name}": array for name, array in golden.spikes.items()}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for name in sorted(arrays):
            item = io.BytesIO()
            array = np.asarray(smallest(arrays[name]), order="C")  # one order: the same bytes
            np.lib.format.write_array(item, array, allow_pickle=False)
            info = zipfile.ZipInfo(f"{name}.npy", EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, item.getvalue())
    return out.getvalue()


def from_bytes(data: bytes, network: IntNetwork, where: str) -> Golden:
    """The inverse; a damaged file or one of another network raises FileFormatError."""
    names = [p.name for p in network.populations]
    with refusing(
        DAMAGE,
        FileFormatError,
        where,
        "damaged golden records",
        allowed="inputs, readout, counts/<name> and spikes/<name> of every population",
        hint="export the network again",
    ):
        arrays = read_arrays(io.BytesIO(data))
        counts = {name: whole_numbers(arrays, f"counts/{name}") for name in names}
        spikes = {name: whole_numbers(arrays, f"spikes/{name}") for name in names}
        inputs, readout = (whole_numbers(arrays, name) for name in ("inputs", "readout"))
        return Golden(inputs, counts, spikes, readout)
