"""The sampler of mutants: what it changes, what it leaves alone, that it goes on; and a fork that
tests a changed source."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks import mutants
from benchmarks.mutant_changes import applied, function_of, line_of, mutants_of
from benchmarks.mutant_runs import Calls, Ended, Fate, Stem, files_of
from benchmarks.mutants import PARTS, ROOT, Campaign, by_tests, equivalents, kept, run, summary

SOURCE = b'''"""Text 1."""
@dataclass(frozen=True)
class A:
    size: Literal[1] = 3

def f(x, y):
    assert x > 0
    return "\xc3\xa9", any(map(f, x)) and not y, x + 2, [x < y for x, y in zip(x, y, strict=True)]
'''


def test_every_kind_of_change_at_its_own_place() -> None:
    found = {(m.line, m.before, m.after) for m in mutants_of("a.py", SOURCE)}
    assert found == {
        (4, "3", "4"),
        (8, "any(map(f, x)) and not y", "any(map(f, x)) or not y"),
        (8, "any", "all"),
        (8, "x < y", "x <= y"),
        (8, "not y", "y"),
        (8, "x + 2", "x - 2"),
        (8, "2", "3"),
    }


def test_a_mutant_changes_nothing_but_its_place() -> None:
    for mutant in mutants_of("a.py", SOURCE):
        changed = applied(mutant, SOURCE)
        compile(changed, "a.py", "exec")
        assert changed.startswith(SOURCE[: mutant.begin] + b"(")
        assert changed.endswith(b")" + SOURCE[mutant.end :])
        assert changed.count(b"\n") == SOURCE.count(b"\n")
    assert line_of(mutants_of("a.py", SOURCE)[0], SOURCE) == "size: Literal[1] = 3"


def test_a_mutant_belongs_to_the_function_around_it() -> None:
    source = b"A = 1\n\n\n@cache\ndef f(x, y=2):\n    def g():\n        return 3\n    return 4\n"
    found = {m.before: function_of(m, source) for m in mutants_of("a.py", source)}
    assert found == {"1": None, "2": None, "3": 6, "4": 4}


def test_the_tests_of_a_function_the_quickest_first() -> None:
    calls = Calls({"slow": [4, 6], "quick": [4], "other": [9]}, {"slow": 2, "quick": 1, "other": 3})
    assert calls.tests_of(4) == ["quick", "slow"]
    assert calls.tests_of(5) == ["quick", "slow", "other"]  # called when it was imported, perhaps
    assert calls.tests_of(None) == ["quick", "slow", "other"]


def test_only_the_files_of_the_chosen_tests_are_read() -> None:
    chosen = ["tests/b.py::test_1", "tests/a.py::test_2[x::y]", "tests/b.py::test_3"]
    assert files_of(chosen) == ["tests/b.py", "tests/a.py"]


class Pretended(Stem):
    """Says what it is told to say of the source as it is, and of the mutants one by one."""

    def __init__(self, first: Fate, fates: list[Fate]) -> None:
        self.first: Fate = first
        self.fates = fates

    def unchanged(
        self, files: Sequence[str], tests: Sequence[str]
    ) -> tuple[Ended, dict[str, Calls]]:
        return Ended(self.first, "", 1.0), {file: Calls() for file in files}

    def run(
        self, file: str, source: bytes, tests: Sequence[str], chosen: Sequence[str], cpu_s: float
    ) -> Ended:
        return Ended(self.fates.pop(0), "", 1.0)


@pytest.fixture
def part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository of one file, and where its campaign is kept."""
    (tmp_path / "a.py").write_bytes(SOURCE)
    monkeypatch.setattr(mutants, "ROOT", tmp_path)
    monkeypatch.setattr(mutants, "PARTS", {"a.py": ("tests/a",)})
    return tmp_path / "kept.jsonl"


def test_a_campaign_goes_on_behind_what_is_kept(
    part: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second, third = mutants_of("a.py", SOURCE)[:3]
    run(Campaign([first], part, {}), Pretended("survived", ["killed"]), 1.0)
    again = Campaign([first, second, third], part, kept(part))
    run(again, Pretended("survived", ["survived", "hung"]), 1.0)
    assert kept(part) == {first.key: "killed", second.key: "survived", third.key: "hung"}
    assert summary(again) == [
        "3 of 3 mutants run: 2 killed (66.7 %), of them 1 by hanging; 1 survived",
        "  a.py: 2 of 3 killed",
        f"  {second.name}",
    ]
    assert "survived" in capsys.readouterr().out


def test_files_with_the_same_tests_are_run_together(monkeypatch: pytest.MonkeyPatch) -> None:
    both, other = ("tests/a",), ("tests/b",)
    monkeypatch.setattr(mutants, "PARTS", {"a.py": both, "b.py": other, "c.py": both})
    missing = {name: mutants_of(name, SOURCE)[:1] for name in ("a.py", "b.py", "c.py")}
    found = by_tests(missing)
    assert {tests: list(files) for tests, files in found.items()} == {
        both: ["a.py", "c.py"],
        other: ["b.py"],
    }


def test_tests_that_fail_by_themselves_stop_the_campaign(part: Path) -> None:
    campaign = Campaign(mutants_of("a.py", SOURCE), part, {})
    with pytest.raises(SystemExit, match="tests/a: fails without any mutant"):
        run(campaign, Pretended("killed", []), 1.0)


def test_an_equivalent_mutant_is_not_drawn_and_a_stale_one_stops(part: Path) -> None:
    listed = part.with_suffix(".toml")
    row = '[[mutant]]\nfile = "a.py"\nline = "size: Literal[1] = 3"\nreason = "a size"\n'
    listed.write_text(row + 'change = "3 -> 4"\n')
    assert [found.reason for found in equivalents(listed)] == ["a size"]
    listed.write_text(row + 'change = "3 -> 5"\n')
    with pytest.raises(SystemExit, match=r"no mutant of a.py is '3 -> 5' in 'size"):
        equivalents(listed)


def test_what_is_listed_as_equivalent_is_still_in_the_code() -> None:
    """A file that moves takes its entries with it, and stays one of the campaign's."""
    assert {row.file for row in equivalents()} <= set(PARTS)
    assert all((ROOT / file).is_file() for file in PARTS)


FORKED = """
from benchmarks.mutant_changes import applied, function_of, mutants_of
from benchmarks.mutant_runs import ROOT, Stem
file, tests = "calibration/neuron.py", ("tests/calibration/test_neuron.py", "-k", "strict")
source = (ROOT / file).read_bytes()
[weak] = [m for m in mutants_of(file, source) if m.change == "v > threshold -> v >= threshold"]
stem = Stem()
ended, calls = stem.unchanged((file,), tests)
chosen = calls[file].tests_of(function_of(weak, source))
print(ended.fate, len(chosen))
print(stem.run(file, applied(weak, source), tests, chosen, 60.0))
print(stem.run(file, source.replace(b"v = clip", b"while True: v = clip"), tests, chosen, 2.0).fate)
"""


@pytest.mark.slow
def test_a_fork_tests_the_changed_source() -> None:
    told = subprocess.run(
        [sys.executable, "-c", FORKED],
        cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"},
        check=True, capture_output=True, text=True,
    ).stdout.splitlines()  # fmt: skip
    assert told[0] == "survived 2"
    assert told[1].startswith("Ended(fate='killed', test='tests/calibration/test_neuron.py::test_t")
    assert told[2] == "hung"
