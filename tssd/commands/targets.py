"""``tssd targets``: the chips that are known, every number of one, a check of your own file."""

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import click

from tssd import terminal
from tssd.atomic import write_text
from tssd.commands import completing
from tssd.commands.group import NamingGroup
from tssd.hw_targets.chip import chip_page
from tssd.hw_targets.chip.chips import chip_names, load_chip
from tssd.hw_targets.chip.spec import ChipSpec
from tssd.hw_targets.engines import engine_names


@click.group(
    cls=NamingGroup,
    epilog="Example: tssd targets show loihi2",
    invoke_without_command=True,
)
@click.pass_context
def command(ctx: click.Context) -> None:
    """List chips and engines, show a chip's numbers, check a chip file."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_chips, as_json=False)


@command.command("list", epilog="Example: tssd targets list --json")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def list_chips(as_json: bool) -> None:
    """Every chip by name, and the engines that can run a network."""
    chips = {name: load_chip(name) for name in chip_names()}
    if as_json:
        titles = {name: chip.title for name, chip in chips.items()}
        click.echo(json.dumps({"chips": titles, "engines": engine_names()}))
        return
    rows = [
        (name, chip.title, kinds(chip)) if name == chip.name else (name, f"is {chip.name}", "")
        for name, chip in chips.items()
    ]
    click.echo(terminal.to_text(terminal.plain_table(("chip", "what it is", "numbers"), rows)))
    click.echo(f"engines (tssd verify --against): {', '.join(engine_names())}")


@command.command("show", epilog="Example: tssd targets show loihi2")
@click.argument("name", type=completing.CHIP)
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def show(name: str, as_json: bool) -> None:
    """Every number of chip NAME or of a TOML file, with its source."""
    chip = load_chip(name)
    if as_json:
        numbers = [{"name": label, **asdict(q)} for label, q in chip.quantities()]
        head = {"name": chip.name, "title": chip.title, "calibrated_on": chip.calibrated_on}
        head["not_told"] = chip.untold
        click.echo(json.dumps(head | {"numbers": numbers}))
        return
    terminal.say(f"{chip.name}: {chip.title}")
    for text in chip.calibrated_on:
        terminal.say(f"calibrated on {text}")
    head_row = ("number", "value", "low .. high", "unit", "kind", "source")
    rows = [
        (label, f"{q.value:g}", chip_page.span(q), q.unit, str(q.kind), q.source)
        for label, q in chip.quantities()
    ]
    table = terminal.plain_table(head_row, rows, right=("value", "low .. high"))
    click.echo(terminal.to_text(table, width=140))
    if chip.untold:
        terminal.say(f"not told, and therefore unknown: {', '.join(chip.untold)}")
    for name, board in chip.boards.items():
        us = board.barrier.value / 1e3
        terminal.say(f"--board {name}: {board.title}, barrier {us:g} µs ({board.barrier.source})")


@command.command("check", epilog="Example: tssd targets check my_chip.toml")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def check(file: Path, as_json: bool) -> None:
    """Report every mistake of a chip FILE at once (exit code 2)."""
    chip = load_chip(file)
    if as_json:
        click.echo(json.dumps({"name": chip.name, "numbers": len(list(chip.quantities()))}))
        return
    terminal.say(f"{file}: {chip.name} is good: {kinds(chip)}")
    if not chip.calibrated_on:
        click.echo("calibrated on nothing: results are estimates without a measured point")


@command.command("docs", epilog="Example: tssd targets docs docs/numbers.md")
@click.argument("file", type=click.Path(path_type=Path))
def docs(file: Path) -> None:
    """Write the page of all chips' numbers to FILE (Markdown)."""
    write_text(file, chip_page.page())
    terminal.say(f"wrote {file}")


def kinds(chip: ChipSpec) -> str:
    """``12 measured, 30 published, ..``."""
    counts = Counter(str(q.kind) for _, q in chip.quantities())
    return ", ".join(f"{n} {kind}" for kind, n in counts.most_common())
