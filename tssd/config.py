"""TOML and mappings into frozen dataclasses; an unknown key is an error."""

import dataclasses
import difflib
import tomllib
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from tssd.errors import UNREADABLE, ConfigError, refusing

T = TypeVar("T")


def load_toml(path: Path) -> dict[str, Any]:
    """The table in *path*; a missing or malformed file raises ConfigError."""
    if not path.exists():
        raise ConfigError(str(path), found="no such file", hint="check the path")
    with refusing(UNREADABLE, ConfigError, str(path), "no valid TOML"):
        return tomllib.loads(path.read_text(encoding="utf-8"))


def from_mapping(cls: type[T], table: Mapping[str, Any], where: str) -> T:
    """*table* as an instance of the dataclass *cls*; keys and value types are checked."""
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for key in table:
        if key not in fields:
            raise unknown_name(where, f"key {key!r}", key, fields)
    hints = typing.get_type_hints(cls)
    values = {key: _coerce(value, hints[key], f"{where}: {key}") for key, value in table.items()}
    missing = [name for name, field in fields.items() if name not in table and _required(field)]
    if missing:
        raise ConfigError(where, found=f"no value for {', '.join(missing)}", allowed="all of them")
    return cls(**values)


def unknown_name(where: str, what: str, name: str, known: typing.Iterable[str]) -> ConfigError:
    """The error for a *name* that is not among *known*, with the nearest match."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]!r}?" if near else None
    return ConfigError(where, found=f"unknown {what}", allowed=", ".join(names), hint=hint)


def _required(field: "dataclasses.Field[Any]") -> bool:
    absent = dataclasses.MISSING
    return field.default is absent and field.default_factory is absent


def _coerce(value: Any, hint: Any, where: str) -> Any:
    """*value* if it fits *hint*; ints widen to float, strings become enums, lists become tuples."""
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    for option in options:
        if typing.get_origin(option) is tuple and isinstance(value, list):
            return tuple(value)
        if option is float and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        if isinstance(option, type) and issubclass(option, str) and isinstance(value, str):
            return _enum(value, option, where)
        plain = typing.get_origin(option) or option
        if isinstance(value, plain) and not (isinstance(value, bool) and plain is int):
            return value
    wanted = " or ".join(getattr(option, "__name__", str(option)) for option in options)
    raise ConfigError(where, found=f"{value!r} ({type(value).__name__})", allowed=wanted)


def _enum(value: str, option: type[str], where: str) -> str:
    members = getattr(option, "__members__", None)
    if members is None or value in [str(member.value) for member in members.values()]:
        return option(value)
    raise unknown_name(where, repr(value), value, [str(m.value) for m in members.values()])
