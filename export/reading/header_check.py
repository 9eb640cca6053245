"""Is the JSON header of a private group what it should be? Types and ranges, before any use.

A table says what each key may hold; a missing key, another type or a number out of range raises
FileFormatError with the key's place. Extra keys are refused: a later schema has another name.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tssd.calibration.int_network import InputCoding, PopulationKind, ProjectionKind, Reset
from tssd.calibration.serial import SCHEMAS
from tssd.errors import UNREADABLE, FileFormatError, refusing

MAX_NEURONS = 1 << 28  # of one population


@dataclass(frozen=True)
class Whole:
    """A whole number in a range; ``length`` of them in a list if it is given."""

    low: int
    high: int
    length: tuple[int, int] | None = None

    def takes(self, value: Any) -> bool:
        if self.length is None:
            return type(value) is int and self.low <= value <= self.high
        if not isinstance(value, list) or not self.length[0] <= len(value) <= self.length[1]:
            return False
        return all(type(item) is int and self.low <= item <= self.high for item in value)


@dataclass(frozen=True)
class Word:
    """A text: any if ``known`` is empty, else one of these."""

    known: tuple[str, ...] = ()

    def takes(self, value: Any) -> bool:
        return isinstance(value, str) and (not self.known or value in self.known)


@dataclass(frozen=True)
class Positive:
    """A finite number above zero."""

    def takes(self, value: Any) -> bool:
        return type(value) in (int, float) and math.isfinite(value) and value > 0


@dataclass(frozen=True)
class Items:
    """A list, checked item by item with a table of its own."""

    def takes(self, value: Any) -> bool:
        return isinstance(value, list)


Table = Mapping[str, Whole | Word | Positive | Items]

HEADER: Table = {
    "schema": Word(SCHEMAS),
    "time_steps": Whole(1, 1 << 31),
    "input_coding": Word(tuple(InputCoding)),
    "input_max": Whole(0, 1 << 31),
    "populations": Items(),
    "projections": Items(),
}
POPULATION: Table = {
    "name": Word(),
    "shape": Whole(1, MAX_NEURONS, (1, 3)),
    "kind": Word(tuple(PopulationKind)),
    "reset": Word(tuple(Reset)),
    "bias_exp": Whole(-32, 32),
    "scale": Positive(),
}
PROJECTION: Table = {
    "source": Word(),
    "target": Word(),
    "kind": Word(tuple(ProjectionKind)),
    "weight_exp": Whole(-32, 32),
    "stride": Whole(1, 1 << 16, (2, 2)),
    "padding": Whole(0, 1 << 16, (2, 2)),
    "dilation": Whole(1, 1 << 16, (2, 2)),
    "groups": Whole(1, 1 << 24),
    "delay": Whole(0, 1 << 16),
}


def check_header(text: str, where: str) -> None:
    """Raise FileFormatError unless *text* is a header of the integer model."""
    with refusing(UNREADABLE, FileFormatError, where, "no JSON", allowed=SCHEMAS[-1]):
        header = json.loads(text)
    _check(header, HEADER, where)
    for family, table in (("populations", POPULATION), ("projections", PROJECTION)):
        for i, item in enumerate(header[family]):
            _check(item, table, f"{where}: {family} {i}")
    for i, item in enumerate(header["populations"]):
        if math.prod(item["shape"]) > MAX_NEURONS:
            raise FileFormatError(
                f"{where}: populations {i}",
                found=f"shape {item['shape']}",
                allowed=f"at most {MAX_NEURONS} neurons",
            )


def _check(item: Any, table: Table, where: str) -> None:
    if not isinstance(item, dict) or set(item) != set(table):
        found = ", ".join(sorted(item)) if isinstance(item, dict) else type(item).__name__
        raise FileFormatError(where, found=found[:200], allowed="exactly " + ", ".join(table))
    for key, rule in table.items():
        if not rule.takes(item[key]):
            raise FileFormatError(f"{where}: {key}", found=repr(item[key])[:200], allowed=str(rule))
