"""The tables of ``docs/plain-c.md``: what a program takes by bits of a weight, and the campaign."""

from collections.abc import Sequence

from benchmarks.harness import Row
from tssd.report.markdown import markdown_table

BETWEEN = ": "  # what is measured of a bundle stands behind it
FIGURES = ("flash", "RAM", "constant tables", "accuracy", "instructions")
FIRST = "plain C: "  # of a campaign's row


def widths(rows: Sequence[Row], command: str) -> str:
    """One line for each width and rounding."""
    found = {row.name: row for row in rows}
    names = list(dict.fromkeys(n.partition(BETWEEN)[0] for n in found if n.endswith("flash")))
    cells = [
        (name, *(_value(found[f"{name}{BETWEEN}{figure}"]) for figure in FIGURES)) for name in names
    ]
    first, others = found[f"{names[0]}{BETWEEN}flash"], [row for row in rows if _whole(row)]
    said = f"Goals: flash {first.goal} kB, RAM <= 16 kB. {first.how}. `{command}`"
    lines = "\n".join(f"- {row.name}: {_value(row)} ({row.how})" for row in others)
    return f"{markdown_table(('weights', *FIGURES), cells, right=1)}\n\n{said}\n\n{lines}"


def campaign(rows: Sequence[Row], command: str) -> str:
    """What the random networks were, and what differed."""
    cells = [
        (row.name.removeprefix(FIRST), f"{row.value:,}", row.goal or "", row.how) for row in rows
    ]
    return f"{markdown_table(('', 'value', 'goal', 'how'), cells, right=9)}\n\n`{command}`"


def _whole(row: Row) -> bool:
    """Of the network itself, or of the engines."""
    return row.name.startswith(("digits: ", "c over"))


def _value(row: Row) -> str:
    if not isinstance(row.value, float | int):
        return "not run"
    if row.unit == "an inference":
        return f"{row.value / 1e6:.2f} M"
    return f"{row.value:.1f} {row.unit}"
