"""Tables for the terminal: boxed and coloured for people, plain aligned text in pipes and logs."""

import io
import shlex
import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Sequence

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from tssd.contracts import Contract
from tssd.errors import visible

NARROWEST = 60
STYLES = {"pass": "green", "fail": "bold red", "not run": "dim"}
MARKS = {"pass": "✔ pass", "fail": "✘ FAIL", "not run": "· not run"}


def to_text(
    renderable: RenderableType, *, width: int | None = None, color: bool | None = None
) -> str:
    """*renderable* as text for standard output: colours and the window's width on a terminal,
    none and 100 columns otherwise."""
    coloured: bool = sys.stdout.isatty() if color is None else color
    buffer = io.StringIO()
    console = _console(buffer, window_width() if width is None else width, coloured)
    console.print(renderable)
    return "\n".join(line.rstrip() for line in buffer.getvalue().strip("\n").splitlines())


def window_width() -> int:
    """Columns of the terminal; 100 where standard output is none."""
    if not sys.stdout.isatty():
        return 100
    return max(shutil.get_terminal_size().columns, NARROWEST)


def _console(buffer: io.StringIO, width: int, color: bool) -> Console:
    return Console(
        file=buffer,
        width=width,
        force_terminal=color,
        color_system="standard" if color else None,
        legacy_windows=False,
        highlight=False,
    )


def plain_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str | Text]],
    *,
    right: Sequence[str] = (),
    close: bool = False,
) -> Table:
    """A table with one rule under its head; the columns named in *right* are right-aligned.
    *close*: many columns stand closer, so that a narrow window holds them."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold", collapse_padding=close)
    for name in columns:
        table.add_column(name, justify="right" if name in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(_cell, row))
    return table


def fitted_text(
    columns: Sequence[str],
    rows: Sequence[Sequence[str | Text]],
    spare: Sequence[str],
    elsewhere: str,
    right: Sequence[str] = (),
) -> str:
    """A close table of the columns that the window holds without folding a cell: of those in
    *spare* the first ones are left out, no more than must be, and *elsewhere* is told to have
    them."""
    width = window_width()
    console = _console(io.StringIO(), 10 * width, color=False)

    def without(gone: Sequence[str]) -> Table:
        kept = [i for i, name in enumerate(columns) if name not in gone]
        texts = [[row[i] for i in kept] for row in rows]
        return plain_table([columns[i] for i in kept], texts, right=right, close=True)

    fewer = (spare[:count] for count in range(len(spare)))
    gone = next((g for g in fewer if console.measure(without(g)).maximum <= width), spare)
    named = ", ".join(name for name in gone if name in columns)
    more = f"\nno room here for: {named}; {elsewhere} have them" if named else ""
    return to_text(without(gone)) + more


def _cell(cell: str | Text) -> Text:
    """No markup, for names may hold brackets; what is a Text already has lines of its own."""
    return cell if isinstance(cell, Text) else Text(visible(cell))


def say(text: str) -> None:
    """A line or lines on standard output; what foreign names hold besides letters is written out.
    Not for what ``to_text`` made, which has passed this already."""
    click.echo(visible(text, "\n"))


def say_next(*line: object) -> None:
    """The command that goes on from here, as a shell takes it: every command ends with one."""
    say(f"next: {shlex.join(map(str, line))}")


def contracts_table(contracts: Iterable[Contract]) -> Table:
    """One line per contract: result, name, what was found, and for a failure what and where."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    table.add_column("result", no_wrap=True)
    table.add_column("contract", overflow="fold", ratio=2)
    table.add_column("found (allowed)", overflow="fold", ratio=3)
    for contract in contracts:
        style = STYLES[contract.status]
        mark = Text(MARKS[contract.status], style=style)
        table.add_row(mark, Text(visible(contract.name)), _found(contract))
    return table


def summary(contracts: Iterable[Contract]) -> Text:
    """``12 pass, 1 fail, 2 not run`` with the colours of the table."""
    counts = Counter(contract.status for contract in contracts)
    text = Text()
    for status in ("pass", "fail", "not run"):
        if text:
            text.append(", ")
        text.append(f"{counts[status]} {status}", style=STYLES[status] if counts[status] else "")
    return text


def contracts_text(
    contracts: Sequence[Contract], *, width: int | None = None, color: bool | None = None
) -> str:
    """The table and its summary line as text."""
    table = to_text(contracts_table(contracts), width=width, color=color)
    return f"{table}\n{to_text(summary(contracts), width=width, color=color)}"


def _found(contract: Contract) -> Text:
    if contract.status == "not run":
        return Text(visible(contract.where or ""), style="dim")
    text = Text(visible(str(contract.found)))
    if contract.found != contract.allowed:
        text.append(f" ({visible(str(contract.allowed))})", style="dim")
    if contract.status == "fail" and contract.where:
        text.append(f"\nat {visible(contract.where)}", style="bold")
    return text
