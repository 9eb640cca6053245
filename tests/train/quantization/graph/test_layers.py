"""What is learned of a network, what is wiring, and that every number fits its field."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from float_nets import lif, stateless
from hypothesis import given, settings
from hypothesis import strategies as st

from tssd.errors import ConfigError, NetworkError
from tssd.train.handover.float_network import (
    FloatNetwork,
    FloatProjection,
    PopulationKind,
    ProjectionKind,
    Reset,
)
from tssd.train.quantization.graph import integers
from tssd.train.quantization.graph.layers import is_wiring, prepared, trained_populations
from tssd.train.quantization.graph.network import QuantizedGraph
from tssd.train.quantization.widths import ChipWidths

DENSE = ProjectionKind.DENSE


def skipping(first: np.ndarray, second: np.ndarray, **of_hidden: object) -> FloatNetwork:
    """input -> a -> b -> readout, with a skip a -> b."""
    hidden = replace(lif("b", (3,), Reset.SOFT), **of_hidden)  # type: ignore[arg-type]
    populations = (
        stateless("input", (4,), PopulationKind.INPUT),
        lif("a", (3,), Reset.HARD),
        hidden,
        stateless("readout", (2,), PopulationKind.READOUT),
    )
    projections = (
        FloatProjection("input", "a", DENSE, first),
        FloatProjection("a", "b", DENSE, second),
        FloatProjection("a", "b", DENSE, np.eye(3)),
        FloatProjection("b", "readout", DENSE, np.array([[1.0, -0.5, 0.2], [0.3, 0.1, 1.0]])),
    )
    return FloatNetwork(populations, projections, 4)


def graph(network: FloatNetwork, bits: str = "4", **chip: int) -> QuantizedGraph:
    made = QuantizedGraph(network, bits, ChipWidths(**chip))
    made.begin(torch.rand(8, 4))
    return made


def plain(seed: int = 0, factor: float = 1.0) -> FloatNetwork:
    rng = np.random.default_rng(seed)
    return skipping(rng.normal(0, 0.5, (3, 4)), factor * rng.normal(0, 0.5, (3, 3)))


def test_weights_of_one_value_are_wiring() -> None:
    assert is_wiring(np.eye(3))
    assert is_wiring(-0.5 * np.ones((2, 1, 2, 2)))
    assert not is_wiring(np.array([[1.0, -1.0]]))
    assert not is_wiring(np.zeros((2, 2)))
    assert trained_populations(prepared(plain())) == ("a", "b", "readout")


def test_a_skip_keeps_its_value_in_the_chip_s_width() -> None:
    made = graph(plain(), "ternary")
    layer = made.layers[1]
    found = integers.numbers(made.given(layer))
    learned, skip = found.weights
    assert set(np.unique(learned.detach())) <= {-1.0, 0.0, 1.0}
    wanted = (found.scale[:, None] * torch.eye(3) + 0.5).floor().clamp(max=127)
    torch.testing.assert_close(skip.double(), wanted)
    assert {n for n, _ in made.named_parameters()} == {"weight_0", "weight_1", "weight_3"}
    assert made.kept_weights()["b"][1][0].largest == 127


def test_projections_into_one_population_have_ranges_of_their_own() -> None:
    """The second one's weights are 16 times as large: its sums are shifted by 4."""
    rng = np.random.default_rng(1)
    small, large = rng.normal(0, 0.02, (3, 3)), rng.normal(0, 0.32, (3, 3))
    network = skipping(rng.normal(0, 0.5, (3, 4)), small)
    second = replace(network.projections[2], weight=large)
    network = replace(
        network, projections=(*network.projections[:2], second, network.projections[3])
    )
    made = graph(network)
    (_, none), (_, shift) = made.kept_weights()["b"]
    assert none == 0
    assert shift in (3, 4, 5)
    found = integers.numbers(made.given(made.layers[1]))
    assert int(found.weights[0].abs().max()) <= 7
    assert 7 * 2**shift >= int(found.weights[1].abs().max()) > 7 * 2 ** (shift - 1)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(["2", "3", "4", "8", "binary"]),
    st.sampled_from([1e-3, 0.1, 1.0, 30.0, 3000.0]),
    st.sampled_from([0.0, 1e-3, 2.0, 900.0]),
)
def test_every_number_fits_its_field(seed: int, bits: str, size: float, bias: float) -> None:
    """Weights, biases, thresholds and amounts from tiny to huge; worst-case currents too."""
    rng = np.random.default_rng(seed)
    own = {"bias": bias * rng.normal(size=3), "threshold": rng.uniform(0.1, 5, 3)}
    own["reset_by"] = own["threshold"] / rng.uniform(0.1, 1, 3)
    network = skipping(size * rng.normal(size=(3, 4)), size * rng.normal(size=(3, 3)), **own)
    made = graph(network, bits)
    for layer in made.layers:
        given_ = made.given(layer)
        with torch.no_grad():
            found = integers.numbers(given_)
        assert float(found.bias.abs().max()) <= 4095
        most = torch.zeros(layer.channels)
        for link, w, shift in zip(layer.all_links, found.weights, given_.shifts, strict=True):
            assert float(w.abs().max()) <= link.bits.largest * 2**shift
            assert torch.equal(w, w.round())
            most += w.clamp_min(0).sum(1) * given_.reach(link)
        assert float(most.max()) <= 131071
        if layer.population.kind.fires:
            assert float(found.vth.max()) <= 131071
            assert found.reset_by is None or float(found.reset_by.max()) <= 131071


def test_bits_of_single_populations_and_unknown_ones() -> None:
    made = QuantizedGraph(plain(), "3,b=8", ChipWidths())
    assert {name: bits.largest for name, bits in made.bits.items()} == {
        "a": 3,
        "b": 127,
        "readout": 3,
    }
    with pytest.raises(ConfigError, match="stage 'c'"):
        QuantizedGraph(plain(), "3,c=8", ChipWidths())


def test_what_cannot_be_trained_is_refused() -> None:
    relayed = plain()
    populations = list(relayed.populations)
    populations[1] = stateless("a", (3,), PopulationKind.RELAY)
    with pytest.raises(NetworkError, match="population a: found a relay"):
        QuantizedGraph(replace(relayed, populations=tuple(populations)), "4", ChipWidths())
    firing = replace(plain().populations[-1], kind=PopulationKind.LIF)
    ends = replace(plain(), populations=(*plain().populations[:-1], firing))
    with pytest.raises(NetworkError, match="readout: found a read-out between neurons, or neurons"):
        QuantizedGraph(ends, "4", ChipWidths())
    with pytest.raises(NetworkError, match="found no steps yet; allowed: begin"):
        QuantizedGraph(plain(), "4", ChipWidths()).run_whole(torch.rand(2, 4), 4)
    wide = FloatNetwork(
        (
            stateless("input", (400,), PopulationKind.INPUT),
            stateless("readout", (2,), PopulationKind.READOUT),
        ),
        (
            FloatProjection(
                "input", "readout", DENSE, np.random.default_rng(0).normal(size=(2, 400))
            ),
        ),
        4,
    )
    with pytest.raises(NetworkError, match="readout: found more inputs than its current holds"):
        QuantizedGraph(wide, "4", ChipWidths(activation_max=1000)).begin(torch.rand(2, 400))


def test_a_projection_of_zeros_beside_others_is_left_out() -> None:
    from tssd.train.quantization.graph.whole import whole_graph

    made = graph(plain())
    made.get_parameter("weight_1").data.zero_()
    assert made.zero_links() == {1}
    assert len(whole_graph(made, 4).projections) == 3
    assert len(made.kept_weights()["b"]) == 1
