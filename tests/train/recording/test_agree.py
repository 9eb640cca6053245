"""Contract 0 can fail, says where, and tells ties of float32 from another network."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import snntorch as snn
import torch
from torch import nn
from written_modules import Looping, TimeFirst
from written_networks import lively

from tssd.contracts import require
from tssd.errors import ContractError
from tssd.train.handover.float_network import FloatNetwork, FloatPopulation, FloatProjection
from tssd.train.recording.agree import compare
from tssd.train.recording.convert import to_float
from tssd.train.recording.record import record
from tssd.train.recording.recording import Readout


def made(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return lively(Looping())


def samples(count: int = 9) -> np.ndarray:
    return np.random.default_rng(4).random((count, 36), np.float32)


def projections(change: Callable[[FloatProjection], FloatProjection], place: int) -> Callable:  # type: ignore[type-arg]
    def changed(network: FloatNetwork) -> FloatNetwork:
        all_of = list(network.projections)
        all_of[place] = change(all_of[place])
        return replace(network, projections=tuple(all_of))

    return changed


def populations(change: Callable[[FloatPopulation], FloatPopulation], place: int) -> Callable:  # type: ignore[type-arg]
    def changed(network: FloatNetwork) -> FloatNetwork:
        all_of = list(network.populations)
        all_of[place] = change(all_of[place])
        return replace(network, populations=tuple(all_of))

    return changed


WRONG = {
    "a weight": (projections(lambda j: replace(j, weight=j.weight * 1.01), 0), "spiking1"),
    "a weight of the second layer": (
        projections(lambda j: replace(j, weight=j.weight * 0.99), 1),
        "spiking2",
    ),
    "the bias twice": (populations(lambda p: replace(p, bias=2 * p.bias), 1), "spiking1"),
    "the decay": (populations(lambda p: replace(p, decay=p.decay * 0.999), 1), "spiking1"),
    "the amount of the reset": (populations(lambda p: replace(p, reset_by=None), 2), "spiking2"),
    "the threshold": (
        populations(lambda p: replace(p, threshold=p.threshold * 1.1), 2),
        "spiking2",
    ),
    "the readout": (projections(lambda j: replace(j, weight=2 * j.weight), 2), "output output[0]"),
}


@pytest.mark.parametrize("name", WRONG)
def test_another_network_fails_with_the_module_and_both_values(name: str) -> None:
    change, path = WRONG[name]
    module, x = made(), samples()
    recording = record(module, x)
    found = compare(module, recording, change(to_float(recording)), x)
    assert not found.holds
    assert found.first is not None
    assert found.first.path == path
    assert found.first.module != found.first.network
    row = found.contract()
    assert row.status == "fail"
    assert f"{path}: sample {found.first.sample}, step {found.first.step + 1}" in str(row.where)
    with pytest.raises(ContractError, match="your snnTorch module"):
        require([row])


def at_the_threshold() -> tuple[nn.Module, np.ndarray]:
    """One neuron whose float32 sum is its threshold, and whose exact sum is a little above."""
    for seed in range(100):
        x = np.random.default_rng(seed).random((1, 50), np.float32)
        layer = nn.Linear(50, 1, bias=False)
        nn.init.constant_(layer.weight, 1.0)
        with torch.no_grad():
            theta = float(layer(torch.from_numpy(x)))
        if float(x.astype(np.float64).sum()) > theta:
            cell = snn.Leaky(beta=0.5, threshold=theta, init_hidden=True)
            return nn.Sequential(layer, cell).eval(), x
    raise AssertionError("float32 sums are exact here")


def test_a_tie_of_float32_is_counted_apart() -> None:
    module, x = at_the_threshold()
    recording = record(module, x, time_steps=1)
    found = compare(module, recording, to_float(recording), x)
    assert (found.differing, found.ties) == (0, 1)
    assert found.holds
    assert "1 tie" in str(found.contract().found)


def test_what_follows_a_tie_is_no_difference() -> None:
    """The tie shifts every later membrane of the free network; each neuron alone is the same."""
    module, x = at_the_threshold()
    recording = record(module, x, time_steps=8)
    found = compare(module, recording, to_float(recording), x)
    assert found.differing == 0
    assert found.ties >= 1
    assert found.holds


def test_answers_come_for_all_samples_in_order() -> None:
    module, x = made(), samples(23)
    recording = record(module, x)
    network = to_float(recording)
    whole, parts = (compare(module, recording, network, x, batch=b) for b in (64, 5))
    assert whole.slots == parts.slots == 23 * 6 * 34
    np.testing.assert_array_equal(whole.answers, parts.answers)
    np.testing.assert_array_equal(whole.network_answers, parts.network_answers)
    with torch.no_grad():
        spikes, _ = module(torch.from_numpy(x))
    np.testing.assert_array_equal(whole.answers, spikes.sum(0).double().numpy())


@pytest.mark.parametrize(
    "readout",
    [Readout.MEMBRANE_LAST, Readout.MEMBRANE_SUM, Readout.MEMBRANE_MAX, Readout.LAST_STEP],
)
def test_another_readout_than_the_usual_one(readout: Readout) -> None:
    """Values: from the records that the module returns."""
    module, x = made(), samples()
    recording = record(module, x)
    found = compare(module, recording, to_float(recording, readout=readout), x, readout=readout)
    assert found.holds
    with torch.no_grad():
        spikes, membranes = (part.double().numpy() for part in module(torch.from_numpy(x)))
    wanted = {
        Readout.MEMBRANE_LAST: membranes[-1],
        Readout.MEMBRANE_SUM: membranes.sum(0),
        Readout.MEMBRANE_MAX: membranes.max(0),
        Readout.LAST_STEP: spikes[-1],
    }[readout]
    np.testing.assert_allclose(found.network_answers, wanted, rtol=1e-4, atol=1e-4)


def test_groups_are_neighbouring_outputs() -> None:
    module, x = made(), samples()
    recording = record(module, x)
    found = compare(module, recording, to_float(recording, groups=5), x, groups=5)
    whole = compare(module, recording, to_float(recording), x)
    assert found.holds
    np.testing.assert_array_equal(found.network_answers, whole.answers.reshape(len(x), 5, 2).sum(2))


def test_frames_beyond_the_steps_are_left_out() -> None:
    torch.manual_seed(0)
    module = lively(TimeFirst())
    x = np.random.default_rng(0).random((3, 9, 36), np.float32)
    recording = record(module, x)
    assert recording.time_steps == 9
    assert compare(module, recording, to_float(recording), x).holds
