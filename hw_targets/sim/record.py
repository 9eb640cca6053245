"""SpikeRecord: which neuron sent in which chip step, whoever found it out.

As a file (``.npz``): ``schema`` = "tssd-spikes/1", ``steps``, and for each population an array
``spikes/<name>`` (events, 2) of chip step and neuron (C, H, W order). Optional ``payload/<name>``
(events,) of a graded input says what its spikes carry, ``active/<name>`` (steps, neurons) of
booleans which updates were active; ``updates`` finds those that are not given.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tssd.arrays import BoolArray
from tssd.calibration.int_network import Activity, IntNetwork, depths, interval
from tssd.calibration.integer import IntArray
from tssd.errors import FileFormatError, refusing
from tssd.export.reading.arrays import DAMAGE, Arrays, read_arrays, whole_numbers
from tssd.hw_targets.sim.functional import SampleEvents

SCHEMA = "tssd-spikes/1"
MAX_STEPS = 1 << 24  # of a record: its times take some hundred bytes per step and core
MAX_UPDATES = 1 << 32  # of one record: a byte each while it is timed


@dataclass(frozen=True, eq=False)
class SpikeRecord:
    """``spikes[name]`` (events, 2): chip step, neuron. ``active[name]`` (steps, neurons), or none
    where every update counts as active; ``payload`` (events,): what the spikes of a graded input
    carry, if it is known."""

    steps: int
    spikes: Mapping[str, IntArray]
    active: Mapping[str, BoolArray]
    payload: IntArray | None = None


def from_samples(network: IntNetwork, samples: list[dict[str, SampleEvents]]) -> SpikeRecord:
    """Samples back to back on the chip: local step t at depth d is chip step t + d."""
    apart = interval(network)
    return _laid(network, samples, apart, apart * (len(samples) - 1) + length_alone(network))


def ring_part(
    network: IntNetwork, samples: list[dict[str, SampleEvents]], before: int
) -> SpikeRecord:
    """A stretch of the steady state, samples back to back: from the first step of sample *before*
    to the first step after the last one's.

    The first *before* samples (``reach``) are there for what they still do in these steps: every
    layer works in every step, on the end of one sample or on the next.
    """
    apart = interval(network)
    return _laid(network, samples, apart, apart * (len(samples) - before), before)


def reach(network: IntNetwork) -> int:
    """How many samples before it can still be in the chip when a sample begins."""
    return (length_alone(network) - 1) // interval(network)


def one_at_a_time(network: IntNetwork, samples: list[dict[str, SampleEvents]]) -> SpikeRecord:
    """Each sample alone on the chip: the next begins when the last layer is done."""
    apart = length_alone(network)
    return _laid(network, samples, apart, apart * len(samples))


def length_alone(network: IntNetwork) -> int:
    """Chip steps of one sample alone, from its first input to its answer."""
    return network.time_steps + max(depths(network).values())


def _laid(
    network: IntNetwork,
    samples: list[dict[str, SampleEvents]],
    apart: int,
    steps: int,
    before: int = 0,
) -> SpikeRecord:
    """Sample b begins in chip step (b - *before*) x *apart*; steps 0 .. *steps* - 1 are kept."""
    spikes: dict[str, IntArray] = {}
    active: dict[str, BoolArray] = {}
    for name, depth in depths(network).items():
        start = [(b - before) * apart + depth for b in range(len(samples))]
        events = [sample[name].spikes[:, :2] for sample in samples]
        moved = [e + np.array([at, 0]) for e, at in zip(events, start, strict=True)]
        spikes[name] = _within(np.concatenate(moved), steps)
        active[name] = np.zeros((steps, network.population(name).neurons), np.bool_)
        for sample, at in zip(samples, start, strict=True):
            row, end = max(at, 0), min(at + network.time_steps, steps)
            if row < end:
                active[name][row:end] = sample[name].active[row - at : end - at]
    return SpikeRecord(steps, spikes, active)


def _within(events: IntArray, steps: int) -> IntArray:
    """The events of steps 0 .. *steps* - 1."""
    return events[(events[:, 0] >= 0) & (events[:, 0] < steps)]


def cut(record: SpikeRecord, steps: range) -> SpikeRecord:
    """Some steps of *record*, counted from the first of them."""
    begin = np.array([steps.start, 0])
    return SpikeRecord(
        len(steps),
        {name: _within(events - begin, len(steps)) for name, events in record.spikes.items()},
        {name: flags[steps.start : steps.stop] for name, flags in record.active.items()},
    )


def from_activity(network: IntNetwork, activity: Activity) -> SpikeRecord:
    """The record of an Activity from any engine, without active updates."""
    depth, pace = depths(network), interval(network)
    samples = next(iter(activity.spikes.values())).shape[1]
    spikes, source = {}, network.source.name
    for name, dense in activity.spikes.items():
        t, b, *_ = places = np.nonzero(dense)
        neuron = np.ravel_multi_index(places[2:], dense.shape[2:])
        spikes[name] = np.column_stack([t + b * pace + depth[name], neuron])
    steps = pace * (samples - 1) + length_alone(network)
    graded = network.input_coding.graded
    carried = activity.spikes[source][np.nonzero(activity.spikes[source])] if graded else None
    return SpikeRecord(steps, spikes, {}, carried)


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
    neurons = sum(population.neurons for population in network.populations)
    if steps * neurons > MAX_UPDATES:
        raise FileFormatError(
            str(path),
            found=f"{steps:,} steps of {neurons:,} neurons",
            allowed=f"{MAX_UPDATES:,} updates at most",
            hint="time a part of the samples",
        )
    spikes, active = {}, {}
    for population in network.populations:
        name, neurons = population.name, population.neurons
        spikes[name] = _events(path, name, arrays, steps, neurons)
        if f"active/{name}" in arrays:
            active[name] = _flags(path, name, arrays, steps, neurons)
    payload = _payload(path, network, arrays, len(spikes[network.source.name]))
    return SpikeRecord(steps, spikes, active, payload)


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
    keys, times = np.unique(checked[:, 0] * neurons + checked[:, 1], return_counts=True)
    if (times > 1).any():
        step, neuron = divmod(int(keys[times.argmax()]), neurons)
        raise FileFormatError(
            where,
            found=f"step {step}, neuron {neuron} {times.max()} times",
            allowed="every spike once",
        )
    return checked


def _payload(path: Path, network: IntNetwork, arrays: Arrays, events: int) -> IntArray | None:
    """What the spikes of a graded input carry; the payloads of others follow from them."""
    graded = network.input_coding.graded
    own = f"payload/{network.source.name}"
    for name in arrays:
        if name.startswith("payload/") and not (graded and name == own):
            allowed = f"{own} alone" if graded else "none, the input of this network is not graded"
            raise FileFormatError(str(path), found=name, allowed=allowed)
    given = arrays.get(own)
    if given is None:
        return None
    right = given.dtype.kind in "iu" and given.shape == (events,)
    if not right or (events and not 1 <= given.min() <= given.max() <= network.input_max):
        found = f"{given.dtype} array of shape {given.shape}"
        raise FileFormatError(
            f"{path}: {own}",
            found=f"{found}, {given.min()} .. {given.max()}" if right else found,
            allowed=f"({events},) whole numbers 1 .. {network.input_max}, one for each spike",
        )
    payload: IntArray = given.astype(np.int64)
    return payload


def _flags(path: Path, name: str, arrays: Arrays, steps: int, neurons: int) -> BoolArray:
    flags: BoolArray = arrays[f"active/{name}"]
    if flags.dtype != np.bool_ or flags.shape != (steps, neurons):
        raise FileFormatError(
            f"{path}: active/{name}",
            found=f"{flags.dtype} array of shape {flags.shape}",
            allowed=f"booleans of shape ({steps}, {neurons})",
        )
    return flags
