"""netx out and in: what is written, and everything that is refused to be."""

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from networks import mlp
from strategies import random_conv_network, residual_network

from tssd.calibration.int_network import (
    InputCoding,
    IntNetwork,
    Population,
    PopulationKind,
    Projection,
    ProjectionKind,
    Reset,
    constant,
    plain_population,
)
from tssd.calibration.integer import IntArray
from tssd.errors import NetworkError
from tssd.export.netx.read import read_netx
from tssd.export.netx.to_integers import import_netx
from tssd.export.netx.write import check_netx, silent_threshold, write_netx


def hard_chain(seed: int = 3, coding: InputCoding = InputCoding.GRADED) -> IntNetwork:
    return random_conv_network(seed, Reset.HARD, memory=True, coding=coding)


def same(stored: IntArray | None, parameter: IntArray) -> None:
    """A scalar or one value per channel stands for the population's array."""
    assert stored is not None
    np.testing.assert_array_equal(np.broadcast_to(stored, parameter.size), parameter.ravel())


@pytest.mark.parametrize("seed", range(6))
def test_layers_come_back(tmp_path: Path, seed: int) -> None:
    network = hard_chain(seed)
    write_netx(network, tmp_path / "n.net")
    layers = [x for x in read_netx(tmp_path / "n.net") if x.type != "flatten"]
    assert [x.name for x in layers] == [p.name for p in network.populations]
    assert layers[0].shape == network.source.shape
    assert layers[0].neuron is None
    for layer, population, projection in zip(
        layers[1:], network.populations[1:], network.projections, strict=True
    ):
        assert (layer.stride, layer.padding) == (projection.stride, projection.padding)
        assert (layer.dilation, layer.groups) == (projection.dilation, projection.groups)
        np.testing.assert_array_equal(layer.weight, projection.weight)
        same(layer.bias, population.bias_mant)
        assert layer.neuron is not None
        same(layer.neuron.i_decay, population.du)
        same(layer.neuron.v_decay, population.dv)
        if population.kind is PopulationKind.LIF:
            same(layer.neuron.vth, population.vth)
    assert layers[-1].neuron is not None
    assert int(layers[-1].neuron.vth) == silent_threshold(network)


def test_layout_is_what_netx_reads(tmp_path: Path) -> None:
    write_netx(hard_chain(), tmp_path / "n.net")
    with h5py.File(tmp_path / "n.net") as file:
        kinds = [file[f"layer/{i}/type"][()] for i in range(len(file["layer"]))]
        assert kinds[0] == b"input"
        assert kinds[-2:] == [b"flatten", b"dense"]
        conv = file["layer/1"]
        assert conv["neuron/type"][()] == b"CUBA"
        assert conv["weight"].dtype == np.int8
        assert conv["stride"].shape == (2,)
        assert len(conv.attrs) == 0


def test_readout_threshold_is_bounded_or_beyond_saturation() -> None:
    network = hard_chain()
    quiet = replace(network.projections[-1], weight=np.ones_like(network.projections[-1].weight))
    small = replace(network, projections=(*network.projections[:-1], quiet))
    assert silent_threshold(small) == 131071
    assert silent_threshold(small.with_time_steps(100000)) == 131072
    assert 131072 << 6 > (1 << 23) - 1


def test_bias_with_another_exponent_is_rescaled_exactly(tmp_path: Path) -> None:
    network = hard_chain()
    lif = network.populations[1]
    eight = replace(lif, bias_exp=8)
    scaled = replace(network, populations=(network.source, eight, *network.populations[2:]))
    write_netx(scaled, tmp_path / "n.net")
    layer = read_netx(tmp_path / "n.net")[1]
    assert layer.bias is not None
    np.testing.assert_array_equal(layer.bias, lif.bias_mant.ravel() * 4)


