"""Write ``docs/{results,performance,validation,front-door}.md`` and the tables of
``docs/{reliability,quantization,training,budget}.md`` from ``benchmarks/results/*.json``.

    python -m benchmarks.render_results            (also: make results)

Results are what comes out (accuracy, counts, agreement, energy), performance is how fast and how
large (times, rates, ratios of speed, memory), told apart by the unit of a row. Every figure stands
with its goal, the command that measured it and the machine. Validation sets the simulator beside
what was measured.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import bits_page, budget_page, c_page, door_page, reliability_page, validation_page
from benchmarks.bits_page import FEW
from benchmarks.harness import RESULTS, Row
from benchmarks.reliability_page import placed
from tssd.report.markdown import markdown_table

DOCS = Path(__file__).resolve().parents[1] / "docs"
CAMPAIGNS = (
    "mutants",
    "readers",
    "faults",
    "c_campaign",
)  # tables on pages of their own
SPEED_UNITS = {"x", "s", "ms", "us", "ns", "min", "cpu s", "mb", "mib", "gb", "gib", "kb", "kib"}
INTRODUCTIONS = {
    "results": "# Results\n\nWhat comes out: accuracy, spike counts, agreement between engines, "
    "energy. How fast it is stands in [performance](performance.md).",
    "performance": "# Performance\n\nHow fast and how large. Ratios were measured side by side in "
    "one run, in CPU seconds; absolute figures belong to the machine named with them. What "
    "comes out stands in [results](results.md).",
}


@dataclass(frozen=True)
class Benchmark:
    """One file of results: how it was made, on what, and its rows."""

    name: str
    command: str
    machine: str
    rows: tuple[Row, ...]


def load(folder: Path = RESULTS) -> tuple[Benchmark, ...]:
    """All benchmarks in *folder*, by name."""
    return tuple(_benchmark(path) for path in sorted(folder.glob("*.json")))


def pages(benchmarks: Sequence[Benchmark]) -> dict[str, str]:
    """Page name -> Markdown text."""
    kept: dict[str, Callable[[Row], bool]] = {
        "results": lambda row: not is_speed(row.unit) and not row.name.startswith(door_page.LISTED),
        "performance": lambda row: is_speed(row.unit),
    }
    told = [
        b
        for b in benchmarks
        if b.name not in CAMPAIGNS and not b.name.startswith((FEW, budget_page.PREFIX))
    ]
    made = {f"{name}.md": _page(name, told, keep) for name, keep in kept.items()}
    commands, rows = (
        {b.name: getattr(b, field) for b in benchmarks} for field in ("command", "rows")
    )
    if {"chips", "booksim"} <= rows.keys():
        made["validation.md"] = validation_page.page(commands, rows, value_text)
    campaigns = {name: rows[name] for name in (*CAMPAIGNS, "memory") if name in rows}
    if campaigns:
        text = (DOCS / "reliability.md").read_text(encoding="utf-8")
        made["reliability.md"] = reliability_page.page(text, commands, campaigns)
    machines = {b.name: b.machine for b in benchmarks}
    if "door" in rows:
        text = door_page.page(machines["door"], rows["door"])
        if "door_folder" in rows:
            text += door_page.others(rows["door_folder"])
        if "bits_in" in rows:
            text += door_page.bits(commands["bits_in"], rows["bits_in"])
        made["front-door.md"] = text
    return made | _few_bits(rows, commands) | _plain_c(rows, commands)


def _plain_c(rows: dict[str, tuple[Row, ...]], commands: dict[str, str]) -> dict[str, str]:
    """The page about C, with its two tables."""
    text = (DOCS / "plain-c.md").read_text(encoding="utf-8")
    for name, table in (("plain_c", c_page.widths), ("c_campaign", c_page.campaign)):
        if name in rows:
            text = placed(text, name, table(rows[name], commands[name]))
    return {"plain-c.md": text} if {"plain_c", "c_campaign"} & rows.keys() else {}


def _few_bits(rows: dict[str, tuple[Row, ...]], commands: dict[str, str]) -> dict[str, str]:
    """The pages written by hand that hold the tables of few bits."""
    tables = {}
    if any(name.startswith(FEW) for name in rows):
        tables["quantization.md"] = ("few bits", bits_page.calibrations(rows, commands))
    if "bits" in rows:
        tables["training.md"] = ("bits", bits_page.widths(rows["bits"], commands["bits"]))
    if any(name.startswith(budget_page.PREFIX) for name in rows):
        tables["budget.md"] = ("front", budget_page.tables(rows, commands))
    texts = {name: (DOCS / name).read_text(encoding="utf-8") for name in tables}
    return {name: placed(texts[name], *table) for name, table in tables.items()}


def is_speed(unit: str) -> bool:
    """Whether *unit* tells time, rate, size or a ratio of speed."""
    plain = unit.strip().lower()
    return plain in SPEED_UNITS or plain.endswith("/s") or "per second" in plain


def main() -> None:
    """Write the pages."""
    DOCS.mkdir(exist_ok=True)
    for name, text in pages(load()).items():
        (DOCS / name).write_text(text, encoding="utf-8")


def _benchmark(path: Path) -> Benchmark:
    table: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    machine = ", ".join(f"{key} {value}" for key, value in table["machine"].items())
    return Benchmark(path.stem, table["command"], machine, tuple(Row(**r) for r in table["rows"]))


def _page(name: str, benchmarks: Sequence[Benchmark], keep: Callable[[Row], bool]) -> str:
    kept = [(b, [row for row in b.rows if keep(row)]) for b in benchmarks]
    sections = [_section(b, rows) for b, rows in kept if rows]
    goals = [row.met for _, rows in kept for row in rows if row.met is not None]
    count = f"{sum(goals)} of {len(goals)} goals met." if goals else "No goals on this page yet."
    note = "Generated by `python -m benchmarks.render_results`; do not edit by hand."
    return "\n\n".join([INTRODUCTIONS[name], f"{count} {note}", *sections]) + "\n"


def _section(benchmark: Benchmark, rows: Sequence[Row]) -> str:
    table = markdown_table(
        ("figure", "how", "value", "unit", "goal", "met"), [_cells(row) for row in rows]
    )
    made = f"`{benchmark.command}` on {benchmark.machine}"
    return f"## {benchmark.name}\n\n{made}\n\n{table}"


def _cells(row: Row) -> tuple[str, ...]:
    met = {True: "yes", False: "**no**", None: ""}[row.met]
    return (row.name, row.how, value_text(row.value), row.unit, row.goal or "", met)


def value_text(value: float | str | None) -> str:
    """Four significant digits; whole numbers in full; what was not run says so."""
    if value is None:
        return "not run"
    if isinstance(value, str):
        return value
    if value == round(value):
        return f"{round(value):,}"
    return f"{value:,.0f}" if abs(value) >= 1e4 else f"{value:.4g}"


if __name__ == "__main__":
    main()
