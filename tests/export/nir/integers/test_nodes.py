"""NIR nodes field by field: what a reader of the graph takes as it stands."""

from dataclasses import replace
from typing import Any

import nir
import numpy as np
import pytest

from tssd.calibration.int_network import (
    InputCoding,
    IntNetwork,
    Population,
    PopulationKind,
    Projection,
    ProjectionKind,
    Reset,
    constant,
    depths,
    plain_population,
)
from tssd.errors import NetworkError
from tssd.export.nir.integers import nodes
from tssd.export.nir.integers.nodes import (
    bias_carrier,
    float_exact,
    in_weight_units,
    membrane_decay,
    membrane_node,
    squared,
    ungrouped,
    weight_nodes,
)


def lif(name: str, shape: tuple[int, ...], **changes: Any) -> Population:
    given = {"du": 4096, "dv": 1024, "vth": 10, "bias_mant": 0} | changes
    arrays: dict[str, Any] = {key: constant(value, shape) for key, value in given.items()}
    return Population(name, shape, PopulationKind.LIF, Reset.HARD, bias_exp=0, **arrays)


def network_of(first: Projection, source: tuple[int, ...], hidden: Population) -> IntNetwork:
    """An input, one layer behind *first*, a dense readout."""
    outputs = Projection(
        hidden.name, "out", ProjectionKind.DENSE, np.ones((2, hidden.neurons), np.int64)
    )
    readout = replace(lif("out", (2,)), kind=PopulationKind.READOUT, reset=Reset.NONE)
    populations = (plain_population("input", source, PopulationKind.INPUT), hidden, readout)
    return IntNetwork(populations, (first, outputs), 3, InputCoding.GRADED, 255)


def nodes_of(network: IntNetwork) -> dict[str, Any]:
    return dict(weight_nodes(network, 0, 0, depths(network)))


def enlarging() -> IntNetwork:
    """2 x 2 x 3 pixels to 3 x 5 x 7: stride 2, kernels of 3 x 3."""
    weight = np.random.default_rng(0).integers(-9, 10, (3, 2, 3, 3))
    kind = ProjectionKind.CONV2D_TRANSPOSED
    first = Projection("input", "a", kind, weight, stride=(2, 2))
    return network_of(first, (2, 2, 3), lif("a", (3, 5, 7)))


def plain(node: Any) -> dict[str, Any]:
    """A convolution's numbers, pairs as lists."""
    pairs = {k: np.broadcast_to(getattr(node, k), 2).tolist() for k in ("stride", "dilation")}
    return pairs | {"groups": node.groups}


def test_a_transposed_convolution_is_written_out_over_one_pixel_of_many_channels() -> None:
    network = enlarging()
    made = nodes_of(network)
    pixels, image = made["_pixels"], made[""]
    for node in (pixels, image):
        assert plain(node) == {"stride": [1, 1], "dilation": [1, 1], "groups": 1}
    assert np.broadcast_to(pixels.padding, 2).tolist() == [0, 0]
    assert tuple(pixels.input_shape) == (2, 3)
    assert pixels.weight.reshape(12, 12).tolist() == np.eye(12).tolist()
    assert not pixels.bias.any()
    assert tuple(pixels.input_type["input"]) == (2, 2, 3)
    assert tuple(pixels.output_type["output"]) == (12, 1, 1)
    assert tuple(image.input_type["input"]) == (12, 1, 1)
    assert image.weight.shape == (3, 12, 5, 7)
    assert np.broadcast_to(image.padding, 2).tolist() == [4, 6]
    assert tuple(image.input_shape) == (1, 1)
    assert tuple(image.output_type["output"]) == (3, 5, 7)
    # one pixel alone: the tap that output (y, x) sees is (4 - y, 6 - x)
    whole = image.weight[:, :, ::-1, ::-1]
    kernel = network.projections[0].weight
    assert (whole[:, 0, :3, :3] == kernel[:, 0, ::-1, ::-1]).all()  # pixel 0 of channel 0
    assert not whole[:, 0, 3:].any()


