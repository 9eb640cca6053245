"""Samples that a user brings for a network whose input is known: its shape is checked by axis.

inputs   (N, *input shape), or frames (N, T, *input shape), on the 256 levels of their InputMap
labels   (N,), whole numbers
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tssd.calibration.integer import IntArray
from tssd.calibration.simulate import over_time
from tssd.chain.user_data import BYTE_MAX, FloatSamples, Given, gather
from tssd.errors import DataError
from tssd.train.handover.float_activity import ImageArray
from tssd.train.handover.input_map import InputMap, input_map, plain_map

Shape = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class UserSamples:
    """At least one sample on the levels of ``entry``; ``labels`` None: the file does not say.
    ``values``: the numbers that were rounded to them; None: pixels, which are levels."""

    images: ImageArray
    labels: IntArray | None
    entry: InputMap
    values: FloatSamples | None = None
    notes: tuple[str, ...] = ()


def load_samples(path: Path | str, shape: Shape, entry: InputMap | None = None) -> UserSamples:
    """Samples or frames of *shape*, and labels; anything else raises DataError."""
    return fitting(gather(path), shape, entry)


def fitting(given: Given, shape: Shape, entry: InputMap | None = None) -> UserSamples:
    """*given* as samples of *shape*, or frames of it, on the levels of ``entry``; of a map that
    holds them all without one. A series (channels, length) enters a chip as an image of one row."""
    if len(shape) == 3 and shape[1] == 1:
        given = _as_rows(given, shape)
    check_shape(given, shape, frames=given.inputs.ndim == len(shape) + 2)
    pixels = given.unit == BYTE_MAX
    made = entry or (plain_map(shape) if pixels else input_map(given.as_seen(), shape))
    if pixels and made.is_plain:
        return UserSamples(given.as_bytes(), given.labels, made)
    seen = given.as_seen()
    outside = made.outside(seen)
    notes = (f"{given.origin}: {outside}: they are held at its ends",) if outside else ()
    return UserSamples(made.to_bytes(seen), given.labels, made, seen, notes)


def _as_rows(given: Given, shape: Shape) -> Given:
    found = given.inputs.shape
    rows = found[-2:] == (shape[0], shape[2]) and len(found) in (3, 4)
    if not rows or found[1:] == shape:
        return given
    return replace(given, inputs=given.inputs[..., None, :])


def load_integers(path: Path, shape: Shape, time_steps: int) -> IntArray:
    """Integer samples or frames of *shape*, as an integer network takes them: (T, N, *shape)."""
    given = gather(path)
    if given.inputs.dtype.kind not in "iub":
        raise DataError(given.origin, found=f"{given.inputs.dtype}", allowed="integers")
    frames = given.inputs.ndim == len(shape) + 2
    check_shape(given, shape, frames)
    integers: IntArray = given.inputs.astype(np.int64)
    if not frames:
        return over_time(integers, time_steps)
    if integers.shape[1] != time_steps:
        raise DataError(
            given.origin,
            found=f"{integers.shape[1]} frames of a sample",
            allowed=f"{time_steps}, one per step",
            hint=f"--time-steps {integers.shape[1]}",
        )
    return integers.swapaxes(0, 1)


def check_shape(given: Given, shape: Shape, frames: bool = False) -> None:
    """(N, *shape), or (N, T, *shape) for *frames*; a DataError says which axis is off."""
    first = 2 if frames else 1
    found = given.inputs.shape
    if found[first:] == shape:
        return
    size = ", ".join(map(str, shape))
    raise DataError(
        given.origin,
        found=f"shape {found}{_off(found[first:], shape, first)}",
        allowed=f"(N, {size}), or frames (N, T, {size}), one sample or more",
        hint=_hint(found[first:], shape, first),
    )


def _off(found: Shape, wanted: Shape, first: int) -> str:
    """Which axes are off, where both have as many."""
    if len(found) != len(wanted):
        return f", {len(found) + first} axes"
    pairs = enumerate(zip(found, wanted, strict=True), first)
    return ": " + ", ".join(f"axis {axis} is {f}, not {w}" for axis, (f, w) in pairs if f != w)


def _hint(found: Shape, wanted: Shape, first: int) -> str | None:
    """The call that would make *found* into *wanted*, where there is an obvious one."""
    if len(wanted) == 3 and found == (*wanted[1:], wanted[0]):
        return f"channels last? numpy.moveaxis(x, -1, {first})"
    if int(np.prod(found)) == int(np.prod(wanted)):
        return f"the same number of values: x.reshape({('len(x)', '*x.shape[:2]')[first - 1]}, " + (
            ", ".join(map(str, wanted)) + ")"
        )
    return None
