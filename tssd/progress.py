"""What a long command shows while it runs: named steps and bars, on standard error only."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class ProgressSteps:
    """One line per finished step with its duration; silent when *quiet*."""

    def __init__(self, quiet: bool = False) -> None:
        self._quiet = quiet
        self._current = ""
        self._began = 0.0

    def start(self, text: str) -> None:
        """Close the step before and open the next."""
        self.done()
        self._current, self._began = text, time.perf_counter()

    def done(self) -> None:
        """Close the open step."""
        if self._current and not self._quiet:
            click.echo(f"  {self._current:44} {time.perf_counter() - self._began:6.1f} s", err=True)
        self._current = ""


@contextmanager
def bar(label: str, total: int, quiet: bool = False) -> Iterator[Callable[[int], None]]:
    """A bar with the remaining time; yields a function that takes how much is done."""
    with _progress(label, quiet=quiet) as progress:
        task = progress.add_task(label, total=total)
        yield lambda done: progress.update(task, completed=done)


@contextmanager
def noted_bar(label: str, total: int) -> Iterator[Callable[[int, str], None]]:
    """A bar with the remaining time and a note; yields a function of how much is done and why."""
    with _progress(label, TextColumn("{task.fields[note]}")) as progress:
        task = progress.add_task(label, total=total, note="")
        yield lambda done, note: progress.update(task, completed=done, note=note)


@contextmanager
def counter(label: str, quiet: bool = False) -> Iterator[Callable[[int], None]]:
    """A bar without a known end; yields a function that takes how much more is done."""
    console = Console(stderr=True)
    columns = (TextColumn(label), BarColumn(), TextColumn("{task.completed:,.0f}"))
    hidden = quiet or not console.is_terminal
    with Progress(*columns, console=console, disable=hidden) as progress:
        task = progress.add_task(label, total=None)
        yield lambda more: progress.advance(task, more)


def line_without_bar(text: str) -> None:
    """*text* on standard error where no bar can show it: in a file or a pipe."""
    if not Console(stderr=True).is_terminal:
        click.echo(text, err=True)


def _progress(label: str, *more: TextColumn, quiet: bool = False) -> Progress:
    console = Console(stderr=True)
    columns = (TextColumn(label), BarColumn(), MofNCompleteColumn(), *more, TimeRemainingColumn())
    return Progress(*columns, console=console, disable=quiet or not console.is_terminal)
