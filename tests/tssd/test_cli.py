"""How the program ends: one message, and an exit code that means one thing."""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from tssd import cli
from tssd.commands.group import COMMANDS, LazyGroup
from tssd.errors import ConfigError, ContractError
from tssd.interrupts import Interrupted


def ending(
    work: Callable[[], None], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[int, str]:
    """Exit code and message of a command that does *work*."""
    monkeypatch.setitem(COMMANDS, "work", ("", ""))
    found = click.Command("work", callback=work)
    monkeypatch.setattr(LazyGroup, "get_command", lambda *_: found)
    with pytest.raises(SystemExit) as stopped:
        cli.main(["work"])
    assert isinstance(stopped.value.code, int)
    return stopped.value.code, capsys.readouterr().err


def raising(error: BaseException) -> Callable[[], None]:
    def work() -> None:
        raise error

    return work


FULL = OSError(errno.ENOSPC, "No space left on device", "/data/x")


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (ConfigError("a", found="b"), 2, "error: a: found b\n"),
        (ContractError("a", found="b"), 1, "error: a: found b\n"),
        (click.ClickException("no"), 2, "Error: no\n"),
        (click.UsageError("no"), 2, "no\n"),
        (click.Abort(), 130, "interrupted: what was not whole is not kept\n"),
        (KeyboardInterrupt(), 130, "interrupted: what was not whole is not kept\n"),
        (Interrupted(signal.SIGTERM, "all saved"), 143, "interrupted: all saved\n"),
        (FULL, 2, "error: /data/x: found No space left on device\n  try: make room on the disk"),
        (FileNotFoundError(2, "No such file or directory", b"\xff"), 2, "found No such file"),
        (OSError("odd"), 2, "error: a file: found odd\n"),
        (MemoryError("15 GiB for an array"), 2, "found too little (15 GiB for an array)\n  try"),
        (RecursionError(), 2, "found something nested too deep"),
        (click.exceptions.Exit(1), 1, ""),
    ],
)
def test_every_ending_has_its_code(
    error: BaseException,
    code: int,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    found, said = ending(raising(error), monkeypatch, capsys)
    assert (found, words in said, "Traceback" in said) == (code, True, False), said


def test_a_fault_of_ours_is_no_failed_contract(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = ending(raising(ZeroDivisionError("x")), monkeypatch, capsys)
    assert code == 70
    assert "Traceback" in said
    assert "a fault of tssd, not of your input" in said


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_end_with_their_own_codes(
    number: signal.Signals,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = signal.getsignal(number)
    found, said = ending(lambda: os.kill(os.getpid(), number), monkeypatch, capsys)
    assert (found, said) == (code, "interrupted: what was not whole is not kept\n")
    assert signal.getsignal(number) is before


def test_what_was_started_to_be_ignored_stays_ignored(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        found, said = ending(lambda: os.kill(os.getpid(), signal.SIGINT), monkeypatch, capsys)
    finally:
        signal.signal(signal.SIGINT, before)
    assert (found, said) == (0, "")


def test_a_closed_pipe_is_silent() -> None:
    words = [sys.executable, "-m", "tssd", "targets", "show", "loihi2", "--json"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        said = process.stderr.read()
    assert (process.returncode, said) == (141, b"")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["report", "x" * 300], "found File name too long"),
        (["report", "{file}/b"], "found no such folder|Not a directory"),
        (["inspect", "{file}/b.nir"], "found"),
        (["targets", "check", "{folder}"], "found"),
    ],
)
def test_paths_that_cannot_be(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    given = [w.format(file=tmp_path / "file", folder=tmp_path) for w in words]
    with pytest.raises(SystemExit) as stopped:
        cli.main(given)
    heard = capsys.readouterr().err
    assert stopped.value.code == 2, heard
    assert heard.startswith("error: "), heard


def test_names_cannot_speak_to_the_terminal() -> None:
    error = ConfigError("x\x1b[2J\nerror: all is well", found="a\u202eb\x07")
    assert str(error) == "x\\x1b[2J\\nerror: all is well: found a\\u202eb\\x07"
