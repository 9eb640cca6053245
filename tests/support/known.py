"""Figures that may be unknown, where a test knows that they are not."""

from typing import TypeVar

T = TypeVar("T")


def known(figure: T | None) -> T:
    """*figure*, which is there."""
    assert figure is not None
    return figure
