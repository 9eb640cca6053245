"""Damaged and hostile exchange files: a refusal that says why, never a crash or a hang."""

from pathlib import Path

import damage
import pytest

from tssd import guard
from tssd.errors import FileFormatError
from tssd.export.nir.graphs.read import read_graph


def attack(folder: Path, cases: range, seed: int) -> list[str]:
    """Read all *cases*; the refusals. Anything but a refusal raises."""
    made = damage.Attack(folder, seed)
    refusals = []
    for case in cases:
        path = made.write(case)
        refusals += made.consume(path, whole=case % 60 < len(made.originals))
    return refusals


def test_damaged_files_are_read_or_refused(tmp_path: Path) -> None:
    refusals = attack(tmp_path, range(280), 0)
    assert len(refusals) > 140
    assert not [r for r in refusals if "its reader failed" in r]


@pytest.mark.parametrize("case", [14446, 21538])
def test_a_member_of_an_archive_that_is_no_array_is_refused(tmp_path: Path, case: int) -> None:
    assert attack(tmp_path, range(case, case + 1), 1)


@pytest.mark.parametrize("case", [7392, 8388])
def test_parameters_of_one_node_that_do_not_fit_each_other_are_refused(
    tmp_path: Path, case: int
) -> None:
    refusals = attack(tmp_path, range(case, case + 1), 2)
    assert "shapes" in refusals[0]


def test_what_makes_the_library_loop_is_refused_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "SECONDS", 1)
    path = tmp_path / "loop.nir"
    path.write_bytes(damage.looping_heap())
    with pytest.raises(FileFormatError, match="its reader did not end in time"):
        read_graph(path)
    assert read_graph(damage.GOLDEN / "lif_norse.nir").nodes