def test_what_is_written_out_has_a_most(monkeypatch: pytest.MonkeyPatch) -> None:
    """12 sources by 105 targets."""
    monkeypatch.setattr(nodes, "MOST_UNROLLED", 12 * 105)
    nodes_of(enlarging())
    monkeypatch.setattr(nodes, "MOST_UNROLLED", 12 * 105 - 1)
    with pytest.raises(NetworkError, match=r"\(3, 5, 7\): 1,260 weights in NIR; allowed: <= 1,259"):
        nodes_of(enlarging())


def test_membranes_by_what_they_do() -> None:
    """tau = 4096 / decay steps, r the same: v[t] = (1 - 1/r) v[t-1] + I[t]."""
    dt = 0.5
    leaky = lif("a", (2,), du=2048)
    found = membrane_node(leaky, dt, memory=False, fires=True)
    assert type(found) is nir.LIF
    assert (found.tau.tolist(), found.r.tolist()) == ([2.0, 2.0], [4.0, 4.0])
    assert found.v_threshold.tolist() == [10.0, 10.0]
    assert not found.v_reset.any()
    assert not found.v_leak.any()
    found = membrane_node(leaky, dt, memory=True, fires=True)
    assert type(found) is nir.CubaLIF
    assert found.tau_syn.tolist() == [1.0, 1.0]
    assert found.tau_mem.tolist() == [2.0, 2.0]
    assert found.w_in.tolist() == [2.0, 2.0]
    assert type(membrane_node(leaky, dt, memory=True, fires=False)) is nir.CubaLI
    assert type(membrane_node(leaky, dt, memory=False, fires=False)) is nir.LI
    whole = membrane_node(lif("a", (2,), dv=0), dt, memory=False, fires=True)
    assert type(whole) is nir.IF
    assert whole.r.tolist() == [2.0, 2.0]
    assert type(membrane_node(lif("a", (2,), dv=0), dt, memory=False, fires=False)) is nir.I


def test_a_neuron_without_leak_beside_leaking_ones_keeps_all() -> None:
    mixed = replace(lif("a", (2,)), dv=np.array([0, 1024]))
    found = membrane_node(mixed, 1.0, memory=False, fires=True)
    assert type(found) is nir.LIF
    assert found.r.tolist() == [2.0**60, 4.0]
    assert membrane_decay(mixed).tolist() == [1.0, 0.75]


def test_a_bias_and_the_synapse_of_a_population() -> None:
    population = lif("a", (2,), du=1024, bias_mant=96)
    assert in_weight_units(population).tolist() == [1.5, 1.5]
    synapse = nodes.synapse_node(population, 0.5)
    assert (synapse.tau.tolist(), synapse.r.tolist()) == ([2.0, 2.0], [4.0, 4.0])
    bias = nodes.bias_node(population, in_weight_units(population), 0.5)
    assert (bias.tau.tolist(), bias.r.tolist()) == ([0.5, 0.5], [1.0, 1.0])
    assert bias.v_leak.tolist() == [1.5, 1.5]


def test_floats_are_as_narrow_as_is_exact() -> None:
    assert float_exact(np.array([1.5, -3.0])).dtype == np.float32
    assert float_exact(np.array([1.5, 2.0**24 + 1])).dtype == np.float64


def dense_network(**changes: Any) -> IntNetwork:
    first = Projection("input", "a", ProjectionKind.DENSE, np.arange(8).reshape(2, 4) - 3)
    return network_of(first, (4,), lif("a", (2,), **changes))


def test_a_bias_is_carried_by_the_weights_in_front_of_it() -> None:
    network = dense_network(bias_mant=64)
    assert bias_carrier(network, network.populations[1]) == 0
    assert bias_carrier(network, network.source) is None
    node = nodes_of(network)[""]
    assert type(node) is nir.Affine
    assert node.bias.tolist() == [1.0, 1.0]
    assert type(nodes_of(dense_network())[""]) is nir.Linear
    with_memory = dense_network(bias_mant=64, du=2048)
    assert bias_carrier(with_memory, with_memory.populations[1]) is None


def image_network(kind: ProjectionKind, weight: Any, bias: Any = 0, **more: Any) -> IntNetwork:
    first = Projection("input", "a", kind, np.array(weight), **more)
    hidden = replace(lif("a", (2, 2, 2)), bias_mant=np.array(bias) * np.ones((2, 1, 1), np.int64))
    return network_of(first, (2, 4, 4), hidden)


