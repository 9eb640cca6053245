"""The sampler of mutants: what it changes, what it leaves alone, and that it goes on."""

from pathlib import Path

import pytest

from benchmarks import mutants
from benchmarks.mutants import Mutant, applied, campaign, mutants_of, summary

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


def test_a_campaign_goes_on_behind_what_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = mutants_of("a.py", SOURCE)[:2]
    monkeypatch.setitem(mutants.PARTS, "a.py", ("tests/a",))
    monkeypatch.setattr(mutants, "copied", lambda folder: folder)
    monkeypatch.setattr(mutants, "check_copy", lambda folder: None)
    monkeypatch.setattr(mutants, "tested", lambda folder, tests: "survived")
    run: list[Mutant] = []

    def fate(mutant: Mutant, folder: Path) -> mutants.Fate:
        run.append(mutant)
        return "killed" if mutant == first else "survived"

    monkeypatch.setattr(mutants, "fate_of", fate)
    path = tmp_path / "kept.jsonl"
    campaign([first], path, 1.0)
    done = campaign([first, second], path, 1.0)
    assert run == [first, second]
    assert summary([first, second], done) == [
        "2 of 2 mutants run: 1 killed (50.0 %), of them 0 by hanging; 1 survived",
        f"  {second.name}",
    ]
    assert "killed" in capsys.readouterr().out
    monkeypatch.setattr(mutants, "tested", lambda folder, tests: "killed")
    with pytest.raises(SystemExit, match="tests/a: fails without any mutant"):
        campaign([mutants_of("a.py", SOURCE + b"\n")[0]], path, 1.0)
