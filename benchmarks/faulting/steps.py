"""The steps of a command on the file system: counted by Python's own audit events.

Opening, making, renaming, removing and locking what is in the case's folder are steps, and so is
every flush to the disk. A fault happens *before* its step.
"""

import errno
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.faulting.faults import Fault

EVENTS = (
    *("open", "os.rename", "os.mkdir", "os.rmdir", "os.remove", "os.link", "os.truncate"),
    *("shutil.rmtree", "fcntl.flock", "ctypes.dlsym"),
)
NEED_ROOM = ("open", "os.rename", "os.mkdir", "os.link", "os.truncate", "os.fsync")
FOREVER_S = 3600.0


class Steps:
    """Counts; does what *fault* says when its step has come. *killed* is told when the process is
    to be killed from outside, where it cannot kill itself."""

    def __init__(
        self, folder: Path, fault: Fault | None, killed: Callable[[], None] | None
    ) -> None:
        self.folder, self.fault, self.killed = str(folder), fault, killed
        self.count, self.quiet, self.process = 0, False, 0

    def arm(self) -> None:
        """From now on, in this process and for good."""
        self.process = os.getpid()  # helpers that fork from here have steps of their own
        sys.addaudithook(self._heard)
        flush = os.fsync

        def counted(descriptor: int) -> None:
            self._step("os.fsync", "a file")
            flush(descriptor)

        setattr(os, "fsync", counted)  # noqa: B010 (a module's function, as far as types go)

    def _heard(self, event: str, given: tuple[Any, ...]) -> None:
        if event in EVENTS and not self.quiet and self._ours(event, given):
            reads = event == "open" and not given[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            self._step("read" if reads else event, given[0] if given else "a file")

    def _ours(self, event: str, given: tuple[Any, ...]) -> bool:
        """Whether the event is about the case's folder, in which the process works."""
        if event in ("fcntl.flock", "ctypes.dlsym"):
            return event == "fcntl.flock" or given[1] == "renameat2"
        name = given[0]
        if not isinstance(name, str | bytes | os.PathLike):
            return False
        text = os.fsdecode(name)
        return text.startswith(self.folder) or not os.path.isabs(text)

    def _step(self, event: str, place: Any) -> None:
        if self.quiet or os.getpid() != self.process:
            return
        self.count += 1
        if self.fault is not None and self.fault.step == self.count:
            self.quiet = True
            try:
                self._fail(self.fault, event, place)
            finally:
                self.quiet = False

    def _fail(self, fault: Fault, event: str, place: Any) -> None:
        match fault.kind:
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "kill as pid 1":
                assert self.killed is not None
                self.killed()
                time.sleep(FOREVER_S)
            case "interrupt":
                os.kill(os.getpid(), signal.SIGINT)
            case "terminate":
                os.kill(os.getpid(), signal.SIGTERM)
            case "full":
                if event in NEED_ROOM:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), place)
            case "vanished output" | "vanished input":
                gone = Path(self.folder) / ("out" if fault.kind == "vanished output" else "in")
                gone.rename(gone.with_name(f"{gone.name}.gone"))
            case _:
                raise AssertionError(fault.name)
