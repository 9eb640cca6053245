"""The front of ``docs/budget.md`` as table and figure, from ``results/budget_*.json``."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness import RESULTS, Row
from tssd.report import words
from tssd.report.markdown import markdown_table

PREFIX = "budget_"
FIGURE = Path(__file__).resolve().parents[1] / "docs" / "budget-front.png"
KINDS = {  # kind -> words, marker
    "bits": ("bits of all layers", "o"),
    "mixed": ("mixed widths", "*"),
    "steps": ("fewer steps", "s"),
    "exit": ("early exit", "D"),
    "prune": ("fewer channels, trained on", "^"),
}
WIDE = 5  # an axis over fewer has too few of 1, 2, 5 times a power of ten
DRAWN = 3  # points at least of a network in the figure: fewer make no front
COLOURS = ("#3f83bf", "#d17c00", "#4f9a4f", "#b03a6a", "#7a5ab5")


@dataclass(frozen=True)
class FrontPoint:
    """One way to run a network: accuracy in per cent; the rest is one sample's mean."""

    kind: str
    label: str
    accuracy: float
    samples: int
    steps: float
    synops: float
    memory_bytes: int
    cores: int
    energy_uj: float | None
    latency_us: float
    note: str = ""


AXES: dict[str, Callable[[FrontPoint], float | None]] = {
    "energy, uJ": lambda p: p.energy_uj,
    "synaptic memory, bytes": lambda p: p.memory_bytes,
    "latency, us": lambda p: p.latency_us,
}


def points(rows: Sequence[Row]) -> list[FrontPoint]:
    """The points that the rows of one file tell."""
    told: dict[str, dict[str, Row]] = {}
    for row in rows:
        label, _, what = row.name.rpartition(": ")
        if label != "goal":
            told.setdefault(label, {})[what] = row
    return [_point(label, found) for label, found in told.items()]


def _point(label: str, found: Mapping[str, Row]) -> FrontPoint:
    def number(what: str) -> float:
        value = found[what].value
        assert isinstance(value, int | float)
        return value

    kind, _, how = found["accuracy"].how.partition(": ")
    amount, _, note = how.partition("; ")
    energy = found["energy"].value
    return FrontPoint(
        kind,
        label,
        number("accuracy"),
        int(amount.split()[0].replace(",", "")),
        number("steps"),
        number("synaptic operations"),
        int(number("synaptic memory")),
        int(found["synaptic memory"].how.split()[0]),
        float(energy) if isinstance(energy, int | float) else None,
        number("latency"),
        note,
    )


def on_front(
    point: FrontPoint, every: Sequence[FrontPoint], cost: Callable[[FrontPoint], float | None]
) -> bool:
    """Whether no other point answers at least as well for no more, and better in one of both."""
    mine = cost(point)
    if mine is None:
        return False
    return not any(
        other.accuracy >= point.accuracy
        and theirs <= mine
        and (other.accuracy > point.accuracy or theirs < mine)
        for other in every
        if (theirs := cost(other)) is not None
    )


def tables(rows: Mapping[str, Sequence[Row]], commands: Mapping[str, str]) -> str:
    """A table for each network, with what is on a front in bold; then the goals."""
    return "\n\n".join(
        _table(name.removeprefix(PREFIX), rows[name], commands[name])
        for name in rows
        if name.startswith(PREFIX)
    )


def _table(name: str, rows: Sequence[Row], command: str) -> str:
    every = points(rows)
    head = ("", "accuracy, %", "steps", "synops", "cores", *AXES)
    cells = [_cells(p, every) for p in every]
    notes = [f"*{p.label}*: {p.note}." for p in every if p.note]
    goals = [
        f"{row.name.removeprefix('goal: ')}: {_said(row)} (goal {row.goal}, "
        f"{'met' if row.met else '**not met**'}; {row.how})."
        for row in rows
        if row.name.startswith("goal: ")
    ]
    text = "\n".join([*notes, *goals])
    samples = f"{every[0].samples:,} test samples; in bold: on the front of accuracy and that cost."
    return f"**{name}**, {samples}\n\n{markdown_table(head, cells)}\n\n{text}\n\n    {command}"


def _said(row: Row) -> str:
    return f"{row.value} {row.unit}".rstrip()


def _cells(p: FrontPoint, every: Sequence[FrontPoint]) -> tuple[str, ...]:
    costs = []
    for cost in AXES.values():
        value = cost(p)
        said = "-" if value is None else words.number(value)
        costs.append(f"**{said}**" if on_front(p, every, cost) else said)
    return (p.label, f"{p.accuracy:.2f}", f"{p.steps:.2f}", words.number(p.synops), str(p.cores),
            *costs)  # fmt: skip


def figure(folder: Path = RESULTS, out: Path = FIGURE) -> None:
    """Accuracy against each cost, a row of panels for each network."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

    told = {path: _points_in(path) for path in sorted(folder.glob(f"{PREFIX}*.json"))}
    shown = {path: every for path, every in told.items() if len(every) >= DRAWN}
    drawn = Figure(figsize=(11, 3.4 * len(shown)), layout="constrained")
    grid = drawn.subplots(len(shown), len(AXES), squeeze=False)
    for (path, every), panels in zip(shown.items(), grid, strict=True):
        for panel, (name, cost) in zip(panels, AXES.items(), strict=True):
            _panel(panel, every, cost)
            panel.set(xlabel=name, xscale="log")
            low, high = panel.get_xlim()
            near = high < WIDE * low
            panel.xaxis.set_major_locator(MaxNLocator(4) if near else LogLocator(subs=(1, 2, 5)))
            panel.xaxis.set_major_formatter(lambda value, place: words.number(value))
            panel.xaxis.set_minor_formatter(NullFormatter())
        panels[0].set_ylabel(f"{re.sub('^' + PREFIX, '', path.stem)}: test accuracy, %")
        panels[-1].legend(fontsize=7, loc="lower right")
    drawn.savefig(out, dpi=110)


def _points_in(path: Path) -> list[FrontPoint]:
    table = json.loads(path.read_text(encoding="utf-8"))
    return points([Row(**row) for row in table["rows"]])


def _panel(
    panel: "object", every: Sequence[FrontPoint], cost: Callable[[FrontPoint], float | None]
) -> None:
    for (kind, (said, marker)), colour in zip(KINDS.items(), COLOURS, strict=True):
        mine = [(cost(p), p.accuracy) for p in every if p.kind == kind and cost(p) is not None]
        if mine:
            panel.scatter(*zip(*mine, strict=True), marker=marker, color=colour, label=said, s=28)  # type: ignore[attr-defined]
    best = sorted(
        (x, p.accuracy) for p in every if on_front(p, every, cost) and (x := cost(p)) is not None
    )
    panel.plot(*zip(*best, strict=True), color="#999999", linewidth=0.8, zorder=0)  # type: ignore[attr-defined]
