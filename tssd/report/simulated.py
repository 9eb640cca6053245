"""A simulated run enters a report: time, causes, mesh and static energy replace what was there.

Spike counts of the run enter only if it covered the report's own samples; counts over other
samples cannot be compared with those of the other engines.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from tssd.errors import ConfigError
from tssd.report.assemble import Timing, totals_uj
from tssd.report.model import EnergyPj, LayerRow, Report


@dataclass(frozen=True)
class Simulated:
    """What a simulator found. ``time_share``: population to the share of the run's time in steps
    that it limits. ``energy_pj``: population to its dynamic energy per inference, where it was
    counted anew. ``spikes``: population to its events over ``samples`` samples."""

    timing: Timing
    time_share: Mapping[str, float]
    samples: int
    spikes: Mapping[str, int]
    energy_pj: Mapping[str, EnergyPj] | None = None
    command: str | None = None


def add_simulation(report: Report, run: Simulated) -> Report:
    """*report* with the times of *run*; layers that the report does not know raise ConfigError."""
    names = [layer.name for layer in report.layers]
    for name in (*run.time_share, *run.spikes, *(run.energy_pj or {})):
        if name not in names:
            raise ConfigError("simulated run", found=f"layer {name!r}", allowed=", ".join(names))
    layers = tuple(_layer(report, layer, run) for layer in report.layers)
    timing = run.timing
    totals = replace(
        report.totals,
        us_per_step=timing.us_per_step,
        us_per_inference=timing.us_per_inference,
        energy_uj_per_inference=totals_uj(layers, timing.static_uj),
    )
    known = report.provenance.commands
    added = () if run.command is None or run.command in known else (run.command,)
    return replace(
        report,
        layers=layers,
        totals=totals,
        bottleneck=timing.bottleneck,
        timeline=timing.timeline,
        mesh=timing.mesh,
        provenance=replace(report.provenance, commands=(*known, *added)),
    )


def _layer(report: Report, layer: LayerRow, run: Simulated) -> LayerRow:
    spikes = layer.spikes
    if run.samples == report.samples and layer.name in run.spikes:
        spikes = replace(spikes, sim=run.spikes[layer.name])
    energy = (run.energy_pj or {}).get(layer.name, layer.energy_pj)
    share = run.time_share.get(layer.name)
    return replace(layer, spikes=spikes, energy_pj=energy, time_share=share)
