"""The campaign of damaged files: it knows how every case ended, whatever ended its fork."""

import json
import os
import signal
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import pytest
from hostile import Target

from benchmarks import reader_fuzz
from benchmarks.reader_fuzz import Campaign, Outcome, check_valid, fork, published, rows, run
from tssd.errors import FileFormatError

CASES = 8


def ends(path: Path) -> None:
    """A file says by its name what becomes of its reader."""
    match path.name:
        case "1":
            raise FileFormatError("a", found="nothing")
        case "2":
            raise KeyError("x")
        case "3":
            raise MemoryError
        case "4":
            os.kill(os.getpid(), signal.SIGKILL)
        case "6":
            while time.time():
                pass
        case _:
            return


def target(name: str, kept: bool = False) -> Target:
    files = tuple((str(i), b"") for i in range(CASES))
    return Target(name, files, (ends,), lambda data, rng: data, kept=kept)


@pytest.mark.parametrize("kept", [False, True])
def test_what_came_before_a_crash_is_known(
    kept: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before which a process with limits stands, nothing of it is a fault but an error."""
    for name in ("SECONDS", "KEPT_SECONDS"):
        monkeypatch.setattr(reader_fuzz, name, 0.05)
    outcome = fork(target("odd", kept), 1, range(CASES), tmp_path)
    stopped = "stopped: " if kept else ""
    assert outcome.cases == CASES
    assert outcome.counts == {
        "read": 3, "refused": 1, "error": 1,
        f"{stopped}memory": 1, f"{stopped}crash": 1, f"{stopped}hang": 1,
    }  # fmt: skip
    faults = {name.partition(":")[0]: case for name, case in outcome.faults.items()}
    found = {"error": "case 2", "memory": "case 3"}
    found |= {"crash (signal 9)": "case 4", "hang (signal 27)": "case 6"}
    assert faults == ({"error": "case 2"} if kept else found)


def test_a_valid_file_that_is_refused_stops_the_campaign(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="odd: the valid file 1 is refused: a: found nothing"):
        check_valid(target("odd"), tmp_path)


def test_every_kind_has_its_least_number_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Campaign, "keep", lambda self: None)
    monkeypatch.setattr(reader_fuzz, "CHUNK", 10)
    monkeypatch.setattr(reader_fuzz, "KEPT_SECONDS", 0.05)
    campaign = Campaign(1, {})
    run(campaign, [target("a", kept=True), target("b", kept=True)], 1, 3, 1.0, tmp_path)
    assert {name: made.cases for name, made in campaign.outcomes.items()} == {"a": 3, "b": 3}


def test_a_later_campaign_replaces_the_kinds_that_it_read_and_keeps_the_others(
    tmp_path: Path,
) -> None:
    stopped = Counter({"read": 3, "refused": 4, "stopped: hang": 2, "error": 1})
    first = {
        "a, packed": Outcome(10, 2, stopped, longest_s=0.5, largest_mib=30.0),
        "b": Outcome(5, 2, Counter({"read": 5}), longest_s=0.1),
    }
    path = tmp_path / "readers.json"
    path.write_text(json.dumps({"rows": [asdict(row) for row in rows(first)]}))
    assert {n: (o.cases, o.seed, o.counts) for n, o in published(path).items()} == {
        n: (o.cases, o.seed, o.counts) for n, o in first.items()
    }
    later = {**published(path), "b": Outcome(7, 3, Counter({"refused": 7}), longest_s=0.2)}
    found = {row.name: (row.value, row.how) for row in rows(later)}
    assert found["fuzz: a, packed"][0] == 10
    assert found["fuzz: b"] == (7, "seed 3: 7 refused")
    assert found["fuzz: files of all kinds"][0] == 17
    assert [found[f"fuzz: {kind}"][0] for kind in ("error", "hang", "longest case")] == [1, 0, 0.5]
    assert published(tmp_path / "none") == {}
