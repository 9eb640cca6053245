"""`tssd early-exit`: how many steps a sample needs, and what the others cost."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tssd import terminal
from tssd.commands import completing
from tssd.errors import ConfigError
from tssd.report import words

if TYPE_CHECKING:  # --help reads this module; torch can wait
    from tssd.budget.early_exit import MarginRow
    from tssd.budget.of_bundle import EarlyExit

SHOWN = 12  # rows of the table


@click.command(epilog="Example: tssd early-exit build/fmnist --max-drop 0.2")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "--max-drop",
    type=float,
    default=0.2,
    show_default=True,
    metavar="POINTS",
    help="Points of accuracy that may be lost on the samples that choose the margin.",
)
@click.option(
    "--samples",
    type=click.IntRange(1),
    default=5000,
    show_default=True,
    help="Validation samples that choose the margin.",
)
@click.option(
    "--test-samples",
    type=click.IntRange(1),
    default=10_000,
    show_default=True,
    help="Test samples that the figures are of.",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Data files; of an import: .npz with labels, half chooses, half tests.",
)
@click.option("--chip", type=completing.CHIP, help="Another chip than the bundle's.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def command(
    bundle: Path,
    max_drop: float,
    samples: int,
    test_samples: int,
    data: Path | None,
    chip: str | None,
    as_json: bool,
) -> None:
    """Stop a sample when the first class leads the second by a margin: what that saves and costs.

    The margin is chosen on validation samples; accuracy, operations, energy and latency are those
    of the test samples, each alone on the chip.
    """
    from tssd.budget.of_bundle import ExitSamples, early_exit

    if not max_drop >= 0:
        raise ConfigError("--max-drop", found=f"{max_drop:g}", allowed="0 points or more")
    found = early_exit(bundle, max_drop, ExitSamples(samples, test_samples, data), chip)
    if as_json:
        click.echo(json.dumps(asdict(found)))
        return
    columns = ("margin", "accuracy", "mean steps", "synops", "synops, step by step")
    rows = [_row(row) for row in shown_rows(found)]
    click.echo(terminal.to_text(terminal.plain_table(columns, rows, right=columns)))
    terminal.say(f"on {found.choosing}; margins in 1/64 weight units, as the read-out holds them")
    terminal.say(outcome(found))
    terminal.say_next("tssd", "simulate", bundle)


def shown_rows(found: "EarlyExit") -> "list[MarginRow]":
    """Some margins from the smallest to none, the chosen one among them."""
    last = len(found.rows) - 1
    places = {round(i * last / (SHOWN - 1)) for i in range(SHOWN)}
    places.add(found.rows.index(found.chosen))
    return [found.rows[i] for i in sorted(places)]


def _row(row: "MarginRow") -> tuple[str, ...]:
    margin = "none" if row.margin is None else f"{row.margin:,}"
    steps, operations = f"{row.mean_steps:.2f}", (row.synops, row.synops_at_once)
    return (margin, words.percent(row.accuracy, 2), steps, *map(words.number, operations))


def outcome(found: "EarlyExit") -> str:
    """The chosen margin and what it does, in sentences."""
    whole, early = found.whole, found.early
    if found.chosen.margin is None:
        return (
            "no margin saves operations on the chip within the drop: every sample takes all"
            f" {found.time_steps} steps; {words.percent(whole.accuracy, 2)} of {found.tested}"
        )

    def saved(now: float, before: float) -> str:
        return words.percent(1 - now / before, 1)

    energy = (
        ""
        if whole.cost.energy_uj is None or early.cost.energy_uj is None
        else f", {saved(early.cost.energy_uj, whole.cost.energy_uj)} of the energy"
    )
    return (
        f"margin {found.chosen.margin:,}, on {found.tested}: {early.mean_steps:.2f} of"
        f" {found.time_steps} steps, {words.percent(early.accuracy, 2)} right instead of"
        f" {words.percent(whole.accuracy, 2)}"
        f" ({found.lost_points:.2f} ± {found.margin_points:.2f} points lost)\n"
        f"saved on {found.chip}, one sample alone:"
        f" {saved(early.cost.synops, whole.cost.synops)} of the synaptic operations{energy};"
        f" the answer comes after {early.mean_steps + found.depth:.2f} of"
        f" {found.time_steps + found.depth} chip steps\n"
        f"the layers work at once: when the read-out has done a step, the first ones are"
        f" {found.depth} steps ahead. Step by step through all layers, as a CPU may run it,"
        f" {saved(early.synops_at_once, whole.synops_at_once)} of the operations\n"
        "not in these figures: the host has to read the membranes after every step and to stop the"
        " chip, whose own neurons compare none"
    )
