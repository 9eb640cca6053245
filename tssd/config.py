"""TOML and mappings into frozen dataclasses; an unknown key is an error."""

import dataclasses
import math
import tomllib
from collections.abc import Iterable, Mapping
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

from tssd import typed
from tssd.errors import UNREADABLE, ConfigError, refusing

T = TypeVar("T")


def load_toml(path: Path) -> dict[str, Any]:
    """The table in *path*; a missing or malformed file raises ConfigError."""
    with refusing(UNREADABLE, ConfigError, str(path), "no valid TOML"):
        if not path.exists():
            raise ConfigError(str(path), found="no such file", hint="check the path")
        return tomllib.loads(path.read_text(encoding="utf-8"))


def from_mapping(cls: type[T], table: Mapping[str, Any], where: str) -> T:
    """*table* as an instance of the dataclass *cls*; keys, value types and choices are checked."""
    names = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]
    for key in table:
        if key not in names:
            raise unknown_name(where, f"key {key!r}", key, names)
    for key, value in table.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise ConfigError(f"{where}: {key}", found=str(value), allowed="a finite number")
    plain = {key: value.value if isinstance(value, Enum) else value for key, value in table.items()}
    return typed.from_table(cls, plain, where, refusal=ConfigError)


def with_exceptions(text: str, where: str) -> tuple[str, dict[str, str]]:
    """ "4,conv1=8,fc1=6" as what holds for all and what holds for some by name."""
    parts = [part.strip() for part in text.split(",")]
    whole = [part for part in parts if "=" not in part]
    if len(whole) != 1:
        raise ConfigError(
            where, found=repr(text), allowed="one width for all, and exceptions: 4,conv1=8"
        )
    named = (part.partition("=") for part in parts if "=" in part)
    return whole[0], {name.strip(): value.strip() for name, _, value in named}


def unknown_name(where: str, what: str, name: str, known: Iterable[str]) -> ConfigError:
    """The error for a *name* that is not among *known*, with the nearest match."""
    names = sorted(known)
    hint = typed.nearest(name, names)
    return ConfigError(where, found=f"unknown {what}", allowed=", ".join(names), hint=hint)