def test_pooling_into_neurons_is_a_depthwise_convolution(tmp_path: Path) -> None:
    network = pooled()
    assert check_netx(network) == []
    write_netx(network, tmp_path / "n.net")
    conv = read_netx(tmp_path / "n.net")[1]
    assert (conv.type, conv.groups, conv.stride) == ("conv", 2, (2, 2))


def uniform(
    name: str, shape: tuple[int, ...], kind: PopulationKind, vth: int = 0, bias: int = 0
) -> Population:
    """The same parameters for all neurons, no memory, no leak."""
    du, dv, threshold, mantissa = (constant(x, shape) for x in (4096, 0, vth, bias))
    reset = Reset.HARD if kind is PopulationKind.LIF else Reset.NONE
    return Population(name, shape, kind, reset, du, dv, threshold, mantissa)


def pooled(kind: PopulationKind = PopulationKind.LIF) -> IntNetwork:
    """input (2, 4, 4) -> sum pool -> population -> readout."""
    ones = np.ones((2, 1, 2, 2), np.int64)
    pool = Projection("input", "p", ProjectionKind.SUM_POOL, ones, stride=(2, 2), groups=2)
    dense = Projection("p", "out", ProjectionKind.DENSE, np.full((3, 8), 7))
    middle = uniform("p", (2, 2, 2), kind, vth=300)
    last = uniform("out", (3,), PopulationKind.READOUT)
    source = plain_population("input", (2, 4, 4), PopulationKind.INPUT)
    return IntNetwork((source, middle, last), (pool, dense), 4)


def fed_by_bias(input_max: int = 900, shape: tuple[int, ...] = (1, 3, 3)) -> IntNetwork:
    lif = uniform("first", shape, PopulationKind.LIF, vth=500)
    last = uniform("out", (2,), PopulationKind.READOUT)
    dense = Projection("first", "out", ProjectionKind.DENSE, np.arange(18).reshape(2, 9))
    return IntNetwork((lif, last), (dense,), 4, InputCoding.BIAS, input_max)


def test_input_as_bias_becomes_an_input_block(tmp_path: Path) -> None:
    write_netx(fed_by_bias(), tmp_path / "n.net")
    layers = read_netx(tmp_path / "n.net")
    assert [x.type for x in layers] == ["input", "flatten", "dense"]
    assert layers[0].neuron is not None
    assert int(layers[0].neuron.vth) == 500


def flat(weight: IntArray, **changes: object) -> IntNetwork:
    """input (4,) -> LIF (3,) -> readout (2,), the first projection as given."""
    lif = uniform("h", (3,), PopulationKind.LIF, vth=9)
    first = replace(Projection("input", "h", ProjectionKind.DENSE, weight), **changes)  # type: ignore[arg-type]
    last = Projection("h", "out", ProjectionKind.DENSE, np.ones((2, 3), np.int64))
    source = plain_population("input", (4,), PopulationKind.INPUT)
    return IntNetwork((source, lif, uniform("out", (2,), PopulationKind.READOUT)), (first, last), 4)


WEIGHT = np.arange(12).reshape(3, 4)


def with_lif(network: IntNetwork, **changes: object) -> IntNetwork:
    """The second population changed."""
    lif = replace(network.populations[1], **changes)  # type: ignore[arg-type]
    return replace(network, populations=(network.source, lif, *network.populations[2:]))


def recurrent() -> IntNetwork:
    loop = Projection("h", "h", ProjectionKind.DENSE, np.eye(3, dtype=np.int64))
    network = flat(WEIGHT)
    return replace(network, projections=(*network.projections, loop))


def test_delays_of_dense_layers_are_kept(tmp_path: Path) -> None:
    write_netx(flat(WEIGHT, delay=5), tmp_path / "n.net")
    (layer, _) = read_netx(tmp_path / "n.net")
    np.testing.assert_array_equal(layer.delay, np.full((3, 4), 5))
    assert check_netx(flat(WEIGHT, delay=62)) == []


