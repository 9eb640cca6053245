"""Values that the shell completes: chips, engines, data sets, models, methods, listed when asked.

Nothing here decides what is right: a wrong value is refused where it is used, in its own words.
"""

from collections.abc import Callable, Iterable

import click
from click.shell_completion import CompletionItem
from click.types import StringParamType


class NameType(StringParamType):
    """A text that is one of *names*, or with *several* some of them with commas between; with
    *files* a path may stand for it."""

    def __init__(
        self, names: Callable[[], Iterable[str]], *, several: bool = False, files: bool = False
    ) -> None:
        self._names, self._several, self._files = names, several, files

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The names that begin as the last one typed; those before it stay and are not repeated."""
        before, comma, last = incomplete.rpartition(",") if self._several else ("", "", incomplete)
        taken = before.split(",")
        found = [name for name in self._names() if name.startswith(last) and name not in taken]
        if not found and self._files:
            return [CompletionItem(incomplete, type="file")]
        return [CompletionItem(before + comma + name) for name in found]


def _chips() -> Iterable[str]:
    from tssd.hw_targets.chip.chips import chip_names

    return chip_names()


def _engines() -> Iterable[str]:
    from tssd.hw_targets.engines import engine_names

    return engine_names()


def _data_sets() -> Iterable[str]:
    from tssd.train.config import PRESETS

    return PRESETS


def _models() -> Iterable[str]:
    from tssd.train.networks.model_names import MODEL_NAMES

    return MODEL_NAMES


def _methods() -> Iterable[str]:
    from tssd.train.config import Method

    return map(str, Method)


CHIP = NameType(_chips, files=True)
CHIPS = NameType(_chips, several=True)
ENGINES = NameType(_engines, several=True)
DATA_SET = NameType(_data_sets)
MODEL = NameType(_models)
METHOD = NameType(_methods)
