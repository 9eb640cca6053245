"""JSON and TOML from anywhere into typed values: one reader, and one error that names the place.

A file's content is declared as a ``msgspec.Struct`` or a dataclass; types, ranges, lengths and
(where the declaration forbids them) unknown keys are checked before any use. NaN and infinity are
no JSON. ``json_schema`` gives the declaration to other programs.
"""

import re
from dataclasses import is_dataclass
from typing import Annotated, Any, TypeVar, get_args, get_type_hints

import msgspec

from tssd.errors import UNREADABLE, FileFormatError, TssdError, refusing

T = TypeVar("T")
MOST = (1 << 63) - 1  # what a number of a file may be

Count = Annotated[int, msgspec.Meta(ge=0, le=MOST)]
Positive = Annotated[int, msgspec.Meta(ge=1, le=MOST)]
Amount = Annotated[float, msgspec.Meta(ge=0)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]

EXPECTED = re.compile(r"Expected (.+?), got (.+)", re.DOTALL)
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
        raise refused(str(error), table, where, hint, refusal) from None
    except RecursionError:
        raise refusal(where, found="something nested too deep", hint=hint) from None


def refused(
    text: str, table: Any, where: str, hint: str | None, refusal: type[TssdError]
) -> TssdError:
    """msgspec's message in our words: ``Expected `int`, got `str` - at `$.cores[0].x```."""
    place = PLACE.search(text)
    at = place.group(1).lstrip(".") if place else ""
    text = text[: place.start()] if place else text
    whole = f"{where}: {at}" if at else where
    found = _found(table, at)
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
    for name, number in re.findall(r"([^.\[\]]+)|\[(\d+)\]", at):
        try:
            table = table[name] if name else table[int(number)]
        except (LookupError, TypeError):
            return None
    if table is None or isinstance(table, bool):
        return {None: "null", True: "true", False: "false"}[table]
    return None if isinstance(table, list | dict) else repr(table)[:60]


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
