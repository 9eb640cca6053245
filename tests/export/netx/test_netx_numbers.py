"""netx in numbers: the threshold that a readout never meets, and where a bias lies in a file."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from netx_files import FLATTEN, Layer, conv, dense, image, write_net
from netx_files import neuron as stored_neuron

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
from tssd.errors import FileFormatError, NetworkError
from tssd.export.netx.delays import matrices, merged, side_by_side
from tssd.export.netx.read import read_netx
from tssd.export.netx.rules import check_netx
from tssd.export.netx.to_integers import _Chain, import_netx
from tssd.export.netx.write import silent_threshold, write_netx


def neuron(name: str, shape: tuple[int, ...], kind: PopulationKind, **changes: int) -> Population:
    """No memory, a leak of 1/4, threshold 10, no bias; or as *changes* say."""
    given = {"du": 4096, "dv": 1024, "vth": 10, "bias_mant": 0} | changes
    reset = Reset.HARD if kind is PopulationKind.LIF else Reset.NONE
    arrays = {key: constant(value, shape) for key, value in given.items()}
    return Population(name, shape, kind, reset, **arrays)  # type: ignore[arg-type]


def readout_of(
    weight: list[list[int]], steps: int, input_max: int = 1, exponent: int = 0, **changes: int
) -> IntNetwork:
    """An input and a readout behind it."""
    array = np.array(weight)
    source = plain_population("input", array.shape[1:], PopulationKind.INPUT)
    readout = neuron("out", array.shape[:1], PopulationKind.READOUT, **changes)
    way = Projection("input", "out", ProjectionKind.DENSE, array, weight_exp=exponent)
    coding = InputCoding.SPIKES if input_max == 1 else InputCoding.GRADED
    return IntNetwork((source, readout), (way,), steps, coding, input_max)


FIELD, BEYOND = 131071, 131072  # the chip's field; more than any membrane can hold


@pytest.mark.parametrize(
    ("network", "threshold"),
    [
        (readout_of([[131071]], 1), FIELD),
        (readout_of([[131072]], 1), BEYOND),
        (readout_of([[43690]], 3), FIELD),  # 131,070 at most
        (readout_of([[43691]], 3), BEYOND),
        (readout_of([[131070]], 1, bias_mant=1), FIELD),  # a mantissa counts weight units
        (readout_of([[131070]], 1, bias_mant=2), BEYOND),
        (readout_of([[131071]], 1, bias_mant=-99), FIELD),
        (readout_of([[131072]], 1, bias_mant=-99), BEYOND),  # it may be cleared any time
        (readout_of([[514]], 1, input_max=255), FIELD),  # 131,070
        (readout_of([[515]], 1, input_max=255), BEYOND),
        (readout_of([[65535]], 1, exponent=1), FIELD),
        (readout_of([[65536]], 1, exponent=1), BEYOND),
        (readout_of([[60000, -7, 71071], [131071, 0, 0]], 1), FIELD),  # the worst row counts
        (readout_of([[60000, -7, 71073], [0, 0, 0]], 1), BEYOND),
        (readout_of([[-1]], 131072), FIELD),  # nothing raises it
        (readout_of([[1]], 10, du=2048), BEYOND),  # what piles up is not bounded here
    ],
)  # fmt: skip
def test_the_threshold_of_a_readout_is_above_all_that_it_can_reach(
    network: IntNetwork, threshold: int
) -> None:
    assert silent_threshold(network) == threshold


def test_spikes_of_a_hidden_layer_count_once_whatever_the_input_is() -> None:
    network = readout_of([[40_000]], 3, input_max=255)
    hidden = neuron("hidden", (1,), PopulationKind.LIF)
    first = Projection("input", "hidden", ProjectionKind.DENSE, np.array([[100]]))
    last = replace(network.projections[0], source="hidden")
    source, readout = network.populations
    deep = replace(network, populations=(source, hidden, readout), projections=(first, last))
    assert silent_threshold(deep) == FIELD


def image_with(bias: list[list[list[int]]]) -> IntNetwork:
    """A convolution of one tap into two channels with *bias* (C, H, W), and a readout."""
    shape = np.shape(bias)
    neurons = math.prod(shape)
    hidden = neuron("hidden", shape, PopulationKind.LIF)
    hidden = replace(hidden, bias_mant=np.array(bias), bias_exp=6)
    source = plain_population("input", (1, *shape[1:]), PopulationKind.INPUT)
    readout = neuron("out", (2,), PopulationKind.READOUT)
    last = np.arange(2 * neurons).reshape(2, neurons) - 7
    ways = (
        Projection("input", "hidden", ProjectionKind.CONV2D, np.array([[[[5]]], [[[-3]]]])),
        Projection("hidden", "out", ProjectionKind.DENSE, last),
    )
    return IntNetwork((source, hidden, readout), ways, 3, InputCoding.GRADED, 255)


@pytest.mark.parametrize(
    ("bias", "stored"),
    [
        ([[[7] * 3] * 2, [[-2] * 3] * 2], [7, -2]),
        ([[[0] * 3] * 2, [[4] * 3] * 2], [0, 4]),
        ([[[7] * 3], [[-2] * 3]], [7, -2]),  # one row
        ([[[7]] * 3, [[-2]] * 3], [7, -2]),  # one column
        ([[[7, 6, 7]], [[-2] * 3]], [[[7, -2]], [[6, -2]], [[7, -2]]]),
        (
            [[[1, 2, 3], [4, 5, 6]], [[7] * 3] * 2],
            [[[1, 7], [4, 7]], [[2, 7], [5, 7]], [[3, 7], [6, 7]]],
        ),
        (
            [[[1, 1, 1], [2, 2, 2]], [[7] * 3] * 2],
            [[[1, 7], [2, 7]], [[1, 7], [2, 7]], [[1, 7], [2, 7]]],
        ),
    ],
)
def test_a_bias_lies_by_channel_or_else_by_place(
    bias: list[list[list[int]]], stored: object, tmp_path: Path
) -> None:
    """By place it is (W, H, C), as netx has its arrays."""
    write_netx(image_with(bias), tmp_path / "n.net")
    layer = next(x for x in read_netx(tmp_path / "n.net") if x.name == "hidden")
    assert layer.bias is not None
    assert layer.bias.tolist() == stored


def test_a_layer_without_a_bias_has_none_in_the_file(tmp_path: Path) -> None:
    write_netx(image_with([[[0] * 3] * 2] * 2), tmp_path / "n.net")
    assert [layer.bias for layer in read_netx(tmp_path / "n.net")] == [None] * 4


@pytest.mark.parametrize(("groups", "refused"), [(127, False), (128, True)])
def test_groups_are_counted_in_eight_bits(groups: int, refused: bool) -> None:
    shape = (groups, 1, 1)
    source = plain_population("input", shape, PopulationKind.INPUT)
    hidden = neuron("hidden", shape, PopulationKind.LIF)
    readout = neuron("out", (1,), PopulationKind.READOUT)
    weight = np.ones((groups, 1, 1, 1), np.int64)
    ways = (
        Projection("input", "hidden", ProjectionKind.CONV2D, weight, groups=groups),
        Projection("hidden", "out", ProjectionKind.DENSE, np.ones((1, groups), np.int64)),
    )
    network = IntNetwork((source, hidden, readout), ways, 2, InputCoding.GRADED, 255)
    found = [finding.found for finding in check_netx(network)]
    assert found == (["128 groups"] if refused else [])


def way(weight: list[list[int]], delay: int = 0, source: str = "a") -> Projection:
    return Projection(source, "b", ProjectionKind.DENSE, np.array(weight), delay=delay)


def test_ways_of_one_source_without_a_common_synapse_are_one_matrix() -> None:
    ways = [way([[1, 0, -2]], 3), way([[0, 5, 0]], 1)]
    assert side_by_side(ways)
    weight, delay = merged(ways)
    assert weight.tolist() == [[1, 5, -2]]
    assert delay.tolist() == [[3, 1, 3]]


def test_ways_that_are_no_one_matrix() -> None:
    kernel = Projection("a", "b", ProjectionKind.CONV2D, np.ones((1, 1, 1, 1), np.int64))
    assert not side_by_side([way([[1, 0]]), way([[1, 5]])])  # one synapse of two in both
    assert not side_by_side([way([[1, 0]]), way([[0, 5]], source="c")])
    assert not side_by_side([way([[1, 0]]), replace(kernel, source="a")])


def test_the_matrix_of_several_ways_is_that_of_their_weights() -> None:
    """Named by the first of them; a single way and a convolution are their own."""
    network = readout_of([[1, 0, -2]], 2)
    first = replace(network.projections[0], delay=3)
    second = replace(first, weight=np.array([[0, 5, 0]]), delay=1)
    ((named, weight),) = matrices(replace(network, projections=(first, second)))
    assert named is first
    assert weight.tolist() == [[1, 5, -2]]
    assert [w.tolist() for _, w in matrices(network)] == [[[1, 0, -2]]]


def imported(path: Path, layers: list[Layer]) -> IntNetwork:
    return import_netx(read_netx(write_net(path, layers)), 4, InputCoding.SPIKES).network


@pytest.mark.parametrize(
    ("low", "high", "taken"), [(-256, 254, True), (-257, 1, False), (-1, 255, False)]
)
def test_weights_of_both_signs_are_taken_as_far_as_netx_keeps_them(
    low: int, high: int, taken: bool, tmp_path: Path
) -> None:
    layers = [dense(np.array([[low, high]])), dense(np.ones((1, 1), np.int64))]
    if taken:
        assert imported(tmp_path / "n.net", layers).projections[0].weight.tolist() == [[low, high]]
    else:
        with pytest.raises(NetworkError, match=f"weights {low} .. {high}, which netx clips"):
            imported(tmp_path / "n.net", layers)


@pytest.mark.parametrize(("groups", "taken"), [(127, True), (128, False)])
def test_as_many_groups_are_taken_as_lava_counts(groups: int, taken: bool, tmp_path: Path) -> None:
    shape = (groups, 1, 1)
    layers = [
        image(shape),
        conv(np.ones((groups, 1, 1, 1), np.int64), shape, groups=groups),
        {"type": "flatten", "shape": [groups]},
        dense(np.ones((1, groups), np.int64)),
    ]
    if taken:
        assert imported(tmp_path / "n.net", layers).projections[0].groups == groups
    else:
        with pytest.raises(NetworkError, match="128 groups; allowed: <= 127"):
            imported(tmp_path / "n.net", layers)


def test_parameters_by_channel_are_spread_over_its_places(tmp_path: Path) -> None:
    by_channel = stored_neuron() | {"vThMant": np.array([30, 50])}
    kernel = np.ones((2, 1, 2, 2), np.int64)
    layers = [
        image((1, 3, 3)),
        conv(kernel, (2, 2, 2), neuron=by_channel, bias=np.array([4, -6])),
        {"type": "flatten", "shape": [8]},
        dense(np.ones((1, 8), np.int64)),
    ]
    hidden = imported(tmp_path / "n.net", layers).populations[1]
    assert np.broadcast_to(hidden.vth, hidden.shape)[:, 1, 0].tolist() == [30, 50]
    assert np.broadcast_to(hidden.bias_mant, hidden.shape)[:, 0, 1].tolist() == [4, -6]
    assert hidden.vth.shape == (2, 1, 1)


def test_a_layer_of_the_name_of_another_has_a_name_by_its_kind(tmp_path: Path) -> None:
    layers = [
        dense(np.ones((2, 3), np.int64), name="a"),
        dense(np.ones((2, 2), np.int64), name="a"),
    ]
    network = imported(tmp_path / "n.net", [*layers, dense(np.ones((1, 2), np.int64))])
    assert [p.name for p in network.populations] == ["input", "a", "fc1", "fc2"]


def test_a_membrane_bound_needs_that_every_neuron_forgets() -> None:
    network = readout_of([[1], [1]], 10)
    assert silent_threshold(network) == FIELD
    source, readout = network.populations
    mixed = replace(readout, du=np.array([4096, 2048]))
    assert silent_threshold(replace(network, populations=(source, mixed))) == BEYOND


def test_one_fraction_among_whole_numbers_is_refused(tmp_path: Path) -> None:
    layer = dense(np.array([[1.0, 2.0], [1.5, 3.0]]))
    with pytest.raises(FileFormatError, match="layer/0/weight: found fractions; allowed: whole"):
        read_netx(write_net(tmp_path / "n.net", [layer]))


@pytest.mark.parametrize("label", ["du", "dv", "vth"])
@pytest.mark.parametrize("place", [(0, 1), (1, 0)])
def test_a_parameter_that_differs_within_a_channel_is_told(
    label: str, place: tuple[int, int]
) -> None:
    network = image_with([[[0] * 3] * 2] * 2)
    values = np.full((2, 2, 3), 20)
    values[(1, *place)] = 21
    source, hidden, readout = network.populations
    changed: dict[str, Any] = {label: values}
    other = replace(hidden, **changed)
    found = check_netx(replace(network, populations=(source, other, readout)))
    assert [f.found for f in found] == [f"{label} that differs within a channel"]


@pytest.mark.parametrize(
    ("weight", "again", "taken"),
    [
        ([[127, -3]], [[5]], True),
        ([[1, -1]], [[1]], True),
        ([[128, -3]], [[5]], False),  # odd ones beyond 127
        ([[254, -4]], [[6]], True),
        ([[254, -4]], [[7]], False),
        ([[256, -4]], [[6]], False),
    ],
)
def test_two_matrices_of_a_recurrent_layer_share_one_shift(
    weight: list[list[int]], again: list[list[int]], taken: bool, tmp_path: Path
) -> None:
    layer = dense(np.array(weight), type="dense_rec", weight_rec=np.array(again))
    layers = [layer, dense(np.ones((1, 1), np.int64))]
    if taken:
        imported(tmp_path / "n.net", layers)
    else:
        with pytest.raises(NetworkError, match="weights that one half would lose"):
            imported(tmp_path / "n.net", layers)


def test_a_bias_by_place_is_turned_to_our_order(tmp_path: Path) -> None:
    """(W, H, C) in the file, (C, H, W) here."""
    by_place = np.arange(12).reshape(3, 2, 2)
    layers = [
        image((1, 2, 3)),
        conv(np.ones((2, 1, 1, 1), np.int64), (2, 2, 3), bias=by_place),
        {"type": "flatten", "shape": [12]},
        dense(np.ones((1, 12), np.int64)),
    ]
    hidden = imported(tmp_path / "n.net", layers).populations[1]
    assert hidden.bias_mant.tolist() == by_place.transpose(2, 1, 0).tolist()


def test_as_many_values_are_read_as_are_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weight = np.arange(12).reshape(3, 4) - 5
    path = write_net(tmp_path / "n.net", [dense(weight)])
    monkeypatch.setattr("tssd.export.netx.read.MAX_VALUES", weight.size)
    assert read_netx.__wrapped__(path)[0].weight.size == weight.size  # type: ignore[attr-defined]
    monkeypatch.setattr("tssd.export.netx.read.MAX_VALUES", weight.size - 1)
    with pytest.raises(FileFormatError, match="found 12 values; allowed: as many as are stored"):
        read_netx.__wrapped__(path)  # type: ignore[attr-defined]


def one_conv(kernel: Any) -> list[Layer]:
    """An image, a convolution of one channel with *kernel*, a readout."""
    layers = [image((1, 4, 4)), conv(np.asarray(kernel), (1, 2, 2)), FLATTEN]
    return [*layers, dense(np.ones((1, 4), np.int64))]


KERNEL = np.arange(9).reshape(1, 1, 3, 3) - 4


def test_a_kernel_may_have_a_time_axis_of_one(tmp_path: Path) -> None:
    plain = imported(tmp_path / "a.net", one_conv(KERNEL)).projections[0].weight
    timed = imported(tmp_path / "b.net", one_conv(KERNEL[..., None])).projections[0].weight
    np.testing.assert_array_equal(timed, plain)
    twice = np.repeat(KERNEL[..., None], 2, axis=-1)
    with pytest.raises(FileFormatError, match=r"found shape \(1, 1, 3, 3, 2\); allowed: \(out, in"):
        imported(tmp_path / "c.net", one_conv(twice))


@pytest.mark.parametrize(
    ("largest", "told"), [(255, False), (256, True), (-255, False), (-256, True)]
)
def test_weights_of_a_convolution_beyond_eight_bits_are_told(
    largest: int, told: bool, tmp_path: Path
) -> None:
    kernel = np.full((1, 1, 3, 3), np.sign(largest))
    kernel[0, 0, 0, 0] = largest
    path = write_net(tmp_path / "n.net", one_conv(kernel))
    notes = import_netx(read_netx(path), 4, InputCoding.SPIKES).notes
    assert any("weights beyond 8 bits" in note for note in notes) is told


def test_layers_without_names_are_numbered_as_far_as_there_are_any(tmp_path: Path) -> None:
    """The thousandth, too."""
    chain = _Chain()
    chain.populations = [
        plain_population(f"fc{i}", (1,), PopulationKind.INPUT) for i in range(1, 1200)
    ]
    [layer] = read_netx(write_net(tmp_path / "n.net", [dense(np.ones((1, 1), np.int64))]))
    assert chain._name(layer, "fc") == "fc1200"
    assert chain._name(layer, "conv") == "conv1"


@pytest.mark.parametrize(("coding", "most"), [(InputCoding.SPIKES, 1), (InputCoding.GRADED, 255)])
def test_the_input_carries_what_its_coding_holds(
    coding: InputCoding, most: int, tmp_path: Path
) -> None:
    layers = read_netx(write_net(tmp_path / "n.net", one_conv(KERNEL)))
    assert import_netx(layers, 4, coding).network.input_max == most


def test_an_input_of_neurons_carries_biases(tmp_path: Path) -> None:
    layers = one_conv(KERNEL)
    layers[0] = image((1, 4, 4), neuron=stored_neuron())
    read = imported(tmp_path / "n.net", layers)
    assert (read.input_coding, read.input_max) == (InputCoding.BIAS, 4095)
