"""Ctrl-C and SIGTERM: one exception for both, raised at once or where the work allows it."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
AGAIN_S = 0.05


class Interrupted(KeyboardInterrupt):
    """The program was asked to end; *note* says what of its work is kept."""

    def __init__(self, number: int, note: str | None = None) -> None:
        self.number, self.note = number, note
        super().__init__(number, note)

    @property
    def exit_code(self) -> int:
        """What shells give for the signal: 130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + self.number


class Deferred:
    """The first signal waits in ``number`` (0: none came); a second one acts at once."""

    def __init__(self) -> None:
        self.number = 0
        self.at_once = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.number:
            self.at_once = True
            raise Interrupted(number)
        self.number = number


def at_once(number: int, frame: FrameType | None) -> None:
    """A handler: raises Interrupted wherever the program stands."""
    raise Interrupted(number)


@contextmanager
def _sent_again() -> Iterator[None]:
    """A signal is not lost where Python ignores what is raised (in a destructor, at a fork): it is
    sent once more, a moment later."""
    before, later = sys.unraisablehook, list[threading.Timer]()

    def ignored(what: "sys.UnraisableHookArgs") -> None:
        if not isinstance(what.exc_value, Interrupted):
            before(what)
            return
        timer = threading.Timer(AGAIN_S, os.kill, (os.getpid(), what.exc_value.number))
        timer.daemon = True
        timer.start()
        later.append(timer)

    sys.unraisablehook = ignored
    try:
        yield
    finally:
        sys.unraisablehook = before
        for timer in later:
            timer.cancel()


@contextmanager
def handled(handler: "Deferred | None" = None) -> Iterator[None]:
    """Signals go to *handler* (None: they raise at once) until the block ends. What the program was
    started to ignore (``nohup``, ``&`` of a script) stays ignored."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers, and signals reach it alone
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    ours = [number for number, old in before.items() if old is not signal.SIG_IGN]
    for number in ours:
        signal.signal(number, handler or at_once)
    try:
        with _sent_again():
            yield
    finally:
        for number in ours:
            signal.signal(number, before[number])