def test_positive_exponents_go_into_the_weights(tmp_path: Path) -> None:
    write_netx(flat(WEIGHT, weight_exp=3), tmp_path / "n.net")
    weight = read_netx(tmp_path / "n.net")[0].weight
    assert weight is not None
    np.testing.assert_array_equal(weight, WEIGHT * 8)


def image_dense() -> IntNetwork:
    dense = Projection("input", "h", ProjectionKind.DENSE, np.ones((3, 4), np.int64))
    network = flat(WEIGHT)
    source = plain_population("input", (1, 2, 2), PopulationKind.INPUT)
    return replace(
        network,
        populations=(source, *network.populations[1:]),
        projections=(dense, network.projections[1]),
    )


def grouped(groups: int) -> IntNetwork:
    """One weight per channel."""
    kernel = np.ones((groups, 1, 1, 1), np.int64)
    conv = Projection("input", "p", ProjectionKind.CONV2D, kernel, groups=groups)
    dense = Projection("p", "out", ProjectionKind.DENSE, np.ones((2, groups), np.int64))
    source = plain_population("input", (groups, 1, 1), PopulationKind.INPUT)
    lif = uniform("p", (groups, 1, 1), PopulationKind.LIF, vth=1)
    return IntNetwork((source, lif, uniform("out", (2,), PopulationKind.READOUT)), (conv, dense), 4)


PER_NEURON = np.arange(8).reshape(2, 2, 2) + 10
REFUSED = [
    (residual_network(0, Reset.HARD), r"population c: found 2 incoming projections \(b, a\)"),
    (recurrent(), "projection h -> h: found recurrence"),
    (pooled(PopulationKind.RELAY), "population p: found a relay"),
    (with_lif(pooled(), reset=Reset.SOFT), "population p: found soft reset"),
    (flat(WEIGHT, weight_exp=-1), "projection input -> h: found weight exponent -1"),
    (flat(WEIGHT * 0), "projection input -> h: found only zero weights"),
    (flat(-WEIGHT - 5), "no positive weight, and the smallest is -16, a power of two"),
    (flat(WEIGHT * 31 - 85), r"projection input -> h: found weights -85 .. 256"),
    (with_lif(pooled(), bias_mant=constant(4096, (2, 2, 2))), "population p: found a bias of 4096"),
    (with_lif(pooled(), bias_mant=constant(3, (2, 2, 2)), bias_exp=5), "biases with exponent 5"),
    (with_lif(pooled(), vth=constant(131072, (2, 2, 2))), "thresholds 131072 .. 131072"),
    (with_lif(pooled(), vth=PER_NEURON), "population p: found vth that differs within a channel"),
    (grouped(128), "projection input -> p: found 128 groups"),
    (flat(WEIGHT, delay=63), "projection input -> h: found a delay of 63 steps"),
    (image_dense(), "a dense layer on an image input"),
    (fed_by_bias(5000), "input biases up to 5000 with exponent 6"),
    (fed_by_bias(shape=(9,)), r"an input layer of shape \(9,\)"),
]


@pytest.mark.parametrize(("network", "words"), REFUSED, ids=[words[:40] for _, words in REFUSED])
def test_refused_by_name(tmp_path: Path, network: IntNetwork, words: str) -> None:
    with pytest.raises(NetworkError, match=words):
        write_netx(network, tmp_path / "n.net")
    assert list(tmp_path.iterdir()) == []


ACCEPTED = [
    flat(-WEIGHT - 4),  # the smallest is -15, no power of two
    with_lif(pooled(), bias_mant=constant(4095, (2, 2, 2))),
    with_lif(pooled(), vth=constant(131071, (2, 2, 2))),
    grouped(127),
    fed_by_bias(4095),
]


@pytest.mark.parametrize("network", ACCEPTED)
def test_what_is_refused_is_the_first_that_does_not_fit(network: IntNetwork) -> None:
    assert check_netx(network) == []


