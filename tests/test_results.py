"""The pages of results say what the files of results say."""

import json
from pathlib import Path

import pytest

from benchmarks import reliability_page, render_results
from benchmarks.harness import Row
from benchmarks.render_results import Benchmark, is_speed, load, pages, value_text

DOCS = Path(__file__).resolve().parents[1] / "docs"


PAGES = ["results.md", "performance.md", "validation.md", "front-door.md", "reliability.md"]
PAGES += ["quantization.md", "plain-c.md", "budget.md"]


@pytest.mark.parametrize("name", PAGES)
def test_pages_are_in_step_with_the_files(name: str) -> None:
    found = (DOCS / name).read_text(encoding="utf-8")
    assert found == pages(load())[name], "run `make results` and commit what it writes"


def test_every_figure_stands_with_its_command_goal_and_machine() -> None:
    rows = (
        Row("steps", 2100.0, "steps/s", ">= 2000", True, "both in one run"),
        Row("accuracy", 0.91, "share", ">= 0.92", False, "test split"),
        Row("sparsity", None, "share", None, None, "needs a chip"),
    )
    made = pages([Benchmark("sim", "make bench-sim", "cpu Test, cores 2", rows)])
    assert "| steps | both in one run | 2,100 | steps/s | >= 2000 | yes |" in made["performance.md"]
    assert "| accuracy | test split | 0.91 | share | >= 0.92 | **no** |" in made["results.md"]
    assert "| sparsity | needs a chip | not run | share |  |  |" in made["results.md"]
    assert "1 of 1 goals met" in made["performance.md"]
    assert "0 of 1 goals met" in made["results.md"]
    for text in made.values():
        assert "`make bench-sim` on cpu Test, cores 2" in text


def test_tables_of_campaigns_stand_in_the_page_written_by_hand() -> None:
    text = "# A\n\n<!-- mutants -->\nold\n<!-- /mutants -->\n\nwords\n"
    rows = (
        Row("mutants: all", 96.5, "% killed", ">= 95", True, "193 of 200"),
        Row("mutants: listed", 7, "mutants", None, None, "each with its reason"),
    )
    made = reliability_page.page(
        text, {"mutants": "make campaign-mutants SEED=2"}, {"mutants": rows}
    )
    assert made.startswith("# A\n\n<!-- mutants -->\n\n|")
    assert made.endswith("<!-- /mutants -->\n\nwords\n")
    assert "| all | 96.5 | % killed | >= 95 | yes | 193 of 200 |" in made
    assert "| listed | 7 | mutants |  |  | each with its reason |" in made
    assert "`make campaign-mutants SEED=2`" in made
    assert "old" not in made
    assert (
        reliability_page.page(made, {"mutants": "make campaign-mutants SEED=2"}, {"mutants": rows})
        == made
    )


def test_files_of_results_are_read_as_written(tmp_path: Path) -> None:
    row = {"name": "a", "value": 1.5, "unit": "x", "goal": None, "met": None, "how": "h"}
    table = {"command": "make bench-a", "machine": {"cores": 2}, "rows": [row]}
    (tmp_path / "a.json").write_text(json.dumps(table))
    assert load(tmp_path) == (Benchmark("a", "make bench-a", "cores 2", (Row(**row),)),)  # type: ignore[arg-type]
    assert render_results.pages(()).keys() == {"results.md", "performance.md"}


@pytest.mark.parametrize(
    ("unit", "speed"),
    [("steps/s", True), ("x", True), ("ms", True), ("MB", True), ("share", False), ("pJ", False)],
)
def test_units_tell_results_from_performance(unit: str, speed: bool) -> None:
    assert is_speed(unit) is speed


@pytest.mark.parametrize(
    ("value", "text"),
    [(51500000, "51,500,000"), (0.123456, "0.1235"), (12345.6, "12,346"), (None, "not run")],
)
def test_values_in_words(value: float | None, text: str) -> None:
    assert value_text(value) == text
