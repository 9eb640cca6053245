"""One operation of torch as it was seen, and what sums, factors and casts make of values.

The operations are those of the dispatcher (aten), so it does not matter how the author wrote them:
module, function, method or operator. An operation that is not known here is never guessed.
"""

from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from tssd.train.recording.tape.gathers import gathered
from tssd.train.recording.tape.values import (
    Followed,
    Interned,
    Opaque,
    Shape,
    Value,
    added,
    of_features,
    scaled,
    shifted,
)


class Sources(Protocol):
    """Where a maximum pool becomes a source of its own."""

    def pooled(self, value: Value, window: "Window", out: Shape) -> int:
        """The number of the new source."""
        ...


@dataclass(frozen=True)
class Window:
    """A maximum over windows of the last two axes."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    path: str = field(default="", compare=False)


@dataclass(frozen=True, eq=False)
class Operation:
    """One operation of the run: its name, its arguments with followed values in place of tensors,
    what it returned, and the module in which it happened."""

    name: str
    func: Any
    args: tuple[Any, ...]
    options: dict[str, Any]
    result: Any
    path: str
    intern: Interned
    sources: Sources

    def refuse(self, reason: str) -> Opaque:
        return Opaque(reason, self.path)

    def misplace(self, reason: str) -> Opaque:
        return Opaque(reason, self.path, misplaced=True)


def summed(op: Operation, sign: float = 1.0) -> Followed:
    """add and sub: a + sign alpha b."""
    a, b = op.args[:2]
    factor = sign * float(op.options.get("alpha", 1))
    return plus(op, a, times(op, b, factor))


def subtracted_from(op: Operation) -> Followed:
    """b - alpha a."""
    a, b = op.args[:2]
    return plus(op, times(op, a, -float(op.options.get("alpha", 1))), b)


def plus(op: Operation, a: Any, b: Any) -> Followed:
    """A sum of values, tensors and numbers."""
    if isinstance(a, Opaque) or isinstance(b, Opaque):
        return a if isinstance(a, Opaque) else b
    if isinstance(a, Value) and isinstance(b, Value):
        shape = tuple(op.result.shape)
        a, b = (_expanded(op, v, shape) for v in (a, b))
        if isinstance(a, Opaque) or isinstance(b, Opaque):
            return a if isinstance(a, Opaque) else b
        return added(a, b, op.path)
    value, other = (a, b) if isinstance(a, Value) else (b, a)
    value = _expanded(op, value, tuple(op.result.shape))
    if isinstance(value, Opaque):
        return value
    constant = _constant(op, other, value)
    if constant is None:
        return op.refuse("a tensor added that differs between samples or steps")
    return shifted(value, constant)


def times(op: Operation, value: Any, factor: float) -> Any:
    """A value, a tensor or a number times a number."""
    if isinstance(value, Value):
        return scaled(value, op.intern.number(factor), op.path)
    return value if isinstance(value, Opaque) else value * factor


def _expanded(op: Operation, value: Value, shape: Shape) -> Followed:
    if value.shape == shape:
        return value
    found: Followed = gathered(torch.ops.aten.expand.default, value, (list(shape),), {}, op.path)
    return found


def _constant(op: Operation, other: Any, value: Value) -> Tensor | None:
    if not isinstance(other, Tensor):
        return op.intern.number(float(other))
    found = of_features(other, value)
    return None if found is None else op.intern(found)


def product(op: Operation) -> Followed:
    """A value times a constant."""
    a, b = op.args[:2]
    if isinstance(a, Value) and isinstance(b, Value):
        return op.refuse("a product of two values that depend on the samples")
    return _scaled_by(op, *((a, b) if isinstance(a, Value) else (b, a)))


def quotient(op: Operation) -> Followed:
    """A value by a constant."""
    a, b = op.args[:2]
    if not isinstance(a, Value) or isinstance(b, Value) or "rounding_mode" in op.options:
        return op.refuse("a division by a value that depends on the samples, or a rounded one")
    inverse = 1 / b.double() if isinstance(b, Tensor) else 1 / float(b)
    return _scaled_by(op, a, inverse)


def _scaled_by(op: Operation, value: Value, factor: Any) -> Followed:
    whole = _expanded(op, value, tuple(op.result.shape))
    if isinstance(whole, Opaque):
        return whole
    constant = _constant(op, factor, whole)
    if constant is None:
        return op.refuse("a factor that differs between samples or steps")
    if not bool(torch.isfinite(constant).all()):
        return op.refuse("a factor that is not finite")
    return scaled(whole, constant, op.path)


def negative(op: Operation) -> Followed:
    """The negative of a value."""
    return scaled(op.args[0], op.intern.number(-1.0), op.path)


def cast(op: Operation) -> Followed:
    """A float of 32 or 64 bits holds what there is; anything else rounds."""
    kind = op.options.get("dtype") or op.result.dtype
    if kind in (torch.float32, torch.float64):
        found: Followed = op.args[0]
        return found
    return op.refuse(f"values rounded to {str(kind).removeprefix('torch.')}")
