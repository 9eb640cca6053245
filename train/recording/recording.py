"""Recording: what a module was seen to do, one step of it and how it repeats."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import assert_never

from tssd.train.recording.steps import SiteStep, Sum
from tssd.train.recording.tape.returned import Place
from tssd.train.recording.tape.seen import Feed
from tssd.train.recording.tape.values import Opaque, Shape


class Readout(StrEnum):
    """How the class is read from an output. ``membrane-sum`` sums over the steps, also the
    currents of a linear head; ``last-step`` takes spikes or currents of the last step alone."""

    COUNT = "count"
    LAST_STEP = "last-step"
    MEMBRANE_LAST = "membrane-last"
    MEMBRANE_SUM = "membrane-sum"
    MEMBRANE_MAX = "membrane-max"

    @property
    def of_membrane(self) -> bool:
        """Whether membranes are read (or currents, as their sum), not spikes."""
        match self:
            case Readout.MEMBRANE_LAST | Readout.MEMBRANE_SUM | Readout.MEMBRANE_MAX:
                return True
            case Readout.COUNT | Readout.LAST_STEP:
                return False
            case _:
                assert_never(self)

    @property
    def of_last_step(self) -> bool:
        """Whether only the last step counts."""
        match self:
            case Readout.LAST_STEP | Readout.MEMBRANE_LAST:
                return True
            case Readout.COUNT | Readout.MEMBRANE_SUM | Readout.MEMBRANE_MAX:
                return False
            case _:
                assert_never(self)

    @property
    def of_largest(self) -> bool:
        """Whether the largest of all steps counts."""
        match self:
            case Readout.MEMBRANE_MAX:
                return True
            case Readout.COUNT | Readout.LAST_STEP | Readout.MEMBRANE_LAST | Readout.MEMBRANE_SUM:
                return False
            case _:
                assert_never(self)


class Over(StrEnum):
    """What the author hands out of the steps: each, their sum (or mean), or the last."""

    EACH = "each"
    SUM = "sum"
    LAST = "last"


READ_AS = {
    ("spikes", Over.EACH): Readout.COUNT,
    ("spikes", Over.SUM): Readout.COUNT,
    ("spikes", Over.LAST): Readout.LAST_STEP,
    ("membrane", Over.EACH): Readout.MEMBRANE_LAST,
    ("membrane", Over.SUM): Readout.MEMBRANE_SUM,
    ("membrane", Over.LAST): Readout.MEMBRANE_LAST,
    ("currents", Over.EACH): Readout.MEMBRANE_SUM,
    ("currents", Over.SUM): Readout.MEMBRANE_SUM,
    ("currents", Over.LAST): Readout.LAST_STEP,
}
WORDS = {
    Readout.COUNT: "spike count",
    Readout.LAST_STEP: "last step of the {what}",
    Readout.MEMBRANE_LAST: "last membrane",
    Readout.MEMBRANE_SUM: "sum over the steps of the {what}",
    Readout.MEMBRANE_MAX: "largest membrane",
}


@dataclass(frozen=True)
class Handing:
    """Which returned values go back in, for each further argument of forward; ``whole``: all of
    them as one argument."""

    back: tuple[Place, ...] = ()
    whole: bool = False


@dataclass(frozen=True)
class Site:
    """One neuron layer: its module path, its population, its shape."""

    path: str
    name: str
    shape: Shape


@dataclass(frozen=True)
class Output:
    """One tensor that the module returns. ``site``: the path of what makes it; ``state``: it is
    handed back in the next step. ``fault``: why it cannot be read on a chip."""

    name: str
    what: str  # spikes, membrane, currents
    site: str
    shape: Shape
    over: Over
    place: Place
    state: bool = False
    fault: str | None = None
    step: Sum | Opaque | None = field(default=None, compare=False, repr=False)
    axis: int | None = None  # of the steps, where all are handed out at once
    neuron: int = -1  # the site whose spikes or membrane it is
    ordered: bool = False  # a softmax stands behind it

    @property
    def per_step(self) -> bool:
        return self.over is Over.EACH

    @property
    def readout(self) -> Readout:
        """The author's rule, or, where every step is handed out, the usual one."""
        return READ_AS[self.what, self.over]

    def __str__(self) -> str:
        return self.read_by(self.readout)

    def read_by(self, readout: Readout, groups: int | None = None) -> str:
        """``spike count of fc2/lif2, 10 classes``."""
        count = 1
        for n in self.shape:
            count *= n
        grouped = "" if groups is None else f" in groups of {count // groups}"
        classes = count if groups is None else groups
        words = WORDS[readout].format(what=self.what)
        return f"{words} of {self.site}{grouped}, {classes} classes"


@dataclass(frozen=True, eq=False)
class Recording:
    """One step of a module, and what repeats it.

    ``frames``: what enters the chip is a frame per step, of ``input_shape``. ``encoder``: what in
    the module makes these frames. ``notes``: what a user should know.
    """

    time_steps: int
    feed: Feed
    frames: bool
    input_shape: Shape
    sites: tuple[Site, ...]
    outputs: tuple[Output, ...]
    steps: tuple[SiteStep, ...] = field(repr=False)
    handing: Handing = field(repr=False)
    encoder: str | None = None
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        layers = ", ".join(f"{s.path} {s.shape}" for s in self.sites)
        outputs = "; ".join(f"{o.name}: {o}" for o in self.outputs)
        return (
            f"{self.time_steps} steps, {self.feed}; neurons {layers or 'none'}; outputs {outputs}"
        )
