"""Errors a user can act on; the command line prints them and exits with 2 (1 for a contract).

TssdError
├── DataError        a data set is missing, damaged or of another shape
├── ConfigError      an option or configuration key is unknown or out of range
├── FileFormatError  a checkpoint, bundle or exchange file cannot be read as what it claims to be
├── NetworkError     a network says something this stage cannot take over
├── TrainingError    a training run cannot go on
├── TargetError      a target cannot take the network, or its tools are not installed
└── ContractError    two stages that must agree do not (exit code 1)
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any


def counted(count: int, what: str) -> str:
    """``1 chip``, ``2 chips``."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


LONGEST = 10_000  # characters of what a message says was found
UNREADABLE = (OSError, ValueError, RecursionError)  # what reading text as JSON or TOML raises


def visible(text: str, keep: str = "") -> str:
    r"""*text* with what a terminal would obey or hide written out; characters in *keep* stay.

    Names come from foreign files: one could clear the screen, or forge a line.

    >>> visible("conv\x1b[2J")
    'conv\\x1b[2J'
    """
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text
    )


def shortened(text: str) -> str:
    """*text*, which may be as long as a file, as far as anyone reads it."""
    if len(text) <= LONGEST:
        return text
    return f"{text[:LONGEST]} ... ({len(text):,} characters)"


class TssdError(Exception):
    """Bad input: says where, what was found, what is allowed, and what to try.

    >>> print(TssdError("config.toml", found="epochs = 0", allowed="epochs >= 1"))
    config.toml: found epochs = 0; allowed: epochs >= 1
    """

    exit_code = 2

    def __init__(
        self, where: str, *, found: str, allowed: str | None = None, hint: str | None = None
    ) -> None:
        self.where, self.found, self.allowed, self.hint = where, found, allowed, hint
        super().__init__(where, found, allowed, hint)

    def __str__(self) -> str:
        text = f"{visible(shortened(self.where))}: found {shortened(self.found)}"
        if self.allowed:
            text += f"; allowed: {self.allowed}"
        if self.hint:
            text += f"\n  try: {self.hint}"
        return visible(text, "\n")

    def __reduce__(self) -> tuple[Any, ...]:
        """An error crosses from a worker to its parent: all but ``where`` is given by name."""
        made = partial(
            type(self), self.where, found=self.found, allowed=self.allowed, hint=self.hint
        )
        return made, ()


class DataError(TssdError):
    """A data set is missing, damaged or of another shape."""


class ConfigError(TssdError):
    """An option or configuration key is unknown or out of range."""


class FileFormatError(TssdError):
    """A file cannot be read as what it claims to be."""


class NetworkError(TssdError):
    """A network holds something this stage cannot take over."""


class TrainingError(TssdError):
    """A training run cannot go on; its last good checkpoint stays."""


class TargetError(TssdError):
    """A target cannot take the network, or its tools are missing."""


class ContractError(TssdError):
    """Two stages that must agree do not."""

    exit_code = 1


@dataclass(frozen=True)
class Foreign:
    """While someone else's code runs: what it raises, of whatever class, becomes what *refusal*
    makes of it (None: it stays). Our own errors and a request to stop (control-C) go through."""

    refusal: Callable[[BaseException], TssdError | None]

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Exception | SystemExit) and not isinstance(error, TssdError):
            refused = self.refusal(error)
            if refused is not None:
                raise refused from None


@contextmanager
def refusing(
    damage: tuple[type[Exception], ...],
    refusal: type[TssdError],
    where: str,
    what: str,
    *,
    allowed: str | None = None,
    hint: str | None = None,
) -> Iterator[None]:
    """What a library raises over bad input, *damage*, becomes *refusal*: found *what*, and the
    library's reason in one short line."""
    try:
        yield
    except damage as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:160]
        raise refusal(where, found=f"{what} ({reason})", allowed=allowed, hint=hint) from None
