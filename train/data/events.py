"""Recordings of an event camera, and how they become frames of one time step each.

A frame counts events: pixel = min(255, gain * number of events), one channel per polarity. A
recording of length L is cut into T frames by one of three rules:

    time    event at time t (0 <= t < L) goes to frame floor(t T / L)
    count   event number k of n goes to frame floor(k T / n)
    window  event at time t goes to frame floor(t / W), all of W us; what comes later is left out

On the chip the pixel is the payload of one graded spike per pixel and step; with gain 255 it is
0 or 255, a plain spike. The first two rules are SpikingJelly's too ("split by" time and number).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import assert_never

import numpy as np
import numpy.typing as npt

from tssd.arrays import BoolArray, ByteArray, IntArray
from tssd.errors import ConfigError, DataError

IndexArray = IntArray

CHUNK = 512  # recordings framed at once
LONGEST_US = 1 << 49  # seventeen years: times the number of frames it still fits 64 bits


class FrameRule(StrEnum):
    """Where a recording is cut: into stretches of equal time, of equally many events, or of so many
    microseconds, however long it is."""

    TIME = "time"
    COUNT = "count"
    WINDOW = "window"


class TeacherFrames(StrEnum):
    """What the student's T_s frames are, beside the teacher's T_t.

    prefix    one cut into T_t frames; the student reads the first T_s of them, so it decides
              after T_s / T_t of the recording. One pass gives both.
    resliced  the student's T_s frames and the teacher's T_t frames each cover the whole recording:
              a coarser and a finer cut of the same evidence. Two passes, each from rest.
    """

    PREFIX = "prefix"
    RESLICED = "resliced"


@dataclass(frozen=True)
class Framing:
    """Into how many frames, by which rule, how much one event adds to a pixel, and how many of the
    camera's rows and columns make one of the frame."""

    steps: int = 6
    rule: FrameRule = FrameRule.TIME
    gain: int = 32
    shrink: int = 1
    window_us: int = 0  # of one frame, with the rule ``window``

    def __post_init__(self) -> None:
        limits = [("steps", 10_000), ("gain", 255), ("shrink", 64)]
        if self.rule is FrameRule.WINDOW:
            limits.append(("window_us", 1 << 40))
        elif self.window_us:
            raise ConfigError(
                "framing: window_us",
                found=f"{self.window_us} with the rule {str(self.rule)!r}",
                allowed="0, or the rule 'window'",
            )
        for name, allowed in limits:
            value: int = getattr(self, name)
            if not 1 <= value <= allowed:
                raise ConfigError(f"framing: {name}", found=str(value), allowed=f"1 to {allowed}")


@dataclass(frozen=True, eq=False)
class Recordings:
    """Events of N recordings one after the other; recording i has those of ``starts[i:i + 2]``.

    ``channel`` is the polarity's channel, ``time_us`` counts from the recording's begin, which
    lasts ``length_us[i]``. ``shape`` is (channels, height, width). Events are sorted by time.
    """

    x: npt.NDArray[np.int16]
    y: npt.NDArray[np.int16]
    channel: ByteArray
    time_us: npt.NDArray[np.signedinteger]  # 64 bits where a recording is longer than 35 minutes
    starts: IndexArray  # (N + 1,)
    length_us: IndexArray  # (N,)
    shape: tuple[int, int, int]

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def counts(self) -> IndexArray:
        """Events of each recording."""
        return np.diff(self.starts)

    def owners(self) -> IndexArray:
        """The number of the recording of each event."""
        return np.repeat(np.arange(len(self)), self.counts)

    def select(self, chosen: IndexArray) -> "Recordings":
        """The recordings numbered *chosen*, in that order."""
        counts = self.counts[chosen]
        starts = np.concatenate([[0], np.cumsum(counts)])
        events = np.arange(starts[-1]) + np.repeat(self.starts[chosen] - starts[:-1], counts)
        return replace(
            self._at(events), starts=starts.astype(np.int64), length_us=self.length_us[chosen]
        )

    def keep(self, kept: BoolArray) -> "Recordings":
        """Only the events that *kept* marks; the recordings' lengths stay."""
        before = np.concatenate([[0], np.cumsum(kept)])
        return replace(self._at(np.flatnonzero(kept)), starts=before[self.starts])

    def _at(self, events: IndexArray) -> "Recordings":
        return replace(
            self,
            x=self.x[events],
            y=self.y[events],
            channel=self.channel[events],
            time_us=self.time_us[events],
        )


