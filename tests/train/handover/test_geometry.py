"""The geometry of a linear map against torch's own maps, tap by tap and as matrices."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tssd.errors import NetworkError
from tssd.train.handover.float_network import FloatProjection, ProjectionKind
from tssd.train.handover.geometry import (
    Axis,
    check_shapes,
    largest,
    matrix,
    output_shape,
    rows,
    turned,
)
from tssd.train.handover.linear import linear_map

SIDES = st.integers(1, 9)
axes_of = st.builds(
    Axis, st.integers(1, 4), st.integers(1, 3), st.integers(0, 3), st.integers(1, 3)
) | st.builds(
    Axis, st.integers(1, 4), st.just(1), st.integers(-2, 4), st.integers(1, 3), st.integers(2, 3)
)


def meetings(axis: Axis, inputs: int, outputs: int) -> set[tuple[int, int, int]]:
    """(target, tap, source) that satisfy the equation, one by one."""
    return {
        (y, t, x)
        for y in range(outputs)
        for t in range(axis.taps)
        for x in range(inputs)
        if y * axis.stride + t * axis.dilation - axis.padding == x * axis.spread
    }


@given(axes_of, SIDES, SIDES)
def test_every_view_of_an_axis_is_the_equation(axis: Axis, inputs: int, outputs: int) -> None:
    wanted = meetings(axis, inputs, outputs)
    table = axis.reached(inputs, outputs)
    by_source = {(int(table[x, t]), t, x) for x, t in np.ndindex(*table.shape) if table[x, t] >= 0}
    assert by_source == wanted
    by_tap = set()
    for tap in range(axis.taps):
        seen = axis.seen(tap, (0, outputs), inputs)
        if seen is not None:
            x, y = (np.arange(n)[part] for n, part in zip((inputs, outputs), seen, strict=True))
            by_tap |= {(int(b), tap, int(a)) for a, b in zip(x, y, strict=True)}
    assert by_tap == wanted
    met = axis.phases()
    assert all(met[y % axis.period, t] for y, t, _ in wanted)


@given(axes_of, SIDES, st.integers(0, 8), st.integers(1, 4))
def test_a_span_of_targets_sees_its_own_part(axis: Axis, inputs: int, low: int, size: int) -> None:
    span = (low, low + size)
    wanted = {m for m in meetings(axis, inputs, span[1]) if m[0] >= low}
    found = set()
    for tap in range(axis.taps):
        seen = axis.seen(tap, span, inputs)
        if seen is not None:
            x, y = np.arange(inputs)[seen[0]], np.arange(low, low + size)[seen[1]]
            found |= {(int(b), tap, int(a)) for a, b in zip(x, y, strict=True)}
    assert found == wanted
    first, last = axis.field(span, inputs)
    assert all(first <= x < last for _, _, x in wanted)


def drawn(seed: int) -> tuple[FloatProjection, tuple[int, int, int]]:
    """A convolution, transposed or not, and a source that it may or may not fit."""
    rng = np.random.default_rng(seed)
    groups, inputs, outputs = (int(n) for n in rng.integers(1, 4, 3))
    pairs = rng.integers((1, 1, 0, 0, 1, 1), (4, 4, 3, 3, 3, 3)).reshape(3, 2)
    stride, padding, dilation = ((int(a), int(b)) for a, b in pairs)
    kernel = tuple(int(k) for k in rng.integers(1, 4, 2))
    weight = rng.integers(-9, 10, (groups * outputs, inputs, *kernel)).astype(np.float64)
    kind = (ProjectionKind.CONV2D, ProjectionKind.CONV2D_TRANSPOSED)[seed % 2]
    made = FloatProjection("a", "b", kind, weight, None, stride, padding, dilation, groups)
    height, width = (int(n) for n in rng.integers(1, 8, 2))
    return made, (groups * inputs, height, width)


def fitting(seed: int) -> tuple[FloatProjection, tuple[int, ...], tuple[int, ...]]:
    """The next one that fits, its source and its output's shape."""
    while True:
        projection, source = drawn(seed)
        try:
            return projection, source, output_shape(projection, source)
        except NetworkError:
            seed += 1


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_torch_agrees_on_shape_and_weights(seed: int) -> None:
    projection, source, target = fitting(seed)
    x = torch.from_numpy(np.random.default_rng(seed).integers(0, 5, (2, *source)) * 1.0)
    out = linear_map(projection, x, torch.from_numpy(projection.weight))
    assert tuple(out.shape[1:]) == target
    whole = matrix(projection, source, target)
    np.testing.assert_array_equal(x.numpy().reshape(2, -1) @ whole.T, out.numpy().reshape(2, -1))


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_no_target_adds_up_more_than_its_row(seed: int) -> None:
    projection, source, target = fitting(seed)
    whole = matrix(projection, source, target).reshape(target[0], -1, int(np.prod(source)))
    sums = np.abs(whole).sum(axis=2).max(axis=1)
    met = rows(projection)
    assert met.shape[1] == target[0]
    bound = np.abs(met).sum(axis=2).max(axis=0)
    assert (sums <= bound).all()
    assert largest(met, 3) == 3 * bound.max()


