"""The 74 small networks of the exchange matrix end at the bundle: equal, or refused in snnTorch's
own words."""

from pathlib import Path

import numpy as np
import pytest
from snntorch_nets import NETS, REFUSED, Net, prepared

from tssd.chain.module_export import export_module, proofs
from tssd.chain.own_module import ModuleReading, take_over
from tssd.chain.pipeline import ExportOptions
from tssd.chain.user_data import Given, gather
from tssd.errors import TssdError

STEPS = 20


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
    proofs(taken, given)
    assert taken.agreement.slots > 0
    assert np.ptp(taken.agreement.answers) > 0


@pytest.mark.slow
@pytest.mark.parametrize("net", [n for n in NETS if n.name not in REFUSED], ids=lambda n: n.name)
def test_every_proved_network_becomes_a_bundle(net: Net, tmp_path: Path) -> None:
    made = export_module(
        prepared(net), samples(net), READING, tmp_path / "b", ExportOptions(), {"model": net.name}
    )
    assert made.bundle.network.time_steps == STEPS
    assert made.bundle.manifest["contracts"][0]["status"] == "pass"
