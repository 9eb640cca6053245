"""What linear layers, pools, sums over axes and stacks make of values."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tssd.train.recording.tape.elementwise import Operation, Window, plus, times
from tssd.train.recording.tape.gathers import concatenated, stacked, summed_lead
from tssd.train.recording.tape.values import (
    Followed,
    Op,
    Opaque,
    Shape,
    Value,
    from_source,
    mapped,
    scaled,
    shifted,
)

# ---------------------------------------------------------------- linear layers


def _alone(op: Operation, value: Value, features: int) -> Opaque | None:
    """A layer needs the samples (or steps times samples) as the one leading axis."""
    if len(value.lead) == 1 and len(value.feat) == features:
        return None
    return op.misplace(f"{op.name} over an axis of samples or steps")


def addmm(op: Operation) -> Followed:
    """alpha x matrix + beta offset."""
    offset, x, matrix = op.args[:3]
    beta, alpha = (float(op.options.get(k, 1)) for k in ("beta", "alpha"))
    if not isinstance(x, Value) or not isinstance(matrix, Tensor):
        return op.refuse("a product of matrices with the samples on the right")
    made = _dense(op, x, matrix if alpha == 1 else alpha * matrix)
    if beta == 0:  # then torch does not read the offset
        return made
    return plus(op, made, offset if beta == 1 else times(op, offset, beta))


def matrix_product(op: Operation) -> Followed:
    """x (n, in) times a matrix."""
    x, matrix = op.args[:2]
    if not isinstance(x, Value) or not isinstance(matrix, Tensor):
        return op.refuse("a product of matrices with the samples on the right")
    return _dense(op, x, matrix)


def batched_product(op: Operation) -> Followed:
    """x (1, n, in) times one matrix, as einsum calls it."""
    x, matrix = op.args[:2]
    fits = isinstance(x, Value) and isinstance(matrix, Tensor) and len(matrix) == 1
    if not fits or len(x.lead) != 2:
        return op.refuse("a batched product of matrices")
    return _dense(op, x, matrix[0])


def _dense(op: Operation, x: Value, matrix: Tensor) -> Followed:
    """x (..., in) times matrix (in, out)."""
    if len(x.feat) != 1:
        return op.misplace("a linear layer over an axis of samples or steps")
    weight = op.intern(matrix.t())
    made = Op("dense", (len(weight),), (), lambda v: v @ weight.T, (weight,), op.path)
    return mapped(x, made)


def convolution(op: Operation) -> Followed:
    """A convolution, transposed ones too, in one or two dimensions."""
    x, weight, bias, stride, padding, dilation, transposed, out_padding, groups = op.args[:9]
    if not isinstance(x, Value) or not isinstance(weight, Tensor):
        return op.refuse("a convolution with weights that depend on the samples")
    wrong = _alone(op, x, weight.dim() - 1)
    if wrong:
        return wrong
    kernel = op.intern(weight)
    settings = (*map(tuple, (stride, padding, dilation)), transposed, tuple(out_padding), groups)

    def apply(v: Tensor) -> Tensor:
        found: Tensor = op.func(
            v, kernel, None, stride, padding, dilation, transposed, out_padding, groups
        )
        return found

    out = tuple(op.result.shape[1:])
    made = Op("convolution", out, settings, apply, (kernel,), op.path)
    one = (1,) * (len(out) - 1)
    offset = None if bias is None else op.intern(bias).reshape(-1, *one)
    return mapped(x, made, offset)


def batch_norm(op: Operation) -> Followed:
    """(x - mean) / sqrt(variance + eps) * gain + shift, the statistics of training."""
    x, gain, shift, mean, variance = op.args[:5]
    plain = op.name == "_native_batch_norm_legit_no_training"
    if not plain and (op.args[5] or mean is None):
        return op.refuse("batch normalisation by the statistics of the samples themselves")
    eps = float(op.args[6] if plain else op.args[7])
    wrong = _alone(op, x, len(x.feat))
    if wrong:
        return wrong
    size = (-1,) + (1,) * (len(x.feat) - 1)
    scale = 1 / torch.sqrt(variance.double() + eps)
    if gain is not None:
        scale = scale * gain.double()
    offset = -mean.double() * scale
    if shift is not None:
        offset = offset + shift.double()
    made = scaled(x, op.intern(scale.reshape(size)), op.path)
    moved = shifted(made, op.intern(offset.reshape(size)))
    return Value(moved.lead, moved.feat, moved.terms, moved.const)


def feature_map(op: Operation) -> Followed:
    """An operation of torch on (n, *features) that is linear as it stands."""
    x, rest = op.args[0], op.args[1:]
    if not isinstance(x, Value) or len(x.lead) != 1:
        return op.misplace(f"{op.name} over an axis of samples or steps")
    if op.name == "constant_pad_nd" and len(rest) > 1 and rest[1]:
        return op.refuse(f"padding with {rest[1]}")
    if any(isinstance(r, Tensor | Value) for r in rest):
        return op.refuse(f"{op.name} with a tensor as an option")

    def apply(v: Tensor) -> Tensor:
        found: Tensor = op.func(v, *rest, **op.options)
        return found

    said = (op.name, repr(rest), repr(sorted(op.options.items())))
    made = Op("map", tuple(op.result.shape[1:]), said, apply, (), op.path)
    return mapped(x, made, plain=True)


def reduced(op: Operation, mean: bool) -> Followed:
    """Sum or mean over leading axes, features, or both."""
    x = op.args[0]
    rank, lead = len(x.shape), len(x.lead)
    axes = op.args[1] if len(op.args) > 1 and op.args[1] is not None else range(rank)
    axes = sorted({int(a) % rank for a in (axes if not isinstance(axes, int) else [axes])})
    axes = axes or list(range(rank))
    keep = bool(op.args[2]) if len(op.args) > 2 else bool(op.options.get("keepdim", False))
    count = int(np.prod([x.shape[a] for a in axes]))
    inner = [a - lead for a in axes if a >= lead]
    found = _sum_features(op, x, inner, keep) if inner else x
    outer = [a for a in axes if a < lead]
    if outer:
        found = summed_lead(found, outer, keep, op.intern)
    return scaled(found, op.intern.number(1 / count), op.path) if mean else found


def _sum_features(op: Operation, x: Value, axes: Sequence[int], keep: bool) -> Value:
    left = [1 if i in axes else n for i, n in enumerate(x.feat)]
    out = tuple(left if keep else [n for i, n in enumerate(x.feat) if i not in axes])
    dims = [a + 1 for a in axes]

    def apply(v: Tensor) -> Tensor:
        return v.sum(dim=dims, keepdim=keep)

    return mapped(x, Op("map", out, ("sum", tuple(dims), keep), apply, (), op.path), plain=True)


def join(op: Operation) -> Followed:
    """stack and cat; parts that are constant keep no rows and join only among features."""
    parts, axis = op.args[0], op.args[1] if len(op.args) > 1 else 0
    for part in parts:
        if isinstance(part, Opaque):
            return part
    like = next(p for p in parts if isinstance(p, Value))
    whole = [p if isinstance(p, Value) else _still(op, p, like) for p in parts]
    if any(p is None for p in whole):
        return op.refuse(f"a {op.name} with a tensor that differs between samples or steps")
    return (stacked if op.name == "stack" else concatenated)(whole, axis, op.path)  # type: ignore[arg-type]


def _still(op: Operation, constant: Tensor, like: Value) -> Value | None:
    lead = len(like.lead)
    if constant.dim() != len(like.shape) or tuple(constant.shape[:lead]) != like.lead:
        return None
    flat = constant.reshape(-1, *constant.shape[lead:])
    if not bool((flat == flat[:1]).all()):
        return None
    const = op.intern(flat[0])
    return Value(like.lead, tuple(const.shape), (), const, plain=True)


# ---------------------------------------------------------------- maximum pools


def max_pool(op: Operation) -> Followed:
    """A maximum over windows: a source of its own."""
    x, *rest = op.args
    kernel = _pair(rest[0])
    stride = _pair(rest[1]) if len(rest) > 1 and rest[1] else kernel
    padding = _pair(rest[2]) if len(rest) > 2 else (0, 0)
    dilation = _pair(rest[3]) if len(rest) > 3 else (1, 1)
    ceil = bool(rest[4]) if len(rest) > 4 else False
    wrong = _alone(op, x, 3)
    if wrong:
        return wrong
    out = tuple(op.result[0].shape[1:])
    window = Window(kernel, stride, padding, dilation, op.path)
    if ceil and out[1:] != _floor(x.feat[1:], window):
        return op.refuse("a maximum pool with windows that stick out (ceil_mode)")
    return from_source(op.sources.pooled(x, window, out), x.lead, out)


def adaptive_max_pool(op: Operation) -> Followed:
    """The same, by the size of its result."""
    x, size = op.args[:2]
    wrong = _alone(op, x, 3)
    if wrong:
        return wrong
    size = _pair(size)
    if any(n % k for n, k in zip(x.feat[1:], size, strict=True)):
        return op.refuse(f"an adaptive maximum pool of {x.feat[1:]} to {size}, uneven windows")
    kernel = (x.feat[1] // size[0], x.feat[2] // size[1])
    out = (x.feat[0], *size)
    window = Window(kernel, kernel, (0, 0), (1, 1), op.path)
    return from_source(op.sources.pooled(x, window, out), x.lead, out)


def _floor(size: Shape, w: Window) -> Shape:
    parts = zip(size, w.kernel, w.stride, w.padding, w.dilation, strict=True)
    return tuple((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in parts)


def _pair(value: Any) -> tuple[int, int]:
    numbers = [int(n) for n in value] if isinstance(value, list | tuple) else [int(value)]
    return (numbers[0], numbers[-1])
