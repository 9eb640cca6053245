"""What a network itself must satisfy on a chip: payloads, parameters and weights at the edge."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from networks import dense, lif, mlp
from strategies import random_conv_network

from tssd.calibration.int_network import (
    InputCoding,
    IntNetwork,
    PopulationKind,
    Reset,
    constant,
    plain_population,
)
from tssd.hw_targets.chip.chips import load_chip
from tssd.hw_targets.mapping.rules import network_findings

CHIP = load_chip("loihi2")


def test_binary_spike_chips_refuse_payloads() -> None:
    loihi1 = load_chip("loihi1")
    graded = random_conv_network(1, Reset.HARD, coding=InputCoding.GRADED)
    found = network_findings(graded, loihi1)
    assert [f.rule for f in found] == ["payloads need graded spikes"]
    assert "binary spikes" in str(found[0])
    assert not network_findings(graded, CHIP)
    relay = plain_population("relay", (8,), PopulationKind.RELAY)
    first, last = plain_population("input", (8,), PopulationKind.INPUT), lif("last", (2,))
    rng = np.random.default_rng(0)
    joins = (dense(first, relay, rng), dense(relay, last, rng))
    network = IntNetwork((first, relay, last), joins, 2, InputCoding.SPIKES, 1)
    assert [f.layer for f in network_findings(network, loihi1)] == ["relay"]
    alone = replace(joins[0], weight=np.eye(8, dtype=np.int64))  # a delay made of a relay
    assert not network_findings(replace(network, projections=(alone, joins[1])), loihi1)


@pytest.mark.parametrize(
    ("number", "value", "change", "rule"),
    [
        ("bits.decay", 8, {"dv": constant(16 * 9, (3,))}, None),
        ("bits.decay", 8, {"dv": constant(16 * 9 + 1, (3,))}, "decays fit their bits"),
        ("bits.bias", 6, {"bias_mant": constant(-32, (3,))}, None),
        ("bits.bias", 6, {"bias_mant": constant(32, (3,))}, "biases fit their bits"),
        ("bits.bias_exponent", 2, {"bias_mant": constant(1, (3,)), "bias_exp": 3}, None),
        (
            "bits.bias_exponent",
            2,
            {"bias_mant": constant(1, (3,)), "bias_exp": 4},
            "biases fit their bits",
        ),
    ],
)
def test_parameters_at_the_edge_of_a_narrow_chip(
    number: str, value: int, change: dict[str, Any], rule: str | None
) -> None:
    """dv of 8 bits counts in sixteenths of the definition's 4096."""
    network = mlp(5, 3)
    plain = {"dv": constant(256, (3,)), "bias_mant": constant(0, (3,)), "bias_exp": 0}
    changed = replace(network.populations[1], **{**plain, **change})
    network = replace(network, populations=(network.populations[0], changed))
    found = [f.rule for f in network_findings(network, CHIP.with_value(number, value))]
    assert found == ([] if rule is None else [rule])


@pytest.mark.parametrize(
    ("bits", "exponent", "broken"),
    [(4, -8, False), (4, 7, False), (4, 8, True), (4, -9, True), (0, 0, False), (0, -1, True)],
)
def test_weight_exponents_at_the_edge(bits: int, exponent: int, broken: bool) -> None:
    network = mlp(2, 1)
    shifted = replace(network.projections[0], weight_exp=exponent)
    network = replace(network, projections=(shifted,))
    chip = CHIP.with_value("bits.weight_exponent", bits)
    assert bool(network_findings(network, chip)) is broken


def test_input_as_bias_must_fit_too() -> None:
    network = mlp(5, 3)
    first = replace(network.populations[1], name="first")
    joined = replace(network.projections[0], source="first", weight=np.ones((3, 3), np.int64))
    behind = IntNetwork((first, network.populations[1]), (joined,), 4, InputCoding.BIAS, 4095)
    assert not network_findings(behind, CHIP)
    found = network_findings(replace(behind, input_max=4096), CHIP)
    assert [f.layer for f in found] == ["first"]


@pytest.mark.parametrize(("vth", "broken"), [(131071, False), (131072, True), (-1, True)])
def test_thresholds_at_the_edge(vth: int, broken: bool) -> None:
    network = mlp(5, 3)
    high = replace(network.populations[1], vth=constant(vth, (3,)))
    network = replace(network, populations=(network.populations[0], high))
    assert bool(network_findings(network, CHIP)) is broken


@pytest.mark.parametrize(
    ("values", "broken"),
    [([-128, 127], False), ([-129, 1], True), ([-256, 254], False), ([-255, 2], True),
     ([255, 0], False), ([256, 1], True)],
)  # fmt: skip
def test_weights_at_the_edge(values: list[int], broken: bool) -> None:
    network = mlp(2, 1)
    joined = replace(network.projections[0], weight=np.array([values]))
    assert bool(network_findings(replace(network, projections=(joined,)), CHIP)) is broken
