"""`tssd early-exit`: how many steps a sample needs, and what the others cost."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tssd import terminal
from tssd.commands import completing
from tssd.errors import ConfigError, counted
from tssd.report import words

if TYPE_CHECKING:  # --help reads this module; torch can wait
    from tssd.budget.margins import MarginRow
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
    help="Points of accuracy that may be lost, chance included: the upper end of the 95 % interval"
    " on the samples that choose the margin.",
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

    The margin is chosen on validation samples, so that chance explains no larger drop on them;
    accuracy, operations, energy and latency are those of the test samples, each alone on the chip.
    """
    from tssd.budget.of_bundle import ExitSamples, early_exit

    if not 0 < max_drop <= 100:
        raise ConfigError(
            "--max-drop",
            found=f"{max_drop:g}",
            allowed="more than 0 points, at most 100: that nothing is lost, no samples can show",
        )
    found = early_exit(bundle, max_drop, ExitSamples(samples, test_samples, data), chip)
    if as_json:
        click.echo(json.dumps(asdict(found)))
        return
    columns = ("margin", "accuracy", "lost", "at most", "mean steps", "synops", "step by step")
    rows = [_row(row) for row in shown_rows(found)]
    click.echo(terminal.to_text(terminal.plain_table(columns, rows, right=columns)))
    terminal.say(
        f"on {found.choosing}; margins in 1/64 weight units, as the read-out holds them; at most:"
        " upper end of the 95 % interval of the points lost; synops on the chip, and step by step"
    )
    terminal.say(bound(found))
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
    points = (f"{row.lost_points:.2f}", f"{row.most_lost_points:.2f}", f"{row.mean_steps:.2f}")
    operations = map(words.number, (row.synops, row.synops_at_once))
    return (margin, words.percent(row.accuracy, 2), *points, *operations)


def bound(found: "EarlyExit") -> str:
    """How sure the chosen margin is, and what more samples might show."""
    row = found.chosen
    said = (
        f"margin {row.margin:,}: at most {row.most_lost_points:.2f} points lost with 95 %"
        f" confidence, measured {row.lost_points:.2f}; of {counted(found.tried, 'margin')}, from"
        f" the largest down, the last before one may lose more than {found.max_drop_points:g}"
    )
    other = found.unproven
    if other is None:
        return said
    needed = (
        "loses all that is allowed"
        if other.samples is None
        else f"would take {other.samples:,} samples to show it"
    )
    return (
        f"{said}\nmargin {other.margin:,} was measured at {other.lost_points:.2f}, but may lose"
        f" {other.most_lost_points:.2f}: {needed}"
    )


def outcome(found: "EarlyExit") -> str:
    """The chosen margin and what it does, in sentences."""
    whole, early = found.whole, found.early

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
        f" ({found.lost_points:.2f} points lost, 95 %: {found.least_lost_points:.2f} to"
        f" {found.most_lost_points:.2f})\n"
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
