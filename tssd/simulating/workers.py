"""Worker processes that answer one request at a time, and whose end is an answer too.

A pool of the standard library is lost as a whole when one worker dies, without a word of which
request killed it. Here each worker has a request of its own: what dies is known, and another
worker takes its place. A worker ends with its parent, however that ends, and leaves Ctrl-C to it.
"""

import os
import signal
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any, Generic, TypeVar

_CALLER = Lock()  # workers start from several threads
Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


class Worker(Generic[Asked, Answer]):
    """A process that applies *function* to what it is asked; it starts with the first request."""

    def __init__(self, function: Callable[[Asked], Answer]) -> None:
        self.function = function
        self.process: Any = None
        self.pipe: Connection | None = None
        self.killed = False

    def ask(self, request: Asked) -> Answer | str:
        """The answer, or in words how the process ended."""
        if self.pipe is None:
            self._start()
        assert self.pipe is not None
        try:
            self.pipe.send(request)
            answer: Answer = self.pipe.recv()
        except (EOFError, OSError):  # it closed its end: it is dead
            return self._end()
        return answer

    def kill(self) -> None:
        """End the process, whatever it does, one that is just being started too."""
        self.killed = True  # first: who starts a process sets that first and looks at this
        if self.process is not None:
            self.process.kill()

    def close(self) -> None:
        """Take leave of a process that was killed or has nothing to do."""
        if self.process is not None:
            self._end()

    def _start(self) -> None:
        context = get_context("spawn")  # a fork would copy threads' locks
        self.pipe, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(self.function, theirs), daemon=True)
        with _CALLER, _nameless_script():
            process.start()
        self.process = process  # not before: what never started cannot be killed
        theirs.close()  # or its end would not be seen
        if self.killed:
            process.kill()

    def _end(self) -> str:
        process, pipe = self.process, self.pipe
        self.process = self.pipe = None
        if pipe is not None:
            pipe.close()  # first: a process that has nothing to do ends by that
        process.join()
        code = process.exitcode
        return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


@contextmanager
def _nameless_script() -> Iterator[None]:
    """A new process runs the caller's script once more, if that has a name. A worker needs nothing
    of it, and a script of plain lines, which starts workers itself, would end every worker."""
    script: dict[str, Any] = vars(sys.modules["__main__"])
    kept: dict[str, Any] = {
        name: script[name] for name in ("__spec__", "__file__") if name in script
    }
    script.update(dict.fromkeys(kept))
    try:
        yield
    finally:
        script.update(kept)


def answers(
    function: Callable[[Asked], Answer],
    requests: Sequence[Asked],
    count: int,
    died: Callable[[str], Answer],
) -> Generator[Answer, None, None]:
    """``function`` of every request, in order, by *count* workers; ``died`` of how a worker ended
    where it gave no answer."""
    idle: SimpleQueue[Worker[Asked, Answer]] = SimpleQueue()
    workers = [Worker(function) for _ in range(min(count, len(requests)))]
    for worker in workers:
        idle.put(worker)

    def answer(request: Asked) -> Answer:
        worker = idle.get()
        try:
            found = worker.ask(request)
        finally:
            idle.put(worker)
        return died(found) if isinstance(found, str) else found

    threads = ThreadPoolExecutor(len(workers) or 1)
    try:
        yield from threads.map(answer, requests)
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
        for worker in workers:
            worker.kill()
        threads.shutdown()  # those that waited for an answer have seen the end
        for worker in workers:
            worker.close()


def _serve(function: Callable[[Any], Any], pipe: Connection) -> None:
    """The worker: until its parent hangs up or ends."""
    for number in (signal.SIGINT, signal.SIGTERM):  # of the whole group: the parent decides
        signal.signal(number, signal.SIG_IGN if number == signal.SIGINT else signal.SIG_DFL)
    Thread(target=_end_with_parent, daemon=True).start()
    while True:
        try:
            request = pipe.recv()
        except EOFError:
            return
        pipe.send(function(request))


def _end_with_parent() -> None:
    """A long simulation does not look at its pipe."""
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
