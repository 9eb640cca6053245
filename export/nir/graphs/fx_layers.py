"""Modules without state -> nodes, for the walk through a snnTorch module.

Each is exact or refused, by module path.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from tssd.arrays import FloatArray
from tssd.errors import NetworkError

Shape = tuple[int, ...]


@dataclass(frozen=True)
class NodeValue:
    """The node that makes a tensor, its shape without batch, whether it holds only 0 and 1, and,
    for a neuron's tuple, the membrane's node (None: it cannot be said)."""

    name: str
    shape: Shape
    binary: bool = False
    membrane: str | None = None
    membrane_index: int = 1
    fresh: bool = False  # the tuple of a neuron, to be indexed


class NodeBuilder(Protocol):
    """What a layer needs of the walk that meets it."""

    def add(self, name: str, kind: str, *sources: str, **params: Any) -> str:
        """Put a node behind *sources*; returns its name."""
        ...

    def linear_node(
        self, name: str, path: str, module: Any, source: NodeValue, kind: str, **params: Any
    ) -> NodeValue:
        """A node that maps as *module* does."""
        ...


def fault(path: str, found: str, allowed: str, hint: str | None = None) -> NetworkError:
    """What is wrong with the module at *path*."""
    return NetworkError(f"module {path}", found=found, allowed=allowed, hint=hint)


def _numbers(value: Any) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, tuple | list) else (int(value),)


def _bias(module: Any, rows: int) -> FloatArray:
    found: FloatArray = np.zeros(rows) if module.bias is None else module.bias.detach().numpy()
    return found


def _dense(w: NodeBuilder, name: str, path: str, module: Any, source: NodeValue) -> NodeValue:
    weight = module.weight.detach().numpy()
    if len(source.shape) != 1:
        raise fault(path, f"a Linear on shape {source.shape}", "a flat input", "flatten first")
    params = {"weight": weight}
    if module.bias is None:
        return w.linear_node(name, path, module, source, "Linear", **params)
    return w.linear_node(name, path, module, source, "Affine", **params, bias=_bias(module, 0))


def _conv(w: NodeBuilder, name: str, path: str, module: Any, source: NodeValue) -> NodeValue:
    if module.padding_mode != "zeros":
        raise fault(path, f"padding_mode {module.padding_mode!r}", "zeros")
    padding = module.padding if isinstance(module.padding, str) else _numbers(module.padding)
    kind = "Conv1d" if isinstance(module, nn.Conv1d) else "Conv2d"
    weight = module.weight.detach().numpy()
    return w.linear_node(
        name,
        path,
        module,
        source,
        kind,
        weight=weight,
        stride=_numbers(module.stride),
        padding=padding,
        dilation=_numbers(module.dilation),
        groups=int(module.groups),
        bias=_bias(module, len(weight)),
    )


def _norm(w: NodeBuilder, name: str, path: str, module: Any, source: NodeValue) -> NodeValue:
    """Inference-mode batch norm: k x + b as a depthwise 1 x 1 convolution or a diagonal Affine."""
    if module.running_mean is None:
        raise fault(path, "batch norm without running statistics", "track_running_stats=True")
    mean, variance = (x.detach().numpy() for x in (module.running_mean, module.running_var))
    gain = np.ones_like(mean) if module.weight is None else module.weight.detach().numpy()
    shift = np.zeros_like(mean) if module.bias is None else module.bias.detach().numpy()
    k = gain / np.sqrt(variance + module.eps)
    bias = shift - mean * k
    if len(source.shape) == 1:
        return w.linear_node(name, path, module, source, "Affine", weight=np.diag(k), bias=bias)
    if len(source.shape) != 3:
        raise fault(path, f"batch norm on shape {source.shape}", "(N,) or (C, H, W)")
    one = (1,)
    return w.linear_node(
        name,
        path,
        module,
        source,
        "Conv2d",
        weight=k.reshape(-1, 1, 1, 1),
        bias=bias,
        stride=one,
        padding=(0,),
        dilation=one,
        groups=len(k),
    )


def _average(w: NodeBuilder, name: str, path: str, module: Any, source: NodeValue) -> NodeValue:
    padding = _numbers(module.padding)
    odd = any(padding) and not module.count_include_pad
    if module.ceil_mode or module.divisor_override or odd:
        raise fault(
            path,
            "an average pool with ceil_mode, divisor_override or a count without padding",
            "plain windows",
        )
    kernel, stride = _numbers(module.kernel_size), _numbers(module.stride)
    params = {"kernel_size": kernel, "stride": stride, "padding": padding}
    if not any(padding):
        return w.linear_node(name, path, module, source, "AvgPool2d", **params)
    summed = w.linear_node(f"{name}_sum", path, module, source, "SumPool2d", **params)
    scale = np.full(summed.shape, 1 / (kernel[0] * kernel[-1]))
    return NodeValue(w.add(name, "Scale", summed.name, scale=scale), summed.shape)


def _maximum(w: NodeBuilder, name: str, path: str, module: Any, source: NodeValue) -> NodeValue:
    """The largest of zeros and ones: their sum is above one half."""
    if not source.binary:
        raise fault(path, "MaxPool2d of values that are not spikes", "MaxPool2d after a neuron")
    if module.ceil_mode or module.return_indices or _numbers(module.dilation) not in ((1,), (1, 1)):
        raise fault(path, "MaxPool2d with ceil_mode, dilation or indices", "plain windows")
    kernel, stride = _numbers(module.kernel_size), _numbers(module.stride)
    params = {"kernel_size": kernel, "stride": stride, "padding": _numbers(module.padding)}
    summed = w.linear_node(f"{name}_sum", path, module, source, "SumPool2d", **params)
    half = np.full(summed.shape, 0.5)
    return NodeValue(w.add(name, "Threshold", summed.name, threshold=half), summed.shape, True)


def flatten(w: NodeBuilder, name: str, path: str, module: Any, source: NodeValue) -> NodeValue:
    """nn.Flatten, or torch.flatten with its numbers; the batch axis stays."""
    rank = len(source.shape) + 1
    start = module.start_dim % rank
    end = module.end_dim % rank
    if start == 0:
        raise fault(path, "a flatten over the batch axis", "start_dim >= 1")
    value = w.linear_node(
        name, path, module, source, "Flatten", start_dim=start - 1, end_dim=end - 1
    )
    return NodeValue(value.name, value.shape, source.binary)


def _nothing(w: NodeBuilder, name: str, path: str, module: Any, source: NodeValue) -> NodeValue:
    return source


LAYERS: Mapping[type[nn.Module], Callable[[NodeBuilder, str, str, Any, NodeValue], NodeValue]] = {
    nn.Linear: _dense,
    nn.Conv1d: _conv,
    nn.Conv2d: _conv,
    nn.BatchNorm1d: _norm,
    nn.BatchNorm2d: _norm,
    nn.AvgPool2d: _average,
    nn.MaxPool2d: _maximum,
    nn.Flatten: flatten,
    nn.Dropout: _nothing,
    nn.Dropout2d: _nothing,
    nn.Identity: _nothing,
}

FUSIONS: tuple[tuple[type[nn.Module], type[nn.Module], Callable[..., nn.Module]], ...] = (
    (nn.Linear, nn.BatchNorm1d, fuse_linear_bn_eval),
    (nn.Conv1d, nn.BatchNorm1d, fuse_conv_bn_eval),
    (nn.Conv2d, nn.BatchNorm2d, fuse_conv_bn_eval),
)


def without_norms(module: fx.GraphModule) -> fx.GraphModule:
    """*module* itself, changed: a normalisation that alone reads a linear map becomes part of it.

    w' = w gain / sqrt(variance + eps), b' = (b - mean) gain / sqrt(variance + eps) + shift
    """
    for node in list(module.graph.nodes):
        norm = _module(module, node)
        before = node.args[0] if node.args else None
        if getattr(norm, "running_mean", None) is None or not isinstance(before, fx.Node):
            continue
        layer = _module(module, before) if len(before.users) == 1 else None
        for kind, norm_kind, fuse in FUSIONS:
            if isinstance(layer, kind) and isinstance(norm, norm_kind):
                module.set_submodule(str(before.target), fuse(layer, norm))
                node.replace_all_uses_with(before)
                module.graph.erase_node(node)
    module.recompile()
    return module


def _module(module: fx.GraphModule, node: fx.Node) -> nn.Module | None:
    return module.get_submodule(str(node.target)) if node.op == "call_module" else None
