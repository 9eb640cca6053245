"""The neuron's circuit against the integer neuron's definition."""

from typing import Any

import numpy as np
import pytest
from clocked import stepped

from tssd.calibration import neuron
from tssd.calibration.int_network import Population, PopulationKind, Reset
from tssd.calibration.integer import STATE_LIMIT, IntArray
from tssd.hw_targets.rtl.image import record_of
from tssd.hw_targets.rtl.units.neuron import Neuron
from tssd.hw_targets.rtl.units.widths import DECAY_BITS, SUM_BITS

SIZE = 60


def population(rng: np.random.Generator, reset: Reset) -> Population:
    """Neurons with any decays and levels, the ends among them."""
    ends = np.array([0, 1, 4095, 4096])
    du, dv = (np.where(rng.random(SIZE) < 0.3, rng.choice(ends, SIZE), d) for d in decays(rng))
    vth = rng.integers(0, 1 << 17, SIZE) >> rng.integers(0, 17, SIZE)
    amount = rng.integers(-(1 << 19), 1 << 19, SIZE) if reset is Reset.SOFT else None
    kind = PopulationKind.LIF
    bias = rng.integers(-4096, 4096, SIZE)
    return Population("n", (SIZE,), kind, reset, du, dv, vth, bias, 7, reset_by=amount)


def decays(rng: np.random.Generator) -> IntArray:
    return rng.integers(0, 4097, (2, SIZE))


def states(rng: np.random.Generator) -> tuple[dict[str, IntArray], IntArray]:
    """Currents, membranes and sums, small, large, and at the turn of 24 bits."""
    wide = STATE_LIMIT >> rng.integers(0, 24, (3, SIZE))
    u, v, a = rng.integers(-wide, wide + 1)
    edge = rng.random(SIZE) < 0.1
    sums = np.where(edge, rng.choice([-STATE_LIMIT // 64, STATE_LIMIT // 64], SIZE), a)
    most = (1 << (SUM_BITS - 1)) - 1
    return {"u": np.where(edge, 0, u)[None], "v": v[None]}, np.clip(sums, -most, most)[None]


@pytest.mark.parametrize("reset", list(Reset))
@pytest.mark.parametrize("seed", range(3))
def test_updates_equal_the_definition(reset: Reset, seed: int) -> None:
    rng = np.random.default_rng(seed)
    layer = population(rng, reset)
    before, a = states(rng)
    after, spikes = neuron.step(layer, before, a, layer.bias[None])
    assert 0 < spikes.sum() < SIZE
    expected = np.stack([after["u"][0], after["v"][0], spikes[0]], axis=1)
    np.testing.assert_array_equal(updated(layer, before, a), expected)


@pytest.mark.parametrize(
    ("kind", "sent"), [(PopulationKind.RELAY, [-5, 0, 7]), (PopulationKind.READOUT, [0, 0, 0])]
)
def test_a_relay_sends_its_sum_and_a_readout_nothing(kind: PopulationKind, sent: list[int]) -> None:
    one = np.ones(1, np.int64)
    layer = Population("n", (3,), kind, Reset.NONE, 4096 * one, 0 * one, 0 * one, 0 * one)
    rest = {name: np.zeros((1, 3), np.int64) for name in ("u", "v")}
    found = updated(layer, rest, np.array([[-5, 0, 7]]))
    assert found[:, 2].tolist() == sent
    assert found[:, 1].tolist() == [-320, 0, 448]


def updated(layer: Population, before: dict[str, IntArray], a: IntArray) -> IntArray:
    """(neurons, 3): u, v and what is sent, by the circuit."""
    circuit, found = Neuron(), []
    record = [value.tolist() for value in record_of(layer).values()]

    async def bench(ctx: Any) -> None:
        for i in range(layer.neurons):
            decays, threshold, subtracted, bias = (words[i] for words in record)
            mask = (1 << DECAY_BITS) - 1
            given = {
                "keep_u": decays & mask,
                "keep_v": decays >> DECAY_BITS & mask,
                "mode": decays >> 2 * DECAY_BITS & 3,
                "reset": decays >> 2 * DECAY_BITS + 2,
                "threshold": threshold,
                "subtracted": subtracted,
                "bias": bias,
                "u": int(before["u"][0, i]),
                "v": int(before["v"][0, i]),
                "a": int(a[0, i]),
            }
            for name, value in given.items():
                ctx.set(getattr(circuit, name), value)
            await ctx.tick().repeat(2)
            found.append([ctx.get(x) for x in (circuit.next_u, circuit.next_v, circuit.sent)])

    stepped(circuit, bench)
    return np.array(found)
