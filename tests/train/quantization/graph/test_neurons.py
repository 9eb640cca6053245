"""The integer neuron of any network: the definition's spikes and states, the float gradient."""

from collections.abc import Callable

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
from tssd.train.networks.neuron import NeuronModel, spike
from tssd.train.quantization.graph.fused import fire
from tssd.train.quantization.graph.integers import memory_gain
from tssd.train.quantization.graph.neurons import NeuronRule, integrated, plain_fire

STEPS, BATCH, CHANNELS = 5, 4, 12
EDGES = (0, 1, 2047, 2048, 2049, 4095, 4096)
ACTIVATION_MAX = (1 << 17) - 1


Way = Callable[..., tuple[Tensor, Tensor, Tensor]]
WAYS: tuple[Way, ...] = (fire, plain_fire)


def tensor(array: np.ndarray, kind: torch.dtype = torch.float32) -> Tensor:
    return torch.tensor(array).to(kind)


def drawn(
    rng: np.random.Generator, du: int, dv: int, reset: Reset, share: float
) -> tuple[np.ndarray, np.ndarray, Population]:
    """Sums up to a *share* of what no synapse can wrap, biases, neurons from edge to edge."""
    reach = max(int(share * ACTIVATION_MAX / memory_gain(np.array([du]), STEPS)), 1)
    sums = rng.integers(-reach, reach + 1, (STEPS, BATCH, CHANNELS))
    sums[rng.random(sums.shape) < 0.1] = reach
    vth = rng.choice([0, 1, 5, 1000, reach, ACTIVATION_MAX], CHANNELS)
    amount = rng.choice([0, 1, 7, reach], CHANNELS) + vth if reset is Reset.SOFT else None
    bias = rng.choice([-4095, -1, 0, 1, 4095], CHANNELS)
    parts = (np.array([du]), np.array([dv]), vth, bias)
    made = Population(
        "n", (CHANNELS,), PopulationKind.LIF, reset, *parts, bias_exp=6, reset_by=amount
    )
    return sums, bias, made


def rule_of(population: Population, model: NeuronModel, size: Tensor | None = None) -> NeuronRule:
    vth = tensor(population.vth)
    none = bool((population.du == DECAY_ONE).all())
    return NeuronRule(
        population.reset,
        None if none else tensor(DECAY_ONE - population.du),
        tensor(DECAY_ONE - population.dv),
        vth,
        tensor(population.subtracted),
        vth.clamp_min(1) if size is None else size,
        None,
        model,
    )


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(EDGES),
    st.sampled_from(EDGES),
    st.sampled_from(list(Reset)),
    st.sampled_from([1e-4, 0.01, 1.0]),
)
def test_every_spike_and_state_is_the_definition_s(
    seed: int, du: int, dv: int, reset: Reset, share: float
) -> None:
    """150 x 240 neuron steps, to the ends of every field, with every reset and both memories."""
    sums, bias, population = drawn(np.random.default_rng(seed), du, dv, reset, share)
    state, spikes = rest(population, BATCH), []
    for a in sums:
        state, fired = step(population, state, a, population.bias)
        spikes.append(fired)
    zero = torch.zeros(BATCH, CHANNELS)
    rule = rule_of(population, NeuronModel())
    for way in WAYS:
        found, u, v = way(tensor(sums), tensor(bias), zero, zero, rule)
        np.testing.assert_array_equal(found.numpy(), np.stack(spikes))
        np.testing.assert_array_equal(v.numpy(), state["v"])
        if rule.keep_u is not None:
            np.testing.assert_array_equal(u.numpy(), state["u"])


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(EDGES), st.sampled_from(EDGES))
def test_a_read_out_holds_the_definition_s_membranes(seed: int, du: int, dv: int) -> None:
    sums, bias, firing = drawn(np.random.default_rng(seed), du, dv, Reset.NONE, 1.0)
    parts = (firing.du, firing.dv, firing.vth, firing.bias_mant)
    reading = Population("r", (CHANNELS,), PopulationKind.READOUT, Reset.NONE, *parts)
    state, wanted = rest(reading, BATCH), []
    for a in sums:
        state, _ = step(reading, state, a, reading.bias)
        wanted.append(state["v"])
    keep_u = None if du == DECAY_ONE else tensor(DECAY_ONE - reading.du)
    found = integrated(tensor(sums), tensor(bias), keep_u, tensor(DECAY_ONE - reading.dv))
    np.testing.assert_array_equal(found.numpy(), np.stack(wanted))


def in_float(a: Tensor, bias: Tensor, rule: NeuronRule, keep: tuple[float, float]) -> Tensor:
    """The same recurrence of floats, in thresholds, by autograd."""
    u = v = torch.zeros_like(a[0])
    spikes = []
    for arrived in a:
        u = keep[0] * u + arrived / rule.size
        v = keep[1] * v + u + bias / rule.size
        fired = spike(v - (rule.vth + 1 / 64) / rule.size, rule.model)
        held = fired.detach() if rule.model.detach_reset else fired
        left = {
            Reset.HARD: v - held * v,
            Reset.SOFT: v - held * rule.reset_by / rule.size,
            Reset.NONE: v,
        }
        v = left[rule.reset]
        spikes.append(fired)
    return torch.stack(spikes)


