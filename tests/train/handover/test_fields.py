"""Dataclasses taken apart and put together by their own fields."""

import types
from dataclasses import dataclass, field, make_dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tssd.train.handover.fields import array_names, arrays_of, newest, plain_from, plain_of, since
from tssd.train.handover.float_network import FloatArray


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True, eq=False)
class Thing:
    name: str
    shape: tuple[int, ...]
    colour: Colour
    weight: FloatArray
    spare: FloatArray | None = None
    late: FloatArray | None = field(default=None, metadata=since(3))
    more: tuple[int, int] = field(default=(0, 0), metadata=since(2))


PLAIN = Thing("a", (2, 3), Colour.RED, np.ones(2))


def test_arrays_and_the_rest() -> None:
    assert array_names(Thing) == {"weight": True, "spare": False, "late": False}
    assert list(arrays_of(PLAIN)) == ["weight"]
    assert plain_of(PLAIN) == {"name": "a", "shape": [2, 3], "colour": "red"}


def test_what_is_new_and_unused_is_left_out_and_needs_no_later_schema() -> None:
    moved = Thing("a", (2, 3), Colour.RED, np.ones(2), more=(1, 0))
    later = Thing("a", (2, 3), Colour.RED, np.ones(2), late=np.zeros(2))
    assert plain_of(moved)["more"] == [1, 0]
    assert [newest([PLAIN]), newest([PLAIN, moved]), newest([later, moved]), newest([])] == [
        *(1, 2, 3, 1),
    ]


@pytest.mark.parametrize("more", [(0, 0), (1, 0)])
def test_the_plain_part_comes_back_typed(more: tuple[int, int]) -> None:
    thing = Thing("b", (4,), Colour.BLUE, np.ones(2), more=more)
    filled: dict[str, Any] = {**plain_from(Thing, plain_of(thing)), **arrays_of(thing)}
    again = Thing(**filled)
    assert (again.name, again.shape, again.colour, again.more) == ("b", (4,), Colour.BLUE, more)
    assert isinstance(again.colour, Colour)
    with pytest.raises(KeyError, match="colour"):
        plain_from(Thing, {"name": "b", "shape": [4]})


class _Alias:
    """An alias of Python 3.12, as numpy 2.5 names its arrays: what it stands for, unsubscripted."""

    __value__ = npt.NDArray[np.int64]


ALIASED: Any = types.GenericAlias(_Alias, (np.int64,))  # type: ignore[arg-type,unused-ignore]


def test_arrays_by_an_alias_are_arrays() -> None:
    """A bundle could not be read on Python 3.12 and 3.13 with numpy 2.5."""
    named = [("a", ALIASED), ("b", ALIASED | None), ("c", int), ("d", npt.NDArray[np.int64])]
    made = make_dataclass("Aliased", named)
    assert array_names(made) == {"a": True, "b": False, "d": True}
