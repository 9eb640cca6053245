"""The integer neuron in training: the definition's spikes and states, the float gradient."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tssd.calibration.int_network import Population, PopulationKind
from tssd.calibration.integer import DECAY_ONE
from tssd.calibration.neuron import rest, step
from tssd.train.config import Surrogate
from tssd.train.handover.float_network import Reset
from tssd.train.networks.fused import Statistics
from tssd.train.networks.neuron import NeuronModel
from tssd.train.quantization.neurons import NeuronIntegers, _plain, integer_neurons

STEPS, BATCH, CHANNELS = 6, 5, 16
EDGES = (0, 1, 2047, 2048, 2049, 4095, 4096)
RESETS = st.sampled_from([Reset.SOFT, Reset.HARD])


def drawn(rng: np.random.Generator, dv: int, reach: int) -> tuple[Tensor, NeuronIntegers]:
    """Whole sums (steps * batch, channels) up to *reach*, and neurons from edge to edge."""
    sums = rng.integers(-reach, reach + 1, (STEPS * BATCH, CHANNELS))
    sums[rng.random(sums.shape) < 0.1] = reach  # often at the end of the range
    vth = rng.choice([0, 1, 5, 1000, reach, (1 << 17) - 1], CHANNELS)
    bias = rng.choice([-4095, -1, 0, 1, 4095], CHANNELS)
    scale = np.maximum(vth, 1) * rng.uniform(1.0, 1.5, CHANNELS)
    sign = rng.choice([-1.0, 1.0], CHANNELS)
    many, least, offset, unit = (torch.tensor(x).double() for x in (sign, vth, bias, scale))
    return torch.tensor(sums).float(), NeuronIntegers(many, least, offset, unit, dv)


def definition(sums: Tensor, neurons: NeuronIntegers, reset: Reset) -> tuple[Tensor, Tensor]:
    """Spikes (steps * batch, channels) and the last membrane by ``calibration.neuron``."""
    whole = [x.numpy().astype(np.int64) for x in (neurons.vth, neurons.bias, neurons.many)]
    none, all_of_it = np.zeros(1, np.int64), np.full(1, DECAY_ONE)
    dv = np.full(1, neurons.dv)
    made = (all_of_it, dv, whole[0], none)
    population = Population("n", (CHANNELS,), PopulationKind.LIF, reset, *made)
    state, spikes = rest(population, BATCH), []
    for a in sums.numpy().astype(np.int64).reshape(STEPS, BATCH, CHANNELS) * whole[2]:
        state, fired = step(population, state, a, whole[1] << 6)
        spikes.append(fired)
    return torch.tensor(np.concatenate(spikes)), torch.tensor(state["v"])


def run(
    sums: Tensor, neurons: NeuronIntegers, model: NeuronModel, plain: bool = False
) -> tuple[Tensor, Tensor]:
    unit, shift = (1 / neurons.scale).to(sums), (neurons.bias / neurons.scale).to(sums)
    ones, statistics = torch.ones_like(unit), Statistics(torch.zeros_like(unit), unit)
    if plain:
        common = (statistics, False, STEPS, BATCH, model, 1)
        return _plain(sums, ones, shift, None, None, *common, neurons)
    return integer_neurons(sums, (ones, shift), statistics, False, neurons, STEPS, BATCH, model)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(EDGES), RESETS, st.sampled_from([3, 900, 131071]))
def test_every_spike_and_membrane_is_the_definition_s(
    seed: int, dv: int, reset: Reset, reach: int
) -> None:
    """200 x 480 neuron steps, to the ends of every field, in the kernel and in plain torch."""
    sums, neurons = drawn(np.random.default_rng(seed), dv, reach)
    wanted, last = definition(sums, neurons, reset)
    for plain in (False, True):
        spikes, membrane = run(sums, neurons, NeuronModel(reset=reset), plain)
        assert torch.equal(spikes.long(), wanted)
        assert torch.equal(membrane.long(), last)


@pytest.mark.parametrize("reset", [Reset.SOFT, Reset.HARD])
@pytest.mark.parametrize("detach", [True, False])
@pytest.mark.parametrize("surrogate", [Surrogate.RECTANGULAR, Surrogate.ATAN])
def test_the_gradient_is_that_of_the_float_recurrence(
    reset: Reset, detach: bool, surrogate: Surrogate
) -> None:
    """The kernels' backward pass beside torch's own through the same equations, with pooling and a
    second run from the membrane of the first."""
    rng = np.random.default_rng(1)
    model = NeuronModel(0.5, 1.0, 1.0, reset, detach, surrogate)
    whole = torch.tensor(rng.integers(-9, 14, (STEPS * BATCH, 3, 4, 4)), dtype=torch.float64)
    scale = torch.tensor([7.5, 11.2, 8.0], dtype=torch.float64)
    bias = torch.tensor([1.0, 0.0, -2.0], dtype=torch.float64)
    neurons = NeuronIntegers(torch.ones(3, dtype=torch.float64), scale.floor(), bias, scale, 2048)
    found = []
    for plain in (False, True):
        x, gain = whole.clone().requires_grad_(), torch.ones(3).double().requires_grad_()
        shift = (bias / scale).requires_grad_()
        statistics = Statistics(torch.zeros(3).double(), 1 / scale)
        common = (False, STEPS, BATCH, model, 2)
        if plain:
            first = _plain(x, gain, shift, None, None, statistics, *common, neurons)
            again = _plain(x, gain, shift, first[1], None, statistics, *common, neurons)
        else:
            rest_of = (statistics, False, neurons, STEPS, BATCH, model, 2)
            first = integer_neurons(x, (gain, shift), *rest_of)
            again = integer_neurons(x, (gain, shift), *rest_of, first[1])
        weights = torch.linspace(-1, 1, first[0].numel()).double().view_as(first[0])
        ((first[0] + 2 * again[0]) * weights).sum().backward()  # type: ignore[no-untyped-call]
        found.append((first[0], again[0], x.grad, gain.grad, shift.grad))
    for ours, theirs in zip(*found, strict=True):
        assert ours is not None
        torch.testing.assert_close(ours, theirs)
    assert found[0][2] is not None
    assert found[0][2].abs().sum() > 0
