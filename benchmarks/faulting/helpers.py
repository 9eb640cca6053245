"""Helpers of a command as forks too: the guard of foreign files, the workers of a sweep.

Each starts a Python of its own otherwise, a second or two of loading for a case of a tenth. What
they do, how they are asked, and how they end is the same.
"""

import multiprocessing
import os
import signal
import sys
from typing import Any, TextIO

from tssd import guard
from tssd.simulating import workers


class ForkedGuard:
    """What ``guard`` uses of ``subprocess.Popen``: a fork that serves."""

    def __init__(self, *words: Any, **options: Any) -> None:
        asked, stdin = os.pipe()
        stdout, answered = os.pipe()
        self.code: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            for theirs, number in ((asked, 0), (answered, 1)):
                os.dup2(theirs, number)
            os.closerange(3, max(stdin, stdout, asked, answered) + 1)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            _serve()
        os.close(asked)
        os.close(answered)
        self.stdin: TextIO = os.fdopen(stdin, "w")
        self.stdout: TextIO = os.fdopen(stdout)

    def poll(self) -> int | None:
        """Its exit code, once it has ended."""
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.code = os.waitstatus_to_exitcode(status) if pid else None
        return self.code

    def wait(self) -> int:
        """Its exit code."""
        if self.code is None:
            self.code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.code

    def kill(self) -> None:
        """End it."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)


def _serve() -> None:
    code = 1
    try:
        sys.stdin = os.fdopen(0, closefd=False)  # the one before has read ahead
        guard.serve()
        code = 0
    finally:
        os._exit(code)


def forked() -> None:
    """From now on helpers of this process and of its forks are forks."""
    setattr(guard, "subprocess", ForkedProcesses)  # noqa: B010 (a module's names are constants)
    setattr(workers, "get_context", lambda kind: multiprocessing.get_context("fork"))  # noqa: B010


class ForkedProcesses:
    """In the place of the module ``subprocess``."""

    Popen = ForkedGuard
    PIPE = DEVNULL = None
