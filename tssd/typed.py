"""JSON and TOML from anywhere into typed values: one reader, and one error that names the place.

A file's content is declared as a ``msgspec.Struct`` or a dataclass; types, ranges, lengths and
(where the declaration forbids them) unknown keys are checked before any use. NaN and infinity are
no JSON. ``json_schema`` gives the declaration to other programs.
"""

import difflib
import re
from collections.abc import Sequence
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from tssd.errors import UNREADABLE, FileFormatError, TssdError, refusing

T = TypeVar("T")
MOST = (1 << 63) - 1  # what a number of a file may be

Count = Annotated[int, msgspec.Meta(ge=0, le=MOST)]
Positive = Annotated[int, msgspec.Meta(ge=1, le=MOST)]
Amount = Annotated[float, msgspec.Meta(ge=0)]
Step = Annotated[int, msgspec.Meta(ge=1, le=1 << 16)]  # a stride, a dilation
Edge = Annotated[int, msgspec.Meta(ge=0, le=1 << 16)]  # a padding, a delay
MAX_NEURONS = 1 << 28  # of one population
Side = Annotated[int, msgspec.Meta(ge=1, le=MAX_NEURONS)]  # of a shape
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]

FEWER_DIGITS = "a number of at most 18 digits"
EXPECTED = re.compile(r"Expected (.+?), got (.+)", re.DOTALL)
PART = re.compile(r"([^.\[\]]+)|\[(\d+|\.\.\.)\]")  # of a place: a name, or one of a list
PLACE = re.compile(r" - at (?:`key` in )?`\$?(.*)`$", re.DOTALL)
WORDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "a text",
    "object": "an object",
    "array": "a list",
    "bool": "true or false",
    "null": "null",
}


def from_json(
    kind: type[T],
    data: bytes | str,
    where: str,
    *,
    hint: str | None = None,
    refusal: type[TssdError] = FileFormatError,
) -> T:
    """The value in the JSON text *data*; whatever it is not raises *refusal* with its place."""
    with refusing(UNREADABLE, refusal, where, "no valid JSON", hint=hint):
        table = msgspec.json.decode(data)
    return from_table(kind, table, where, hint=hint, refusal=refusal)


def from_table(
    kind: type[T],
    table: Any,
    where: str,
    *,
    hint: str | None = None,
    refusal: type[TssdError] = FileFormatError,
) -> T:
    """The same of lists and tables that were parsed already."""
    fielded = hasattr(kind, "__struct_fields__") or is_dataclass(kind)
    known = get_args(get_type_hints(kind).get("schema")) if fielded else ()
    if known and isinstance(table, dict) and table.get("schema") not in known:
        found = f"schema {table.get('schema')!r}"[:200]
        raise refusal(where, found=found, allowed=", ".join(map(str, known)), hint=hint)
    try:
        return msgspec.convert(table, kind, str_keys=True)
    except msgspec.ValidationError as error:
        raise refused(str(error), table, where, hint, refusal, kind) from None
    except RecursionError:
        raise refusal(where, found="something nested too deep", hint=hint) from None


def collected(kind: type[T], table: Any, where: str = "") -> tuple[T | None, list[str]]:
    """(the value, no mistakes), or (None, every mistake): each field of a struct or dataclass
    *kind* is read by itself, so that a wrong one hides no other. *where* begins each place."""
    if not isinstance(table, dict):
        return None, [f"{where}: found {_brief(table)}; allowed: a table"]
    known = get_type_hints(kind, include_extras=True)
    dot = f"{where}." if where else ""
    mistakes = [unknown(f"{dot}{key}", str(key), [*known]) for key in table if key not in known]
    values, needed = {}, required(kind)
    for name, inner in known.items():
        if name in table:
            values[name] = _noted(inner, table[name], f"{dot}{name}", mistakes)
        elif name in needed:
            mistakes.append(f"{where}: no {name}" if where else f"{name}: missing")
    return (None, mistakes) if mistakes else (kind(**values), [])


def _noted(kind: Any, value: Any, where: str, mistakes: list[str]) -> Any:
    """*value* as *kind*, or a line more in *mistakes*; of a mapping each value by its key."""
    if get_origin(kind) is dict and isinstance(value, dict):
        inner = get_args(kind)[1]
        return {k: _noted(inner, v, f"{where}.{k}", mistakes) for k, v in value.items()}
    try:
        return from_table(kind, value, where)
    except FileFormatError as error:
        mistakes.append(_one_line(error))


def required(kind: type) -> set[str]:
    """The fields of a struct or dataclass without a default."""
    if is_dataclass(kind):
        ours = [f for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING]
        return {f.name for f in ours}
    return {f.name for f in msgspec.structs.fields(kind) if f.required}


