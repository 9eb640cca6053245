"""Penalties by hand, their gradients, and that training follows them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tssd.train.config import Method, TrainConfig
from tssd.train.data.data_sets import Dataset, load
from tssd.train.handover.costs import costs
from tssd.train.loop.loop import train
from tssd.train.losses.regularise import (
    operations,
    range_penalty,
    rate_penalty,
    synop_penalty,
)
from tssd.train.networks.coding import to_current
from tssd.train.networks.models import build_stages
from tssd.train.networks.network import READOUT, Unrolling
from tssd.train.networks.strip import strip

BASE = TrainConfig(
    method=Method.CE, epochs=6, batch_size=64, train_limit=512, student_steps=2, lr=5e-3
)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    data = load("digits")
    return replace(data, val=data.val.first(40), test=data.test.first(100))


def numbers(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


def test_penalties_by_hand() -> None:
    assert rate_penalty(numbers(0.1, 0.4), 0.2).item() == pytest.approx((0.01 + 0.04) / 2)
    assert synop_penalty(numbers(150.0)[0], 100.0).item() == pytest.approx(0.5)
    assert synop_penalty(numbers(99.0)[0], 100.0).item() == 0
    # rms = sqrt((1 + 1 + 1 + 25) / 4) = sqrt(7); only 5 / sqrt(7) = 1.89 exceeds 1
    expected = (5 / 7**0.5 - 1) ** 2 / 4
    assert range_penalty([numbers(1, -1, 1, -5)], 1.0).item() == pytest.approx(expected)


def test_gradients() -> None:
    assert torch.autograd.gradcheck(lambda x: rate_penalty(x, 0.2), (numbers(0.1, 0.4, 0.3),))
    assert torch.autograd.gradcheck(lambda x: synop_penalty(x.sum(), 3.0), (numbers(2.0, 5.0),))
    weights = numbers(0.5, -1.2, 0.9, 4.0, -3.0, 0.2)
    assert torch.autograd.gradcheck(lambda w: range_penalty([w], 1.1), (weights,))
    rates = {"a": numbers(0.25)[0], "b": numbers(0.5)[0]}
    assert operations(rates, {"a": 8.0, "b": 6.0}, 4).item() == 4 * (2 + 3)


def test_reach_counts_the_synapses_of_the_deployed_network() -> None:
    """A network in which every neuron fires at every step has rate x reach operations."""
    net = build_stages(replace(BASE, model="ms-resnet-18", width=0.05), (1, 16, 16), 10).eval()
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            parameter.fill_(100.0 if "norm.bias" in name else 0.0)
    images = np.full((2, 1, 16, 16), 9, np.uint8)
    found = costs(strip(net, images, 3), images)
    assert all(rate == 1 for rate in found.rates.values())
    connected = net.connections()
    _, rates = net.run_with_rates(to_current(images), Unrolling(2, 3))
    total = operations(rates, connected, 3).item() + 3 * connected["input"]
    assert total == pytest.approx(found.total_synops)
    assert connected[READOUT] == 0


@pytest.mark.parametrize(
    ("changes", "column"),
    [
        ({"synop_weight": 1.0, "synop_budget": 2e4}, "synops"),
        ({"rate_weight": 20.0, "rate_target": 0.02}, "spike_rate"),
    ],
)
def test_training_follows_a_penalty(
    changes: dict[str, Any], column: str, digits: Dataset, tmp_path: Path
) -> None:
    plain = train(BASE, digits, tmp_path / "plain").position.history[-1]
    penal = train(replace(BASE, **changes), digits, tmp_path / "less").position.history[-1]
    assert penal[column] < 0.8 * plain[column]
