"""Values by their own fields: which are arrays, which may be left out, and since which schema.

A file, a comparison or a listing of parameters goes through these instead of naming the fields, so
that a neuron's new parameter is one more field of its dataclass. A field that a later schema
brought carries ``metadata=since(n)`` and a default that leaves things as they were; files name the
least schema that says all they hold, and older readers refuse what they would not understand.
One in the unit of the membrane carries ``metadata=amount(words)``: it is scaled with the weights,
limited as a threshold is, and handed to every engine.
"""

from collections.abc import Iterable, Mapping
from dataclasses import Field, fields
from enum import Enum
from types import UnionType
from typing import Any, Union, get_args, get_origin

import numpy as np

from tssd.arrays import Array

UNIONS = (UnionType, Union)  # ``a | None``, also where a is an alias


def since(schema: int) -> dict[str, int]:
    """Metadata of a field that schemas below *schema* do not know."""
    return {"since": schema}


def amount(words: str, schema: int = 0) -> dict[str, Any]:
    """Metadata of an array in the unit of the membrane; ``words`` name it in messages, ``schema``
    is as in ``since`` (0: the first)."""
    return {"since": schema, "amount": words}


def amounts_of(value: Any) -> dict[str, Array]:
    """The amounts that *value* has, by field."""
    arrays = arrays_of(value)
    return {f.name: arrays[f.name] for f in fields(value) if _words(f) and f.name in arrays}


def words_of(kind: type) -> dict[str, str]:
    """What messages call each amount of a dataclass."""
    return {f.name: _words(f) for f in fields(kind) if _words(f)}


def said_late(value: Any) -> dict[str, Array]:
    """The arrays that *value* has beyond those of the first schema, by field."""
    late = {f.name for f in fields(value) if _late(f)}
    return {name: array for name, array in arrays_of(value).items() if name in late}


def latest(*kinds: type) -> int:
    """The latest schema that a field of *kinds* needs."""
    return max((_late(f) for kind in kinds for f in fields(kind)), default=1) or 1


def array_names(kind: type) -> dict[str, bool]:
    """The fields of a dataclass that hold arrays, and whether every value has them."""
    return {f.name: _is_array(f.type) for f in fields(kind) if _holds_arrays(f)}


def arrays_of(value: Any) -> dict[str, Array]:
    """The arrays that *value* has, by field."""
    named = {name: getattr(value, name) for name in array_names(type(value))}
    return {name: array for name, array in named.items() if array is not None}


def plain_of(value: Any) -> dict[str, Any]:
    """The other fields as JSON holds them; what is new and as before is left out."""
    kept = [f for f in fields(value) if not _holds_arrays(f) and _said(value, f)]
    return {f.name: _as_json(getattr(value, f.name)) for f in kept}


def plain_from(kind: type, table: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of ``plain_of`` as arguments for *kind*; KeyError for one that is missing."""
    wanted = [f for f in fields(kind) if not _holds_arrays(f)]
    return {f.name: _typed(f, table[f.name]) for f in wanted if not _late(f) or f.name in table}


def newest(values: Iterable[Any]) -> int:
    """The least schema that knows every field that *values* use: 1, or what a field says."""
    used = [_late(f) for value in values for f in fields(value) if _late(f) and _said(value, f)]
    return max(used, default=1)


def _late(field: "Field[Any]") -> int:
    return int(field.metadata.get("since", 0))


def _words(field: "Field[Any]") -> str:
    return str(field.metadata.get("amount", ""))


def _said(value: Any, field: "Field[Any]") -> bool:
    """Whether a field says more than an old schema's reader takes for granted."""
    found = getattr(value, field.name)
    return not _late(field) or isinstance(found, np.ndarray) or found != field.default


def _holds_arrays(field: "Field[Any]") -> bool:
    kinds = get_args(field.type) if get_origin(field.type) in UNIONS else (field.type,)
    return any(_is_array(kind) for kind in kinds)


def _is_array(kind: Any) -> bool:
    """Whether *kind* is a type of arrays: from Python 3.12 on numpy 2.5 names them by an alias."""
    origin = get_origin(kind) or kind
    while hasattr(origin, "__value__"):
        origin = get_origin(origin.__value__) or origin.__value__
    return origin is np.ndarray


def _as_json(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    return value.value if isinstance(value, Enum) else value


def _typed(field: "Field[Any]", value: Any) -> Any:
    if get_origin(field.type) is tuple:
        return tuple(value)
    if isinstance(field.type, type) and issubclass(field.type, Enum):
        return field.type(value)
    return value
