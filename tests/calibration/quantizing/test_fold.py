"""Folding is exact in real arithmetic, or refused by name."""

from dataclasses import replace

import numpy as np
import pytest
from float_nets import conv, dense, images, lif, small_residual, small_vgg, stateless
from hypothesis import given, settings
from hypothesis import strategies as st

from tssd.calibration.comparing.folding import compare_folded
from tssd.calibration.quantizing.fold import Pooling, align, fold
from tssd.errors import NetworkError
from tssd.train.handover.compose import lateness, with_lateness
from tssd.train.handover.float_network import (
    AveragePool,
    FloatNetwork,
    FloatProjection,
    PopulationKind,
    ProjectionKind,
    Reset,
    depths,
)
from tssd.train.handover.float_run import run

ROUNDING = 1e-9


def assert_same_currents(before: FloatNetwork, after: FloatNetwork) -> None:
    """Equal spikes and logits in float64; a slot may differ only where rounding meets a tie."""
    samples = images(before, 5)
    a, b = (run(n, samples, dtype="float64", keep_spikes=True) for n in (before, after))
    unlike = {
        p.name: float(np.mean(a.spikes[p.name] != b.spikes[p.name])) for p in before.populations
    }
    assert max(unlike.values()) < 1e-4, unlike
    np.testing.assert_allclose(a.logits, b.logits, atol=0.2 if any(unlike.values()) else ROUNDING)


@pytest.mark.parametrize("pooling", ["fold", "population"])
@pytest.mark.parametrize("reset", [Reset.SOFT, Reset.HARD])
@pytest.mark.parametrize("seed", range(3))
def test_folded_network_is_the_same_function(pooling: Pooling, reset: Reset, seed: int) -> None:
    for network in (small_vgg(seed, reset), small_residual(seed, reset)):
        folded = fold(network, pooling)
        assert all((j.norm, j.pool, j.bias) == (None,) * 3 for j in folded.projections)
        assert_same_currents(network, folded)


def pairs(least: int, most: int) -> st.SearchStrategy[tuple[int, int]]:
    """One number for the rows, another for the columns."""
    return st.tuples(st.integers(least, most), st.integers(least, most))


