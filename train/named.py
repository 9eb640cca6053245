"""Code that a user names as ``pkg.module:name``: how it is told from a name, trusted, imported."""

import importlib
import sys
from pathlib import Path
from types import ModuleType

from tssd.errors import ConfigError


def is_module_path(model: str) -> bool:
    """Whether *model* names a user's function rather than a built-in network."""
    return ":" in model


def check_named(model: str, named: str | None, where: str) -> None:
    """Refuse a *model* of a file whose code would run, unless the user has *named* the same."""
    if not is_module_path(model) or named == model:
        return
    other = f", not {named!r}" if named else ""
    raise ConfigError(
        where,
        found=f"a network of the module {model!r}, whose code would run",
        allowed=f"with --model {model!r} on this command line{other}",
        hint="name it only if you trust its code",
    )


def import_named(model: str) -> tuple[ModuleType, str]:
    """The module of ``pkg.module:name`` and the name; the working folder is looked in too."""
    path, _, name = model.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    return importlib.import_module(path), name
