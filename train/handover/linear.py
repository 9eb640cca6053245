"""One linear map in torch, for float and integer projections: the only place that calls them."""

from typing import assert_never

from torch import Tensor
from torch.nn import functional

from tssd.train.handover.float_network import ProjectionKind
from tssd.train.handover.geometry import LinearMap, turned


def linear_map(
    projection: LinearMap, x: Tensor, weight: Tensor, bias: Tensor | None = None
) -> Tensor:
    """(N, *source shape) -> (N, *output shape); *weight* and *bias* as the projection has them."""
    geometry = (projection.stride, projection.padding, projection.dilation, projection.groups)
    match projection.kind:
        case ProjectionKind.DENSE:
            return functional.linear(x.flatten(1), weight, bias)
        case ProjectionKind.CONV2D | ProjectionKind.SUM_POOL:
            return functional.conv2d(x, weight, bias, *geometry)
        case ProjectionKind.CONV2D_TRANSPOSED:
            torchs = turned(weight, projection.groups)
            stride, padding, dilation, groups = geometry
            return functional.conv_transpose2d(
                x, torchs, bias, stride, padding, groups=groups, dilation=dilation
            )
        case _:
            assert_never(projection.kind)