@st.composite
def pooled_convolutions(draw: st.DrawFn) -> FloatNetwork:
    """input -> LIF -> pool -> conv or dense readout with random geometry."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    side = draw(st.integers(5, 12))
    pool = AveragePool(draw(pairs(1, 3)), draw(pairs(1, 3)))
    size = [(side - k) // s + 1 for k, s in zip(pool.kernel, pool.stride, strict=True)]
    source = stateless("input", (2, side, side), PopulationKind.INPUT)
    first, last = conv(rng, "input", "a", (2, 3)), lif("a", (3, side, side), Reset.SOFT)
    readout = stateless("readout", (4,), PopulationKind.READOUT)
    if draw(st.booleans()):
        layer = dense(rng, "a", "readout", (3 * size[0] * size[1], 4), pool=pool)
        return FloatNetwork((source, last, readout), (first, layer), 3)
    kernel, dilation = draw(pairs(1, 3)), draw(pairs(1, 2))
    padding, stride = draw(pairs(0, 2)), draw(pairs(1, 2))
    each = zip(size, kernel, dilation, padding, stride, strict=True)
    out = [(n + 2 * p - (k - 1) * d - 1) // s + 1 for n, k, d, p, s in each]
    if min(out) < 1:
        kernel, dilation, padding, stride, out = (1, 1), (1, 1), (0, 0), (1, 1), size
    layer = conv(rng, "a", "b", (3, 2), pool=pool)
    layer = replace(
        layer,
        weight=layer.weight[:, :, : kernel[0], : kernel[1]],
        padding=padding,
        stride=stride,
        dilation=dilation,
    )
    second = lif("b", (2, out[0], out[1]), Reset.SOFT)
    end = dense(rng, "b", "readout", (2 * out[0] * out[1], 4))
    return FloatNetwork((source, last, second, readout), (first, layer, end), 3)


@given(pooled_convolutions())
@settings(max_examples=30, deadline=None)
def test_a_folded_pool_is_exact_or_refused(network: FloatNetwork) -> None:
    assert_same_currents(network, fold(network, "population"))
    try:
        folded = fold(network)
    except NetworkError:
        with pytest.raises(NetworkError, match="pooling = population"):
            fold(network)
        return
    assert_same_currents(network, folded)


def test_vgg_small_geometry_folds() -> None:
    """28 -> 14 -> 7 -> 3: kernels of 6, and a dense layer whose border weights are zero."""
    network = small_vgg(0, side=28)
    folded = fold(network)
    assert folded.projections[2].weight.shape == (8, 6, 6, 6)
    assert folded.projections[2].stride == folded.projections[2].padding == (2, 2)
    odd = fold(small_vgg(0, side=14)).projections[3].weight.reshape(10, 8, 7, 7)
    assert not odd[:, :, 6, :].any()
    assert not odd[:, :, :, 6].any()
    assert odd[:, :, :6, :6].all()


def test_an_uneven_pool_before_padding_is_refused() -> None:
    network = small_vgg(0, side=13)
    with pytest.raises(NetworkError, match="average pool 2 .stride 2. of 13 pixels"):
        fold(network)
    assert fold(network, "population").populations[3].kind is PopulationKind.RELAY


def test_equal_pools_share_one_relay() -> None:
    network = small_vgg(1)
    twin = replace(network.projections[2], target="conv3")
    both = replace(network, projections=(*network.projections, twin))
    relays = [p for p in fold(both, "population").populations if p.kind is PopulationKind.RELAY]
    assert [p.name for p in relays] == ["conv2_pool1", "conv3_pool2"]
    assert relays[0].shape == (6, 7, 7)


def test_align_gives_a_skip_the_missing_delay() -> None:
    network = fold(small_residual(0))
    aligned = align(network)
    assert [j.delay for j in aligned.projections] == [0, 0, 0, 1, 0]
    assert_same_currents(network, aligned)


@pytest.mark.parametrize("seed", range(3))
def test_align_by_relays_keeps_every_spike(seed: int) -> None:
    network = fold(small_residual(seed))
    aligned = align(network, delay_max=0)
    depth = depths(aligned)
    assert all(depth[j.target] == depth[j.source] + 1 for j in aligned.projections)
    assert [p.name for p in aligned.populations][2] == "stem_relay1"
    assert_same_currents(network, aligned)


def named(network: FloatNetwork, old: str, new: str) -> FloatNetwork:
    """*network* with another name for one population."""

    def renamed(name: str) -> str:
        return new if name == old else name

    return replace(
        network,
        populations=tuple(replace(p, name=renamed(p.name)) for p in network.populations),
        projections=tuple(
            replace(j, source=renamed(j.source), target=renamed(j.target))
            for j in network.projections
        ),
    )


def test_a_population_that_is_called_as_a_relay_would_be_is_none() -> None:
    """The relay gets another name, and the user's own neurons stay where they were."""
    plain = fold(small_residual(0))
    (second,) = {j.target for j in plain.outgoing("stem")} - {"b"}
    network = named(plain, second, "stem_relay1")
    aligned = align(network, delay_max=0)
    assert [p.name for p in aligned.populations][2] == "stem_relay1_2"
    assert aligned.population("stem_relay1").kind is PopulationKind.LIF
    assert {j.target for j in aligned.outgoing("stem_relay1")} == {"b"}
    assert_same_currents(network, aligned)


def test_a_pool_that_is_called_as_another_population_gets_another_name() -> None:
    network = named(small_vgg(1), "conv3", "conv2_pool1")
    folded = fold(network, "population")
    relays = [p.name for p in folded.populations if p.kind is PopulationKind.RELAY]
    assert relays[0] == "conv2_pool1_2"
    assert_same_currents(network, folded)


def test_align_leaves_a_skip_as_late_as_it_is() -> None:
    """Later than the target's other input: data of earlier steps, not a path of another length."""
    network = small_residual(0)
    skip = replace(network.projections[3], delay=5)
    late = replace(network, projections=(*network.projections[:3], skip, *network.projections[4:]))
    aligned = align(fold(late))
    assert [j.delay for j in aligned.projections] == [0, 0, 0, 5, 0]
    assert_same_currents(fold(late), aligned)
    with pytest.raises(NetworkError, match="stem -> b: found a delay of 5 steps; allowed: <= 4"):
        align(late, delay_max=4)


