"""Integer sums of a projection against sums written out by hand."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tssd.calibration.int_network import Projection, ProjectionKind
from tssd.calibration.integer import IntArray, wrap_sum
from tssd.calibration.synapse import deliver
from tssd.train.handover.geometry import turned


def by_hand(projection: Projection, s: IntArray) -> IntArray:
    """The definition of a grouped convolution, one output at a time."""
    w, (ph, pw), (sh, sw) = projection.weight, projection.padding, projection.stride
    (dh, dw), per_group = projection.dilation, w.shape[0] // projection.groups
    padded = np.pad(s, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    height = (padded.shape[2] - dh * (w.shape[2] - 1) - 1) // sh + 1
    width = (padded.shape[3] - dw * (w.shape[3] - 1) - 1) // sw + 1
    out = np.zeros((len(s), w.shape[0], height, width), np.int64)
    for o in range(w.shape[0]):
        first = o // per_group * w.shape[1]
        for y in range(height):
            for x in range(width):
                rows = slice(y * sh, y * sh + dh * w.shape[2], dh)
                columns = slice(x * sw, x * sw + dw * w.shape[3], dw)
                patch = padded[:, first : first + w.shape[1], rows, columns]
                out[:, o, y, x] = (patch * w[o]).sum(axis=(1, 2, 3))
    return out


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 2**20, 2**30]))
@settings(max_examples=40, deadline=None)
def test_convolution_equals_its_definition(seed: int, payload: int) -> None:
    rng = np.random.default_rng(seed)
    groups = int(rng.integers(1, 3))
    kernel, stride = rng.integers(1, 4, 2), rng.integers(1, 3, 2)
    dilation, padding = rng.integers(1, 3, 2), rng.integers(0, 3, 2)
    weight = rng.integers(-(2**23), 2**23, (2 * groups, 2, *kernel))
    projection = Projection(
        "a",
        "b",
        ProjectionKind.CONV2D,
        weight,
        groups=groups,
        stride=(int(stride[0]), int(stride[1])),
        dilation=(int(dilation[0]), int(dilation[1])),
        padding=(int(padding[0]), int(padding[1])),
    )
    s = rng.integers(0, payload + 1, (2, 2 * groups, 7, 6))
    np.testing.assert_array_equal(deliver(projection, s), wrap_sum(by_hand(projection, s)))


@given(st.integers(-8, 8), st.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_the_exponent_shifts_the_sum(exponent: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    weight, s = rng.integers(-127, 128, (3, 8)), rng.integers(0, 256, (2, 2, 2, 2))
    dense = Projection("a", "b", ProjectionKind.DENSE, weight, weight_exp=exponent)
    total = [[int((w * x.ravel()).sum()) for w in weight] for x in s]
    want = [[t << exponent if exponent >= 0 else t >> -exponent for t in row] for row in total]
    assert deliver(dense, s).tolist() == want


def pair(rng: np.random.Generator, low: int, high: int) -> tuple[int, int]:
    return int(rng.integers(low, high)), int(rng.integers(low, high))


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_a_transposed_convolution_equals_torch_s(seed: int) -> None:
    """Of every padding: one beyond dilation x (kernel - 1) cuts places off the sides."""
    rng = np.random.default_rng(seed)
    groups, kernel, stride = int(rng.integers(1, 3)), pair(rng, 1, 4), pair(rng, 1, 4)
    dilation, padding = pair(rng, 1, 3), pair(rng, 0, 4)
    weight = rng.integers(-9, 10, (2 * groups, 2, *kernel))
    projection = Projection(
        *("a", "b", ProjectionKind.CONV2D_TRANSPOSED, weight),
        groups=groups, stride=stride, dilation=dilation, padding=padding,
    )  # fmt: skip
    s = rng.integers(0, 4, (2, 2 * groups, 7, 8))
    want = torch.nn.functional.conv_transpose2d(
        torch.tensor(s), torch.tensor(turned(weight, groups).copy()), None, stride, padding,
        groups=groups, dilation=dilation,
    )  # fmt: skip
    np.testing.assert_array_equal(deliver(projection, s), want.numpy())
