"""``tssd compare``: bundles, chips, sweep points, studies and reports side by side."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Table
from rich.text import Text

from tssd import terminal
from tssd.atomic import write_text
from tssd.commands import completing, ending
from tssd.commands.outputs import check_outputs
from tssd.errors import ConfigError
from tssd.progress import ProgressSteps

if TYPE_CHECKING:
    from tssd.comparison.subject import Subject
    from tssd.comparison.tables import Comparison

PATH = click.Path(path_type=Path)


SPARE = ("memory", "spikes", "synops", "cores", "latency")  # columns, the least telling first


@click.command(
    epilog="Example: tssd compare build/fmnist --chip loihi2,loihi1 --baseline ann",
)
@click.argument("paths", type=PATH, nargs=-1, required=True)
@click.option(
    "--chip",
    "chips",
    type=completing.CHIPS,
    metavar="A,B",
    help="Simulate the bundles on each of these chips.",
)
@click.option("--samples", type=click.IntRange(1), help="Of --chip; without it the golden ones.")
@click.option("--data", type=PATH, help="Of --chip: data files; of an import: .npz.")
@click.option("--baseline", type=click.Choice(["ann"]), help="A dense network of the same weights.")
@click.option(
    "--html", type=PATH, default=Path("compare.html"), show_default=True, help="The page."
)
@click.option("--csv", "csv_path", type=PATH, help="Write every figure, layer by layer, as CSV.")
@click.option("--md", "markdown_path", type=PATH, help="Write the tables as Markdown.")
@ending.loudness
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output; no page.")
def command(
    paths: tuple[Path, ...],
    chips: str | None,
    samples: int | None,
    data: Path | None,
    baseline: str | None,
    html: Path,
    csv_path: Path | None,
    markdown_path: Path | None,
    quiet: bool,
    verbose: bool,
    as_json: bool,
) -> None:
    """Set PATHS side by side: bundles, report.json files, CSV of tssd sweep, folders of studies.

    A bundle counts with what its report recorded, or with --chip as it is simulated on each chip.
    The best of a column is named where its figures are of the same samples; what cannot be compared
    is said column by column.
    """
    from tssd.comparison import tables
    from tssd.comparison.dense import baselines_of
    from tssd.comparison.page import render_page

    ending.check_loudness(quiet, verbose, as_json)
    _check(chips, samples, data)
    check_outputs("html", "csv_path", "markdown_path")
    subjects = _subjects(paths, chips, samples, data, quiet=as_json or quiet)
    made = tables.comparison(subjects, baselines_of(subjects) if baseline else ())
    written = {csv_path: tables.to_csv, markdown_path: tables.to_markdown}
    for path, text in written.items():
        if path is not None:
            write_text(path, text(made))
    if as_json:
        click.echo(tables.to_json(made))
        return
    write_text(html, render_page(made))
    _show(made, quiet, verbose)
    for path in () if quiet else (html, csv_path, markdown_path):
        if path is not None:
            terminal.say(f"wrote {path}")
    _say_next(made)


def _check(chips: str | None, samples: int | None, data: Path | None) -> None:
    for value, option in ((samples, "--samples"), (data, "--data")):
        if value is not None and chips is None:
            raise ConfigError(
                option, found="an option with nothing to act on", allowed="it with --chip"
            )


def _subjects(
    paths: tuple[Path, ...], chips: str | None, samples: int | None, data: Path | None, quiet: bool
) -> "tuple[Subject, ...]":
    from tssd.comparison.chips import on_chips, requests_of
    from tssd.comparison.reading import named_apart, subjects_of

    if chips is None:
        return subjects_of(paths)
    steps = ProgressSteps(quiet=quiet)
    found = on_chips(requests_of(paths, chips.split(","), samples, data), steps.start)
    steps.done()
    return named_apart(found)


def _show(made: "Comparison", quiet: bool, verbose: bool) -> None:
    """The figures, the best of each column, what cannot be compared; with *verbose* layer by layer
    too, with *quiet* without any table."""
    from tssd.comparison import tables

    if not quiet:
        click.echo(_table(made))
    if verbose:
        for table in _layer_tables(made):
            click.echo(terminal.to_text(table))
    for line in [*tables.best_lines(made), *tables.remarks(made)]:
        terminal.say(f"- {line}")
    for one in made.baselines:
        for line in tables.baseline_lines(one):
            terminal.say(f"- {line}")
    if made.baselines:
        terminal.say(f"  {tables.NODE_NOTE} {made.baselines[0].source}")


def _table(made: "Comparison") -> str:
    """One row for each, in a narrow window without the columns that tell least."""
    from tssd.comparison import tables

    heads = [kind.title for kind in tables.columns(made)]
    rows: list[list[str | Text]] = [
        [subject.name, *map(Text, tables.cells(made, subject))] for subject in made.subjects
    ]
    return terminal.fitted_text(("", *heads), rows, SPARE, "the page, --csv and --md", heads)


def _layer_tables(made: "Comparison") -> Iterator[Table]:
    from tssd.comparison import tables

    names = tuple(subject.name for subject in tables.layered(made))
    for kind in tables.layer_columns(made):
        rows = [
            (layer, *("" if value is None else kind.shown(value) for value in row))
            for layer, row in tables.layer_rows(made, kind.key)
        ]
        head = (f"{kind.title}, {kind.unit}", *names)
        yield terminal.plain_table(head, rows, right=names, close=True)


def _say_next(made: "Comparison") -> None:
    """The report of the first bundle: where its figures come from."""
    folders = [s.origin for s in made.subjects if Path(s.origin, "manifest.json").is_file()]
    if not folders:
        terminal.say_next("tssd", "report", "--help")
    elif Path(folders[0], "report", "report.json").is_file():
        terminal.say_next("tssd", "report", folders[0])
    else:
        terminal.say_next("tssd", "verify", folders[0], "--against", "gpu,onnx,sim")