@pytest.mark.parametrize("reset", Reset)
@pytest.mark.parametrize("detach", [True, False])
@pytest.mark.parametrize("surrogate", Surrogate)
@pytest.mark.parametrize("way", WAYS)
def test_the_gradient_is_that_of_the_float_recurrence(
    reset: Reset, detach: bool, surrogate: Surrogate, way: Way
) -> None:
    """Decays of a half in multiples of 4096 truncate nothing, so both recurrences are equal; torch
    in float64, kernels as they are trained in."""
    rng = np.random.default_rng(0)
    model = NeuronModel(surrogate=surrogate, detach_reset=detach)
    whole = rng.integers(-40, 60, (STEPS, BATCH, CHANNELS)) * 64
    vth = rng.integers(2000, 2500, CHANNELS)
    given_by = (np.array([2048]), np.array([2048]), vth, rng.integers(-4, 5, CHANNELS) * 64)
    amount = vth + 64 if reset is Reset.SOFT else None
    made = Population("n", (CHANNELS,), PopulationKind.LIF, reset, *given_by, reset_by=amount)
    kind, near = (torch.float32, 1e-4) if way is fire else (torch.float64, 1e-9)
    rule = rule_of(made, model, tensor(vth, kind))
    a, bias = (tensor(x, kind).requires_grad_() for x in (whole, made.bias_mant))
    zero = torch.zeros(BATCH, CHANNELS, dtype=kind)
    ours = way(a, bias, zero, zero, rule)[0]
    wanted = in_float(a, bias, rule, (0.5, 0.5))
    np.testing.assert_array_equal(ours.detach(), wanted.detach())
    assert 0 < ours.mean() < 1
    weights = tensor(rng.normal(size=ours.shape), kind)
    for x, y in zip(
        torch.autograd.grad((ours * weights).sum(), (a, bias)),
        torch.autograd.grad((wanted * weights).sum(), (a, bias)),
        strict=True,
    ):
        torch.testing.assert_close(x, y, rtol=near, atol=near / 1000)
        assert x.abs().sum() > 0


@pytest.mark.parametrize("detach", [True, False])
@pytest.mark.parametrize("way", WAYS)
def test_an_or_gate_passes_on_the_gradient_of_a_lone_spike(detach: bool, way: Way) -> None:
    one = 64.0  # weight units of a spike; silent, one spike, two
    sums = torch.tensor([[[0.0, one, 2 * one]]], requires_grad=True)
    gate = NeuronRule(
        *(Reset.NONE, None, torch.zeros(1), torch.full((1,), 31.0), torch.full((1,), 31.0)),
        *(torch.full((1,), 32.0), one, NeuronModel(detach_reset=detach)),
    )
    zero = torch.zeros(1, 3)
    spikes, _, _ = way(sums, torch.zeros(1), zero, zero, gate)
    spikes.sum().backward()  # type: ignore[no-untyped-call]
    assert spikes.tolist() == [[[0, 1, 1]]]
    assert sums.grad is not None
    torch.testing.assert_close(sums.grad * one, torch.tensor([[[1.0, 1.0, 0.0]]]))


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([(5,), (3, 4, 5), (1, 4, 1), (2, 3)]),
    st.sampled_from(list(Reset)),
    st.booleans(),
    st.booleans(),
    st.sampled_from([Surrogate.RECTANGULAR, Surrogate.FAST_SIGMOID]),
)
def test_kernels_equal_torch_in_every_layout(
    seed: int,
    shape: tuple[int, ...],
    reset: Reset,
    detach: bool,
    memory: bool,
    surrogate: Surrogate,
) -> None:
    """Images, rows, one step that stands for all; spikes, last states, and all four gradients, of
    numbers per neuron, per channel and for all."""
    rng = np.random.default_rng(seed)
    alike, channels = bool(rng.integers(2)), (shape[0], *[1] * (len(shape) - 1))
    forms = [(1,) * len(shape), channels, shape]

    def drawn_as(low: int, high: int) -> Tensor:
        form = forms[rng.integers(3)]
        return tensor(rng.integers(low, high, form)).float()

    rule = NeuronRule(
        reset,
        drawn_as(0, 4097) if memory else None,
        *(drawn_as(0, 4097), drawn_as(0, 90), drawn_as(1, 90), drawn_as(1, 90), None),
        NeuronModel(surrogate=surrogate, detach_reset=detach),
    )
    sums = tensor(rng.integers(-60, 90, (1 if alike else STEPS, BATCH, *shape))).float()
    states = tensor(rng.integers(-900, 900, (2, BATCH, *shape))).float()
    given_to = (sums, drawn_as(-9, 10), *states)
    weights = tensor(rng.normal(size=(STEPS, BATCH, *shape))).float()
    found = []
    for way in WAYS:
        leaves = [x.clone().requires_grad_() for x in given_to]
        made = way(*leaves, rule, STEPS)
        total = (made[0] * weights).sum() + made[2].sum() / 64
        total = total + (made[1].sum() / 64 if memory else 0)
        found.append((made, torch.autograd.grad(total, leaves)))
    (ours, to_ours), (theirs, to_theirs) = found
    for a, b in zip(ours, theirs, strict=True):
        assert torch.equal(a, b)
    for a, b in zip(to_ours, to_theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def test_a_layer_larger_than_a_block_of_the_kernel() -> None:
    """5,000 neurons: every block fires as alone."""
    rng = np.random.default_rng(0)
    sums = tensor(rng.integers(-60, 90, (3, 2, 5000))).float()
    vth = tensor(rng.integers(0, 90, 5000)).float()
    rule = NeuronRule(Reset.SOFT, None, torch.full((1,), 2048.0), vth, vth, vth + 1, None,
                      NeuronModel())  # fmt: skip
    zero, none = torch.zeros(2, 5000), torch.zeros(1)
    for a, b in zip(*(way(sums, none, zero, zero, rule) for way in WAYS), strict=True):
        assert torch.equal(a, b)
