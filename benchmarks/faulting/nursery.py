"""Commands in forks of this process, which has loaded everything already: thousands are cheap."""

import ctypes
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from benchmarks.faulting.faults import Fault
from benchmarks.faulting.steps import Steps

CLONE_NEWPID = 0x20000000  # linux/sched.h
FAULT = 70  # as of tssd.cli
PATIENCE_S = 300.0
GRACE_S = 10.0  # for helpers to see that their parent is gone
HUNG = "did not end"


@dataclass(frozen=True)
class Ended:
    """How a command ended: ``code`` as a shell gives it, what it said on standard error, how many
    steps it took, its seconds and those of CPU time, how many processes of its own outlived it."""

    code: int
    said: str
    steps: int
    seconds: float
    cpu_s: float
    lingered: int


@dataclass(frozen=True)
class Started:
    """A command that is running in a process group of its own; ``begun``: where it says so."""

    pid: int
    folder: Path
    mark: str
    begun: int

    def wait(self, after_s: float | None = None, number: int = signal.SIGKILL) -> Ended:
        """Its end; the signal *number* is sent *after_s* of its work, and a hung one is killed."""
        os.read(self.begun, 1)  # nothing, where it ends before
        os.close(self.begun)
        began = time.monotonic()
        hung = threading.Event()
        timers = [threading.Timer(PATIENCE_S, self._give_up, (hung,))]
        if after_s is not None:
            timers.append(threading.Timer(after_s, self._send, (number,)))
        for timer in timers:
            timer.start()
        _, status, used = os.wait4(self.pid, 0)
        seconds = time.monotonic() - began
        for timer in timers:
            timer.cancel()
        told = self.folder / f"{self.mark}.err"
        said = told.read_text(errors="replace") if told.exists() else ""  # killed before it was
        counted = self.folder / f"{self.mark}.steps"
        steps = int(counted.read_text() or 0) if counted.exists() else 0
        code = os.waitstatus_to_exitcode(status)
        return Ended(
            128 - code if code < 0 else code, said + HUNG * hung.is_set(), steps, seconds,
            used.ru_utime + used.ru_stime, _outlived(self.pid),
        )  # fmt: skip

    def _give_up(self, hung: threading.Event) -> None:
        hung.set()
        self._send(signal.SIGKILL)

    def _send(self, number: int) -> None:
        os.kill(self.pid, number)


def start(
    words: list[str],
    case: Path,
    fault: Fault | None = None,
    mark: str = "run",
    most_bytes: int | None = None,
) -> Started:
    """Begin ``tssd`` *words* in the folder *case* / ``work``; what it says goes into *case*.
    *most_bytes*: no file may grow beyond."""
    sys.stdout.flush()
    sys.stderr.flush()
    begun, begins = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(begun)
        _child(words, case, fault, mark, most_bytes, begins)
    os.close(begins)
    return Started(pid, case, mark, begun)


def can_be_pid_1() -> bool:
    """Whether this process may make a PID namespace, as a container has."""
    pid = os.fork()
    if pid == 0:
        os._exit(0 if ctypes.CDLL(None).unshare(CLONE_NEWPID) == 0 else 1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def _child(
    words: list[str],
    case: Path,
    fault: Fault | None,
    mark: str,
    most_bytes: int | None,
    begins: int,
) -> NoReturn:
    code = FAULT
    try:
        os.setsid()
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # as the program has it: tssd.__main__
        killed = None
        if fault is not None and fault.kind == "kill as pid 1":
            killed = _as_pid_1()
        _redirect(case, mark)
        os.chdir(case / "work")
        if most_bytes is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
        steps = Steps(case / "work", fault, killed)
        code = _command(words, steps, case / f"{mark}.steps", begins)
    finally:
        with suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _as_pid_1() -> Callable[[], None]:
    """Fork into a new PID namespace: this process goes on as its first; the one between waits,
    kills it when told to, and ends as it ends."""
    if ctypes.CDLL(None).unshare(CLONE_NEWPID) != 0:
        raise OSError("no PID namespace")
    heard, told = os.pipe()
    pid = os.fork()
    if pid:
        os.close(told)
        if os.read(heard, 1):
            os.kill(pid, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        os._exit(128 - code if code < 0 else code)
    os.close(heard)
    assert os.getpid() == 1

    def killed() -> None:
        os.write(told, b"k")

    return killed


def _redirect(case: Path, mark: str) -> None:
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    for number, name in ((1, "out"), (2, "err")):
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        os.dup2(os.open(case / f"{mark}.{name}", flags, 0o644), number)


def _command(words: list[str], steps: Steps, counted: Path, begins: int) -> int:
    from tssd.cli import main

    place = os.open(counted, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    steps.arm()
    os.write(begins, b"b")
    os.close(begins)
    try:
        main(words)
    except SystemExit as end:
        return int(end.code or 0)
    finally:
        steps.quiet = True
        os.pwrite(place, str(steps.count).encode(), 0)


def _outlived(session: int) -> int:
    """How many processes of *session* are there after a moment of grace; they are ended."""
    end = time.monotonic() + GRACE_S
    while (left := _of_session(session)) and time.monotonic() < end:
        time.sleep(0.02)
    for pid in left:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return len(left)


def _of_session(session: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, *fields = path.read_text().rpartition(")")[2].split()
            if int(fields[2]) == session and state != "Z":
                found.append(int(path.parent.name))
    return found


def here(words: list[str], case: Path) -> int:
    """``tssd`` *words* in this very process: what it loads, its forks need not load."""
    from tssd.cli import main

    before = Path.cwd()
    os.chdir(case / "work")
    try:
        with (case / "warm").open("w") as file, redirect_stdout(file), redirect_stderr(file):
            main(words)
    except SystemExit as end:
        return int(end.code or 0)
    finally:
        os.chdir(before)