def test_one_dense_layer_among_convolutions_needs_a_flat_input_too() -> None:
    network = image_dense()
    kernel = np.ones((1, 1, 1, 1), np.int64)
    beside = Projection("input", "beside", ProjectionKind.CONV2D, kernel)
    lif = uniform("beside", (1, 2, 2), PopulationKind.LIF, vth=9)
    out = Projection("beside", "out", ProjectionKind.DENSE, np.ones((2, 4), np.int64))
    both = replace(
        network,
        populations=(*network.populations[:-1], lif, network.populations[-1]),
        projections=(beside, *network.projections, out),
    )
    assert "a dense layer on an image input (1, 2, 2)" in [f.found for f in check_netx(both)]


def test_a_branch_over_populations_is_refused() -> None:
    network = residual_network(0, Reset.HARD)
    kept = [j for j in network.projections if (j.source, j.target) != ("b", "c")]
    spare = Projection("b", "readout", ProjectionKind.DENSE, np.ones((5, 50), np.int64))
    found = [str(f) for f in check_netx(replace(network, projections=(*kept, spare)))]
    assert any(
        "projection a -> c: found a branch that passes over 1 population" in f for f in found
    )


def test_dense_into_an_image_is_refused() -> None:
    network = fed_by_bias()
    image = uniform("out", (2, 1, 1), PopulationKind.READOUT)
    found = check_netx(replace(network, populations=(network.source, image)))
    assert [f.found for f in found] == ["a dense projection into the image shape (2, 1, 1)"]


def test_all_findings_come_together() -> None:
    network = with_lif(
        pooled(), reset=Reset.SOFT, vth=PER_NEURON * 20000, bias_mant=constant(5000, (2, 2, 2))
    )
    assert len(check_netx(network)) == 4


def test_same_bytes_every_time(tmp_path: Path) -> None:
    for name in ("a.net", "b.net"):
        write_netx(hard_chain(), tmp_path / name)
    assert (tmp_path / "a.net").read_bytes() == (tmp_path / "b.net").read_bytes()


NAMES = ("input", "Höhe", "Hohe", "\u5c64", "x\u00b9", "readout")


def test_names_beyond_ascii_stay_in_the_bundle_alone(tmp_path: Path) -> None:
    """Accents go; what then has no name, or another layer's, is counted."""
    network = mlp(4, 3, 3, 3, 3, 2)
    called = dict(zip((p.name for p in network.populations), NAMES, strict=True))
    populations = tuple(replace(p, name=called[p.name]) for p in network.populations)
    projections = tuple(
        replace(j, source=called[j.source], target=called[j.target]) for j in network.projections
    )
    named = replace(network, populations=populations, projections=projections)
    write_netx(named, tmp_path / "n.net")
    layers = read_netx(tmp_path / "n.net")
    assert [layer.name for layer in layers] == ["Hohe", "layer1", "layer2", "x1", "readout"]
    again = import_netx(layers, network.time_steps).network
    assert [p.name for p in again.populations] == ["input", "Hohe", "fc1", "fc2", "x1", "readout"]
    for mine, theirs in zip(named.projections, again.projections, strict=True):
        np.testing.assert_array_equal(mine.weight << mine.weight_exp, theirs.weight)


@pytest.mark.parametrize("bias", [(0, 5, 0), (5, 0, -7), (0, 0, 3)])
def test_a_layer_with_some_biases_of_zero_keeps_the_others(
    tmp_path: Path, bias: tuple[int, ...]
) -> None:
    network = pooled()
    mantissas = np.array(bias)
    last = replace(network.readout, bias_mant=mantissas)
    write_netx(replace(network, populations=(*network.populations[:-1], last)), tmp_path / "n.net")
    layer = read_netx(tmp_path / "n.net")[-1]
    assert layer.bias is not None
    np.testing.assert_array_equal(layer.bias, mantissas << (last.bias_exp - 6))
