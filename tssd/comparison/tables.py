"""Subjects and verdicts as text: for a terminal, as Markdown, CSV and JSON."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from tssd.comparison.dense import Baseline
from tssd.comparison.subject import COLUMNS, OF_A_LAYER, Criterion, Estimate, Subject, column
from tssd.comparison.verdicts import Verdict, verdicts
from tssd.report import words
from tssd.report.markdown import markdown_table

CSV_HEAD = ("subject", "layer", "figure", "unit", "value", "low", "high", "best")


@dataclass(frozen=True)
class Comparison:
    """Everything that is shown: subjects, a verdict of each column, dense networks beside them."""

    subjects: tuple[Subject, ...]
    verdicts: tuple[Verdict, ...]
    baselines: tuple[Baseline, ...] = ()


def comparison(subjects: Sequence[Subject], baselines: Sequence[Baseline] = ()) -> Comparison:
    """*subjects* side by side."""
    return Comparison(tuple(subjects), verdicts(subjects), tuple(baselines))


def columns(made: Comparison) -> list[Criterion]:
    """The columns that any subject fills."""
    return [column(v.column) for v in made.verdicts]


def cells(made: Comparison, subject: Subject, mark: str = " *", line: str = "\n") -> list[str]:
    """One subject's row: figures with their intervals below, the best of a column marked."""
    out = []
    for kind, verdict in zip(columns(made), made.verdicts, strict=True):
        best = mark if subject.name in verdict.best else ""
        out.append(cell(kind, subject.figures.get(kind.key), best, line))
    return out


def cell(kind: Criterion, figure: Estimate | None, mark: str = "", line: str = "\n") -> str:
    """A figure in its unit and its interval; *not run* where there is none."""
    if figure is None:
        return words.NOT_RUN
    between = interval(kind, figure)
    return kind.shown(figure.value) + mark + (f"{line}{between}" if between else "")


def interval(kind: Criterion, figure: Estimate) -> str:
    """``low .. high`` or empty; a unit that both have stands once."""
    if figure.low is None or figure.high is None:
        return ""
    (low, *of_low), (high, *of_high) = (
        kind.shown(x).split(" ", 1) for x in (figure.low, figure.high)
    )
    first = low if of_low == of_high else " ".join((low, *of_low))
    return f"{first} .. {' '.join((high, *of_high))}"


def remarks(made: Comparison) -> list[str]:
    """What the columns' readers should know, one line for each remark, and each subject's notes."""
    titles: dict[str, list[str]] = {}
    for verdict in made.verdicts:
        for remark in verdict.remarks:
            titles.setdefault(remark, []).append(column(verdict.column).title)
    said = [f"{', '.join(columns)}: {remark}" for remark, columns in titles.items()]
    return [*said, *(f"{s.name}: {note}" for s in made.subjects for note in s.notes)]


def best_lines(made: Comparison) -> list[str]:
    """``least latency: A (178 µs)``, of the columns that have a best."""
    out = []
    for verdict in made.verdicts:
        kind = column(verdict.column)
        if not verdict.best:
            continue
        first = next(s for s in made.subjects if s.name == verdict.best[0])
        most = "most" if kind.better == "more" else "least"
        shown = kind.shown(first.figures[kind.key].value)
        out.append(f"{most} {kind.title}: {', '.join(verdict.best)} ({shown})")
    return out


def baseline_lines(one: Baseline) -> list[str]:
    """The dense network beside a subject, and where the spiking one stops winning."""
    between = f"{words.energy(one.once_pj)} .. {words.energy(one.again_pj)}"
    return [
        f"{one.subject} as a dense network: {words.number(one.macs)} MACs, "
        f"{words.memory(one.weight_bytes)} of weights, {between} "
        f"(every operand moved once .. again for every MAC) in {one.node}",
        f"{one.subject} spiking: {words.energy(one.spiking_pj)} dynamic, of it "
        f"{words.energy(one.still_pj)} whatever its neurons fire, at "
        f"{words.percent(one.rate)} events per neuron and step",
        f"{one.subject} takes as much as its dense network, with every operand moved once, "
        f"{_even(one.even_once)}; with none reused, {_even(one.even_again)}",
    ]


