"""The tables of ``docs/reliability.md`` that are made from ``benchmarks/results/*.json``.

The page itself is written by hand; a table stands between the comments ``<!-- mutants -->`` and
``<!-- /mutants -->``, and is written together with the other pages of results.
"""

from collections.abc import Mapping, Sequence

from benchmarks.harness import Row
from tssd.report.markdown import markdown_table

MET = {True: "yes", False: "**no**", None: ""}


def page(text: str, commands: Mapping[str, str], rows: Mapping[str, Sequence[Row]]) -> str:
    """*text* with the tables of all benchmarks that have a place in it."""
    for name, found in rows.items():
        text = placed(text, name, f"{_table(name, found)}\n\nLast run: `{commands[name]}`.")
    return text


def placed(text: str, name: str, table: str) -> str:
    """*text* with *table* between the comments of *name*, if it has them."""
    begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    before, _, rest = text.partition(begin)
    _, found_end, after = rest.partition(end)
    return f"{before}{begin}\n{table}\n\n{end}{after}" if found_end else text


def _table(name: str, rows: Sequence[Row]) -> str:
    cells = [
        (_what(r.name), _value(r.value), r.unit, r.goal or "", MET[r.met], r.how) for r in rows
    ]
    return markdown_table(("", "value", "unit", "goal", "met", "of these, or how"), cells, right=99)


def _what(name: str) -> str:
    return name.partition(": ")[2] or name


def _value(value: float | str | None) -> str:
    return "not run" if value is None else f"{value:,}" if isinstance(value, int) else str(value)
