"""What earlier runs found stays in a report, as long as it is about the same samples."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TypeVar

from tssd.contracts import Contract
from tssd.report.making.assemble import LayerCost, Times
from tssd.report.making.simulated import OTHERS, TIME, Simulated, add_simulation, standing
from tssd.report.model import MEASURED, LayerRow, Report

T = TypeVar("T")


def keep(report: Report, before: Report | None) -> Report:
    """*report* with what engines that did not run for it found *before*: their counts, accuracies
    and contracts, the times by cycles, the program in C; nothing where bundle, chip or samples
    differ."""
    if before is None or not _same(report, before):
        return report
    kept = [name for name in ran(before) if name not in ran(report)]
    layers = tuple(_with_spikes(layer, before, kept) for layer in report.layers)
    report = replace(
        report,
        layers=layers,
        accuracy={**report.accuracy, **_of(before.accuracy, kept)},
        intervals={**report.intervals, **_of(before.intervals, kept)},
        contracts=(*report.contracts, *_contracts(before, kept)),
        provenance=standing(report, _of(before.provenance.stands, kept)),
        plain_c=report.plain_c or before.plain_c,
    )
    timed = before.totals.timing == "cycle" and report.totals.timing != "cycle"
    own = not any(note.startswith(OTHERS) for note in before.notes)
    return add_simulation(report, _simulated(before)) if timed and own else report


def gone(report: Report, before: Report | None) -> str | None:
    """What stood in the report *before* and does not in *report*, which took its place, with the
    reason; None where nothing is lost."""
    if before is None:
        return None
    parts = [name for name in ran(before) if name not in ran(report)]
    if before.totals.timing == "cycle" and report.totals.timing != "cycle":
        parts.append(TIME)
    return f"{', '.join(parts)} ({_difference(report, before)})" if parts else None


def _difference(report: Report, before: Report) -> str:
    """What *before* was about and *report* is not."""
    ours, theirs = report.provenance, before.provenance
    if dict(ours.hashes) != dict(theirs.hashes):
        return "of another bundle in this folder"
    if ours.chip != theirs.chip:
        return f"of {before.target}, with other numbers than this chip's"
    return f"of other samples: {before.shown or 'not recorded'}"


def ran(report: Report) -> tuple[str, ...]:
    """The engines whose counts stand in *report*, and a chip's if its log does."""
    columns = (*report.engines, MEASURED)
    return tuple(c for c in columns if any(x.spikes.get(c) is not None for x in report.layers))


def _same(report: Report, before: Report) -> bool:
    """Whether two reports are about the same bundle, chip and samples."""
    ours, theirs = report.provenance, before.provenance
    known = ours.inputs is not None and ours.chip is not None
    names = [[layer.name for layer in r.layers] for r in (report, before)]
    return (
        known
        and (ours.inputs, ours.chip) == (theirs.inputs, theirs.chip)
        and dict(ours.hashes) == dict(theirs.hashes)
        and names[0] == names[1]
    )


def _of(table: Mapping[str, T], names: Iterable[str]) -> dict[str, T]:
    return {name: table[name] for name in names if name in table}


def _with_spikes(layer: LayerRow, before: Report, kept: list[str]) -> LayerRow:
    theirs = next(row for row in before.layers if row.name == layer.name)
    return replace(layer, spikes={**layer.spikes, **_of(theirs.spikes, kept)})


def _contracts(before: Report, kept: list[str]) -> tuple[Contract, ...]:
    return tuple(c for c in before.contracts if c.name.partition(":")[0] in kept)


def _simulated(before: Report) -> Simulated:
    """The simulation that stands in *before*."""
    totals = before.totals
    times = Times(
        timing=totals.timing,
        latency_us=totals.latency_us,
        us_per_step=totals.us_per_step,
        inferences_per_s=totals.inferences_per_s,
        static_uj=totals.energy_uj_per_inference.static,
        stepping_uj=totals.energy_uj_per_inference.stepping,
        trust=totals.trust,
        promised=totals.energy_uj_per_inference.prediction_interval,
        bottleneck=before.bottleneck,
        timeline=before.timeline,
        mesh=before.mesh,
    )
    shares = {x.name: x.time_share for x in before.layers if x.time_share is not None}
    costs = {layer.name: _cost(layer) for layer in before.layers}
    return Simulated(times, shares, costs, before.provenance.stands.get(TIME))


def _cost(layer: LayerRow) -> LayerCost:
    return LayerCost(
        synops=layer.synops or 0.0,
        neuron_updates=layer.neuron_updates or 0.0,
        messages=layer.messages or 0.0,
        energy_pj=layer.energy_pj,
    )
