"""Measure, compare, write down: every benchmark ends in a list of rows in one JSON file."""

import json
import os
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

Result = TypeVar("Result")
RESULTS = Path(__file__).resolve().parent / "results"


@dataclass(frozen=True)
class Row:
    """One figure: ``goal`` and ``met`` are None for a figure that is only reported."""

    name: str
    value: float | str | None
    unit: str
    goal: str | None
    met: bool | None
    how: str


def at_least(name: str, value: float, goal: float, unit: str, how: str) -> Row:
    """A row whose goal is a lower bound."""
    return Row(name, value, unit, f">= {goal:g}", value >= goal, how)


def at_most(name: str, value: float, goal: float, unit: str, how: str) -> Row:
    """A row whose goal is an upper bound."""
    return Row(name, value, unit, f"<= {goal:g}", value <= goal, how)


def near(name: str, value: float, measured: float, percent: float, unit: str, how: str) -> Row:
    """A row whose goal is a measured value, to be met within some percent."""
    met = abs(value / measured - 1) <= percent / 100
    return Row(name, value, unit, f"{measured:g} +- {percent:g} %", met, how)


def same(name: str, value: str, wanted: str, how: str) -> Row:
    """A row whose goal is a word."""
    return Row(name, value, "", wanted, value == wanted, how)


def report(name: str, value: float | str | None, unit: str, how: str) -> Row:
    """A row without a goal."""
    return Row(name, value, unit, None, None, how)


def cpu_seconds(work: Callable[[], object]) -> float:
    """CPU seconds of this process (all threads): steadier than wall time on a shared machine."""
    return measured(work)[1]


def measured(work: Callable[[], Result]) -> tuple[Result, float]:
    """What *work* returns, and its CPU seconds."""
    start = time.process_time()
    result = work()
    return result, time.process_time() - start


def best_of(work: Callable[[], object], repeats: int) -> float:
    """The least CPU seconds of some repeats, after one warm-up."""
    work()
    return min(cpu_seconds(work) for _ in range(repeats))


def write(name: str, command: str, rows: list[Row]) -> Path:
    """Write ``results/<name>.json`` and the pages of the docs made from it, and print the table;
    returns the path."""
    from benchmarks import render_results  # it reads what is written here

    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    table = {"command": command, "machine": machine(), "rows": [asdict(row) for row in rows]}
    path.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    render_results.main()
    for row in rows:
        mark = {True: "met", False: "NOT MET", None: ""}[row.met]
        print(f"{row.name:60} {row.value!s:>24} {row.unit:10} {row.goal or '':>10} {mark}")
    return path


def machine() -> dict[str, str | int]:
    """What the absolute figures were measured on."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count() or 1,
        "python": platform.python_version(),
        "system": platform.system(),
    }


def _cpu_model() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()
