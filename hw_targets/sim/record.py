"""SpikeRecord: which neuron sent in which chip step, whoever found it out.

As a file (``.npz``): ``schema`` = "tssd-spikes/1", ``steps``, and for each population an array
``spikes/<name>`` (events, 2) of chip step and neuron (C, H, W order). Optional ``active/<name>``
(steps, neurons) of booleans says which updates were active; without it all count as active.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tssd.calibration.int_network import Activity, IntNetwork, depths
from tssd.calibration.integer import IntArray
from tssd.errors import FileFormatError, refusing
from tssd.export.reading.arrays import DAMAGE, Arrays, read_arrays, whole_numbers
from tssd.hw_targets.sim.functional import Events

SCHEMA = "tssd-spikes/1"
MAX_STEPS = 1 << 24  # of a record: its times take some hundred bytes per step and core


@dataclass(frozen=True, eq=False)
class SpikeRecord:
    """``spikes[name]`` (events, 2): chip step, neuron. ``active[name]`` (steps, neurons), or none
    where every update counts as active."""

    steps: int
    spikes: Mapping[str, IntArray]
    active: Mapping[str, NDArray[np.bool_]]


def interval(network: IntNetwork) -> int:
    """Chip steps from one sample to the next: the time steps plus the longest extra delay."""
    return network.time_steps + max((j.delay for j in network.projections), default=0)


def from_samples(network: IntNetwork, samples: list[dict[str, Events]]) -> SpikeRecord:
    """Samples back to back on the chip: local step t at depth d is chip step t + d."""
    depth, pace = depths(network), interval(network)
    steps = pace * (len(samples) - 1) + network.time_steps + max(depth.values())
    spikes: dict[str, IntArray] = {}
    active: dict[str, NDArray[np.bool_]] = {}
    for population in network.populations:
        name = population.name
        start = [b * pace + depth[name] for b in range(len(samples))]
        mine = [s[name].spikes for s in samples]
        spikes[name] = np.concatenate(
            [e[:, :2] + np.array([at, 0]) for e, at in zip(mine, start, strict=True)]
        )
        active[name] = np.zeros((steps, population.neurons), np.bool_)
        for sample, at in zip(samples, start, strict=True):
            active[name][at : at + network.time_steps] = sample[name].active
    return SpikeRecord(steps, spikes, active)


def from_activity(network: IntNetwork, activity: Activity) -> SpikeRecord:
    """The record of an Activity from any engine; all updates count as active."""
    depth, pace = depths(network), interval(network)
    samples = next(iter(activity.spikes.values())).shape[1]
    spikes = {}
    for name, dense in activity.spikes.items():
        t, b, *_ = places = np.nonzero(dense)
        neuron = np.ravel_multi_index(places[2:], dense.shape[2:])
        spikes[name] = np.column_stack([t + b * pace + depth[name], neuron])
    steps = pace * (samples - 1) + network.time_steps + max(depth.values())
    return SpikeRecord(steps, spikes, {})


def write_record(path: Path, record: SpikeRecord) -> None:
    """Write *record* as ``.npz``."""
    arrays: dict[str, Any] = {f"spikes/{name}": e for name, e in record.spikes.items()}
    arrays |= {f"active/{name}": flags for name, flags in record.active.items()}
    np.savez_compressed(path, schema=SCHEMA, steps=record.steps, **arrays)


def read_record(path: Path, network: IntNetwork) -> SpikeRecord:
    """Read a record of *network*; FileFormatError names what is wrong with it."""
    with refusing(DAMAGE, FileFormatError, str(path), "no spike record"):
        arrays = read_arrays(path)
        schema = str(arrays.get("schema"))
        if schema != SCHEMA:
            raise FileFormatError(str(path), found=f"schema {schema}"[:120], allowed=SCHEMA)
        steps = whole_numbers(arrays, "steps").item()
    if not 1 <= steps <= MAX_STEPS:
        raise FileFormatError(str(path), found=f"{steps} steps", allowed=f"1 .. {MAX_STEPS:,}")
    spikes, active = {}, {}
    for population in network.populations:
        name, neurons = population.name, population.neurons
        spikes[name] = _events(path, name, arrays, steps, neurons)
        if f"active/{name}" in arrays:
            active[name] = _flags(path, name, arrays, steps, neurons)
    return SpikeRecord(steps, spikes, active)


def _events(path: Path, name: str, arrays: Arrays, steps: int, neurons: int) -> IntArray:
    events = arrays.get(f"spikes/{name}")
    where = f"{path}: spikes/{name}"
    if events is None or events.shape[1:] != (2,) or events.dtype.kind not in "iu":
        found = "nothing" if events is None else f"{events.dtype} array of shape {events.shape}"
        raise FileFormatError(where, found=found, allowed="(events, 2): chip step, neuron")
    if len(events) and (events.min() < 0 or (events.max(axis=0) >= (steps, neurons)).any()):
        raise FileFormatError(
            where,
            found=f"step or neuron up to {events.max(axis=0).tolist()}, from {events.min()}",
            allowed=f"0 .. {steps - 1} and 0 .. {neurons - 1}",
        )
    checked: IntArray = events.astype(np.int64)
    return checked


def _flags(path: Path, name: str, arrays: Arrays, steps: int, neurons: int) -> NDArray[np.bool_]:
    flags: NDArray[np.bool_] = arrays[f"active/{name}"]
    if flags.dtype != np.bool_ or flags.shape != (steps, neurons):
        raise FileFormatError(
            f"{path}: active/{name}",
            found=f"{flags.dtype} array of shape {flags.shape}",
            allowed=f"booleans of shape ({steps}, {neurons})",
        )
    return flags
