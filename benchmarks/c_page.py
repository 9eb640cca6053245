"""The tables of ``docs/plain-c.md``: what a program takes by bits of a weight, and the campaign."""

from collections.abc import Sequence

from benchmarks.harness import Row
from tssd.report.markdown import markdown_table

BETWEEN = ": "  # what is measured of a bundle stands behind it
FIGURES = ("flash", "RAM", "constant tables", "accuracy", "instructions")
FIRST, HAS = "plain C: ", "networks with "  # of a campaign's row


def widths(rows: Sequence[Row], command: str) -> str:
    """One line for each width and rounding; what misses its goal is bold."""
    found = {row.name: row for row in rows}
    names = list(dict.fromkeys(n.partition(BETWEEN)[0] for n in found if n.endswith("flash")))
    cells = [
        (name, *(_value(found[f"{name}{BETWEEN}{figure}"]) for figure in FIGURES)) for name in names
    ]
    flash, ram, *_, mean = (found[f"{names[0]}{BETWEEN}{figure}"] for figure in FIGURES)
    said = f"Goals: flash {flash.goal} {flash.unit}, RAM {ram.goal} {ram.unit}."
    said += f" Flash: {flash.how}. Instructions: an inference, {mean.how}. `{command}`"
    lines = "\n".join(f"- {row.name}: {_value(row)} ({row.how})" for row in rows if _whole(row))
    return f"{markdown_table(('weights', *FIGURES), cells, right=1)}\n\n{said}\n\n{lines}"


def campaign(rows: Sequence[Row], command: str) -> str:
    """What differed, and in how many of the networks each feature was."""
    told = [(row.name.removeprefix(FIRST), row) for row in rows]
    cells = [(n, f"{row.value:,}", row.goal or "", row.how) for n, row in told if HAS not in n]
    features = (f"{n.removeprefix(HAS)} {row.value}" for n, row in told if HAS in n)
    table = markdown_table(("", "value", "goal", "how"), cells, right=9)
    return f"{table}\n\nNetworks that have it: {', '.join(features)}.\n\n`{command}`"


def _whole(row: Row) -> bool:
    """Of the network itself, or of the engines."""
    return row.name.startswith(("digits: ", "c over"))


def _value(row: Row) -> str:
    if not isinstance(row.value, float | int):
        return "not run"
    shown = f"{row.value / 1e6:.2f} M" if row.unit == "an inference" else None
    shown = shown or f"{row.value:.1f} {row.unit}"
    return f"**{shown}**" if row.met is False else shown