NODE_NOTE = (
    "The dense figures are operations and reads alone, at another technology than the chip's: no "
    "clock, control or leakage, and no accuracy, for it was not trained. Prices:"
)


def _even(rate: float | None) -> str:
    if rate is None:
        return "at no rate, as nothing fires"
    if rate < 0:
        return "at no rate: more even when silent"
    if rate > 1:
        return "at no rate: less even if every neuron fires in every step"
    return f"at {words.percent(rate)} events per neuron and step"


def layer_names(made: Comparison) -> list[str]:
    """Every layer of every subject, in the order of the first that has it."""
    return list(dict.fromkeys(layer.name for s in made.subjects for layer in s.layers))


def layered(made: Comparison) -> tuple[Subject, ...]:
    """The subjects that say anything of their layers."""
    return tuple(subject for subject in made.subjects if subject.layers)


def layer_rows(made: Comparison, key: str) -> list[tuple[str, list[float | None]]]:
    """One figure of every layer, subject by subject of ``layered``; None where one has no such
    layer."""
    tables = [{layer.name: layer.figures for layer in s.layers} for s in layered(made)]
    return [
        (name, [table.get(name, {}).get(key) for table in tables]) for name in layer_names(made)
    ]


def layer_columns(made: Comparison) -> list[Criterion]:
    """The figures that some layer has."""
    return [
        column(key)
        for key in OF_A_LAYER
        if any(value is not None for _, row in layer_rows(made, key) for value in row)
    ]


def difference(first: float | None, other: float | None) -> str:
    """``x 1.25`` of the first subject's, or empty where both are the same or one is missing."""
    if first is None or other is None or first == other:
        return ""
    return f"x {words.number(other / first)}" if first else "from 0"


def to_markdown(made: Comparison) -> str:
    """The comparison as GitHub-flavoured Markdown."""
    kinds = columns(made)
    rows = [[subject.name, *cells(made, subject, " (best)", "; ")] for subject in made.subjects]
    parts = ["# Comparison", markdown_table(("", *(k.title for k in kinds)), rows, right=1)]
    parts += ["\n".join(f"- {line}" for line in [*best_lines(made), *remarks(made)])]
    for one in made.baselines:
        said = [*baseline_lines(one), f"{NODE_NOTE} {one.source}"]
        parts.append("\n".join(f"- {line}" for line in said))
    names = [subject.name for subject in layered(made)]
    for kind in layer_columns(made):
        table = [
            [layer, *(_layer_cell(kind, row[0], value) for value in row)]
            for layer, row in layer_rows(made, kind.key)
        ]
        per = kind.unit.removeprefix("pJ ")  # each energy stands with a unit of its own
        heading = f"## {kind.title.capitalize()} by layer, {per}"
        parts += [heading, markdown_table(("layer", *names), table, right=1)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _layer_cell(kind: Criterion, first: float | None, value: float | None) -> str:
    if value is None:
        return ""
    change = difference(first, value)
    return kind.shown(value) + (f" ({change})" if change else "")


def to_csv(made: Comparison) -> str:
    """One line per subject, layer and figure; the total's layer is empty."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(CSV_HEAD)
    writer.writerows(_csv_rows(made))
    return out.getvalue()


def records(made: Comparison) -> list[dict[str, object]]:
    """The lines of ``to_csv``, by its columns."""
    return [dict(zip(CSV_HEAD, row, strict=True)) for row in _csv_rows(made)]


def _csv_rows(made: Comparison) -> Iterator[tuple[object, ...]]:
    best = {verdict.column: verdict.best for verdict in made.verdicts}
    for subject in made.subjects:
        for kind in COLUMNS:
            figure = subject.figures.get(kind.key)
            if figure is not None:
                mark = "best" if subject.name in best[kind.key] else ""
                ends = figure.value, figure.low, figure.high
                yield (subject.name, "", kind.key, kind.unit, *ends, mark)
        for layer in subject.layers:
            for key in OF_A_LAYER:
                if key in layer.figures:
                    unit = column(key).unit
                    yield subject.name, layer.name, key, unit, layer.figures[key], None, None, ""


def to_json(made: Comparison) -> str:
    """Everything, for machines."""
    return json.dumps(asdict(made), allow_nan=False)
