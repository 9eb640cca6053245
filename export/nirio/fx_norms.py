"""Batch normalisation of a module in inference mode, folded into the map it stands behind."""

from collections.abc import Callable

from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

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