@pytest.mark.parametrize("seed", [3, 4, 7, 9])
def test_the_bound_is_met_inside_an_image(seed: int) -> None:
    projection = replace(drawn(seed)[0], padding=(0, 0))
    source = (projection.weight.shape[1] * projection.groups, 20, 20)
    whole = matrix(projection, source, output_shape(projection, source))
    assert np.abs(whole).sum(axis=1).max() == largest(rows(projection))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weight": np.ones((3, 2, 2, 2)), "groups": 2}, r"in 2 group\(s\); allowed: \(C_out"),
        ({"weight": np.ones((3, 2))}, r"projection a -> b: found weights \(3, 2\)"),
        ({"weight": np.ones((3, 1, 2, 2))}, r"a source of shape \(2, 4, 4\); allowed: \(1, h"),
        ({"weight": np.ones((3, 2, 9, 2))}, r"found a kernel \(9, 2\) on a source of shape"),
        ({"stride": (2, 2)}, r"found shape \(3, 2, 2\); allowed: \(3, 3, 3\)"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, object], message: str) -> None:
    plain = FloatProjection("a", "b", ProjectionKind.CONV2D, np.ones((3, 2, 2, 2)))
    check_shapes(plain, (2, 4, 4), (3, 3, 3))
    with pytest.raises(NetworkError, match=message):
        check_shapes(replace(plain, **change), (2, 4, 4), (3, 3, 3))  # type: ignore[arg-type]


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("padded", [0, 1])
def test_torchs_transposed_convolution_is_taken_over(groups: int, padded: int) -> None:
    """Its ``output_padding`` is a row of zero taps more."""
    module = torch.nn.ConvTranspose2d(4, 6, 3, 2, 1, padded, groups, dilation=1).double()
    torchs = module.weight.detach().numpy()
    more = np.pad(torchs, ((0, 0), (0, 0), (0, padded), (0, padded)))
    weight = turned(more, groups)
    assert weight.shape == (6, 4 // groups, 3 + padded, 3 + padded)
    np.testing.assert_array_equal(turned(weight, groups), more)
    assert module.bias is not None
    kind, bias = ProjectionKind.CONV2D_TRANSPOSED, module.bias.detach().numpy()
    ours = FloatProjection("a", "b", kind, weight, bias, (2, 2), (1, 1), groups=groups)
    x = torch.from_numpy(np.random.default_rng(0).random((2, 4, 5, 4)))
    wanted = module(x)
    assert output_shape(ours, (4, 5, 4)) == tuple(wanted.shape[1:])
    found = linear_map(ours, x, torch.from_numpy(weight), torch.from_numpy(bias))
    np.testing.assert_allclose(found.detach().numpy(), wanted.detach().numpy(), atol=1e-12)


def test_a_dense_map_reads_an_image_flat_and_may_fill_one() -> None:
    dense = FloatProjection("a", "b", ProjectionKind.DENSE, np.ones((6, 8)))
    assert output_shape(dense, (2, 2, 2)) == (6,)
    check_shapes(dense, (2, 2, 2), (1, 2, 3))
    with pytest.raises(NetworkError, match=r"found shape \(6,\); allowed: \(5,\)"):
        check_shapes(dense, (8,), (5,))
    with pytest.raises(NetworkError, match=r"weights \(6, 8\) on a source of shape \(7,\)"):
        check_shapes(dense, (7,), (6,))
