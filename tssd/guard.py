"""Foreign files are first read in a process of their own, with limits of time and memory.

The C libraries below a reader (libhdf5, protobuf) can loop, crash or take any amount of memory over
a damaged file before Python sees anything: a global heap whose free space has size 0 makes libhdf5
2.0 loop for ever. A reader marked ``guarded`` therefore runs there first. Only a file that the very
same reader has come to an end with is then read here; a refusal is passed on as it is.

One such process serves all files of a program. It starts with the first and ends with the program.
"""

import atexit
import functools
import importlib
import json
import math
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO, TypeVar

from tssd import errors
from tssd.errors import FileFormatError, TssdError

try:
    import resource
except ImportError:  # not on Windows: there, only time is limited
    resource = None  # type: ignore[assignment]

Read = TypeVar("Read")

SECONDS = 5  # of CPU time for any file, and besides:
BYTES_PER_SECOND = 5_000_000
PATIENCE = 24  # seconds of waiting for one of CPU time: a busy machine is no damaged file
MEMORY = 3 << 30  # of the process besides the libraries that its reader imports, and besides:
MEMORY_PER_BYTE = 40
START = "import sys; sys.path[:] = {path!r}; from tssd.guard import serve; serve()"


class _Here:
    """What this process is: a guard, or one that keeps a guard."""

    is_guard = False
    guard: "_Guard | None" = None
    lock = threading.Lock()


def guarded(reader: Callable[[Path], Read]) -> Callable[[Path], Read]:
    """*reader*, run under limits first; FileFormatError where it does not come to an end."""

    @functools.wraps(reader)
    def read(path: Path) -> Read:
        if not _Here.is_guard:
            try_first(f"{reader.__module__}:{reader.__qualname__}", path)
        return reader(path)

    return read


def try_first(reader: str, path: Path) -> None:
    """Run ``module:function`` on *path* in the guard; whatever it raises there, it raises here."""
    size = path.stat().st_size if path.is_file() else 0
    seconds = SECONDS + size // BYTES_PER_SECOND
    task = [reader, str(path), os.getcwd(), seconds, MEMORY + MEMORY_PER_BYTE * size]
    with _Here.lock:
        if _Here.guard is None or not _Here.guard.alive():
            _Here.guard = _Guard()
        answer = _Here.guard.ask(task, PATIENCE * seconds)
    if isinstance(answer, str):
        raise FileFormatError(
            str(path),
            found=f"a damaged file: its reader {answer}",
            allowed="a whole file",
            hint="copy or export it again; do not trust where it came from",
        )
    if answer:
        raise getattr(errors, answer.pop("error"))(answer.pop("where"), **answer)


def stop() -> None:
    """End the guard, if one runs; the next file starts another."""
    if _Here.guard is not None:
        _Here.guard.stop()


class _Guard:
    """The other process, asked line by line."""

    def __init__(self) -> None:
        self.owner = os.getpid()
        self.process = subprocess.Popen(
            [sys.executable, "-c", START.format(path=sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.answers: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()
        atexit.register(self.stop)

    def alive(self) -> bool:
        """Whether it can be asked: not after its end, and not by a fork of its owner."""
        return self.owner == os.getpid() and self.process.poll() is None

    def ask(self, task: list[Any], seconds: int) -> dict[str, Any] | str:
        """{} if the reader came to an end, its error's parts, or what went wrong in words."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(task) + "\n")
            self.process.stdin.flush()
            line = self.answers.get(timeout=seconds)
        except queue.Empty:
            self.stop()
            return "did not end in time"
        except BrokenPipeError:
            line = ""
        if not line:
            return self._end()
        answer: dict[str, Any] | str = json.loads(line)
        return answer

    def _end(self) -> str:
        """Why it is no longer there."""
        code = self.process.wait()
        self.stop()
        if code == -getattr(signal, "SIGXCPU", 0):
            return "did not end in time"
        return f"crashed (signal {-code})" if code < 0 else f"failed (exit code {code})"

    def stop(self) -> None:
        """End the process; a fork must leave its parent's guard alone."""
        atexit.unregister(self.stop)
        if self.owner != os.getpid():
            return
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            try:
                pipe.close()
            except BrokenPipeError:
                continue

    def _listen(self) -> None:
        assert self.process.stdout is not None
        try:
            for line in self.process.stdout:
                self.answers.put(line)
        except ValueError:  # closed by stop
            return
        self.answers.put("")


def serve() -> None:
    """The guard's loop: one task per line of standard input, one answer per line."""
    _Here.is_guard = True
    answers: TextIO = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints is no answer
    for line in sys.stdin:
        reader, path, folder, seconds, memory = json.loads(line)
        os.chdir(folder)
        answers.write(json.dumps(_attempt(reader, Path(path), seconds, memory)) + "\n")
        answers.flush()


def _attempt(name: str, path: Path, seconds: int, memory: int) -> dict[str, Any] | str:
    """The answer to one task. An error of another kind ends the guard: it is a fault of ours."""
    module, _, function = name.partition(":")
    _unlimit()
    reader = getattr(importlib.import_module(module), function)  # may load torch: not the file's
    _limit(seconds, memory + _mapped_bytes())
    try:
        reader(path)
    except TssdError as error:
        return {"error": type(error).__name__, **vars(error)}
    except MemoryError:
        return "asked for more memory than a file of its size can need"
    return {}


def _mapped_bytes() -> int:
    """Address space that this process has; 0 where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _unlimit() -> None:
    """As before the last task."""
    if resource is None:
        return
    for what in (resource.RLIMIT_CPU, resource.RLIMIT_AS):
        most = resource.getrlimit(what)[1]
        resource.setrlimit(what, (most, most))


def _limit(seconds: int, memory: int) -> None:
    """Limits of this process for its next task."""
    if resource is None:
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    spent = math.ceil(used.ru_utime + used.ru_stime)
    for what, wanted in ((resource.RLIMIT_CPU, spent + seconds), (resource.RLIMIT_AS, memory)):
        most = resource.getrlimit(what)[1]
        least = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
        resource.setrlimit(what, (least, most))
