"""What a tensor of the author's run is: linear maps of what entered and of what neurons sent.

A tensor of shape ``(*lead, *feat)`` is followed as

    tensor[i] = sum over terms, sum over m of  op_k(... op_1(source[rows[i, m]]))  +  const

with i over the leading axes (samples, and steps where a whole sequence is held at once), maps of
the features only, and a constant (*feat) that is the same for every i. A *row* is one sample of
one source: the input, one frame of it, or one output of one call of a neuron. What is not of this
form is ``Opaque``: it says why, and matters only where a neuron or the chosen output needs it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from tssd.arrays import IntArray

Shape = tuple[int, ...]
Map = Callable[[Tensor], Tensor]

ROWS = 1 << 20  # row = source * ROWS + sample


@dataclass(frozen=True)
class Op:
    """One linear map of features, ``apply``: (n, *in) -> (n, *out) in float64, without a constant.

    Two are equal if they are of one kind with equal settings and equal (interned) constants.
    """

    kind: str
    out: Shape
    settings: tuple[object, ...]
    apply: Map = field(compare=False, repr=False)
    constants: tuple[Tensor, ...] = field(default=(), compare=False, repr=False)
    path: str = field(default="", compare=False)  # the module in which it happened

    def same(self, other: "Op") -> bool:
        alike = all(a is b for a, b in zip(self.constants, other.constants, strict=False))
        return self == other and len(self.constants) == len(other.constants) and alike


@dataclass(frozen=True, eq=False)
class Term:
    """Sources by row, (*lead, m) summed over m, and the maps that they pass."""

    rows: IntArray
    ops: tuple[Op, ...] = ()

    def then(self, op: Op) -> "Term":
        return Term(self.rows, (*self.ops, op))


@dataclass(frozen=True, eq=False)
class Value:
    """``plain``: made of the input alone, without any weight."""

    lead: Shape
    feat: Shape
    terms: tuple[Term, ...]
    const: Tensor | None = None
    plain: bool = False

    @property
    def shape(self) -> Shape:
        return self.lead + self.feat


@dataclass(frozen=True)
class Opaque:
    """A value that no linear map says; ``random``: drawn, and not yet mixed with anything;
    ``misplaced``: perhaps only because samples and steps were taken for each other; ``neuron``: of
    a neuron without a counterpart."""

    reason: str
    path: str
    random: bool = False
    misplaced: bool = False
    neuron: bool = False
    inside: "Value | None" = field(default=None, compare=False)  # of a softmax: what it orders


Followed = Value | Opaque


def memory_of(tensor: Tensor) -> int:
    """Where its numbers lie, as a number; 0 of a sparse one, which has several places."""
    return tensor.untyped_storage().data_ptr() if tensor.layout is torch.strided else 0


def named(text: str) -> frozenset[str]:
    """Names of operations, between blanks."""
    return frozenset(text.split())


def from_source(source: int, lead: Shape, feat: Shape, plain: bool = False) -> Value:
    """One source whose samples are the only leading axis."""
    rows = source * ROWS + np.arange(lead[0], dtype=np.int64)
    return Value(lead, feat, (Term(rows[:, None]),), plain=plain)


def same_ops(a: tuple[Op, ...], b: tuple[Op, ...]) -> bool:
    return len(a) == len(b) and all(x.same(y) for x, y in zip(a, b, strict=True))


def mapped(value: Value, op: Op, offset: Tensor | None = None, plain: bool = False) -> Value:
    """*op* behind every term, and *offset* (*out) added."""
    const = None if value.const is None else op.apply(value.const[None])[0]
    if offset is not None:
        const = offset.expand(op.out) if const is None else const + offset
    terms = tuple(term.then(op) for term in value.terms)
    return Value(value.lead, op.out, terms, const, plain and value.plain)


def scaled(value: Value, factor: Tensor, path: str) -> Value:
    """Times a constant that broadcasts to the features; *factor* is interned."""
    if factor.numel() == 1 and float(factor) == 1:
        return value
    return mapped(value, scale_op(factor, value.feat, path), plain=True)


def scale_op(factor: Tensor, shape: Shape, path: str) -> Op:
    return Op("scale", shape, (), lambda x: x * factor, (factor,), path)


def added(a: Value, b: Value, path: str) -> Followed:
    """The sum of two values of one shape."""
    if (a.lead, a.feat) != (b.lead, b.feat):
        reason = f"a sum of {a.shape} and {b.shape}, arranged differently"
        return Opaque(reason, path, misplaced=True)
    const = a.const if b.const is None else b.const if a.const is None else a.const + b.const
    return Value(a.lead, a.feat, joined((*a.terms, *b.terms)), const, a.plain and b.plain)


def joined(terms: tuple[Term, ...]) -> tuple[Term, ...]:
    """Terms that pass the same maps as one."""
    kept: list[Term] = []
    for term in terms:
        for i, other in enumerate(kept):
            if same_ops(term.ops, other.ops):
                rows = np.concatenate([other.rows, term.rows], axis=-1)
                kept[i] = Term(rows, other.ops)
                break
        else:
            kept.append(term)
    return tuple(kept)


def shifted(value: Value, constant: Tensor) -> Value:
    """A constant of the features added."""
    full = constant.expand(value.feat)
    const = full if value.const is None else value.const + full
    return Value(value.lead, value.feat, value.terms, const, value.plain)


def of_features(constant: Tensor, value: Value) -> Tensor | None:
    """*constant*, which broadcasts to *value*, as a constant of the features; None where it
    differs between samples or steps."""
    extra = constant.dim() - len(value.feat)
    if extra <= 0:
        return constant
    flat = constant.reshape(-1, *constant.shape[extra:])
    return flat[0] if bool((flat == flat[:1]).all()) else None


class Interned:
    """Constants in float64, one tensor for equal values, so that equality is identity."""

    def __init__(self) -> None:
        self.by_place: dict[tuple[object, ...], tuple[Tensor, Tensor]] = {}
        self.by_shape: dict[Shape, list[Tensor]] = {}

    def __call__(self, tensor: Tensor) -> Tensor:
        tensor = tensor if tensor.layout is torch.strided else tensor.to_dense()
        version = -1 if tensor.is_inference() else tensor._version  # inference counts no writes
        place = (tensor.data_ptr(), tuple(tensor.shape), tensor.stride(), version)
        if place in self.by_place and tensor.numel() and version >= 0:
            return self.by_place[place][1]
        found = tensor.detach().to(torch.float64, copy=True).contiguous()
        alike = self.by_shape.setdefault(tuple(found.shape), [])
        for other in alike:
            if torch.equal(other, found):
                return other
        alike.append(found)
        self.by_place[place] = (tensor, found)  # a place is only unique while its tensor lives
        return found

    def number(self, value: float) -> Tensor:
        return self(torch.tensor(value, dtype=torch.float64))
