"""Programs of neurons: counted by the definition, for chips that run any."""

from dataclasses import replace

import numpy as np
import pytest
from networks import mlp

from tssd.calibration.int_network import IntNetwork, Population, Reset
from tssd.calibration.integer import DECAY_ONE
from tssd.hw_targets.chip.chips import load_chip
from tssd.hw_targets.costs.programs import operations, programs, told_of_programs

CHIP = load_chip("loihi2")


def plain(population: Population, changes: dict[str, int]) -> Population:
    """Without memory, leak or bias, but for the *changes*."""
    du, dv, bias = (
        np.array([changes.get(name, value)])
        for name, value in (("du", DECAY_ONE), ("dv", 0), ("bias_mant", 0))
    )
    return replace(population, du=du, dv=dv, bias_mant=bias)


def soft(**changes: int) -> IntNetwork:
    """Two soft-reset layers; the first with other decays or a bias."""
    network = mlp(4, 3, 2, reset=Reset.SOFT)
    source, first, last = network.populations
    held = (source, plain(first, changes), plain(last, {}))
    return replace(network, populations=held)


@pytest.mark.parametrize(
    ("changes", "more"),
    [
        ({}, {}),
        ({"dv": 100}, {"multiply": 1}),
        ({"bias_mant": -3}, {"add": 1}),
        ({"du": 50}, {"read": 1, "multiply": 1, "add": 1, "write": 1}),
    ],
)
def test_what_a_neuron_has_is_an_operation_of_its_program(
    changes: dict[str, int], more: dict[str, int]
) -> None:
    least = {"read": 2, "shift": 1, "add": 2, "compare": 1, "spike": 1, "select": 1, "write": 1}
    found = operations(soft(**changes).populations[1])
    assert found == {kind: least.get(kind, 0) + more.get(kind, 0) for kind in {**least, **more}}


def test_alike_neurons_share_a_program_and_circuits_have_none() -> None:
    (one,) = programs(soft(), CHIP)
    assert (one.populations, one.length) == (("fc0", "fc1"), 9)
    assert [p.length for p in programs(soft(du=50), CHIP)] == [13, 9]
    assert programs(mlp(4, 3, 2), CHIP) == ()  # a hard reset is built in
    assert programs(soft(), load_chip("loihi1")) == ()  # two compartments instead


def test_what_no_figure_prices_is_said() -> None:
    (line,) = told_of_programs(soft(), CHIP)
    assert "fc0, fc1: 9 operations in one pass" in line
    assert "12 ns an update" in line
    assert "no public figure prices an operation" in line