def unknown(what: str, name: str, known: Sequence[str]) -> str:
    """*what* is not known; the nearest of *known* names, or all of them."""
    near = nearest(name, known)
    return f"{what}: unknown; {near or 'allowed: ' + ', '.join(known)}"


def _one_line(error: TssdError) -> str:
    """An error among others: where, what was found, what is allowed."""
    allowed = f"; allowed: {error.allowed}" if error.allowed else ""
    hint = f"; {error.hint}" if error.hint else ""
    return f"{error.where}: found {error.found}{allowed}{hint}"


def _brief(value: Any) -> str:
    return "nothing" if value is None else repr(value)[:60]


def refused(
    text: str, table: Any, where: str, hint: str | None, refusal: type[TssdError], kind: Any = None
) -> TssdError:
    """msgspec's message in our words: ``Expected `int`, got `str` - at `$.cores[0].x```."""
    place = PLACE.search(text)
    at = place.group(1).lstrip(".") if place else ""
    text = text[: place.start()] if place else text
    whole = f"{where}: {at}" if at else where
    found = _found(table, at)
    if text.startswith("Invalid enum value"):
        names = choices(kind, at)
        close = nearest(found.strip("'"), names) if found else None
        plain = found or text.removeprefix("Invalid enum value ")
        return refusal(whole, found=plain, allowed=", ".join(names), hint=close or hint)
    if text.startswith("Number out of range"):
        return refusal(whole, found=found or text, allowed=FEWER_DIGITS, hint=hint)
    if told := EXPECTED.fullmatch(text):
        return refusal(
            whole, found=found or _word(told.group(2)), allowed=_word(told.group(1)), hint=hint
        )
    if text.startswith("Expected "):
        allowed = _word(text.removeprefix("Expected "))
        return refusal(whole, found=found or "another value", allowed=allowed, hint=hint)
    plain = text.replace("Object missing required field", "no").replace("`", "")
    return refusal(
        whole, found=plain.replace("Object contains unknown field", "unknown"), hint=hint
    )


def _found(table: Any, at: str) -> str | None:
    """The plain value at a place such as ``cores[0].x``; None for lists, objects, other places."""
    for name, number in PART.findall(at):
        try:
            table = table[name] if name else table[int(number)]
        except (LookupError, TypeError, ValueError):
            return None
    if table is None or isinstance(table, bool):
        return {None: "null", True: "true", False: "false"}[table]
    return None if isinstance(table, list | dict) else repr(table)[:60]


def choices(kind: Any, at: str) -> list[str]:
    """The words that *kind* allows at a place such as ``cores[0].state``."""
    for name, _ in PART.findall(at):
        kind = next((inner for k in _parts(kind) if (inner := _below(k, name)) is not None), None)
    words = [_members(part) for part in _parts(kind)]
    return [word for found in words for word in found]


def _parts(kind: Any) -> list[Any]:
    """The kinds of a union, without annotations."""
    if get_origin(kind) is Annotated:
        return _parts(get_args(kind)[0])
    if get_origin(kind) in (Union, UnionType):
        return [part for inner in get_args(kind) for part in _parts(inner)]
    return [kind]


def _below(kind: Any, name: str) -> Any:
    """What *kind* holds under a name; of a list, whose places have none, its items."""
    if hasattr(kind, "__struct_fields__") or is_dataclass(kind):
        return get_type_hints(kind, include_extras=True).get(name)
    inner = [k for k in get_args(kind) if k is not ...]
    return inner[-1] if inner else None


def _members(kind: Any) -> list[str]:
    if isinstance(kind, type) and issubclass(kind, Enum):
        return [str(member.value) for member in kind]
    return [str(word) for word in get_args(kind)] if get_origin(kind) is Literal else []


def nearest(name: str, known: Sequence[str]) -> str | None:
    """Which of the *known* names may have been meant."""
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]!r}?" if near else None


def _word(text: str) -> str:
    """`` `int` >= 0 `` as ``a whole number >= 0``."""
    plain = re.sub(r"`(.*?)`", lambda m: " or ".join(map(_kind, m.group(1).split(" | "))), text)
    return plain.replace("of length", "of a length")


def _kind(name: str) -> str:
    return WORDS.get(name, name)


def json_schema(kind: type) -> dict[str, Any]:
    """The JSON schema of *kind*: definitions by name under ``$defs``."""
    (top,), parts = msgspec.json.schema_components([kind], ref_template="#/$defs/{name}")
    return {**top, "$defs": parts}
