"""Networks: head and tail of a run, batch normalisation, and what stripping keeps."""

from typing import Any

import numpy as np
import pytest
import torch

from tssd.errors import ConfigError, ContractError, NetworkError
from tssd.train.config import TrainConfig, WeakDesign
from tssd.train.handover.float_network import PopulationKind, Reset
from tssd.train.networks.models import WEAK, build_stages
from tssd.train.networks.network import (
    READOUT,
    Span,
    SpikingNet,
    StageLink,
    Unrolling,
    scale_to_unit_current,
)
from tssd.train.networks.neuron import lif_sequence
from tssd.train.networks.stages import LinkSpec
from tssd.train.networks.strip import strip

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 1, 8, 8), np.uint8)


def net_of(shape: tuple[int, ...] = (1, 8, 8), **changes: Any) -> SpikingNet:
    return build_stages(TrainConfig(**changes), shape, 10)


def pixels(count: int = 6) -> torch.Tensor:
    return torch.from_numpy(IMAGES[:count]).float() / 255


def stepwise_logits(net: SpikingNet, images: torch.Tensor, steps: int) -> torch.Tensor:
    """The same network, one step at a time through all layers (chains only)."""
    membranes: dict[str, torch.Tensor] = {}
    logits = []
    for _ in range(steps):
        data = images
        for name in net.reachable([READOUT]):
            stage = net.stage(name)
            link = stage.links[0]
            assert isinstance(link, StageLink)
            data = link.weights(
                data.flatten(1) if isinstance(link.weights, torch.nn.Linear) else data
            )
            data = link.norm(data) if link.norm is not None else data
            if stage.spiking:
                spikes, membranes[name] = lif_sequence(
                    data[None], 1, net.neuron, membranes.get(name)
                )
                data = (
                    torch.nn.functional.avg_pool2d(spikes[0], stage.pool)
                    if stage.pool > 1
                    else spikes[0]
                )
        logits.append(data)
    return torch.stack(logits)


@pytest.mark.parametrize("model", ["tiny", "vgg-small"])
@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 32, 32)])
def test_models_fit_their_images(model: str, shape: tuple[int, ...]) -> None:
    net = net_of(shape, model=model).eval()
    assert net(torch.rand(2, *shape), 2).shape == (2, 2, 10)


