"""Every model: it strips to a network that says the same, and its heads cost nothing."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from tssd.arrays import ByteArray
from tssd.calibration.encode import encode
from tssd.calibration.precision import Precision
from tssd.calibration.quantizing.fold import align, fold
from tssd.calibration.quantizing.observe import observe
from tssd.calibration.quantizing.quantize import quantize
from tssd.calibration.simulate import layerwise
from tssd.errors import ConfigError, NetworkError
from tssd.train.config import Method, TrainConfig, WeakDesign
from tssd.train.handover.costs import costs
from tssd.train.handover.float_run import run
from tssd.train.losses.distill import by_confidence, losses
from tssd.train.networks.coding import to_current
from tssd.train.networks.models import MODELS, WEAK, build_stages, readout, relay
from tssd.train.networks.network import READOUT, SpikingNet, Unrolling, scale_to_unit_current
from tssd.train.networks.neuron import NeuronModel
from tssd.train.networks.stages import LinkSpec, StageSpec
from tssd.train.networks.strip import strip

WIDTHS = {"tiny": 0.5, "vgg-small": 0.25, "vgg-9": 0.06, "resnet-18": 0.08, "resnet-19": 0.04}
WIDTHS |= {"ms-resnet-18": 0.08, "sew-resnet-34": 0.06}
IMAGES: ByteArray = np.random.default_rng(1).integers(0, 256, (8, 3, 16, 16), np.uint8)


def config_of(model: str) -> TrainConfig:
    depth = 0.4 if model == "sew-resnet-34" else 1.0
    return TrainConfig(model=model, width=WIDTHS[model], depth=depth)


def awake(config: TrainConfig) -> SpikingNet:
    """An untrained network whose statistics are those of IMAGES, so that all layers fire."""
    net = build_stages(config, (3, 16, 16), 10)
    scale_to_unit_current(net, to_current(IMAGES), 4)
    net.train()
    with torch.no_grad():
        for _ in range(60):
            net.run(to_current(IMAGES), Unrolling(len(IMAGES), 4))
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
    plain = build_stages(replace(config, method=Method.CE), (3, 16, 16), 10).eval()
    weights = net.state_dict()
    assert set(plain.state_dict()) < set(weights)
    plain.load_state_dict({key: weights[key] for key in plain.state_dict()})
    with torch.no_grad():
        assert torch.equal(net(to_current(IMAGES), 4), plain(to_current(IMAGES), 4))
    a, b = strip(net, IMAGES, 4), strip(plain, IMAGES, 4)
    assert costs(a, IMAGES) == costs(b, IMAGES)
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
        logits = net.run(to_current(IMAGES), Unrolling(len(IMAGES), 2, 1, True), (READOUT, WEAK))
        terms = losses(logits[READOUT], logits[WEAK], labels, 2, config)
        optimizer.zero_grad()
        terms.total.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        found.append(terms.task.item())
    assert found[-1] < found[0]


@pytest.mark.parametrize("model", ["vgg-9", "resnet-18", "ms-resnet-18", "sew-resnet-34"])
def test_deep_networks_become_integers(model: str) -> None:
    """Folded, the network says the same; quantized, it fires about as often."""
    network = strip(awake(config_of(model)), IMAGES, 4)
    folded = align(fold(network), Precision().delay_max)
    before, after = run(network, IMAGES, dtype="float64"), run(folded, IMAGES, dtype="float64")
    np.testing.assert_allclose(after.logits, before.logits, atol=1e-9)
    integers = quantize(folded, Precision(), observe(folded, IMAGES))
    activity = layerwise(integers, encode(integers, IMAGES))
    assert all(activity.spikes[p.name].any() for p in integers.populations[:-1])
    for population in integers.populations[1:-1]:  # eight-bit weights of an untrained network
        floats = after.events[population.name].sum()
        assert activity.spikes[population.name].sum() == pytest.approx(floats, rel=0.4)


@pytest.mark.parametrize("model", ["vgg-small", "ms-resnet-18"])
def test_depth_scales_the_groups(model: str) -> None:
    sizes = [
        len(build_stages(replace(config_of(model), depth=depth), (3, 16, 16), 10).specs)
        for depth in (0.5, 1.0, 1.5)
    ]
    assert sizes == sorted(set(sizes))


def test_weak_classifiers_at_two_stages() -> None:
    config = replace(config_of("vgg-small"), weak_stage="conv2, conv4")
    net = awake(config).train()
    assert net.heads == ["weak", "weak2"]
    logits = net.run(to_current(IMAGES), Unrolling(8, 2, 1, True), net.readouts)
    heads = [logits[name] for name in net.heads]
    labels = torch.arange(8)
    both, first = (losses(logits[READOUT], h, labels, 2, config) for h in (heads, heads[:1]))
    second = losses(logits[READOUT], heads[1], labels, 2, config)
    assert both.spatial.item() == pytest.approx((first.spatial + second.spatial).item() / 2)
    stripped = [p.name for p in strip(net.eval(), IMAGES, 4).populations]
    assert stripped == ["input", *(f"conv{n}" for n in range(1, 6)), READOUT]
    with pytest.raises(ConfigError, match="did you mean 'conv4'"):
        build_stages(replace(config, weak_stage="conv2,conv44"), (3, 16, 16), 10)


def test_membrane_shortcuts_are_projections() -> None:
    """The first neurons of a block read the stem and the second convolutions before them."""
    network = strip(awake(config_of("ms-resnet-18")), IMAGES, 4)
    assert [j.source for j in network.incoming("g1b2n1")] == ["g1b1n2", "stem"]
    far = network.incoming("g3b1n1")
    assert [j.source for j in far] == ["g2b2n2", "g2b1n2", "g1b2n2", "g1b1n2", "stem"]
    assert [j.stride for j in far] == [(1, 1), (1, 1), (2, 2), (2, 2), (2, 2)]


def test_added_spikes_are_projections() -> None:
    network = strip(awake(config_of("sew-resnet-34")), IMAGES, 4)
    assert [j.source for j in network.incoming("g2b1c1")] == ["g1b1c2", "stem"]


def test_what_is_no_projection_is_refused() -> None:
    stages = (
        relay("sum", 4, LinkSpec("input", 3)),
        StageSpec("next", 4, (LinkSpec("sum", 3),)),
        readout(READOUT, 2, "next"),
    )
    net = SpikingNet(stages, (3, 16, 16), NeuronModel()).eval()
    with pytest.raises(NetworkError, match=r"(?s)relay sum: input -> next.*larger than 1 x 1"):
        strip(net, IMAGES, 4)


def test_a_learned_leak_is_exported() -> None:
    net = build_stages(replace(config_of("tiny"), learn_leak=True), (3, 16, 16), 10)
    leak = net.stage("conv2").leak
    assert leak is not None
    with torch.no_grad():
        leak.fill_(1.0)
    network = strip(net.eval(), IMAGES, 4)
    assert network.population("conv1").decay.item() == 0.5
    assert network.population("conv2").decay.item() == pytest.approx(1 / (1 + np.exp(-1)))
    folded = fold(network)
    integers = quantize(folded, Precision(), observe(folded, IMAGES))
    assert np.unique(integers.population("conv2").dv).tolist() == [round(4096 / (1 + math.e))]


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


@pytest.mark.parametrize("design", list(WeakDesign))
def test_a_seed_gives_the_same_trunk_with_and_without_heads(design: WeakDesign) -> None:
    """Otherwise methods that are compared seed by seed would differ in more than the method."""
    config = TrainConfig(model="vgg-small", width=0.2, weak_design=design)
    headed, plain = (
        build_stages(replace(config, method=method), (3, 16, 16), 10).state_dict()
        for method in (Method.TSSD, Method.CE)
    )
    assert headed.keys() > plain.keys()
    for name, values in plain.items():
        assert torch.equal(values, headed[name]), name
