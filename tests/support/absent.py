"""Packages made absent: as on a machine where they were never installed."""

import sys
from collections.abc import Iterable
from typing import Any


class _Hiding:
    """A finder that does not see the packages *roots*, nor that they are installed."""

    def __init__(self, finder: Any, roots: frozenset[str]) -> None:
        self.finder, self.roots = finder, roots

    def find_spec(self, name: str, *given: Any) -> Any:
        hidden = name.partition(".")[0] in self.roots
        return None if hidden else self.finder.find_spec(name, *given)

    def find_distributions(self, *given: Any) -> Iterable[Any]:
        found = getattr(self.finder, "find_distributions", lambda *_: ())(*given)
        return (x for x in found if x.name.lower() not in self.roots)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.finder, name)


def hide(*roots: str) -> None:
    """Until this process ends, no import finds the packages *roots*."""
    assert not set(roots) & set(sys.modules), "imported before it was hidden"
    sys.meta_path[:] = [_Hiding(finder, frozenset(roots)) for finder in sys.meta_path]
