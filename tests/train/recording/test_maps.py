"""Linear runs multiplied out: one projection that does what the layers do."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from tssd.errors import NetworkError
from tssd.train.handover.float_layers import project
from tssd.train.handover.float_network import ProjectionKind
from tssd.train.recording.network.maps import Linear, as_convolution, as_matrix
from tssd.train.recording.network.populations import projection
from tssd.train.recording.tape.values import Op


def op_of(layer: nn.Module, shape: tuple[int, ...]) -> Op:
    """*layer* without a bias, as the recorder would see an operation of no known kind."""
    plain = layer.double()

    def apply(x: Tensor) -> Tensor:
        found: Tensor = plain(x)
        return found

    out = tuple(apply(torch.zeros((1, *shape), dtype=torch.float64)).shape[1:])
    return Op("map", out, (id(layer),), apply)


def through(linear: Linear, x: Tensor, shape: tuple[int, ...]) -> Tensor:
    return project(projection(linear, "a", "b"), x[None], shape)[0]


SIZES = st.tuples(st.integers(1, 4), st.integers(5, 11), st.integers(5, 11))


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[nn.Conv2d, tuple[int, int, int]]:
    shape = draw(SIZES)
    kernel = (draw(st.integers(1, 4)), draw(st.integers(1, 4)))
    groups = shape[0] if draw(st.booleans()) else 1
    torch.manual_seed(draw(st.integers(0, 99)))
    layer = nn.Conv2d(
        shape[0],
        shape[0] * draw(st.integers(1, 3)),
        kernel,
        stride=(draw(st.integers(1, 3)), draw(st.integers(1, 3))),
        padding=(draw(st.integers(0, 2)), draw(st.integers(0, 2))),
        groups=groups,
        bias=False,
    )
    return layer, shape


@settings(max_examples=25, deadline=None)
@given(convolutions())
def test_a_convolution_is_found_from_what_it_does(
    made: tuple[nn.Conv2d, tuple[int, int, int]],
) -> None:
    layer, shape = made
    op = op_of(layer, shape)
    found = as_convolution([(op,)], shape, shape, op.out)
    x = torch.randn((2, *shape), dtype=torch.float64)
    if found is None:  # its window is cut by the border everywhere: a matrix says it
        found = as_matrix([(op,)], shape, int(np.prod(op.out)))
        assert found is not None
        seen = through(found, x, (int(np.prod(op.out)),)).reshape(2, *op.out)
    else:
        seen = through(found, x, op.out)
        assert found.weight.size <= layer.weight.numel() * 4
    torch.testing.assert_close(seen, layer(x))


def test_groups_are_found() -> None:
    layer = nn.Conv2d(6, 6, 3, padding=1, groups=3, bias=False)
    op = op_of(layer, (6, 8, 8))
    found = as_convolution([(op,)], (6, 8, 8), (6, 8, 8), (6, 8, 8))
    assert found is not None
    assert found.groups == 3
    np.testing.assert_allclose(found.weight, layer.weight.detach().numpy(), atol=1e-15)


RUNS = {
    "conv, average pool": ((nn.Conv2d(2, 3, 3, bias=False), nn.AvgPool2d(2)), (4, 4), (2, 2)),
    "average pool, conv": ((nn.AvgPool2d(2), nn.Conv2d(2, 3, 2, bias=False)), (4, 4), (2, 2)),
    "two convs": (
        (nn.Conv2d(2, 3, 3, bias=False), nn.Conv2d(3, 4, 2, stride=2, bias=False)),
        (4, 4),
        (2, 2),
    ),
    "asymmetric padding, conv": (
        (nn.ZeroPad2d((1, 1, 1, 1)), nn.Conv2d(2, 3, 3, bias=False)),
        (3, 3),
        (1, 1),
    ),
}


@pytest.mark.parametrize("name", RUNS)
def test_a_run_of_layers_is_one_small_convolution(name: str) -> None:
    layers, kernel, stride = RUNS[name]
    shape, ops = (2, 10, 10), list[Op]()
    here: tuple[int, ...] = shape
    for layer in layers:
        ops.append(op_of(layer, here))
        here = ops[-1].out
    found = as_convolution([tuple(ops)], shape, shape, here)
    assert found is not None
    assert found.weight.shape[2:] == kernel
    assert found.stride == stride
    x = torch.randn((2, *shape), dtype=torch.float64)
    wanted = nn.Sequential(*layers)(x)
    torch.testing.assert_close(through(found, x, here), wanted)


def test_padding_between_two_convolutions_has_no_convolution_but_a_matrix() -> None:
    layers = (nn.Conv2d(1, 2, 3, padding=1, bias=False), nn.Conv2d(2, 2, 3, padding=1, bias=False))
    a = op_of(layers[0], (1, 6, 6))
    b = op_of(layers[1], a.out)
    assert as_convolution([(a, b)], (1, 6, 6), (1, 6, 6), b.out) is None
    found = as_matrix([(a, b)], (1, 6, 6), 72)
    assert found is not None
    assert found.kind is ProjectionKind.DENSE
    x = torch.randn((2, 1, 6, 6), dtype=torch.float64)
    wanted = nn.Sequential(*layers)(x).flatten(1)
    torch.testing.assert_close(through(found, x, (72,)), wanted)


@pytest.mark.parametrize(("outputs", "inputs"), [(3, 40), (40, 3)])
def test_a_matrix_is_found_by_rows_or_columns(outputs: int, inputs: int) -> None:
    weight = torch.randn((outputs, inputs), dtype=torch.float64)
    op = Op("map", (outputs,), (), lambda x: functional.linear(x, weight))
    found = as_matrix([(op,), (op,)], (inputs,), outputs)
    assert found is not None
    np.testing.assert_allclose(found.weight, 2 * weight.numpy())


def test_a_matrix_that_would_be_too_large_is_none() -> None:
    op = Op("map", (1 << 13,), (), lambda x: x)
    assert as_matrix([(op,)], (1 << 13,), 1 << 13) is None


def test_too_large_is_refused_with_the_layers_by_name() -> None:
    import snntorch as snn

    from tssd.train.recording.convert import to_float
    from tssd.train.recording.record import record

    module = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.Conv2d(8, 8, 3, padding=1),
        snn.Leaky(beta=0.5, init_hidden=True),
    ).eval()
    recording = record(module, np.zeros((1, 1, 64, 64), np.float32) + 0.5, time_steps=1)
    with pytest.raises(NetworkError, match=r"no single convolution \(0, 1\).*16,777,216 weights"):
        to_float(recording)
