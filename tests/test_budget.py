"""The front of the budget page: what its goals say of what was chosen, and of nothing chosen."""

from benchmarks.budget import EXIT_DROP, rows
from benchmarks.budget_page import FrontPoint, tables


def point(label: str, accuracy: float, steps: float, synops: float, note: str = "") -> FrontPoint:
    kind = "exit" if "exit" in label else "bits"
    return FrontPoint(kind, label, accuracy, 1000, steps, synops, 100, 1, 2.0, 3.0, note)


def test_an_early_exit_is_held_against_all_steps() -> None:
    early = point("8 bits, early exit", 89.9, 2.0, 600.0, "margin 7")
    made = {row.name: row for row in rows([point("8 bits", 90.0, 4.0, 1000.0), early])}
    saved, lost = made["goal: early exit, operations saved"], made["goal: early exit, points lost"]
    assert (saved.value, saved.met) == (40.0, True)
    assert (lost.value, lost.met) == (0.1, True)


def test_where_no_margin_is_shown_nothing_is_met() -> None:
    every = [point("8 bits", 90.0, 4.0, 1000.0), point("8 bits, early exit", 90.0, 4.0, 1000.0)]
    made = rows(every)
    lost = next(row for row in made if row.name == "goal: early exit, points lost")
    assert (lost.value, lost.met) == ("not shown", False)
    page = tables({"budget_x": made}, {"budget_x": "command"})
    assert f"early exit, points lost: not shown (goal <= {EXIT_DROP}, **not met**" in page