@dataclass(frozen=True, eq=False)
class Events:
    """One recording as read from a file: equally long arrays, time in microseconds."""

    x: npt.NDArray[np.integer]
    y: npt.NDArray[np.integer]
    channel: npt.NDArray[np.integer]
    time_us: npt.NDArray[np.integer]

    def between(self, start_us: int, end_us: int) -> "Events":
        """The events with start <= time < end."""
        kept = (self.time_us >= start_us) & (self.time_us < end_us)
        return Events(self.x[kept], self.y[kept], self.channel[kept], self.time_us[kept])


def gather(
    recordings: Sequence[Events],
    shape: tuple[int, int, int],
    names: Sequence[str],
    length_us: int = 0,
) -> Recordings:
    """Many recordings as one value; *names* are used in errors.

    Time starts at 0 and lasts *length_us*; without it, from the first event to the last.
    """
    for name, events in zip(names, recordings, strict=True):
        _check_inside(name, events, shape)
    spans = [(0, length_us - 1) if length_us else _span(e) for e in recordings]
    for name, events, span in zip(names, recordings, spans, strict=True):
        _check_times(name, events, span)
    firsts = [first for first, _ in spans]
    lengths = np.array([b - a + 1 for a, b in spans], np.int64)
    orders = [np.argsort(e.time_us, kind="stable") for e in recordings]
    pairs = list(zip(recordings, orders, strict=True))
    times = [e.time_us[o] - first for (e, o), first in zip(pairs, firsts, strict=True)]
    wide = lengths.max() > np.iinfo(np.int32).max  # twice the memory, only where it is needed
    return Recordings(
        np.concatenate([e.x[o] for e, o in pairs]).astype(np.int16),
        np.concatenate([e.y[o] for e, o in pairs]).astype(np.int16),
        np.concatenate([e.channel[o] for e, o in pairs]).astype(np.uint8),
        np.concatenate(times).astype(np.int64 if wide else np.int32),
        np.concatenate([[0], np.cumsum([len(e.x) for e in recordings])]).astype(np.int64),
        lengths,
        shape,
    )


def _check_times(name: str, events: Events, span: tuple[int, int]) -> None:
    """An event outside of its recording would stand in a frame of its neighbour."""
    outside = events.time_us[(events.time_us < span[0]) | (events.time_us > span[1])]
    if len(outside):
        raise DataError(
            name, found=f"an event at {outside[0]} us", allowed=f"{span[0]} to {span[1]} us"
        )
    if span[1] - span[0] >= LONGEST_US:
        raise DataError(
            name,
            found=f"a recording of {(span[1] - span[0]) / 1e6:,.0f} s",
            allowed=f"less than {LONGEST_US / 1e6:,.0f} s",
            hint="the file is damaged, or its clock was set while it was recorded",
        )


def _span(events: Events) -> tuple[int, int]:
    return (int(events.time_us.min()), int(events.time_us.max())) if len(events.x) else (0, 0)


def _check_inside(name: str, events: Events, shape: tuple[int, int, int]) -> None:
    axes = (("polarity", events.channel), ("y", events.y), ("x", events.x))
    for (axis, values), size in zip(axes, shape, strict=True):
        outside = values[(values < 0) | (values >= size)]
        if len(outside):
            raise DataError(
                name,
                found=f"an event with {axis} = {outside[0]}",
                allowed=f"0..{size - 1}",
                hint="the file is damaged or of another camera",
            )


