"""``tssd report``: the report of a bundle as HTML, JSON and Markdown."""

import json
from pathlib import Path

import click
from rich.table import Table

from tssd import terminal
from tssd.report import words
from tssd.report.model import Report
from tssd.report.store import read_report, write_report


@click.command(
    epilog="Example: tssd report build/fmnist",
)
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def command(bundle: Path, as_json: bool) -> None:
    """Write report.html, report.json and report.md into BUNDLE/report.

    The figures come from what tssd verify and tssd simulate recorded in the bundle.
    """
    report = read_report(bundle)
    paths = write_report(bundle, report)
    if as_json:
        click.echo(json.dumps({"files": [str(path) for path in paths]}))
        return
    click.echo(terminal.to_text(overview(report)))
    terminal.say(words.accuracy_line(report))
    for sentence in words.findings(report):
        terminal.say(f"- {sentence}")
    click.echo(terminal.to_text(terminal.summary(report.contracts)))
    for path in paths:
        terminal.say(f"wrote {path}")
    say_next(bundle, report)


def say_next(bundle: Path, report: Report, data: Path | None = None) -> None:
    """From a report on: to cycles where its times are a bound, else to other chips' numbers."""
    if report.totals.timing == "cycle":
        terminal.say_next("tssd", "sweep", bundle, "--set", "noc.buffer=2,4,8")
    else:
        where = ["--data", data] if data is not None else []
        terminal.say_next("tssd", "simulate", bundle, "--samples", report.samples, *where)


def overview(report: Report) -> Table:
    """One line per layer: counts, rate, energy, share of the simulated time."""
    rows = [
        (
            layer.name,
            words.number(layer.neurons),
            words.number(layer.cores),
            words.percent(layer.rate, 1),
            words.number(layer.synops),
            words.energy(layer.energy_pj.nominal),
            f"{words.energy(layer.energy_pj.low)} .. {words.energy(layer.energy_pj.high)}",
            words.percent(layer.time_share, 0),
        )
        for layer in report.layers
    ]
    columns = ("layer", "neurons", "cores", "rate", "synops", "energy", "low .. high", "time")
    return terminal.plain_table(columns, rows, right=columns[1:], close=True)
