"""One recurrence, four ways: plain torch, snnTorch, fused kernels, and numbers by hand."""

import itertools

import pytest
import torch

from tssd.train.config import Surrogate
from tssd.train.handover.float_network import Reset
from tssd.train.networks.fused import fused_lif
from tssd.train.networks.neuron import WINDOWS, NeuronModel, lif_sequence, lif_step
from tssd.train.networks.snn_leaky import ExactLeaky

MODELS = [
    NeuronModel(decay, 1.0, width, reset, detach)
    for decay, width, reset, detach in itertools.product(
        (0.5, 0.8), (1.0, 0.7), (Reset.SOFT, Reset.HARD), (True, False)
    )
]


MODELS += [
    NeuronModel(0.5, 1.0, 0.8, reset, detach, surrogate)
    for surrogate, reset, detach in itertools.product(
        list(Surrogate)[1:], (Reset.SOFT, Reset.HARD), (True, False)
    )
]


@pytest.mark.parametrize(
    ("reset", "expected"),
    [(Reset.SOFT, [(1, 1.5), (0, 0.75), (1, 0.375)]), (Reset.HARD, [(1, 0.0), (0, 0.0), (1, 0.0)])],
)
def test_three_steps_by_hand(reset: Reset, expected: list[tuple[int, float]]) -> None:
    model = NeuronModel(reset=reset)
    membrane = torch.zeros(1)
    currents = (2.5, 0.0, 1.0)
    for current, (fired, after) in zip(currents, expected, strict=True):
        spikes, membrane = lif_step(torch.tensor([current]), membrane, model)
        assert (spikes.item(), membrane.item()) == (fired, after)


def test_fires_exactly_at_the_threshold() -> None:
    spikes, membrane = lif_step(torch.tensor([1.0]), torch.zeros(1), NeuronModel())
    assert spikes.item() == 1
    assert membrane.item() == 0


@pytest.mark.parametrize("reset", [Reset.SOFT, Reset.HARD])
def test_snntorch_neuron_equals_the_recurrence(reset: Reset) -> None:
    model = NeuronModel(reset=reset)
    current = torch.randn(8, 3, 40, generator=torch.Generator().manual_seed(1)) * 2
    neuron = ExactLeaky(model)
    membrane = neuron.init(current[0])
    spikes = []
    for step in current:
        fired, membrane = neuron(step, membrane)
        spikes.append(fired)
    expected, last = lif_sequence(current, 8, model)
    assert torch.equal(torch.stack(spikes), expected)
    assert torch.equal(membrane, last)


def both_ways(
    model: NeuronModel, pool: int, static: bool
) -> list[tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]]:
    """(spikes, last membrane, current gradient, membrane gradient), fused then plain."""
    steps, batch = 5, 3
    generator = torch.Generator().manual_seed(2)
    rows = batch if static else steps * batch
    shape = (4, 5, 7) if pool > 1 else (4, 3, 3)
    current = torch.randn(rows, *shape, dtype=torch.float64, generator=generator)
    start = torch.randn(batch, *shape, dtype=torch.float64, generator=generator)
    results = []
    for fused in (True, False):
        x, v = current.clone().requires_grad_(), start.clone().requires_grad_()
        if fused:
            spikes, last = fused_lif(x, steps, batch, model, pool, v)
        else:
            plain, last = lif_sequence(x.view(-1, *v.shape), steps, model, v)
            spikes = torch.nn.functional.avg_pool2d(plain.flatten(0, 1), pool)
        weight = torch.arange(spikes.numel(), dtype=torch.float64).view(spikes.shape).cos()
        loss = (spikes * weight).sum() + (last * last.detach().sin()).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        assert x.grad is not None
        assert v.grad is not None
        results.append((spikes.detach(), last.detach(), x.grad, v.grad))
    return results


@pytest.mark.parametrize("model", MODELS, ids=str)
@pytest.mark.parametrize(("pool", "static"), [(1, False), (2, False), (2, True)])
def test_fused_equals_autograd_of_the_recurrence(
    model: NeuronModel, pool: int, static: bool
) -> None:
    fused, plain = both_ways(model, pool, static)
    assert torch.equal(fused[0], plain[0])
    assert torch.equal(fused[1], plain[1])
    torch.testing.assert_close(fused[2], plain[2], rtol=0, atol=1e-6)
    torch.testing.assert_close(fused[3], plain[3], rtol=0, atol=1e-6)
    assert fused[2].abs().max() > 0


@pytest.mark.parametrize("surrogate", list(Surrogate))
def test_surrogates_have_height_1_over_a_and_area_1(surrogate: Surrogate) -> None:
    x = torch.linspace(-400, 400, 800_001, dtype=torch.float64)
    window = WINDOWS[surrogate](x, 0.8)
    assert window.max().item() == pytest.approx(1 / 0.8)
    assert torch.trapezoid(window, x).item() == pytest.approx(1, abs=2e-3)


@pytest.mark.parametrize("reset", [Reset.SOFT, Reset.HARD])
def test_the_gradient_of_a_learned_leak(reset: Reset) -> None:
    model = NeuronModel(reset=reset)
    generator = torch.Generator().manual_seed(5)
    current, start = (
        torch.randn(rows, 4, 4, 4, dtype=torch.float64, generator=generator) for rows in (15, 3)
    )
    found = []
    for fused in (True, False):
        decay = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
        if fused:
            spikes, last = fused_lif(current, 5, 3, model, 1, start, decay)
        else:
            spikes, last = lif_sequence(current.view(5, 3, 4, 4, 4), 5, model, start, decay)
        wave = torch.arange(spikes.numel(), dtype=torch.float64).cos().view(spikes.shape)
        ((spikes * wave).sum() + last.square().sum()).backward()  # type: ignore[no-untyped-call]
        assert decay.grad is not None
        found.append(decay.grad.item())
    assert found[0] == pytest.approx(found[1], rel=1e-9)
    assert abs(found[0]) > 0.01


def test_threads_share_the_batch_without_changing_it() -> None:
    current = torch.randn(4 * 6, 8, 6, 6, generator=torch.Generator().manual_seed(3))
    before = torch.get_num_threads()
    results = []
    for threads in (1, 3):
        torch.set_num_threads(threads)
        results.append(fused_lif(current, 4, 6, NeuronModel(), 2)[0])
    torch.set_num_threads(before)
    assert torch.equal(*results)
