"""Signals: none is lost, wherever the program stands when it comes."""

import os
import signal
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
