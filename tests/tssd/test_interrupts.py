"""Signals: none is lost, wherever the program stands when it comes."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from tssd.interrupts import Interrupted, handled


class SendsWhenItGoes:
    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        for _ in range(1000):  # the handler raises here, and Python ignores what it raises
            pass


def test_a_signal_in_a_destructor_comes_again() -> None:

    def work() -> None:
        with handled():
            SendsWhenItGoes()
            threading.Event().wait(60)

    with pytest.raises(Interrupted) as stop:
        work()
    assert stop.value.exit_code == 143


def test_none_comes_when_the_work_is_over() -> None:
    """The block ended before the moment had passed: nothing is sent to what follows."""
    before = signal.getsignal(signal.SIGTERM)
    with handled():
        SendsWhenItGoes()
    assert signal.getsignal(signal.SIGTERM) is before
    assert not [
        t
        for t in threading.enumerate()
        if isinstance(t, threading.Timer) and t.is_alive() and not t.finished.is_set()
    ]


LOADS = """
import os, signal
import tssd.cli
tssd.cli.main = lambda: [os.kill(os.getpid(), signal.SIGINT), print("lived on")]
from tssd.__main__ import entry
entry()
"""


@pytest.mark.parametrize(("before", "code"), [("", -signal.SIGINT), ("ignored", 0)])
def test_ctrl_c_outside_of_the_work_shows_no_traceback(before: str, code: int) -> None:
    """And acts, unless whoever started the program had it ignored."""
    ignored = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)" if before else ""
    ran = subprocess.run([sys.executable, "-c", ignored + LOADS], capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (code, "")
    assert ("lived on" in ran.stdout) == (code == 0)
