"""NIR's event data (``nir.NIRGraphData``, HDF5): what nodes sent, written and read.

    root                       __type__ = NIRGraphData
    nodes/<node>               __type__ = NIRNodeData
    .../observables/spikes     EventData: idx, time (samples, events); -1 and inf: none
                               ValuedEventData: value (samples, events) too, for payloads
                               TimeGriddedData: data (samples, steps, neurons), dt

Times are in seconds from the first step; step t is written as its middle, (t + 1/2) dt, so that any
rounding finds it again. Neurons count in the C order of their population's shape.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np

from tssd.arrays import FloatArray
from tssd.atomic import write_bytes
from tssd.calibration.integer import IntArray
from tssd.errors import DataError, FileFormatError, refusing
from tssd.export.reading.hdf5 import DAMAGE, MAX_VALUES, open_hdf5
from tssd.guard import guarded

SPIKES = "spikes"
KIND = "__type__"
MAX_NODES = 10_000
EVENTS = ("EventData", "ValuedEventData")
GRIDDED = "TimeGriddedData"


@dataclass(frozen=True, eq=False)
class NodeEvents:
    """Events of one node, in the order of the file: ``sample``, ``neuron``, ``seconds`` and
    ``value`` are (events,). ``dt_seconds`` is known of a time grid alone."""

    samples: int
    neurons: int
    duration_seconds: float
    sample: IntArray
    neuron: IntArray
    seconds: FloatArray
    value: FloatArray
    dt_seconds: float | None = None

    def frames(self, shape: tuple[int, ...], time_steps: int, where: str) -> IntArray:
        """(time_steps, samples, *shape): payloads of the steps in which the events are. A grid has
        its own steps, events are cut into *time_steps* of one length."""
        if self.neurons != int(np.prod(shape)):
            raise DataError(where, found=f"{self.neurons} neurons", allowed=f"{shape}")
        dt = self.dt_seconds or self.duration_seconds / time_steps
        steps = np.floor(self.seconds / dt * (1 + 1e-9)).astype(np.int64)
        if len(steps) and not 0 <= steps.min() <= steps.max() < time_steps:
            raise DataError(
                where,
                found=f"events in steps {steps.min()} .. {steps.max()}",
                allowed=f"steps 0 .. {time_steps - 1} of {dt:g} s",
            )
        if np.any(self.value != np.rint(self.value)):
            raise DataError(where, found="values that are no whole numbers", allowed="payloads")
        out = np.zeros((time_steps, self.samples, self.neurons), np.int64)
        places = (steps, self.sample, self.neuron)
        np.add.at(out, places, 1)
        if out.max(initial=0) > 1:
            step, sample, neuron = (int(i) for i in np.argwhere(out > 1)[0])
            raise DataError(
                where,
                found=f"{out.max()} events of neuron {neuron} in step {step}, sample {sample}",
                allowed="one: shorter steps tell them apart",
            )
        out[places] = np.rint(self.value).astype(np.int64)
        return out.reshape(time_steps, self.samples, *shape)


def write_event_data(path: Path, sent: Mapping[str, IntArray], dt_seconds: float) -> None:
    """*sent*: node to spikes or payloads (T, B, *shape), in steps of *dt_seconds*."""
    nodes = {
        name: nir.NIRNodeData({SPIKES: _events(steps, dt_seconds)}) for name, steps in sent.items()
    }
    image = io.BytesIO()
    nir.write_data(image, nir.NIRGraphData(nodes))
    write_bytes(path, image.getvalue())


def _events(steps: IntArray, dt_seconds: float) -> Any:
    time_steps, samples, *_ = steps.shape
    flat = steps.reshape(time_steps, samples, -1)
    sample, step, neuron = np.nonzero(flat.swapaxes(0, 1))
    counts = np.bincount(sample, minlength=samples)
    most = max(1, int(counts.max(initial=0)))
    place = np.arange(len(sample)) - np.repeat(np.cumsum(counts) - counts, counts)
    idx, time = np.full((samples, most), -1), np.full((samples, most), np.inf)
    idx[sample, place], time[sample, place] = neuron, (step + 0.5) * dt_seconds
    end = time_steps * dt_seconds
    while int(end / dt_seconds) < time_steps:  # as nir counts the steps of a recording
        end = float(np.nextafter(end, np.inf))
    if flat.max(initial=0) <= 1:
        return nir.EventData(idx, time, flat.shape[2], end)
    value = np.zeros((samples, most))
    value[sample, place] = flat[step, sample, neuron]
    return nir.ValuedEventData(idx, time, flat.shape[2], end, value)


@guarded
def read_event_data(path: Path) -> dict[str, NodeEvents]:
    """The spikes of every node in *path*; FileFormatError says what is wrong with it."""
    with (
        open_hdf5(path) as file,
        refusing(DAMAGE, FileFormatError, str(path), "no event data", allowed="NIRGraphData"),
    ):
        if file.attrs.get(KIND) != "NIRGraphData":
            found = f"{KIND} = {file.attrs.get(KIND)!r}"[:80]
            raise FileFormatError(str(path), found=found, allowed="NIRGraphData, by nir.write_data")
        nodes = _member(path, file, "nodes")
        if len(nodes) > MAX_NODES:
            raise FileFormatError(f"{path}: nodes", found=str(len(nodes)), allowed=str(MAX_NODES))
        return {name: _node(path, nodes, name) for name in nodes}


def _node(path: Path, nodes: Any, name: str) -> NodeEvents:
    group = _member(path, nodes, name)
    observables = _member(path, group, "observables")
    if SPIKES not in observables:
        found = ", ".join(observables) or "nothing"
        raise FileFormatError(f"{path}: node {name}", found=found[:200], allowed=SPIKES)
    spikes = _member(path, observables, SPIKES)
    kind = spikes.attrs.get(KIND)
    where = f"{path}: node {name}"
    if kind == GRIDDED:
        return _of_grid(where, spikes)
    if kind in EVENTS:
        return _of_events(where, spikes, valued=kind == EVENTS[1])
    raise FileFormatError(where, found=f"{kind!r}"[:80], allowed=", ".join((*EVENTS, GRIDDED)))


def _of_grid(where: str, group: Any) -> NodeEvents:
    data, dt = _array(where, group, "data", 3), float(group.attrs["dt"])
    _check_time(where, dt)
    sample, step, neuron = np.nonzero(data)
    value = data[sample, step, neuron].astype(np.float64)
    samples, steps, neurons = data.shape
    middle = ((step + 0.5) * dt).astype(np.float64)
    return NodeEvents(samples, neurons, steps * dt, sample, neuron, middle, value, dt)


def _of_events(where: str, group: Any, *, valued: bool) -> NodeEvents:
    idx, time = _array(where, group, "idx", 2), _array(where, group, "time", 2)
    value = _array(where, group, "value", 2) if valued else np.ones(idx.shape)
    neurons, end = int(group.attrs["n_neurons"]), float(group.attrs["t_max"])
    _check_time(where, end)
    if idx.dtype.kind not in "iu" or not idx.shape == time.shape == value.shape:
        found = f"idx {idx.dtype} {idx.shape}, time {time.shape}, value {value.shape}"
        raise FileFormatError(where, found=found, allowed="(samples, events), idx whole numbers")
    there = idx != -1
    sample, _ = np.nonzero(there)
    neuron, seconds = idx[there].astype(np.int64), time[there].astype(np.float64)
    right = bool(((neuron >= 0) & (neuron < neurons) & (seconds >= 0) & (seconds < end)).all())
    if not right:
        raise FileFormatError(
            where,
            found="events of other neurons, or at other times",
            allowed=f"neurons 0 .. {neurons - 1}, times from 0 to below {end:g} s",
        )
    return NodeEvents(len(idx), neurons, end, sample, neuron, seconds, value[there].astype(float))


def _check_time(where: str, seconds: float) -> None:
    if not 0 < seconds < np.inf:
        raise FileFormatError(where, found=f"{seconds:g} s", allowed="a time above 0")


def _member(path: Path, parent: Any, name: str) -> Any:
    """A group inside the file: a link could lead out of it."""
    if not isinstance(parent.get(name, getlink=True), h5py.HardLink):
        raise FileFormatError(f"{path}: {name}", found="nothing, or a link", allowed="a group")
    return parent[name]


def _array(where: str, group: Any, name: str, rank: int) -> Any:
    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise FileFormatError(f"{where}: {name}", found="nothing, or a link", allowed="an array")
    item = group[name]
    numbers = isinstance(item, h5py.Dataset) and item.dtype.kind in "biuf"
    if not numbers or len(item.shape) != rank or not 0 < item.size <= MAX_VALUES:
        found = f"{getattr(item, 'dtype', 'a group')} {getattr(item, 'shape', '')}"
        raise FileFormatError(f"{where}: {name}", found=found, allowed=f"numbers of rank {rank}")
    return item[()]
