"""``tssd report``: the report of a bundle as HTML, JSON and Markdown."""

import json
from pathlib import Path

import click
from rich.table import Table

from tssd import terminal
from tssd.commands import ending
from tssd.errors import ConfigError
from tssd.report import words
from tssd.report.behaviour.layers import layer_table
from tssd.report.findings import findings
from tssd.report.model import Report
from tssd.report.store import read_report, write_report

PATH = click.Path(path_type=Path)
FIGURES, TABLES = ("svg", "pdf", "png"), ("csv", "latex", "md")  # formats


@click.command(
    epilog="Example: tssd report build/fmnist",
)
@click.argument("bundle", type=PATH)
@click.option("--figures", type=PATH, help="Write every chart into this folder, a column wide.")
@click.option("--tables", type=PATH, help="Write every table into this folder.")
@click.option(
    "--format",
    "formats",
    metavar="A,B",
    help=f"Of figures: {','.join(FIGURES)}; of tables: {','.join(TABLES)}. All without it.",
)
@ending.loudness
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def command(
    bundle: Path,
    figures: Path | None,
    tables: Path | None,
    formats: str | None,
    quiet: bool,
    verbose: bool,
    as_json: bool,
) -> None:
    """Write report.html, report.json and report.md into BUNDLE/report.

    The figures come from what tssd verify and tssd simulate recorded in the bundle.
    """
    ending.check_loudness(quiet, verbose, as_json)
    wanted = _formats(formats, figures is not None, tables is not None)
    report = read_report(bundle)
    paths = write_report(bundle, report)
    if figures is not None:
        from tssd.report.paper.figures import write_figures

        paths += write_figures(report, figures, wanted["--figures"])
    if tables is not None:
        from tssd.report.paper.tables import write_tables

        paths += write_tables(report, tables, wanted["--tables"])
    if as_json:
        click.echo(json.dumps({"files": [str(path) for path in paths]}))
        return
    say_report(report, quiet, verbose)
    for path in () if quiet else paths:
        terminal.say(f"wrote {path}")
    say_next(bundle, report)


def say_report(report: Report, quiet: bool = False, verbose: bool = False) -> None:
    """Its layers, its accuracy, what dominates, and how many contracts hold; with *quiet* what it
    comes to, with *verbose* every contract."""
    if quiet:
        for line in ending.of_report(report):
            terminal.say(line)
        return
    click.echo(terminal.to_text(overview(report)))
    terminal.say(words.accuracy_line(report))
    quantized = layer_table(report)
    for sentence in (*findings(report), *([quantized.sentence] if quantized else [])):
        terminal.say(f"- {sentence}")
    if verbose:
        click.echo(terminal.to_text(terminal.contracts_table(report.contracts)))
    click.echo(terminal.to_text(terminal.summary(report.contracts)))


def _formats(given: str | None, figures: bool, tables: bool) -> dict[str, tuple[str, ...]]:
    """The formats of ``--figures`` and of ``--tables``; each of *given* must be one of theirs."""
    offered: dict[str, tuple[str, ...]] = {
        option: known
        for option, known, asked in (("--figures", FIGURES, figures), ("--tables", TABLES, tables))
        if asked
    }
    if given is None:
        return offered
    if not offered:
        raise ConfigError(
            "--format",
            found="an option with nothing to act on",
            allowed="it with --figures or --tables",
        )
    names = [name for name in given.split(",") if name]
    every = [name for known in offered.values() for name in known]
    wrong = next((name for name in names if name not in every), None)
    if wrong is not None or not names:
        raise ConfigError("--format", found=repr(wrong or given), allowed=", ".join(every))
    chosen = {o: tuple(n for n in names if n in known) for o, known in offered.items()}
    idle = next((option for option, kinds in chosen.items() if not kinds), None)
    if idle is not None:
        raise ConfigError("--format", found=f"none for {idle}", allowed=", ".join(offered[idle]))
    return chosen


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
            words.nominal_energy(layer.energy_pj),
            words.energy_constants(layer.energy_pj),
            words.percent(layer.time_share, 0),
        )
        for layer in report.layers
    ]
    columns = ("layer", "neurons", "cores", "rate", "synops", "energy", "low .. high", "time")
    return terminal.plain_table(columns, rows, right=columns[1:], close=True)
