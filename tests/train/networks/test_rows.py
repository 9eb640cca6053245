"""Linear maps whose data have channels last: torch's own results, by other calls."""

from itertools import product

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from tssd.train.networks.rows import dense, dense_map, image_map


def gradients(made: Tensor, leaves: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    wave = torch.arange(made.numel(), dtype=made.dtype).view(made.shape).sin()
    return made, *torch.autograd.grad((made * wave).sum(), leaves)


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "groups"),
    [*product((1, 3), ((1, 1), (2, 2), (2, 3)), ((0, 0), (1, 2)), (1, 2))],
)
def test_a_convolution_and_its_gradients_are_torchs(
    kernel: int, stride: tuple[int, int], padding: tuple[int, int], groups: int
) -> None:
    """Kernels of one pixel see the padding too, and only what their stride meets; in float64 and
    with channels first torch has no fault."""
    drawn = torch.Generator().manual_seed(0)
    data = torch.rand(3, 4, 7, 9, generator=drawn, dtype=torch.float64).requires_grad_()
    shape = (6, 4 // groups, kernel, kernel)
    weight = torch.randn(shape, generator=drawn, dtype=torch.float64).requires_grad_()
    bias = torch.randn(6, generator=drawn, dtype=torch.float64).requires_grad_()
    leaves = (data, weight, bias)
    wanted = functional.conv2d(data, weight, bias, stride, padding, groups=groups)
    floats = tuple(x.detach().float().requires_grad_() for x in leaves)
    found = image_map(floats[1], floats[2], dense(floats[0]), stride, padding, groups)
    for a, b in zip(gradients(found, floats), gradients(wanted, leaves), strict=True):
        torch.testing.assert_close(a, b.float(), rtol=1e-4, atol=1e-4)


def test_a_dense_map_of_images_is_that_of_their_flat_form() -> None:
    data, weight = torch.rand(3, 2, 4, 5), torch.randn(7, 40)
    wanted = functional.linear(data.flatten(1), weight)
    torch.testing.assert_close(dense_map(weight, None, dense(data)), wanted)