ONES = np.ones((2, 1, 2, 2), np.int64)
HALVED = {"stride": (2, 2), "groups": 2}


def test_a_pool_of_ones_is_one_and_with_anything_else_a_convolution() -> None:
    pool = image_network(ProjectionKind.SUM_POOL, ONES, **HALVED)
    found = nodes_of(pool)[""]
    assert type(found) is nir.SumPool2d
    assert [np.asarray(x).tolist() for x in (found.kernel_size, found.stride, found.padding)] == [
        [2, 2], [2, 2], [0, 0]
    ]  # fmt: skip
    for other in (
        image_network(ProjectionKind.SUM_POOL, ONES, [[[64]], [[0]]], **HALVED),
        image_network(ProjectionKind.SUM_POOL, 2 * ONES, **HALVED),
        image_network(ProjectionKind.SUM_POOL, ONES, weight_exp=1, **HALVED),
        image_network(ProjectionKind.CONV2D, ONES, **HALVED),
    ):
        node = nodes_of(other)[""]
        assert type(node) is nir.Conv2d
        assert plain(node) == {"stride": [2, 2], "dilation": [1, 1], "groups": 1}
        assert node.weight.shape == (2, 2, 2, 2)
        assert not node.weight[0, 1].any()
    assert nodes_of(image_network(ProjectionKind.SUM_POOL, ONES, [[[64]], [[0]]], **HALVED))[
        ""
    ].bias.tolist() == [1.0, 0.0]


def test_a_pool_beside_a_convolution_keeps_its_ones() -> None:
    """The convolution carries the bias, wherever it stands."""
    network = image_network(ProjectionKind.SUM_POOL, ONES, **HALVED)
    pool, last = network.projections
    beside = replace(pool, kind=ProjectionKind.CONV2D)
    for order, carrier in (((pool, beside), 1), ((beside, pool), 0), ((pool, pool), 0)):
        both = replace(network, projections=(*order, last))
        assert bias_carrier(both, both.populations[1]) == carrier


def test_a_bias_that_differs_within_a_channel_has_a_node_of_its_own() -> None:
    bias = np.zeros((2, 2, 2), np.int64)
    bias[1, 0, 1] = 64
    network = image_network(ProjectionKind.CONV2D, ONES, **HALVED)
    source, hidden, readout = network.populations
    other = replace(network, populations=(source, replace(hidden, bias_mant=bias), readout))
    assert bias_carrier(network, hidden) == 0
    assert bias_carrier(other, other.populations[1]) is None


def test_a_grouped_kernel_is_block_diagonal() -> None:
    weight = np.arange(1, 9).reshape(4, 2, 1, 1)
    whole = ungrouped(weight, 2)[:, :, 0, 0].tolist()
    assert whole == [[1, 2, 0, 0], [3, 4, 0, 0], [0, 0, 5, 6], [0, 0, 7, 8]]
    assert ungrouped(weight, 1) is weight


@pytest.mark.parametrize(
    ("sides", "shape", "padding"),
    [
        ((1, 3), (3, 3), (1 + 2, 2)),
        ((5, 3), (5, 5), (1, 2 + 3)),
        ((2, 3), (2, 3), (1, 2)),
        ((2, 5), (2, 5), (1, 2)),
        ((4, 1), (4, 1), (1, 2)),
    ],
)
def test_a_kernel_is_centred_in_a_square(
    sides: tuple[int, int], shape: tuple[int, int], padding: tuple[int, int]
) -> None:
    """Zeros around a kernel are more padding, times the dilation (2, 3); sides of unequal parity
    stay as they are."""
    weight = np.ones((1, 1, *sides), np.int64)
    projection = Projection(
        "a", "b", ProjectionKind.CONV2D, weight, padding=(1, 2), dilation=(2, 3)
    )
    found, pad = squared(weight, projection)
    assert found.shape[2:] == shape
    assert pad == padding
    assert found.sum() == weight.sum()
    top, left = ((n - k) // 2 for n, k in zip(shape, sides, strict=True))
    assert found[0, 0, top : top + sides[0], left : left + sides[1]].all()
