"""Normalisation inside the fused layer against torch's own, value and gradient."""

import pytest
import torch

from tssd.train.networks.fused import Statistics, fused_lif, fused_norm_lif, normalise
from tssd.train.networks.neuron import NeuronModel

STEPS, BATCH, CHANNELS = 4, 6, 5


def both_ways(static: bool, mode: str) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Spikes, last membrane, all gradients, running and used statistics; fused, then by torch."""
    rows = BATCH if static else STEPS * BATCH
    generator = torch.Generator().manual_seed(4)
    values = torch.randn(rows, CHANNELS, 6, 7, dtype=torch.float64, generator=generator) * 1.5 + 0.3
    fixed = torch.rand(2, CHANNELS, dtype=torch.float64, generator=generator)
    weights = torch.rand(2, CHANNELS, dtype=torch.float64, generator=generator) + 0.5
    given = Statistics(*fixed) if mode == "given" else None
    results = []
    for fused in (True, False):
        norm = torch.nn.BatchNorm2d(CHANNELS).double().train(mode != "evaluation")
        norm.weight.data, norm.bias.data = weights.clone()
        x = values.clone().requires_grad_()
        if fused:
            spikes, last, used = fused_norm_lif(
                x, norm, STEPS, BATCH, NeuronModel(), 2, statistics=given
            )
        else:
            current, used = normalise(norm, x, given)
            spikes, last = fused_lif(current, STEPS, BATCH, NeuronModel(), 2)
        wave = torch.arange(spikes.numel(), dtype=torch.float64).view(spikes.shape).cos()
        loss = (spikes * wave).sum() + last.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        assert x.grad is not None
        assert norm.weight.grad is not None
        assert norm.bias.grad is not None
        assert norm.running_mean is not None
        assert norm.running_var is not None
        found = [spikes.detach(), last.detach(), x.grad, norm.weight.grad, norm.bias.grad]
        results.append([*found, norm.running_mean, norm.running_var, used.mean, used.scale])
    return results[0], results[1]


@pytest.mark.parametrize("static", [False, True])
@pytest.mark.parametrize("mode", ["training", "given", "evaluation"])
def test_fused_normalisation_equals_torch(static: bool, mode: str) -> None:
    fused, plain = both_ways(static, mode)
    assert torch.equal(fused[0], plain[0])
    assert fused[0].any()
    for a, b in zip(fused[1:], plain[1:], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-8)
