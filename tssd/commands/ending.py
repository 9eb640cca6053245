"""How commands end: verdict, accuracy, latency and energy in at most ten lines, then what goes on.

``-q`` leaves these lines alone; ``-v`` adds what a command keeps back.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tssd.errors import ConfigError, TssdError
from tssd.report import words

if TYPE_CHECKING:  # --help reads this module
    from tssd.export.bundle.folder import Bundle
    from tssd.hw_targets.sim.engine import Run
    from tssd.report.model import Report
    from tssd.simulating.simulation import ReadySimulation

Command = Callable[..., None]


def loudness(command: Command) -> Command:
    """``-q`` and ``-v``, which are given to *command* as ``quiet`` and ``verbose``."""
    options = (
        click.option("-q", "--quiet", is_flag=True, help="Only what it comes to, in ten lines."),
        click.option("-v", "--verbose", is_flag=True, help="More of what was found."),
    )
    for option in options:
        command = option(command)
    return command


def check_loudness(quiet: bool, verbose: bool, as_json: bool) -> None:
    """ConfigError for ``-v`` where it cannot act."""
    other = "-q" if quiet else "--json"
    if verbose and (quiet or as_json):
        raise ConfigError("-v", found=f"{other} too", allowed="one of them")


def of_report(report: "Report") -> list[str]:
    """What *report* comes to."""
    from tssd.report.behaviour.headline import headline

    program = [] if report.plain_c is None else [words.program_line(report)]
    told = [headline(report), words.accuracy_line(report), *_times(report), *_energies(report)]
    return told + program


def _times(report: "Report") -> list[str]:
    totals = report.totals
    if totals.us_per_step is None:
        return ["time: not run"]
    if totals.timing == "bound":
        step = words.duration(totals.us_per_step)
        return [f"time: at least {step} per step, a lower bound; latency {words.NOT_RUN}"]
    pace = words.number(totals.inferences_per_s)
    return [f"latency {words.duration(totals.latency_us)}, pace {pace} inferences per second"]


def _energies(report: "Report") -> list[str]:
    uj = report.totals.energy_uj_per_inference
    name = "total" if uj.total else "dynamic"
    known = uj.total or uj.dynamic
    if known is None:
        return ["energy: not run"]
    shown = words.energy(1e6 * known.nominal)
    return [f"energy per inference: {name} {shown} ({words.energy_spread(uj, name)})"]


def of_run(run: "Run") -> str:
    """Whether the network of *run* fits, and what limits it."""
    from tssd.hw_targets.sim import summary

    total = summary.totals(run)
    there = total.chips * run.chip.cores
    rows = summary.layers(run)
    slow = max(rows, key=lambda row: row.time_share).name
    priced = {row.name: row.energy_pj.nominal for row in rows if row.energy_pj is not None}
    dear = max(priced, key=priced.__getitem__) if priced else None
    decides = f"{slow} decides the time" + ("" if dear is None else f", {dear} the energy")
    if slow == dear:
        decides = f"{slow} decides time and energy"
    return f"Fits {total.cores:,} of {there:,} cores; {decides}."


def accuracy_of_run(ready: "ReadySimulation", run: "Run") -> str | None:
    """The accuracy on the samples that were simulated, where their labels are known."""
    from tssd.checks.evaluation import accuracy, wilson

    labels = None if ready.samples is None else ready.samples.labels
    share = accuracy(run.tally, labels)
    if share is None:
        return None
    count = run.tally.samples
    between = words.interval(wilson(share, count))
    return f"accuracy {words.percent(share)}, {words.right(share, count)}; {between}"


def of_bundle(out: Path, bundle: "Bundle") -> list[str]:
    """What a fresh bundle comes to: cores, a lower bound of its time, and its energy on the first
    golden sample; why not, where it cannot be simulated."""
    from tssd.hw_targets.sim import summary
    from tssd.simulating.simulation import Request, prepared, simulate

    if bundle.golden is None:
        return ["time and energy: not estimated, the bundle has no golden sample"]
    try:
        run = simulate(prepared(Request(out, 1, mode="bound")))
    except TssdError as error:
        return [f"time and energy: not estimated, {' '.join(str(error).split())}"]
    total = summary.totals(run)
    kind, energies = words.run_energy(total.dynamic_pj, total.static_pj, total.promised)
    step = words.duration(total.us_per_step)
    latency = words.duration(total.latency_us)
    return [
        of_run(run),
        f"on one golden sample: latency at least {latency}, at least {step} per step",
        f"energy per inference at that pace, nominal ({kind}):",
        energies.replace("\n", " "),
    ]