@pytest.mark.parametrize("model", ["tiny", "vgg-small"])
@pytest.mark.parametrize("reset", [Reset.SOFT, Reset.HARD])
def test_layer_by_layer_equals_step_by_step(model: str, reset: Reset) -> None:
    net = net_of(model=model, reset=reset).eval()
    scale_to_unit_current(net, pixels(), 4)
    with torch.no_grad():
        expected = stepwise_logits(net, pixels(), 4)
        assert expected.abs().max() > 0
        torch.testing.assert_close(net(pixels(), 4), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("model", ["tiny", "vgg-small"])
def test_head_and_tail_equal_one_long_run(model: str) -> None:
    net = net_of(model=model).eval()
    scale_to_unit_current(net, pixels(), 4)
    with torch.no_grad():
        whole = net.run(pixels(), Unrolling(6, 6))[READOUT]
        split = net.run(pixels(), Unrolling(6, 4, 2))[READOUT]
    torch.testing.assert_close(split, whole, rtol=0, atol=1e-5)


def test_events_are_taken_step_by_step() -> None:
    net = net_of().eval()
    scale_to_unit_current(net, pixels(), 3)
    with torch.no_grad():
        repeated = net(pixels().expand(3, *pixels().shape), 3)
        torch.testing.assert_close(repeated, net(pixels(), 3), rtol=0, atol=1e-5)


def test_statistics_come_from_the_head_alone() -> None:
    """The running statistics after training on T_s + tail steps are those after T_s steps."""
    means = []
    for tail in (0, 3):
        net = net_of(model="vgg-small").train()
        net.run(pixels(), Unrolling(6, 2, tail, tail_gradient=True))
        means.append({k: v for k, v in net.state_dict().items() if "running" in k})
    assert all(torch.equal(means[0][key], means[1][key]) for key in means[0])


def test_a_free_tail_has_no_gradient() -> None:
    net = net_of(model="vgg-small").train()
    logits = net.run(pixels(), Unrolling(6, 2, 2))[READOUT]
    assert logits.requires_grad
    parameters = list(net.stage("conv1").parameters())
    found = torch.autograd.grad(logits[2:].sum(), parameters, allow_unused=True)
    assert not any(gradient is not None and gradient.any() for gradient in found)


def test_a_network_without_norm_is_alive_after_scaling() -> None:
    net = net_of((1, 28, 28)).train()
    images = torch.rand(32, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    scale_to_unit_current(net, images, 4)
    net(images, 4).square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in net.stage("conv1").parameters())


@pytest.mark.parametrize("design", list(WeakDesign))
@pytest.mark.parametrize("model", ["tiny", "vgg-small"])
def test_stripping_leaves_the_heads_behind(model: str, design: WeakDesign) -> None:
    net = net_of(model=model, weak_design=design)
    assert net.readouts == [READOUT, WEAK]
    network = strip(net, IMAGES, 4)
    names = [p.name for p in network.populations]
    assert names == ["input", *(n for n in net.shapes if n.startswith(("conv", "fc"))), READOUT]
    assert network.population(READOUT).kind is PopulationKind.READOUT


def test_a_head_by_another_name_is_left_behind_too() -> None:
    """With the weak classifier as the output, the rest of the trunk is what goes."""
    network = strip(net_of(model="vgg-small"), IMAGES, 4, output=WEAK)
    assert [p.name for p in network.populations][-2:] == ["conv4", WEAK]


def test_stripped_weights_norms_and_pools() -> None:
    net = net_of(model="vgg-small")
    network = strip(net, IMAGES, 4)
    (projection,) = network.incoming("conv3")
    weight = net.state_dict()["stages.conv3.links.0.weights.weight"]
    assert np.array_equal(projection.weight, weight.double().numpy())
    assert projection.bias is None
    assert projection.pool is not None
    assert projection.pool.kernel == (2, 2)
    assert projection.norm is not None
    assert network.incoming("conv2")[0].pool is None


def test_max_pooling_is_refused_by_path() -> None:
    net = net_of()
    net.stage("conv2").links.append(torch.nn.MaxPool2d(2))
    with pytest.raises(
        NetworkError, match=r"(?s)stages.conv2.links.1: found MaxPool2d.*try: average"
    ):
        strip(net, IMAGES, 4)


def test_weights_that_are_not_numbers_are_refused() -> None:
    net = net_of()
    with torch.no_grad():
        next(net.stage("conv2").parameters())[0, 0] = float("nan")
    with pytest.raises(NetworkError, match="stages.conv2.links.0.weights.weight: found NaN"):
        strip(net, IMAGES, 4)


def test_a_head_that_changes_the_logits_breaks_the_contract() -> None:
    class Leaking(SpikingNet):
        def run(self, images: Any, run: Any, outputs: Any = (READOUT,)) -> Any:
            logits = super().run(images, run, outputs)
            return {k: v + len(outputs) for k, v in logits.items()}

    net = net_of()
    leaking = Leaking(net.specs, net.input_shape, net.neuron)
    with pytest.raises(ContractError, match="logits with and without heads"):
        strip(leaking, IMAGES, 4)


def test_unknown_stage_for_the_weak_classifier() -> None:
    with pytest.raises(ConfigError, match="did you mean 'conv2'"):
        net_of(weak_stage="conv22")


def test_an_image_too_small_names_the_stage() -> None:
    with pytest.raises(NetworkError, match="stage conv5: found pooling by 2 of shape"):
        net_of((1, 4, 4), model="vgg-small")


@pytest.mark.parametrize("channels", [3, 5, 16])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_strided_shortcut_has_the_gradient_of_its_equation(channels: int, threads: int) -> None:
    """Torch's own call overwrites memory here: one thread, few channels, channels last."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    link = StageLink(LinkSpec("input", 1, 2), (channels, 16, 16), 2 * channels)
    x = torch.randn(16, channels, 16, 16).contiguous(memory_format=torch.channels_last)
    result = link.linear(Span(x, None), Unrolling(16, 1)).head
    slope = torch.randn_like(result)
    result.backward(slope)  # type: ignore[no-untyped-call]
    torch.set_num_threads(before)
    kept = link.weights.weight
    assert isinstance(kept, torch.nn.Parameter)
    assert kept.grad is not None
    met = x[:, :, ::2, ::2].double()
    expected = torch.einsum("nohw,nchw->oc", slope.double(), met)
    torch.testing.assert_close(result, link.weights(x))
    torch.testing.assert_close(kept.grad[..., 0, 0].double(), expected, rtol=1e-3, atol=1e-3)
