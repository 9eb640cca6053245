"""Criterion by column: what can be compared, which subject is best, and what stands in the way."""

from collections.abc import Sequence
from dataclasses import dataclass

from tssd.comparison.subject import COLUMNS, Basis, Criterion, Subject


@dataclass(frozen=True)
class Verdict:
    """``best``: the names of the best subjects, more than one where they are equal; empty where the
    column cannot be compared. ``remarks`` say why, or what to know."""

    column: str
    best: tuple[str, ...]
    remarks: tuple[str, ...]


def verdicts(subjects: Sequence[Subject]) -> tuple[Verdict, ...]:
    """One verdict for each column that any subject fills."""
    return tuple(
        verdict(subjects, column)
        for column in COLUMNS
        if any(column.key in subject.figures for subject in subjects)
    )


def verdict(subjects: Sequence[Subject], column: Criterion) -> Verdict:
    """The best of one column, among those that have the figure and mean the same by it."""
    there = [subject for subject in subjects if column.key in subject.figures]
    absent = [s.name for s in subjects if s.figures and column.key not in s.figures]
    remarks = [f"not run: {', '.join(absent)}"] if absent else []
    apart = [basis for basis in column.same if differs(there, basis)]
    remarks += [f"not compared, {basis.others} ({_listed(there, basis)})" for basis in apart]
    remarks += [
        f"{basis.others} ({_listed(there, basis)})"
        for basis in column.told
        if differs(there, basis)
    ]
    remarks += _unsure(there, column)
    if apart or len(there) < 2:
        return Verdict(column.key, (), tuple(remarks))
    best = best_of(there, column)
    return Verdict(column.key, best, (*remarks, *overlapping(there, column, best)))


def _unsure(subjects: Sequence[Subject], column: Criterion) -> list[str]:
    """That figures have no interval, and whose where others have one."""
    bare = [s.name for s in subjects if s.figures[column.key].low is None]
    if not column.unsure or not bare:
        return []
    whose = "" if len(bare) == len(subjects) else f" ({', '.join(bare)})"
    return [f"{column.unsure}{whose}"]


def best_of(subjects: Sequence[Subject], column: Criterion) -> tuple[str, ...]:
    """The names with the largest or smallest figure; none where all are equal."""
    values = {subject.name: subject.figures[column.key].value for subject in subjects}
    top = (max if column.better == "more" else min)(values.values())
    names = tuple(name for name, value in values.items() if value == top)
    return names if len(names) < len(values) else ()


def overlapping(
    subjects: Sequence[Subject], column: Criterion, best: tuple[str, ...]
) -> tuple[str, ...]:
    """Which subjects' intervals reach into the best one's.

    Energies on one chip share their prices, so their ratio is better known than either: nothing is
    said of those.
    """
    if not best or (Basis.CHIP in column.told and not differs(subjects, Basis.CHIP)):
        return ()
    first = next(subject for subject in subjects if subject.name == best[0])
    top = first.figures[column.key]
    if top.low is None or top.high is None:
        return ()
    near = []
    for subject in subjects:
        figure = subject.figures[column.key]
        if subject.name in best or figure.low is None or figure.high is None:
            continue
        if figure.low <= top.high and figure.high >= top.low:
            near.append(subject.name)
    return (f"intervals overlap with {', '.join(near)}",) if near else ()


def differs(subjects: Sequence[Subject], basis: Basis) -> bool:
    """Whether the subjects are about different things; what is not recorded is not the same."""
    keys = {subject.about.keys.get(basis) for subject in subjects}
    return len(keys) > 1 or (len(subjects) > 1 and keys == {None} and basis is Basis.SAMPLES)


def _listed(subjects: Sequence[Subject], basis: Basis) -> str:
    """``A: first 64 of 360; B, C: first 8 of 360``."""
    by_words: dict[str, list[str]] = {}
    for subject in subjects:
        by_words.setdefault(subject.about.words[basis], []).append(subject.name)
    return "; ".join(f"{', '.join(names)}: {text}" for text, names in by_words.items())
