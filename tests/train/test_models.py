"""Every model: it strips to a network that says the same, and its heads cost nothing."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tssd.train.config import Method, TrainConfig
from tssd.train.data import ByteArray
from tssd.train.distill import by_confidence, losses
from tssd.train.evaluate import to_current
from tssd.train.float_run import run
from tssd.train.models import MODELS, WEAK, build
from tssd.train.network import READOUT, Run, SpikingNet, scale_to_unit_current
from tssd.train.strip import strip

WIDTHS = {"tiny": 0.5, "vgg-small": 0.25, "vgg-9": 0.06, "resnet-18": 0.08, "resnet-19": 0.04}
IMAGES: ByteArray = np.random.default_rng(1).integers(0, 256, (8, 3, 16, 16), np.uint8)


def config_of(model: str) -> TrainConfig:
    return TrainConfig(model=model, width=WIDTHS[model])


def awake(config: TrainConfig) -> SpikingNet:
    """An untrained network whose statistics are those of IMAGES, so that all layers fire."""
    net = build(config, (3, 16, 16), 10)
    scale_to_unit_current(net, to_current(IMAGES), 4)
    net.train()
    with torch.no_grad():
        for _ in range(60):
            net.run(to_current(IMAGES), Run(len(IMAGES), 4))
    return net.eval()


@pytest.mark.parametrize("model", list(MODELS))
def test_the_stripped_network_says_the_same(model: str) -> None:
    net = awake(config_of(model))
    network = strip(net, IMAGES, 4)
    with torch.no_grad():
        expected = net(to_current(IMAGES), 4).mean(0).numpy()
    activity = run(network, IMAGES, dtype="float32")
    assert all(activity.spike_total(p.name) > 0 for p in network.populations[:-1])
    agreeing = np.isclose(activity.logits, expected, rtol=0, atol=1e-4).all(axis=1)
    assert agreeing.mean() >= 0.75  # a rounding at the threshold may flip a spike


@pytest.mark.parametrize("model", list(MODELS))
def test_heads_leave_nothing_behind(model: str) -> None:
    """Stripped, a network is the one that was built without heads, array by array."""
    config = config_of(model)
    net = awake(config)
    plain = build(replace(config, method=Method.CE), (3, 16, 16), 10).eval()
    weights = net.state_dict()
    assert set(plain.state_dict()) < set(weights)
    plain.load_state_dict({key: weights[key] for key in plain.state_dict()})
    a, b = strip(net, IMAGES, 4), strip(plain, IMAGES, 4)
    assert [p.name for p in a.populations] == [p.name for p in b.populations]
    for ours, theirs in zip(a.projections, b.projections, strict=True):
        assert (ours.source, ours.target, ours.pool) == (theirs.source, theirs.target, theirs.pool)
        assert np.array_equal(ours.weight, theirs.weight)


@pytest.mark.parametrize("model", list(MODELS))
def test_a_few_updates_lower_the_loss(model: str) -> None:
    config = config_of(model)
    net = awake(config).train()
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    labels = torch.arange(len(IMAGES))
    found = []
    for _ in range(6):
        logits = net.run(to_current(IMAGES), Run(len(IMAGES), 2, 1, True), (READOUT, WEAK))
        terms = losses(logits[READOUT], logits[WEAK], labels, 2, config)
        optimizer.zero_grad()
        terms.total.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        found.append(terms.task.item())
    assert found[-1] < found[0]


def test_skips_are_projections_of_their_own() -> None:
    network = strip(awake(config_of("resnet-18")), IMAGES, 4)
    main, skip = network.incoming("g1b1c2")
    assert (main.source, skip.source) == ("g1b1c1", "stem")
    assert (skip.weight == 1).all()
    assert skip.groups == network.population("stem").shape[0]
    main, skip = network.incoming("g2b1c2")
    assert skip.stride == (2, 2)
    assert skip.norm is not None
    assert network.incoming(READOUT)[0].pool is not None


def test_confidence_orders_the_steps() -> None:
    logits = torch.zeros(3, 2, 4)
    logits[1, :, 0] = 5.0
    logits[2, :, 1] = 1.0
    assert by_confidence(logits) == (1, 0)


@pytest.mark.parametrize(("method", "student"), [(Method.S2W, 0), (Method.W2S, 1)])
def test_strong_and_weak_steps_teach_each_other(method: Method, student: int) -> None:
    """The gradient of the distillation term reaches the student's step alone."""
    logits = torch.zeros(3, 2, 4)
    logits[1, :, 0] = 5.0
    logits[2, :, 1] = 1.0
    logits.requires_grad_()
    terms = losses(logits, None, torch.tensor([0, 1]), 3, TrainConfig(method=method))
    (gradient,) = torch.autograd.grad(terms.temporal, logits)
    assert [bool(step.any()) for step in gradient] == [step == student for step in range(3)]


def test_tet_is_the_mean_over_steps_of_the_cross_entropy() -> None:
    logits = torch.randn(4, 3, 5, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 1, 4])
    expected = torch.stack([torch.nn.functional.cross_entropy(o, labels) for o in logits]).mean()
    found = losses(logits, None, labels, 4, TrainConfig(method=Method.TET)).task
    assert found.item() == pytest.approx(expected.item())
