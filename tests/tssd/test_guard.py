"""Readers run first in a process of their own: what they do there is limited and told."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest

from tssd import guard
from tssd.errors import FileFormatError, NetworkError


@guard.guarded
def size(path: Path) -> int:
    """A reader that does what its file says."""
    text = path.read_text()
    if text == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if text == "loop":
        while True:
            pass
    if text == "fill":
        np.ones(1 << 40)
    if text == "fault":
        raise ZeroDivisionError
    if text == "refuse":
        raise NetworkError(str(path), found="a refusal", allowed="anything else", hint="another")
    return len(text)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "x.txt"


def test_a_file_that_reads_well_is_read_here(file: Path) -> None:
    file.write_text("fine")
    assert size(file) == 4


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("crash", "crashed \\(signal 11\\)"),
        ("loop", "did not end in time"),
        ("fill", "asked for more memory"),
        ("fault", "failed \\(exit code 1\\)"),
    ],
)
def test_what_goes_wrong_there_is_a_refusal_here(
    file: Path, monkeypatch: pytest.MonkeyPatch, text: str, reason: str
) -> None:
    monkeypatch.setattr(guard, "SECONDS", 1)
    file.write_text(text)
    with pytest.raises(FileFormatError, match=f"its reader {reason}"):
        size(file)
    file.write_text("again")
    assert size(file) == 5


def test_a_refusal_arrives_with_all_its_parts(file: Path) -> None:
    file.write_text("refuse")
    with pytest.raises(NetworkError, match="a refusal; allowed: anything else") as caught:
        size(file)
    assert (caught.value.where, caught.value.hint) == (str(file), "another")


def test_a_path_is_meant_from_where_the_program_is(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text("near")
    monkeypatch.chdir(file.parent)
    assert size(Path(file.name)) == 4
