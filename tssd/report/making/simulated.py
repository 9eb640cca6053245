"""A simulated run enters a report: its times, causes, mesh and costs replace what was there.

Time and energy of a report come from the same samples: the counts that cost something come with the
times. Spikes and accuracy stay those of the engines.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tssd.errors import ConfigError
from tssd.report.making.assemble import LayerCost, Times, timed
from tssd.report.model import LayerRow, Provenance, Report
from tssd.report.words import OF_A_RUN

BOUND_NOTE = (
    "The time is a lower bound, as published, not a simulation: the chip may be slower. "
    "`tssd verify --against sim` counts cycles instead."
)
ACTIVE_NOTE = (
    "Without a simulation every neuron update is priced as an active one, the upper end; "
    "`tssd verify --against sim` tells them apart."
)
TIME = "time"  # the part of a report that a simulation makes


@dataclass(frozen=True)
class Simulated:
    """What a simulator found. ``time_share``: population to the share of the run's time in steps
    that it limits; ``costs``: population to what it costs; ``command``: what ran it; ``others``:
    whose samples these are, if not the report's own."""

    times: Times
    time_share: Mapping[str, float]
    costs: Mapping[str, LayerCost] = field(default_factory=dict)
    command: str | None = None
    others: str | None = None


def add_simulation(report: Report, run: Simulated) -> Report:
    """*report* with the times and costs of *run*; layers that the report does not know raise
    ConfigError."""
    names = [layer.name for layer in report.layers]
    for name in (*run.time_share, *run.costs):
        if name not in names:
            raise ConfigError("simulated run", found=f"layer {name!r}", allowed=", ".join(names))
    layers = tuple(_layer(layer, run) for layer in report.layers)
    times = run.times
    totals = timed(report.totals, layers, times)
    return replace(
        report,
        layers=layers,
        totals=totals,
        bottleneck=times.bottleneck,
        timeline=times.timeline,
        notes=_notes(report, run),
        mesh=times.mesh,
        provenance=standing(report, {} if run.command is None else {TIME: run.command}),
    )


def standing(report: Report, made: Mapping[str, str]) -> Provenance:
    """The provenance of *report* once the commands in *made* stand behind these parts of it."""
    known = report.provenance
    stands = {**known.stands, **made}
    origin = [c for c in known.commands if c not in known.stands.values()]
    return replace(known, commands=tuple(dict.fromkeys([*origin, *stands.values()])), stands=stands)


def _layer(layer: LayerRow, run: Simulated) -> LayerRow:
    cost = run.costs.get(layer.name)
    timed = replace(layer, time_share=run.time_share.get(layer.name))
    if cost is None:
        return timed
    return replace(
        timed,
        synops=cost.synops,
        neuron_updates=cost.neuron_updates,
        messages=cost.messages,
        energy_pj=cost.energy_pj,
    )


def _notes(report: Report, run: Simulated) -> tuple[str, ...]:
    """The notes that hold with *run* in the report; those of a run before are gone."""
    ours = (BOUND_NOTE, ACTIVE_NOTE)
    kept = tuple(n for n in report.notes if n not in ours and not n.startswith(OTHERS))
    bound = (BOUND_NOTE,) if run.times.timing == "bound" else ()
    others = () if run.others is None else (f"{OTHERS} {run.others}.",)
    return (*kept, *bound, *others)


OTHERS = f"{OF_A_RUN} are of other samples than spikes and accuracy:"
