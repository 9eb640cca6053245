"""Networks as people write them: the same neurons fire, or a refusal in words to act on."""

import numpy as np
import pytest
import torch
from torch import Tensor
from written_modules import STEPS
from written_networks import WRITTEN, Written, by_hand, lively

from tssd.errors import TssdError
from tssd.train.handover.float_layers import layers
from tssd.train.handover.float_network import FloatNetwork
from tssd.train.recording.agree import compare
from tssd.train.recording.convert import to_float
from tssd.train.recording.record import entering, record
from tssd.train.recording.recording import Recording

SAMPLES = 12


def samples(written: Written, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.random((SAMPLES, *written.samples), np.float32)


def spikes_by_path(recording: Recording, network: FloatNetwork, frames: Tensor) -> dict[str, float]:
    """Of every neuron layer of the float network; *frames* samples first."""
    steps = frames.transpose(0, 1) if recording.frames else frames[None]
    entered = steps.reshape(len(steps), SAMPLES, *network.populations[0].shape)
    paths = {site.name: site.path for site in recording.sites}
    return {
        paths[name]: float((sent != 0).sum()) * (network.time_steps // len(sent))
        for name, _, _, sent in layers(network, entered)
        if name in paths
    }


@pytest.mark.parametrize("name", [n for n, w in WRITTEN.items() if w.refusal is None])
def test_the_network_fires_as_the_module(name: str) -> None:
    """By the contract, and by hand: hooks, the author's own loop, nothing of the recorder."""
    written = WRITTEN[name]
    torch.manual_seed(0)
    module, x = lively(written.build()), samples(written)
    recording = record(module, x, default_steps=STEPS)
    network = to_float(recording, **written.choices)
    found = compare(module, recording, network, x, **written.choices)
    assert (found.differing, found.ties) == (0, 0), found.first
    assert found.slots > 0
    assert found.holds
    assert found.same_class == 1
    np.testing.assert_allclose(found.network_answers, found.answers, rtol=1e-4, atol=1e-4)
    assert np.any(found.answers)  # a silent network would agree with anything
    frames = torch.from_numpy(entering(module, recording, x)).double()
    total = spikes_by_path(recording, network, frames)
    hand = by_hand(written, module, torch.from_numpy(x))
    assert total == {path: hand[path] for path in total}


@pytest.mark.parametrize("name", [n for n, w in WRITTEN.items() if w.refusal is not None])
def test_what_has_no_counterpart_is_refused(name: str) -> None:
    written = WRITTEN[name]
    torch.manual_seed(0)
    module = lively(written.build())
    with pytest.raises(TssdError, match=written.refusal):
        to_float(record(module, samples(written), default_steps=STEPS), **written.choices)


@pytest.mark.parametrize("name", [n for n, w in WRITTEN.items() if w.swaps])
def test_maximum_pools_may_be_swapped(name: str) -> None:
    written = WRITTEN[name]
    torch.manual_seed(0)
    module, x = lively(written.build()), samples(written)
    recording = record(module, x, default_steps=STEPS)
    network = to_float(recording, swap_max_pool=True, **written.choices)
    found = compare(module, recording, network, x, **written.choices)
    assert found.swapped
    assert found.network_answers.shape == found.answers.shape
    assert np.any(found.network_answers)