def test_folding_is_held_against_the_trained_network_and_can_fail() -> None:
    network = small_vgg(2)
    samples = images(network, 12)
    labels = run(network, samples).classes()
    good = compare_folded(network, fold(network), samples, batch=5)
    assert [c.status for c in good.contracts(labels)] == ["pass", "pass"]
    np.testing.assert_array_equal(good.before, labels)
    assert good.events["conv1"] == run(fold(network), samples).spike_total("conv1") > 0
    wrong = replace(fold(network).projections[1], weight=-fold(network).projections[1].weight)
    broken = replace(
        fold(network),
        projections=(fold(network).projections[0], wrong, *fold(network).projections[2:]),
    )
    rows = compare_folded(network, broken, samples, batch=5).contracts(labels)
    assert rows[0].status == "fail"
    assert rows[0].where is not None
    assert "conv2" in rows[0].where


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weight": np.full((4, 1, 3, 3), np.nan)}, "36 values that are not finite"),
        ({"weight": np.zeros((4, 1, 3, 3))}, "weights that are all zero"),
        ({"weight": np.ones((4, 9))}, r"weight of shape \(4, 9\); allowed: rank 4"),
        ({"bias": np.full(4, np.inf)}, "bias: found 4 values"),
    ],
)
def test_broken_projections_are_named(change: dict[str, object], message: str) -> None:
    network = small_vgg(0)
    bad = replace(network.projections[0], **change)  # type: ignore[arg-type]
    with pytest.raises(NetworkError, match=f"projection input -> conv1.*{message}"):
        fold(replace(network, projections=(bad, *network.projections[1:])))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"decay": np.full((1, 1, 1), 1.5)}, r"decays 1.5 .. 1.5; allowed: 0 .. 1"),
        ({"threshold": np.zeros((1, 1, 1))}, "a threshold of 0; allowed: > 0"),
        ({"bias": np.zeros(4)}, r"bias: found shape \(4,\); allowed: rank 3"),
    ],
)
def test_broken_populations_are_named(change: dict[str, object], message: str) -> None:
    network = small_vgg(0)
    bad = replace(network.populations[1], **change)  # type: ignore[arg-type]
    populations = (network.populations[0], bad, *network.populations[2:])
    with pytest.raises(NetworkError, match=message):
        fold(replace(network, populations=populations))


def test_a_network_must_end_in_a_readout() -> None:
    network = small_vgg(0)
    fires = lif("readout", (10,), Reset.SOFT)
    with pytest.raises(NetworkError, match="population readout: found kind lif; allowed: readout"):
        fold(replace(network, populations=(*network.populations[:-1], fires)))
    assert network.projections[3].kind is ProjectionKind.DENSE


def with_memory(
    shape: tuple[int, ...], projection: FloatProjection, name: str = "a"
) -> FloatNetwork:
    """One population with synaptic memory and a bias in front of it, then a readout."""
    neuron = replace(lif(name, shape, Reset.SOFT), synapse_decay=np.full((1,) * len(shape), 0.5))
    source = stateless("input", shape, PopulationKind.INPUT)
    readout = stateless("readout", (2,), PopulationKind.READOUT)
    last = FloatProjection(name, "readout", ProjectionKind.DENSE, np.ones((2, int(np.prod(shape)))))
    return FloatNetwork((source, neuron, readout), (replace(projection, target=name), last), 3)


def test_a_bias_behind_a_memory_is_a_weight_from_a_neuron_that_always_fires() -> None:
    bias = np.array([1.0, -2.0, 0.0])
    dense = FloatProjection("input", "a", ProjectionKind.DENSE, np.eye(3), bias=bias)
    folded = fold(with_memory((3,), dense))
    assert [p.name for p in folded.populations] == ["input", "constant", "a", "readout"]
    assert folded.populations[1].shape == (1,)
    found = {(j.source, j.target): j.weight for j in folded.projections}
    assert found["constant", "a"].tolist() == [[1.0], [-2.0], [0.0]]
    assert found["input", "constant"].tolist() == [[1.0, 0.0, 0.0]]
    assert not any(p.bias.any() for p in folded.populations if p.name != "constant")
    always = folded.populations[1]
    assert always.bias.item() > always.threshold.item() > 0  # it fires in every step
    assert always.reset is Reset.HARD


