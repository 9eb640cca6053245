"""Evidence -> Report: counts, costs and contracts of one network into one value, nothing guessed.

The inputs are plain mappings keyed by population name or engine name, so that any engine and any
simulator can fill them. What was not run is absent, and becomes None.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from tssd.calibration.comparing.kept import layer_bits
from tssd.calibration.int_network import IntNetwork
from tssd.calibration.integer import signed_bits
from tssd.calibration.tally import Tally
from tssd.contracts import Contract
from tssd.errors import ConfigError
from tssd.hw_targets.mapping.fanout import synapses_per_neuron
from tssd.report.behaviour.by_layer import ByLayer
from tssd.report.behaviour.model import Behaviour
from tssd.report.energies import EnergyPj, EnergyTrust, EnergyUj, PredictionIntervals, Range
from tssd.report.model import (
    MEASURED,
    NETWORKS,
    STAGES,
    Constant,
    Fullest,
    Gpu,
    LayerRow,
    MeshCell,
    Provenance,
    Report,
    ShareInterval,
    Spikes,
    TestedAccuracy,
    TimelineStep,
    Timing,
    Totals,
)

PICO_PER_MICRO = 1e6


@dataclass(frozen=True)
class LayerCost:
    """What one population costs on the target; counts are means per inference."""

    synops: float
    neuron_updates: float
    messages: float
    energy_pj: EnergyPj | None
    cores: int | None = None
    memory_bytes: int | None = None
    time_share: float | None = None


@dataclass(frozen=True)
class Times:
    """Latency and pace, as ``model.Totals`` explains them, and what a simulator adds; all None or
    empty where nothing was timed."""

    timing: Timing | None = None
    latency_us: float | None = None
    us_per_step: float | None = None
    inferences_per_s: float | None = None
    static_uj: Range | None = None
    bottleneck: str | None = None
    timeline: tuple[TimelineStep, ...] = ()
    mesh: tuple[MeshCell, ...] = ()
    stepping_uj: Range | None = None
    trust: EnergyTrust | None = None
    promised: PredictionIntervals | None = None


@dataclass(frozen=True, eq=False)
class Evidence:
    """All that a report is made of.

    ``engines``: every engine that the report has a place for, in its order. ``tallies``: engine
    name, ``integer`` or ``measured`` to its Tally, all over the same samples; ``integer`` must be
    there. ``layers``: what each did beside. ``accuracy``: stage name to a fraction. ``costs``:
    population name to its cost. ``weight_bits``: population name to bits of its incoming weights
    (absent: the bits that the weights need).
    """

    name: str
    target: str
    network: IntNetwork
    tallies: Mapping[str, Tally]
    accuracy: Mapping[str, float | None]
    costs: Mapping[str, LayerCost]
    contracts: tuple[Contract, ...]
    constants: tuple[Constant, ...]
    provenance: Provenance
    engines: tuple[str, ...] = ()
    layers: ByLayer = ByLayer()
    weight_bits: Mapping[str, int] = field(default_factory=dict)
    times: Times = Times()
    gpu: Gpu = Gpu()
    cores: int | None = None
    chips: int | None = None
    cores_there: int | None = None
    fullest: Fullest | None = None
    dataset: str | None = None
    shown: str | None = None
    intervals: Mapping[str, ShareInterval] = field(default_factory=dict)
    trained: TestedAccuracy | None = None
    label: str | None = None
    notes: tuple[str, ...] = ()
    behaviour: Behaviour = Behaviour()


def assemble(evidence: Evidence) -> Report:
    """The report of *evidence*; names that fit nothing and missing costs raise ConfigError."""
    _check(evidence)
    reference = evidence.tallies["integer"]
    layers = tuple(_layer(evidence, name) for name in _names(evidence.network))
    times = evidence.times
    return Report(
        network=evidence.name,
        target=evidence.target,
        samples=reference.samples,
        time_steps=reference.time_steps,
        accuracy={name: evidence.accuracy.get(name) for name in (*STAGES, *evidence.engines)},
        layers=layers,
        totals=_totals(evidence, layers),
        gpu=evidence.gpu,
        contracts=evidence.contracts,
        constants=evidence.constants,
        provenance=evidence.provenance,
        dataset=evidence.dataset,
        shown=evidence.shown,
        intervals=evidence.intervals,
        trained=evidence.trained,
        label=evidence.label,
        bottleneck=times.bottleneck,
        timeline=times.timeline,
        mesh=times.mesh,
        notes=evidence.notes,
        behaviour=evidence.behaviour,
    )


def synapses(network: IntNetwork, name: str) -> int:
    """Connections into a population: non-zero weights between two neurons that both exist."""
    target = network.population(name).shape
    shapes = [(j, network.population(j.source).shape) for j in network.incoming(name)]
    return sum(int(synapses_per_neuron(j, source, target).sum()) for j, source in shapes)


def stored_bits(network: IntNetwork, name: str) -> int | None:
    """Bits (sign included) that the incoming weights need once the low bits that are zero in all
    of them are dropped (a common exponent); None without incoming weights."""
    weights = [projection.weight for projection in network.incoming(name)]
    if not weights:
        return None
    used = int(np.bitwise_or.reduce([int(np.bitwise_or.reduce(w, axis=None)) for w in weights]))
    low, high = min(int(w.min()) for w in weights), max(int(w.max()) for w in weights)
    wide = signed_bits(low, high) - (low >= 0)
    return wide - max((used & -used).bit_length() - 1, 0)


def _names(network: IntNetwork) -> list[str]:
    return [population.name for population in network.populations]


def _layer(evidence: Evidence, name: str) -> LayerRow:
    network, cost, found = evidence.network, evidence.costs[name], evidence.layers
    population, reference = network.population(name), evidence.tallies["integer"]
    spikes = reference.spikes(name)
    slots = population.neurons * reference.samples * reference.time_steps
    return LayerRow(
        name=name,
        kind=population.kind.value,
        shape=population.shape,
        neurons=population.neurons,
        synapses=synapses(network, name),
        cores=cost.cores,
        weight_bits=evidence.weight_bits.get(name, stored_bits(network, name)),
        spikes=_spikes(evidence, name),
        rate=spikes / slots,
        synops=float(cost.synops),
        neuron_updates=float(cost.neuron_updates),
        messages=float(cost.messages),
        energy_pj=cost.energy_pj,
        time_share=cost.time_share,
        accuracy_if_only_this_layer_is_quantized=found.only_quantized.get(name),
        agreement_if_only_this_layer_is_quantized=found.agreed_quantized.get(name),
        agreement_if_only_this_layer_is_float=found.agreed_float.get(name),
        memory_bytes=cost.memory_bytes,
        kept_bits=layer_bits(network, name),
        firing=found.firing.get(name),
        saturated=found.saturated.get(name),
        wrapped=found.wrapped.get(name),
        weights=found.weights.get(name),
        membranes=found.membranes.get(name),
    )


def _spikes(evidence: Evidence, name: str) -> Spikes:
    counts = {engine: tally.spikes(name) for engine, tally in evidence.tallies.items()}
    in_float = evidence.layers.float_spikes or {}
    if name in in_float:
        counts["float"] = int(in_float[name])
    return {source: counts.get(source) for source in (*NETWORKS, *evidence.engines, MEASURED)}


def totals_uj(layers: Sequence[LayerRow], times: Times) -> EnergyUj:
    """Dynamic energy of all *layers* and of stepping in uJ, static energy, and their sum where both
    are known."""
    static, stepping = times.static_uj, times.stepping_uj
    told = [layer.energy_pj for layer in layers if layer.energy_pj is not None]
    if len(told) < len(layers):
        return EnergyUj(None, static, None, stepping)
    dynamic = Range(
        low=sum(energy.low for energy in told) / PICO_PER_MICRO,
        nominal=sum(energy.nominal for energy in told) / PICO_PER_MICRO,
        high=sum(energy.high for energy in told) / PICO_PER_MICRO,
    )
    dynamic = dynamic if stepping is None else _add(dynamic, stepping)
    total = None if static is None else _add(dynamic, static)
    return EnergyUj(dynamic, static, total, stepping, times.promised)


def _totals(evidence: Evidence, layers: tuple[LayerRow, ...]) -> Totals:
    reference = evidence.tallies["integer"]
    events = sum(reference.spikes(layer.name) for layer in layers)
    untimed = Totals(
        cores=evidence.cores,
        chips=evidence.chips,
        synops=None,
        spikes=events / reference.samples,
        timing=None,
        latency_us=None,
        us_per_step=None,
        inferences_per_s=None,
        energy_uj_per_inference=EnergyUj(),
        cores_there=evidence.cores_there,
        fullest=evidence.fullest,
    )
    return timed(untimed, layers, evidence.times)


def timed(totals: Totals, layers: tuple[LayerRow, ...], times: Times) -> Totals:
    """*totals* with the operations and energies of *layers* at the pace of *times*."""
    return replace(
        totals,
        synops=float(sum(layer.synops or 0.0 for layer in layers)),
        timing=times.timing,
        latency_us=times.latency_us,
        us_per_step=times.us_per_step,
        inferences_per_s=times.inferences_per_s,
        energy_uj_per_inference=totals_uj(layers, times),
        trust=times.trust,
    )


def _add(a: Range, b: Range) -> Range:
    return Range(a.low + b.low, a.nominal + b.nominal, a.high + b.high)


def _check(evidence: Evidence) -> None:
    names = _names(evidence.network)
    _known("tallies", evidence.tallies, ("integer", *evidence.engines, MEASURED))
    _known("accuracy", evidence.accuracy, (*STAGES, *evidence.engines))
    _known("costs", evidence.costs, names)
    _known("float spikes", evidence.layers.float_spikes or {}, names)
    if "integer" not in evidence.tallies:
        raise ConfigError("report: tallies", found="no 'integer' tally", allowed="at least that")
    for name in names:
        if name not in evidence.costs:
            raise ConfigError("report: costs", found=f"none for {name!r}", allowed="every layer")
    counts = {engine: (t.samples, t.time_steps) for engine, t in evidence.tallies.items()}
    for engine, found in counts.items():
        if found != counts["integer"]:
            raise ConfigError(
                f"report: tally of {engine!r}",
                found=f"{found[0]} samples x {found[1]} steps",
                allowed=f"{counts['integer'][0]} x {counts['integer'][1]}, as the integer tally",
                hint="run every engine on the same samples",
            )


def _known(what: str, given: Mapping[str, object], known: "list[str] | tuple[str, ...]") -> None:
    unknown = [name for name in given if name not in known]
    if unknown:
        raise ConfigError(
            f"report: {what}", found=f"unknown name {unknown[0]!r}", allowed=", ".join(known)
        )
