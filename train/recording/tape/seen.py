"""What is seen of a run: how samples enter, what rows come from, calls of neurons."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from tssd.train.recording.tape.elementwise import Window
from tssd.train.recording.tape.neurons import Rule
from tssd.train.recording.tape.values import Followed, Shape, Value


class Feed(StrEnum):
    """How samples enter the module."""

    STATIC_LOOP = "the whole sample, once; the module loops over time"
    STATIC_STEPS = "the whole sample, in one call per step"
    BATCH_FIRST = "frames (samples, steps, ...), once"
    TIME_FIRST = "frames (steps, samples, ...), once"
    FRAME_BY_FRAME = "one frame per call"
    SLICES = "the whole sample, once; the module cuts a slice of it for every step"


@dataclass(frozen=True, eq=False)
class Source:
    """What rows can come from. ``index``: the frame, the neuron's call, the encoded frame, or the
    pool; ``output``: of a neuron, spk, syn or mem; of an encoder, what made it."""

    kind: str  # input, frame, neuron, encoder, max
    index: int
    feat: Shape
    output: str = ""
    pooled: Value | None = None
    window: Window | None = None


@dataclass(frozen=True)
class StateFrom:
    """Where a neuron's state comes from: ``call`` None: from zero; ``changed``: why it is neither
    zero nor what a call left."""

    call: int | None = None
    changed: str | None = None


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a neuron."""

    path: str
    rule: Rule | str
    current: Followed
    states: Mapping[str, StateFrom]
    shape: Shape
    run: int  # which call of the whole module
