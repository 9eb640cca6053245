"""A trained user's module as a FloatNetwork: what the first output depends on, read by torch.fx."""

import copy

import torch
from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from tssd.contracts import check, require
from tssd.export.nirio.from_snntorch import from_snntorch
from tssd.export.nirio.to_float import to_float
from tssd.train.evaluate import to_current
from tssd.train.float_network import FloatNetwork
from tssd.train.float_run import ImageArray
from tssd.train.user_module import UserNet


def float_of_module(net: UserNet, time_steps: int) -> FloatNetwork:
    """The populations and projections; what has no counterpart is refused by its module path."""
    module = _without_norms(copy.deepcopy(net.deployed()).double())
    return to_float(from_snntorch(module, net.input_shape), time_steps)


def _without_norms(module: fx.GraphModule) -> fx.GraphModule:
    """Batch normalisation right behind a convolution or linear map, folded into it in float64."""
    for node in list(module.graph.nodes):
        norm, before = _module(module, node), _source(node)
        layer = _module(module, before)
        if before is None or len(before.users) != 1:
            continue
        fused: nn.Module
        if isinstance(norm, nn.BatchNorm2d) and isinstance(layer, nn.Conv2d):
            fused = fuse_conv_bn_eval(layer, norm)
        elif isinstance(norm, nn.BatchNorm1d) and isinstance(layer, nn.Linear):
            fused = fuse_linear_bn_eval(layer, norm)
        else:
            continue
        module.set_submodule(str(before.target), fused)
        node.replace_all_uses_with(before)
        module.graph.erase_node(node)
    module.recompile()
    return module


def _source(node: fx.Node) -> fx.Node | None:
    """The node that this one reads first."""
    first = node.args[0] if node.args else None
    return first if isinstance(first, fx.Node) else None


def _module(module: fx.GraphModule, node: fx.Node | None) -> nn.Module | None:
    if node is None or node.op != "call_module":
        return None
    return module.get_submodule(str(node.target))


def strip_module(net: UserNet, example: ImageArray, time_steps: int) -> FloatNetwork:
    """The same, after the logits with and without heads were found equal bit for bit."""
    images = to_current(example)
    with torch.no_grad():
        whole = net.eval()(images, time_steps)
    differing = int((whole != net.stripped_logits(images, time_steps)).sum())
    require([check("logits with and without heads", differing == 0, differing, 0, "output")])
    return float_of_module(net, time_steps)
