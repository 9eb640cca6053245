"""What is compared: figures of one network on one chip, and what they are about."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, assert_never

from tssd.report import words


class Basis(StrEnum):
    """What figures are about: where two subjects differ in it, a figure means another thing."""

    SAMPLES = "samples"
    CHIP = "chip"
    STEPS = "time steps"
    TIMING = "timing"

    @property
    def others(self) -> str:
        """What is said where it differs."""
        match self:
            case Basis.SAMPLES:
                return "other samples"
            case Basis.CHIP:
                return "other chips"
            case Basis.STEPS:
                return "other numbers of time steps"
            case Basis.TIMING:
                return "cycles beside a lower bound"
            case _:
                assert_never(self)


@dataclass(frozen=True)
class Estimate:
    """A figure, and the interval in which it is said to lie where one is known."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Criterion:
    """One figure of every subject: its key, words and unit, and whether ``more`` or ``less`` of it
    is better.

    ``same``: what must be the same for a best to be named. ``told``: what is said where it differs,
    though the figures can be compared. ``unsure``: what is said where figures have no interval.
    """

    key: str
    title: str
    unit: str
    better: Literal["more", "less"]
    same: tuple[Basis, ...]
    told: tuple[Basis, ...]
    shown: Callable[[float | None], str]
    unsure: str = ""


def _share(value: float | None) -> str:
    return words.percent(value)


_ACTIVITY = (Basis.SAMPLES,), (Basis.STEPS,)
_COST = (Basis.SAMPLES, Basis.TIMING), (Basis.CHIP, Basis.STEPS)
_ROOM = (Basis.CHIP,), ()
UNTIMED = f"no interval, {words.TIME_ERROR}"
UNFITTED = "no interval, the chip file is of no fit"
_PER, _PJ = "per inference", "pJ per inference"
COLUMNS = (
    Criterion("accuracy", "accuracy", "share", "more", *_ACTIVITY, _share),
    Criterion("spikes", "spikes", _PER, "less", *_ACTIVITY, words.number),
    Criterion("synops", "synops", _PER, "less", *_ACTIVITY, words.number),
    Criterion("dynamic_pj", "dynamic energy", _PJ, "less", *_COST, words.energy, UNFITTED),
    Criterion("total_pj", "with static", _PJ, "less", *_COST, words.energy, UNFITTED),
    Criterion("latency_us", "latency", "us", "less", *_COST, words.duration, UNTIMED),
    Criterion(
        "inferences_per_s", "per second", "inferences", "more", *_COST, words.number, UNTIMED
    ),
    Criterion("cores", "cores", "cores", "less", *_ROOM, words.number),
    Criterion("memory_bytes", "memory", "bytes", "less", *_ROOM, words.memory),
)
OF_A_LAYER = ("spikes", "synops", "dynamic_pj", "cores", "memory_bytes")


def column(key: str) -> Criterion:
    """The column called *key*."""
    return next(c for c in COLUMNS if c.key == key)


@dataclass(frozen=True)
class About:
    """What a subject's figures are about, each as a key (None: not recorded) and in words."""

    keys: Mapping[Basis, str | None]
    words: Mapping[Basis, str]


@dataclass(frozen=True)
class LayerFigures:
    """One layer's nominal figures by column, and the parts of its energy as ``synapse_pj`` and so
    on."""

    name: str
    figures: Mapping[str, float]


@dataclass(frozen=True)
class Subject:
    """One thing that is compared; a figure that was not run is absent."""

    name: str
    origin: str  # the path it was read from
    about: About
    figures: Mapping[str, Estimate]
    layers: tuple[LayerFigures, ...] = ()
    notes: tuple[str, ...] = field(default=())
