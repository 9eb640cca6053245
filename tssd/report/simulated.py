"""A simulated run enters a report: time, causes, mesh and static energy replace what was there.

Spike counts and dynamic energy stay those of the report's own samples: a simulated run may cover
others, and counts over different samples cannot be compared.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from tssd.errors import ConfigError
from tssd.report.assemble import Timing, totals_uj
from tssd.report.model import Report

BOUND_NOTE = (
    "The time is the published lower bound for the mean step; "
    "`tssd simulate` counts cycles instead."
)


@dataclass(frozen=True)
class Simulated:
    """What a simulator found. ``time_share``: population to the share of the run's time in steps
    that it limits; ``command``: what ran it."""

    timing: Timing
    time_share: Mapping[str, float]
    command: str | None = None


def add_simulation(report: Report, run: Simulated) -> Report:
    """*report* with the times of *run*; layers that the report does not know raise ConfigError."""
    names = [layer.name for layer in report.layers]
    for name in run.time_share:
        if name not in names:
            raise ConfigError("simulated run", found=f"layer {name!r}", allowed=", ".join(names))
    layers = tuple(
        replace(layer, time_share=run.time_share.get(layer.name)) for layer in report.layers
    )
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
        notes=tuple(note for note in report.notes if note != BOUND_NOTE),
        mesh=timing.mesh,
        provenance=replace(report.provenance, commands=(*known, *added)),
    )
