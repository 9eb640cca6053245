"""A number of a chip file: its value, range, unit, source and how far it can be trusted."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np


class Kind(StrEnum):
    """How far a number can be trusted; the source text keeps the precise word."""

    MEASURED = "measured"  # on silicon, or fitted to silicon
    PUBLISHED = "published"  # by the makers, read directly or through a named second source
    DERIVED = "derived"  # by arithmetic from the others
    ASSUMED = "assumed"  # no datum: a modelling choice


class Level(StrEnum):
    """Which end of a number's range is meant."""

    LOW = "low"
    NOMINAL = "nominal"
    HIGH = "high"


LEVELS = (Level.LOW, Level.NOMINAL, Level.HIGH)


@dataclass(frozen=True)
class Quantity:
    """A number with its range, unit and origin."""

    value: float
    low: float
    high: float
    unit: str
    source: str
    kind: Kind

    def at(self, level: Level) -> float:
        """The value at one end of the range, or the nominal one."""
        return {Level.LOW: self.low, Level.NOMINAL: self.value, Level.HIGH: self.high}[level]

    @property
    def count(self) -> int:
        """The nominal value of a quantity that counts things."""
        return round(self.value)


@dataclass(frozen=True)
class Curve:
    """A quantity that depends on a count: linear between its points, flat outside them."""

    at_count: tuple[int, ...]
    points: tuple[Quantity, ...]

    def at(self, count: int, level: Level = Level.NOMINAL) -> float:
        """The value for *count* (of routers in use, of chips, ...)."""
        return float(np.interp(count, self.at_count, [q.at(level) for q in self.points]))


def unit(name: str, default: float | None = None) -> Any:
    """A number in the unit *name*; with a *default* a chip file may leave it out, and says so."""
    if default is None:
        return field(metadata={"unit": name})
    left_out = f"not given in the chip file: {f'{default:g}' if default else 'left out'}"
    taken = Quantity(default, default, default, name, left_out, Kind.ASSUMED)
    return field(default=taken, metadata={"unit": name})
