"""The dense network of the same weights, by closed forms."""

from dataclasses import replace

import numpy as np
import pytest
from networks import conv, lif, mlp
from strategies import recurrent_case

from tssd.calibration.int_network import IntNetwork, PopulationKind, plain_population
from tssd.comparison.dense import (
    Baseline,
    DenseLayer,
    baseline,
    dense_layers,
    dense_pj,
    firing_rate,
    moving_pj,
    prices,
)
from tssd.comparison.reading import about_of
from tssd.comparison.subject import Estimate, LayerFigures, Subject
from tssd.comparison.tables import baseline_lines
from tssd.errors import ConfigError, NetworkError

PARTS = {"synapse_pj": 60.0, "neuron_pj": 20.0, "spike_pj": 4.0, "noc_pj": 6.0}


def spiking(network: IntNetwork, spikes: float = 8.0, dynamic: float = 300.0) -> Subject:
    """Every layer sends so many spikes and takes the same."""
    about = about_of("a", "a", "loihi2", None, network.time_steps, "cycle")
    layers = tuple(LayerFigures(p.name, {"spikes": spikes, **PARTS}) for p in network.populations)
    return Subject("A", "build/a", about, {"dynamic_pj": Estimate(dynamic)}, layers)


def test_every_weight_of_a_matrix_is_one_mac_zeros_too() -> None:
    network = mlp(6, 5, 3)
    zeros = replace(network.projections[0], weight=np.zeros((5, 6), np.int64))
    network = replace(network, projections=(zeros, network.projections[1]))
    first, second = dense_layers(network)
    assert (first.macs, first.read_bytes, first.written_bytes) == (30, 6, 5)
    assert (second.macs, second.weight_bytes) == (15, 15 * second.bits / 8)
    assert first.bits == 1  # all zero: the least that a word can be


def test_a_kernel_counts_at_every_place_where_both_neurons_exist() -> None:
    """3 x 3 with padding 1 on 4 x 4: 10 taps of an edge of 4, so 100 for each pair of channels."""
    rng = np.random.default_rng(0)
    source = plain_population("input", (2, 4, 4), PopulationKind.INPUT)
    target = lif("a", (3, 4, 4))
    network = IntNetwork((source, target), (conv(source, target, rng),), time_steps=4)
    (layer,) = dense_layers(network)
    assert layer.macs == 100 * 2 * 3
    assert layer.weight_bytes == 54 * layer.bits / 8


def test_energies_by_hand() -> None:
    """100 MACs of 8 bit: 30 pJ. Once: 40 + 10 + 6 bytes in words of 8 at 10 pJ; again: 200 + 6."""
    once, again = dense_pj((DenseLayer("a", 100, 8, 40.0, 10, 6),), prices())
    assert once == pytest.approx(30 + 56 / 8 * 10)
    assert again == pytest.approx(30 + 206 / 8 * 10)


@pytest.mark.parametrize(("size", "pj"), [(8192, 10), (8193, 20), (32769, 100), (1 << 30, 100)])
def test_weights_lie_in_the_smallest_memory_that_holds_them(size: int, pj: float) -> None:
    assert prices().read_pj(size) == pj


def test_wider_weights_are_multiplied_at_the_next_price_of_the_table() -> None:
    assert prices().mac_pj(8) == pytest.approx(0.3)
    assert prices().mac_pj(9) == pytest.approx(3.2)


def test_what_the_input_causes_does_not_move_with_the_firing_rate() -> None:
    """Of three layers: two send of their own (10 each); synapses of the last alone (60) move."""
    network = mlp(6, 5, 3)
    assert moving_pj(spiking(network), network) == pytest.approx(2 * 10 + 60)
    fires = sum(p.neurons for p in network.populations if p.kind.fires)
    sends = sum(p.kind.fires for p in network.populations)
    rate = firing_rate(spiking(network), network)
    assert rate == pytest.approx(8 * sends / (fires * network.time_steps))


def test_at_the_break_even_rate_both_take_the_same() -> None:
    network = mlp(6, 5, 3)
    found = baseline(spiking(network), network)
    moving = found.spiking_pj - found.still_pj
    for dense, even in ((found.once_pj, found.even_once), (found.again_pj, found.even_again)):
        assert even is not None
        assert found.still_pj + moving * even / found.rate == pytest.approx(dense)
    assert found.once_pj < found.again_pj


def told(even: float | None) -> str:
    made = Baseline("A", 1, 1.0, 1.0, 2.0, 3.0, 1.0, 0.1, even, even, "45 nm", "a table")
    return baseline_lines(made)[-1]


def test_a_break_even_that_no_rate_reaches_is_said_as_such() -> None:
    assert "at no rate: more even when silent" in told(-0.1)
    assert "at no rate: less even if every neuron fires in every step" in told(1.1)
    assert "at no rate, as nothing fires" in told(None)
    assert "at 6.50 % events per neuron and step" in told(0.065)


def test_a_silent_network_has_no_break_even() -> None:
    network = mlp(6, 5, 3)
    silent = spiking(network, spikes=0.0)
    calm = tuple(replace(x, figures=dict.fromkeys(x.figures, 0.0)) for x in silent.layers)
    assert baseline(replace(silent, layers=calm), network).even_once is None


def test_recurrence_is_refused() -> None:
    case = recurrent_case(1)
    with pytest.raises(NetworkError, match="--baseline ann: found a network with recurrence"):
        dense_layers(case.network)


def test_a_bundle_without_a_run_is_refused_with_the_line_that_makes_one() -> None:
    network = mlp(6, 5, 3)
    with pytest.raises(ConfigError, match="tssd verify build/a --against sim --samples 64"):
        baseline(replace(spiking(network), figures={}), network)
