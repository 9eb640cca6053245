"""One reader of JSON and TOML: every wrong value is one message with its place."""

import contextlib
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tssd import typed
from tssd.errors import ConfigError, FileFormatError


class Core(msgspec.Struct, forbid_unknown_fields=True):
    core: typed.Count
    box: Annotated[list[tuple[typed.Count, typed.Count]], msgspec.Meta(min_length=1)] | None = None


class File(msgspec.Struct):
    schema: Literal["a/1", "a/2"]
    cores: list[Core] = []
    times: dict[int, typed.Amount] = {}


GOOD = {"schema": "a/1", "cores": [{"core": 1, "box": [[0, 3]]}], "times": {"3": 1.5}}


def test_what_is_right_is_read() -> None:
    found = typed.from_table(File, GOOD, "f")
    assert found == File("a/1", [Core(1, [(0, 3)])], {3: 1.5})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "f: found no valid JSON (Input data was truncated)"),
        (b"\xff", "f: found no valid JSON (JSON is malformed"),
        ("[" * 100_000, "f: found no valid JSON (maximum recursion depth"),
        ("[]", "f: found a list; allowed: an object"),
        ('{"schema": "b/1"}', "f: found schema 'b/1'; allowed: a/1, a/2"),
        ("{}", "f: found schema None; allowed: a/1, a/2"),
        ('{"schema": "a/1", "times": {"1": NaN}}', "f: found no valid JSON (JSON is malformed"),
        ('{"schema": "a/1", "times": {"x": 1}}', "f: times"),
        ('{"schema": "a/1", "cores": null}', "f: cores: found null; allowed: a list"),
        (
            '{"schema": "a/1", "cores": [{"core": -1}]}',
            "f: cores[0].core: found -1; allowed: a whole number >= 0",
        ),
        (
            '{"schema": "a/1", "cores": [{"core": 99999999999999999999}]}',
            "f: cores[0].core: found",
        ),
        (
            '{"schema": "a/1", "cores": [{"core": true}]}',
            "f: cores[0].core: found true; allowed: a",
        ),
        ('{"schema": "a/1", "cores": [{}]}', "f: cores[0]: found no core"),
        ('{"schema": "a/1", "cores": [{"core": 1, "x": 1}]}', "f: cores[0]: found unknown x"),
        (
            '{"schema": "a/1", "cores": [{"core": 1, "box": []}]}',
            "f: cores[0].box: found another value; allowed: a list of a length >= 1",
        ),
    ],
)
def test_what_is_wrong_is_named_by_its_place(text: str, message: str) -> None:
    with pytest.raises(FileFormatError) as caught:
        typed.from_json(File, text, "f")
    assert str(caught.value).startswith(message)


class State(StrEnum):
    IDLE = "idle"
    BUSY = "busy"


@dataclass(frozen=True)
class Part:
    state: State | None = None
    place: Literal["left", "right"] = "left"


class Whole(msgspec.Struct):
    parts: list[Part] = []
    named: dict[str, Part] = {}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            {"parts": [{}, {"state": "bussy"}]},
            "f: parts[1].state: found 'bussy'; allowed: idle, busy\n  try: did you mean 'busy'?",
        ),
        ({"parts": [{"place": "up"}]}, "f: parts[0].place: found 'up'; allowed: left, right"),
        ({"named": {"a": {"state": "x"}}}, "f: named[...].state: found 'x'; allowed: idle, busy"),
    ],
)
def test_a_word_that_is_none_of_the_choices_names_them(table: Any, message: str) -> None:
    with pytest.raises(FileFormatError) as caught:
        typed.from_table(Whole, table, "f")
    assert str(caught.value) == message


def test_the_error_is_of_the_asked_kind_with_the_hint() -> None:
    with pytest.raises(ConfigError, match="try: again"):
        typed.from_json(File, "[]", "f", hint="again", refusal=ConfigError)


def test_the_declaration_is_the_schema() -> None:
    schema = typed.json_schema(File)
    assert schema["$ref"] == "#/$defs/File"
    assert schema["$defs"]["Core"]["properties"]["core"]["minimum"] == 0


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(PLAIN, st.sampled_from(["schema", "cores", "times"]))
def test_no_value_gets_past_as_another_error(value: Any, key: str) -> None:
    with contextlib.suppress(FileFormatError):  # any other error fails the test
        assert isinstance(typed.from_table(File, GOOD | {key: value}, "f"), File)


@dataclass(frozen=True)
class Sized:
    size: typed.Positive
    names: dict[str, str]
    share: typed.Amount = 0.5


def test_every_mistake_is_collected_with_its_place() -> None:
    table = {"size": 0, "names": {"a": 1, "b": "x"}, "shares": 1}
    found, mistakes = typed.collected(Sized, table, "part")
    assert found is None
    assert mistakes == [
        "part.shares: unknown; did you mean 'share'?",
        "part.size: found 0; allowed: a whole number >= 1",
        "part.names.a: found 1; allowed: a text",
    ]
    assert typed.collected(Sized, {}) == (None, ["size: missing", "names: missing"])
    assert typed.collected(Sized, [], "part") == (None, ["part: found []; allowed: a table"])
    assert typed.collected(Sized, {"size": 1, "names": {}}) == (Sized(1, {}), [])


def test_of_a_struct_too() -> None:
    assert typed.collected(Core, {"box": []}, "c")[1] == [
        "c: no core",
        "c.box: found another value; allowed: a list of a length >= 1",
    ]
    assert typed.collected(Core, {"core": 3}) == (Core(3), [])


def test_a_setting_is_a_finite_number() -> None:
    from tssd.train.config import recorded

    for value in (float("nan"), float("inf")):
        with pytest.raises(ConfigError, match="x: synop_weight: found .*; allowed: a finite"):
            recorded({"synop_weight": value}, "x")