def frames(recordings: Recordings, framing: Framing) -> ByteArray:
    """Frames (N, T, C, H, W) of all *recordings*."""
    channels, height, width = recordings.shape
    size = (height // framing.shrink, width // framing.shrink)
    result = np.empty((len(recordings), framing.steps, channels, *size), np.uint8)
    for first in range(0, len(recordings), CHUNK):
        part = np.arange(first, min(first + CHUNK, len(recordings)))
        whole = len(part) == len(recordings)
        chosen = recordings if whole else recordings.select(part)
        if framing.shrink > 1:
            chosen = _shrunk(chosen, (channels, *size), framing.shrink)
        result[part] = _frames(chosen, framing)
    return result


def _shrunk(recordings: Recordings, shape: tuple[int, int, int], by: int) -> Recordings:
    """Events on a coarser grid; those of an incomplete last row or column are left out."""
    x, y = recordings.x // by, recordings.y // by
    inside = (x < shape[2]) & (y < shape[1])
    return replace(recordings, x=x, y=y, shape=shape).keep(inside)


def _frames(recordings: Recordings, framing: Framing) -> ByteArray:
    if framing.rule is FrameRule.WINDOW:
        recordings = recordings.keep(recordings.time_us < framing.steps * framing.window_us)
    channels, height, width = recordings.shape
    owners = recordings.owners()
    place = owners * framing.steps + _steps(recordings, owners, framing)
    for values, size in (
        (recordings.channel, channels),
        (recordings.y, height),
        (recordings.x, width),
    ):
        place = place * size + values
    shape = (len(recordings), framing.steps, channels, height, width)
    counts = np.bincount(place, minlength=int(np.prod(shape)))
    return np.minimum(counts * framing.gain, 255).astype(np.uint8).reshape(shape)


def _steps(recordings: Recordings, owners: IndexArray, framing: Framing) -> IndexArray:
    """The frame of each event."""
    match framing.rule:
        case FrameRule.COUNT:
            number = np.arange(len(owners)) - recordings.starts[owners]
            return number * framing.steps // recordings.counts[owners]
        case FrameRule.TIME:
            time_us = recordings.time_us.astype(np.int64)
            return time_us * framing.steps // recordings.length_us[owners]
        case FrameRule.WINDOW:
            return recordings.time_us.astype(np.int64) // framing.window_us
        case _:
            assert_never(framing.rule)


@dataclass(frozen=True)
class EventAugmentation:
    """Drawn once per recording, uniformly: shift in pixels, rotation in degrees, scale in
    1 +- ``scale``, up to ``drop`` of the events left out, a shift by up to ``time`` of the length.
    """

    shift: int = 0
    rotate: float = 0.0
    scale: float = 0.0
    drop: float = 0.0
    time: float = 0.0
    flip: bool = False


def augment_events(
    recordings: Recordings, generator: np.random.Generator, by: EventAugmentation
) -> Recordings:
    """Each recording moved in the plane and in time and thinned; what leaves is lost."""
    owners = recordings.owners()
    count = len(recordings)
    _, height, width = recordings.shape
    x, y = _moved(recordings, owners, generator, by)
    kept = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    later = generator.uniform(-by.time, by.time, count) * recordings.length_us
    time_us = recordings.time_us + later.astype(np.int64)[owners]
    kept &= (time_us >= 0) & (time_us < recordings.length_us[owners])
    if by.drop:
        share = generator.uniform(0, by.drop, count)
        kept &= generator.random(len(owners)) >= share[owners]
    moved = replace(recordings, x=x, y=y, time_us=time_us.astype(recordings.time_us.dtype))
    return moved.keep(kept)


def _moved(
    recordings: Recordings,
    owners: IndexArray,
    generator: np.random.Generator,
    by: EventAugmentation,
) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.int16]]:
    """x and y after mirroring, scaling and turning about the middle, and shifting."""
    count = len(recordings)
    _, height, width = recordings.shape
    angle = np.deg2rad(generator.uniform(-by.rotate, by.rotate, count))
    size = 1 + generator.uniform(-by.scale, by.scale, count)
    across, down = generator.integers(-by.shift, by.shift + 1, (2, count))
    mirror = np.where(generator.random(count) < 0.5, -1.0, 1.0) if by.flip else np.ones(count)
    cos, sin = (size * np.cos(angle)).astype(np.float32), (size * np.sin(angle)).astype(np.float32)
    u = (recordings.x - np.float32((width - 1) / 2)) * mirror.astype(np.float32)[owners]
    v = recordings.y - np.float32((height - 1) / 2)
    x = u * cos[owners] - v * sin[owners] + ((width - 1) / 2 + across).astype(np.float32)[owners]
    y = u * sin[owners] + v * cos[owners] + ((height - 1) / 2 + down).astype(np.float32)[owners]
    return np.rint(x).astype(np.int16), np.rint(y).astype(np.int16)
