"""Operations that only pick elements: views, permutations, repeats, slices, stacks.

They are followed by what they do to the numbers of the elements: the operation itself runs on
``arange``, and where rows and features stay apart in the result, it is a choice of rows and a
gather of features. No operation needs a rule of its own.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tssd.arrays import IntArray
from tssd.train.recording.tape.values import (
    Followed,
    Interned,
    Op,
    Opaque,
    Shape,
    Term,
    Value,
    named,
)

GATHERS = named(
    "view _unsafe_view reshape _reshape_alias permute t transpose squeeze unsqueeze expand "
    "select slice unbind split split_with_sizes chunk narrow detach alias clone contiguous "
    "repeat repeat_interleave flip roll index_select index lift_fresh diagonal unfold movedim "
    "pixel_shuffle pixel_unshuffle channel_shuffle reflection_pad1d reflection_pad2d "
    "replication_pad1d replication_pad2d rot90 tile flatten unflatten"
)


@dataclass(frozen=True, eq=False)
class _Choice:
    """Where each leading position comes from, and each feature."""

    lead: Shape
    feat: Shape
    rows: IntArray  # (*lead), positions in the old leading axes
    features: IntArray  # flat, positions in the old features


def gathered(func: Any, value: Value, args: Sequence[Any], options: Any, path: str) -> Any:
    """The followed result of *func* on *value*: one, or a list where it returns several."""
    size = int(np.prod(value.feat))
    result = func(_numbers(value.shape), *args, **options)
    if isinstance(result, list | tuple):
        return [_chosen(value, part, size, path) for part in result]
    return _chosen(value, result, size, path)


@functools.lru_cache(maxsize=8)
def _numbers(shape: Shape) -> Tensor:
    """The elements of a tensor, numbered; never written."""
    return torch.arange(int(np.prod(shape)), dtype=torch.float64).reshape(shape)


def _chosen(value: Value, numbers: Tensor, size: int, path: str) -> Followed:
    choice = _split(numbers.numpy().astype(np.int64), max(size, 1))
    if choice is None:
        return Opaque("samples and features in one axis", path, misplaced=True)
    flat = [term.rows.reshape(-1, term.rows.shape[-1]) for term in value.terms]
    terms = tuple(
        Term(rows[choice.rows], term.ops) for rows, term in zip(flat, value.terms, strict=True)
    )
    picked = Value(choice.lead, value.feat, terms, value.const, value.plain)
    return _with_features(picked, choice, size, path)


def _split(numbers: IntArray, size: int) -> _Choice | None:
    """The first axis from which on only features vary, if there is one."""
    rows, features = numbers // size, numbers % size
    for k in range(numbers.ndim + 1):
        lead, feat = numbers.shape[:k], numbers.shape[k:]
        r = rows.reshape(int(np.prod(lead)), -1)
        f = features.reshape(r.shape)
        if r.size and (r == r[:, :1]).all() and (f == f[:1]).all():
            return _Choice(lead, feat, r[:, 0].reshape(lead), f[0])
    return None


def _with_features(value: Value, choice: _Choice, size: int, path: str) -> Value:
    """The same rows, other features."""
    shape, index = choice.feat, choice.features
    in_order = len(index) == size and bool((index == np.arange(size)).all())
    if in_order and shape == value.feat:
        return value
    const = None
    if value.const is not None:
        const = value.const.reshape(-1)[torch.from_numpy(index)].reshape(shape)
    op = reshape_op(shape, path) if in_order else gather_op(index, shape, path)
    terms = tuple(term.then(op) for term in value.terms)
    return Value(value.lead, shape, terms, const, value.plain)


def reshape_op(shape: Shape, path: str = "") -> Op:
    return Op("reshape", shape, (), lambda x: x.reshape(len(x), *shape), (), path)


def gather_op(index: IntArray, shape: Shape, path: str) -> Op:
    at = torch.from_numpy(index)
    return Op(
        "gather",
        shape,
        (index.tobytes(),),
        lambda x: x.flatten(1)[:, at].reshape(len(x), *shape),
        (),
        path,
    )


def embed_op(index: IntArray, shape: Shape, path: str) -> Op:
    """Features put at *index* (flat) of a larger block of zeros."""
    at, size = torch.from_numpy(index), int(np.prod(shape))

    def apply(x: Tensor) -> Tensor:
        out = x.new_zeros((len(x), size))
        out[:, at] = x.flatten(1)
        return out.reshape(len(x), *shape)

    return Op("embed", shape, (index.tobytes(),), apply, (), path)


def stacked(parts: Sequence[Value], axis: int, path: str) -> Followed:
    """torch.stack along a leading axis, or among the features."""
    first = parts[0]
    axis %= len(first.shape) + 1
    if any((p.lead, p.feat) != (first.lead, first.feat) for p in parts):
        return Opaque("a stack of values that are arranged differently", path, misplaced=True)
    if axis <= len(first.lead):
        return _along_lead(parts, axis, path, np.stack)
    wide = [_unsqueezed(p, axis, path) for p in parts]
    return concatenated(wide, axis, path)


def _unsqueezed(value: Value, axis: int, path: str) -> Value:
    at = axis - len(value.lead)
    feat = (*value.feat[:at], 1, *value.feat[at:])
    choice = _Choice(value.lead, feat, np.zeros(0, np.int64), np.arange(int(np.prod(feat))))
    return _with_features(value, choice, int(np.prod(feat)), path)


def concatenated(parts: Sequence[Value], axis: int, path: str) -> Followed:
    """torch.cat along a leading axis, or among the features."""
    first = parts[0]
    axis %= len(first.shape)
    if axis < len(first.lead):
        return _along_lead(parts, axis, path, np.concatenate)
    if any(p.lead != first.lead for p in parts):
        return Opaque("a cat of values that are arranged differently", path, misplaced=True)
    at = axis - len(first.lead)
    shape = (*first.feat[:at], sum(p.feat[at] for p in parts), *first.feat[at + 1 :])
    places = np.split(
        np.arange(int(np.prod(shape))).reshape(shape),
        np.cumsum([p.feat[at] for p in parts])[:-1],
        axis=at,
    )
    terms: list[Term] = []
    still = all(part.const is None for part in parts)
    const = None if still else torch.zeros(shape, dtype=torch.float64)
    for part, place in zip(parts, places, strict=True):
        op = embed_op(place.reshape(-1), shape, path)
        terms += [term.then(op) for term in part.terms]
        if part.const is not None and const is not None:
            const = const + op.apply(part.const[None])[0]
    return Value(first.lead, shape, tuple(terms), const, all(p.plain for p in parts))


def _along_lead(parts: Sequence[Value], axis: int, path: str, join: Any) -> Followed:
    """Rows joined; every part must pass the same maps and constant."""
    first = parts[0]
    for part in parts[1:]:
        if not _alike(first, part):
            return Opaque("steps or samples that went through different maps, in one tensor", path)
    terms = tuple(
        Term(_joined_rows([p.terms[i].rows for p in parts], axis, join), term.ops)
        for i, term in enumerate(first.terms)
    )
    lead = terms[0].rows.shape[:-1] if terms else first.lead
    return Value(lead, first.feat, terms, first.const, all(p.plain for p in parts))


def _joined_rows(rows: Sequence[IntArray], axis: int, join: Any) -> IntArray:
    found: IntArray = join(rows, axis=axis)
    return found


def _alike(a: Value, b: Value) -> bool:
    if len(a.terms) != len(b.terms) or a.feat != b.feat or not a.terms:
        return False
    pairs = zip(a.terms, b.terms, strict=True)
    alike = all(
        len(x.ops) == len(y.ops)
        and x.rows.shape[-1] == y.rows.shape[-1]
        and all(p.same(q) for p, q in zip(x.ops, y.ops, strict=True))
        for x, y in pairs
    )
    zero = torch.zeros(a.feat, dtype=torch.float64)
    const_a, const_b = (zero if v.const is None else v.const for v in (a, b))
    return alike and torch.equal(const_a, const_b)


def summed_lead(value: Value, axes: Sequence[int], keep: bool, intern: Interned) -> Value:
    """Sum over leading axes."""
    count = int(np.prod([value.lead[a] for a in axes]))
    terms = tuple(Term(_into_last(term.rows, axes, keep), term.ops) for term in value.terms)
    lead = terms[0].rows.shape[:-1] if terms else value.lead
    const = None if value.const is None else value.const * count
    return Value(lead, value.feat, terms, const, value.plain)


def _into_last(rows: IntArray, axes: Sequence[int], keep: bool) -> IntArray:
    stay = [a for a in range(rows.ndim - 1) if a not in axes]
    moved = rows.transpose(*stay, *axes, rows.ndim - 1)
    lead = [1 if a in axes else rows.shape[a] for a in range(rows.ndim - 1)]
    shape = lead if keep else [rows.shape[a] for a in stay]
    return np.ascontiguousarray(moved).reshape(*shape, -1)
