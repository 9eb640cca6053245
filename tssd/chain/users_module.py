"""A trained user's module as a FloatNetwork: what the first output depends on, read by torch.fx."""

import torch

from tssd.contracts import check, require
from tssd.export.nir.graphs.from_snntorch import from_snntorch
from tssd.export.nir.graphs.to_float import to_float
from tssd.train.handover.float_network import FloatNetwork
from tssd.train.handover.float_run import ImageArray
from tssd.train.networks.coding import to_current
from tssd.train.networks.user_module import UserNet


def float_of_module(net: UserNet, time_steps: int) -> FloatNetwork:
    """The populations and projections; what has no counterpart is refused by its module path."""
    return to_float(from_snntorch(net.deployed(), net.input_shape), time_steps)


def strip_module(net: UserNet, example: ImageArray, time_steps: int) -> FloatNetwork:
    """The same, after the logits with and without heads were found equal bit for bit."""
    images = to_current(example)
    with torch.no_grad():
        whole = net.eval()(images, time_steps)
    differing = int((whole != net.stripped_logits(images, time_steps)).sum())
    require([check("logits with and without heads", differing == 0, differing, 0, "output")])
    return float_of_module(net, time_steps)
