"""The 74 small networks of the exchange matrix end at the bundle: equal, or refused in snnTorch's
own words."""

from pathlib import Path

import numpy as np
import pytest
import torch
from snntorch_nets import NETS, Net
from torch import nn

from tssd.chain.module_export import export_module, proofs
from tssd.chain.own_module import ModuleReading, take_over
from tssd.chain.pipeline import ExportOptions
from tssd.chain.user_data import Given, gather
from tssd.errors import ContractError, TssdError

STEPS = 20
LOSES = "zero' and its late reset, which loses its input"
NOW = "reset_delay=False with 'subtract'"
REFUSED = {
    "synaptic-zero-True": LOSES,
    "rleaky-zero-True": LOSES,
    "rsynaptic-zero": LOSES,
    "inhibition": "inhibition",
    "state-quant": "state_quant",
    "product": "a product of two values that depend on the samples",
    "cat": "raised by your module: RuntimeError: The size of tensor a",
    "time-loop": "found 20, where the module does 5",
    "branching": "a branch on data",  # on the input alone
    "max-of-values": "no spiking neuron",
    "functional-relu": "the operation relu",
    "delta-leaky": "DeltaLeaky",
    "alpha": "Alpha",
}
DIFFER = {net.name for net in NETS if net.name.endswith("subtract-False")}


def prepared(net: Net) -> nn.Module:
    """In inference mode, with weights strong enough to fire and trained-looking statistics."""
    torch.manual_seed(0)
    module = net.build().eval()
    for name, parameter in module.named_parameters():
        if name.endswith("weight"):
            parameter.data *= 3
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            layer.running_mean = torch.randn_like(layer.weight) * 0.1
            layer.running_var = torch.rand_like(layer.weight) + 0.5
    return module


def samples(net: Net) -> Given:
    return gather(np.random.default_rng(0).integers(0, 256, (4, *net.shape)).astype(np.uint8))


READING = ModuleReading(time_steps=STEPS, frames=False)


@pytest.mark.filterwarnings("ignore:Inhibition is an unstable feature")
@pytest.mark.parametrize("net", NETS, ids=lambda n: n.name)
def test_every_network_is_proved_or_refused(net: Net) -> None:
    module, given = prepared(net), samples(net)
    if net.name in REFUSED:
        with pytest.raises(TssdError, match=REFUSED[net.name]):
            take_over(module, given.as_seen(), READING)
        return
    taken = take_over(module, given.as_seen(), READING)
    if net.name in DIFFER:
        with pytest.raises(ContractError, match=NOW):
            proofs(taken, given)
        return
    proofs(taken, given)
    assert taken.agreement.slots > 0
    assert np.ptp(taken.agreement.answers) > 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "net", [n for n in NETS if n.name not in REFUSED.keys() | DIFFER], ids=lambda n: n.name
)
def test_every_proved_network_becomes_a_bundle(net: Net, tmp_path: Path) -> None:
    made = export_module(
        prepared(net), samples(net), READING, tmp_path / "b", ExportOptions(), {"model": net.name}
    )
    assert made.bundle.network.time_steps == STEPS
    assert made.bundle.manifest["contracts"][0]["status"] == "pass"
