"""The campaign of faults: what it draws, and that its judge sees what must not be."""

from pathlib import Path

import pytest

from benchmarks.faulting import judging
from benchmarks.faulting.faults import KILLS, KINDS, Course, Fault, drawn
from benchmarks.faulting.jobs import JOBS
from benchmarks.faulting.judging import of_end, of_next, of_state, of_success, tree
from benchmarks.faulting.nursery import HUNG, Ended

EXPORT = next(job for job in JOBS if job.name == "export")
STEPS = {job.name: Course(60, job.spare, job.moments) for job in JOBS}


def ended(code: int, said: str = "", lingered: int = 0) -> Ended:
    return Ended(code, said, 10, 1.0, 1.0, lingered)


def bundle(folder: Path, **files: str) -> Path:
    """``out/b`` with these files."""
    (folder / "out" / "b").mkdir(parents=True)
    for name, text in files.items():
        (folder / "out" / "b" / name).write_text(text)
    return folder


def test_a_campaign_has_every_kind_for_every_command_and_a_thousand_kills() -> None:
    faults = drawn(STEPS, seed=1)
    assert len(set(faults)) >= len(faults) - 3 * len(JOBS)  # two writers are tried again
    assert sum(fault.kind in KILLS for fault in faults) >= 1000
    assert {(f.job, f.kind) for f in faults} == {(j.name, kind) for j in JOBS for kind in KINDS}
    kills = {f.step for f in faults if f.job == "train" and f.kind == "kill" and f.step}
    assert kills == set(range(1, 61))
    assert faults == drawn(STEPS, seed=1) != drawn(STEPS, seed=2)


def test_a_short_one_takes_the_same_number_of_each_command_and_all_kinds() -> None:
    faults = drawn(STEPS, seed=1, most=5)
    assert [sum(f.job == job.name for f in faults) for job in JOBS] == [5] * len(JOBS)
    assert {fault.kind for fault in drawn(STEPS, seed=1, most=len(KINDS))} == set(KINDS)


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({"a": "new", "b": "new"}, []),
        ({"a": "new"}, ["out/b is there without out/b/b"]),
        ({"a": "ne", "b": "new"}, ["out/b/a is neither old nor new"]),
    ],
)
def test_half_a_folder_is_seen(files: dict[str, str], found: list[str], tmp_path: Path) -> None:
    golden = tree(bundle(tmp_path / "golden", a="new", b="new"))
    folder = bundle(tmp_path / "case", **files)
    (folder / "out" / ".b.01234567.part").mkdir()  # says what it is
    assert [f.text for f in of_state(EXPORT, folder, {"out": "folder"}, golden)] == found


def test_what_was_there_may_not_go(tmp_path: Path) -> None:
    before = tree(bundle(tmp_path / "before", a="old"))
    (tmp_path / "case" / "out").mkdir(parents=True)
    found = of_state(EXPORT, tmp_path / "case", before, before)
    assert [f.text for f in found] == ["out/b is gone", "out/b/a is gone"]


def test_what_the_next_run_leaves_must_equal_to_the_byte(tmp_path: Path) -> None:
    golden = tree(bundle(tmp_path / "golden", a="new"))
    folder = bundle(tmp_path / "case", a="new")
    assert of_next(ended(0), folder, golden) == of_success(ended(0), folder, golden) == []
    (folder / "out" / ".x.01234567.part").mkdir()
    (folder / "out" / "b" / "a").write_text("ne")
    (blocked,) = of_next(ended(2, "error: locked"), folder, golden)
    (differs,) = of_next(ended(0), folder, golden)
    (silent,) = of_success(ended(0), folder, golden)
    assert (blocked.kind, differs.kind, silent.kind) == ("blocked", "differs", "in silence")
    assert differs.text == "after the next run out/.x.part, out/b/a differ"
    assert of_success(ended(2), folder, golden) == []


@pytest.mark.parametrize(
    ("kind", "end", "found"),
    [
        ("kill", ended(137), []),
        ("full", ended(2, "error: x: found no room\n  try: another disk\n"), []),
        ("full", ended(0), []),
        ("interrupt", ended(130, "interrupted: nothing is kept\n"), []),
        ("terminate", ended(130, "interrupted: nothing is kept\n"), ["exit code 130 instead of"]),
        ("full", ended(2), ["0 messages instead of one"]),
        ("full", ended(2, "error: a\nerror: b\n"), ["2 messages instead of one"]),
        ("full", ended(70, "Traceback\nKeyError"), ["exit code 70", "a traceback", "0 messages"]),
        ("kill", ended(137, lingered=1), ["1 processes"]),
        ("kill", ended(137, HUNG), [HUNG]),
    ],
)
def test_how_a_command_ends_is_judged(kind: str, end: Ended, found: list[str]) -> None:
    texts = [finding.text for finding in of_end(Fault("train", kind), end)]  # type: ignore[arg-type]
    assert len(texts) == len(found)
    assert all(text.startswith(start) for text, start in zip(texts, found, strict=True))


def test_seconds_of_a_training_are_no_difference(tmp_path: Path) -> None:
    for name, seconds in (("a", 1.5), ("b", 2.5)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.json").write_text(f'{{"cpu_s": {seconds}, "x": 1}}')
        (tmp_path / name / "history.csv").write_text(f"epoch,cpu_s\n1,{seconds}\n")
    assert tree(tmp_path / "a") == tree(tmp_path / "b")
    (tmp_path / "b" / "history.csv").write_text("epoch,cpu_s\n2,2.5\n")
    assert tree(tmp_path / "a") != tree(tmp_path / "b")


def test_a_torn_file_is_no_whole_one(tmp_path: Path) -> None:
    (tmp_path / "x.svg").write_text("<svg></svg>\n")
    whole = judging.digest(tmp_path / "x.svg")
    (tmp_path / "x.svg").write_text("<svg></sv")
    assert judging.digest(tmp_path / "x.svg") != whole
