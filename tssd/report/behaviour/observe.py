"""Activities, answers and a placement -> ``Behaviour``: streamed batch by batch, nothing kept."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tssd.arrays import Array, BoolArray
from tssd.calibration.comparing.firing import PairedEvents, sample_events
from tssd.calibration.comparing.histogram import Histogram, merged
from tssd.calibration.comparing.spread import integer_membranes
from tssd.calibration.comparing.wraps import wraps
from tssd.calibration.int_network import MEMBRANE, Activity, IntNetwork
from tssd.calibration.integer import STATE_LIMIT, IntArray
from tssd.hw_targets.chip.spec import ChipSpec
from tssd.hw_targets.costs.counters import Counters
from tssd.hw_targets.mapping.placement import Placement
from tssd.hw_targets.mapping.rules import fullest_resource, resource_word
from tssd.report.behaviour.model import (
    MOST_COMPARED,
    AnswerCount,
    ChipMap,
    CoreUse,
    Divergence,
    Event,
    FiringChange,
    TimePoint,
)

MOST_STEPS, BESIDE = 32, 8  # of a raster: steps, and neurons on either side
SYNOPS = ("synop_dense", "synop_sparse", "synop_conv")


@dataclass(frozen=True, eq=False)
class Course:
    """Sums over the samples of a batch: ``events`` and ``right`` are (T,); ``right`` is None
    without labels."""

    samples: int
    events: IntArray
    right: IntArray | None


def course(network: IntNetwork, activity: Activity, labels: IntArray | None) -> Course:
    """What the layers that fire send in each step, and how many samples are right if the readout's
    membranes (T, B, *shape) are read after it."""
    firing = [p.name for p in network.populations if p.kind.fires]
    time_steps, samples = activity.spikes[network.readout.name].shape[:2]
    events = np.zeros(time_steps, np.int64)
    for name in firing:
        events += np.count_nonzero(activity.spikes[name].reshape(time_steps, -1), axis=1)
    if labels is None:
        return Course(samples, events, None)
    membranes = activity.states[MEMBRANE][network.readout.name]
    classes = membranes.reshape(time_steps, samples, -1).argmax(axis=2)
    return Course(samples, events, (classes == labels).sum(axis=1))


def over_time(network: IntNetwork, courses: Iterable[Course]) -> tuple[TimePoint, ...]:
    """All batches together, a point for each step."""
    parts = list(courses)
    samples = sum(part.samples for part in parts)
    neurons = sum(p.neurons for p in network.populations if p.kind.fires)
    events = sum((part.events for part in parts), np.zeros(network.time_steps, np.int64))
    known = [part.right for part in parts if part.right is not None]
    right = sum(known, np.zeros(network.time_steps, np.int64)) if known else None
    return tuple(
        TimePoint(
            step + 1,
            None if right is None else float(right[step] / samples),
            float(events[step] / max(neurons * samples, 1)),
        )
        for step in range(len(events))
    )


@dataclass(frozen=True, eq=False)
class LayerEvents:
    """The integers' side of a comparison layer by layer, of some samples: the events (B, neurons)
    of each population that fires, how often a membrane stood at an end of its range, how often a
    current left its own, and all membranes."""

    events: Mapping[str, IntArray]
    saturated: Mapping[str, int]
    wrapped: Mapping[str, int]
    membranes: Mapping[str, Histogram]


def layer_events(network: IntNetwork, activity: Activity) -> LayerEvents:
    """Of one batch; memory: a small integer for each neuron and sample."""
    firing = [p.name for p in network.populations if p.kind.fires]
    membranes = activity.states.get(MEMBRANE, {})
    return LayerEvents(
        {name: sample_events(activity.spikes[name]) for name in firing},
        {name: int((np.abs(v) == STATE_LIMIT - 1).sum()) for name, v in membranes.items()},
        wraps(network, activity),
        integer_membranes(network, activity),
    )


def all_layer_events(parts: Sequence[LayerEvents]) -> LayerEvents:
    """All batches as one; there is at least one."""
    first = parts[0]
    return LayerEvents(
        {name: np.concatenate([p.events[name] for p in parts]) for name in first.events},
        {name: sum(p.saturated[name] for p in parts) for name in first.saturated},
        {name: sum(p.wrapped[name] for p in parts) for name in first.wrapped},
        {name: merged(p.membranes[name] for p in parts) for name in first.membranes},
    )


def firing_change(found: PairedEvents) -> FiringChange:
    """The row of a report."""
    return FiringChange(
        found.samples,
        found.rate("float"),
        found.rate("integer"),
        found.ratio,
        found.cosine,
        found.drift,
        found.dead("float"),
        found.dead("integer"),
        found.always("float"),
        found.always("integer"),
    )


def agreement(found: IntArray, in_float: IntArray | None) -> float | None:
    """The share of the first MOST_COMPARED samples with the same class in both (N,)."""
    if in_float is None:
        return None
    return float(np.mean(found[:MOST_COMPARED] == in_float[:MOST_COMPARED]))


def answers(
    labels: IntArray | None, integer: IntArray, in_float: IntArray | None
) -> tuple[AnswerCount, ...]:
    """Samples counted by label and the two answers; nothing without labels."""
    if labels is None:
        return ()
    before = [None] * len(integer) if in_float is None else in_float.tolist()
    counts = Counter(zip(labels.tolist(), before, integer.tolist(), strict=True))
    return tuple(
        AnswerCount(*key, counts[key])
        for key in sorted(counts, key=lambda key: tuple(-1 if x is None else x for x in key))
    )


def first_difference(
    network: IntNetwork,
    sample: int,
    in_float: Mapping[str, Array],
    integer: Mapping[str, Array],
) -> Divergence | None:
    """The first slot of one sample in which the float and the integer network's spikes, each
    (T, neurons), differ: the earliest step, there the earliest layer, there the first neuron."""
    found: tuple[int, str, int] | None = None
    for population in network.populations:
        name = population.name
        if not population.kind.fires or name not in in_float:
            continue
        step, neuron = _first(in_float[name].astype(bool) != integer[name].astype(bool))
        if step >= 0 and (found is None or step < found[0]):
            found = step, name, neuron
    if found is None:
        return None
    step, name, neuron = found
    return _window(sample, name, step, neuron, in_float[name], integer[name])


def _first(differs: BoolArray) -> tuple[int, int]:
    """(step, neuron) of the first True of (T, neurons); (-1, -1) if there is none."""
    places = np.flatnonzero(differs)
    if not len(places):
        return -1, -1
    step, neuron = divmod(int(places[0]), differs.shape[1])
    return step, neuron


def _window(
    sample: int, layer: str, step: int, neuron: int, in_float: Array, integer: Array
) -> Divergence:
    total, width = integer.shape
    first = max(0, min(step - MOST_STEPS // 2, total - MOST_STEPS))
    steps = min(MOST_STEPS, total)
    low = max(0, min(neuron - BESIDE, width - 2 * BESIDE))
    neurons = range(low, min(low + 2 * BESIDE, width))

    def events(spikes: Array) -> tuple[Event, ...]:
        part = spikes[first : first + steps, low : neurons.stop]
        return tuple((first + int(t), low + int(n)) for t, n in np.argwhere(part))

    return Divergence(
        sample, layer, step, neuron, first, steps, tuple(neurons),
        events(in_float), events(integer),
    )  # fmt: skip


def chip_map(placement: Placement, chip: ChipSpec, counted: Counters) -> ChipMap:
    """Which layers each core in use holds, its fullest resource, its synaptic operations."""
    layers: dict[int, list[str]] = {}
    for part in placement.slices:
        layers.setdefault(part.core, []).append(part.population)
    synops = sum((counted.by_core(column) for column in SYNOPS), np.zeros(placement.places))
    cores = []
    needs = placement.needs[: placement.cores]  # a port is none
    sites = zip(placement.core_sites.tolist(), needs, strict=True)
    for core, ((number, x, y, slot), need) in enumerate(sites):
        name, share, _ = fullest_resource(need, chip)
        held = tuple(dict.fromkeys(layers.get(core, ())))
        per = float(synops[core] / counted.samples)
        word = resource_word(name, chip)
        cores.append(CoreUse(core, number, x, y, slot, held, word, share, per))
    mesh = chip.mesh
    return ChipMap(mesh.width.count, mesh.height.count, mesh.cores_per_router.count, tuple(cores))