def test_of_an_image_it_reaches_every_place_through_a_tap_of_its_own() -> None:
    kernel = np.ones((2, 2, 1, 1))
    conv = FloatProjection("input", "a", ProjectionKind.CONV2D, kernel, bias=np.array([0.25, -0.5]))
    folded = fold(with_memory((2, 3, 4), conv))
    assert folded.populations[1].shape == (1, 1, 1)
    into = next(j for j in folded.projections if j.source == "constant")
    assert into.weight.shape == (2, 1, 3, 4)
    assert into.padding == (2, 3)
    assert (into.weight[0] == 0.25).all()
    assert (into.weight[1] == -0.5).all()
    out = next(j for j in folded.projections if j.target == "constant")
    assert out.weight.shape == (1, 2, 1, 1)
    assert out.stride == (3, 4)


def test_a_population_that_has_its_name_keeps_it() -> None:
    dense = FloatProjection("input", "a", ProjectionKind.DENSE, np.eye(3), bias=np.ones(3))
    folded = fold(with_memory((3,), dense, "constant"))
    assert [p.name for p in folded.populations] == ["input", "constant_", "constant", "readout"]
    assert folded.projections[0].target == "constant_"


def test_without_a_memory_or_a_bias_there_is_no_such_neuron() -> None:
    plain = FloatProjection("input", "a", ProjectionKind.DENSE, np.eye(3), bias=np.zeros(3))
    assert len(fold(with_memory((3,), plain)).populations) == 3
    biased = with_memory((3,), replace(plain, bias=np.ones(3)))
    forgetful = replace(biased.populations[1], synapse_decay=np.zeros(1))
    folded = fold(
        replace(biased, populations=(biased.populations[0], forgetful, *biased.populations[2:]))
    )
    assert len(folded.populations) == 3
    assert folded.population("a").bias.tolist() == [1.0, 1.0, 1.0]


def test_relays_of_flat_populations_pass_every_value_on() -> None:
    """A skip of two steps on a chip without delays: two relays, each the identity."""
    names = ("a", "b", "c")
    neurons = [lif(name, (3,), Reset.SOFT) for name in names]
    source = stateless("input", (3,), PopulationKind.INPUT)
    readout = stateless("readout", (3,), PopulationKind.READOUT)
    chain = [("input", "a"), ("a", "b"), ("b", "c"), ("c", "readout"), ("a", "readout")]
    ways = tuple(
        FloatProjection(s, t, ProjectionKind.DENSE, np.full((3, 3), 2.0)) for s, t in chain
    )
    aligned = align(FloatNetwork((source, *neurons, readout), ways, 3), delay_max=0)
    assert {p.name for p in aligned.populations} > {"a_relay1", "a_relay2"}
    relays = [j for j in aligned.projections if "relay" in j.target]
    assert [(j.source, j.target) for j in relays] == [("a", "a_relay1"), ("a_relay1", "a_relay2")]
    for relay in relays:
        assert relay.kind is ProjectionKind.DENSE
        assert relay.weight.tolist() == np.eye(3).tolist()
    assert {j.delay for j in aligned.projections} == {0}
    assert any(j.source == "a_relay2" and j.target == "readout" for j in aligned.projections)


def test_lateness_counts_what_is_late_on_purpose_alone() -> None:
    """A skip over one layer has its step to spare; 5 steps of delay make it 4 late."""
    network = small_residual(0)
    skip = replace(network.projections[3], delay=5)
    late = replace(network, projections=(*network.projections[:3], skip, *network.projections[4:]))
    assert lateness(network) == [0, 0, 0, 0, 0]
    assert lateness(late) == [0, 0, 0, 4, 0]
    assert [j.delay for j in with_lateness(network, [0, 0, 0, 2, 0]).projections] == [0, 0, 0, 3, 0]


def test_a_strided_convolution_behind_an_uneven_pool_may_not_reach_its_border() -> None:
    """5 pixels pooled to 2: an output at each second place, padded by one, sees those two alone."""
    rng = np.random.default_rng(0)
    first = conv(rng, "input", "a", (1, 2), pool=AveragePool((2, 2), (2, 2)), norm=False)
    dense_ = dense(rng, "a", "readout", (2, 3))
    populations = (
        stateless("input", (1, 5, 5), PopulationKind.INPUT),
        lif("a", (2, 1, 1), Reset.SOFT),
        stateless("readout", (3,), PopulationKind.READOUT),
    )
    network = FloatNetwork(populations, (replace(first, stride=(2, 2)), dense_), 3)
    folded = fold(network)
    assert folded.projections[0].pool is None
    assert_same_currents(network, folded)
