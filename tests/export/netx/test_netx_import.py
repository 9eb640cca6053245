"""A lava-dl network becomes ours exactly, or is refused by the name of what stands in the way."""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from netx_files import FLATTEN, conv, dense, image, neuron, random_weights, write_net

from tssd.calibration.int_network import InputCoding, IntNetwork, PopulationKind, Reset
from tssd.calibration.simulate import layerwise, over_time
from tssd.errors import FileFormatError, NetworkError
from tssd.export.netx.read import read_netx
from tssd.export.netx.to_integers import Imported, import_netx
from tssd.export.netx.write import write_netx


def load(path: Path, layers: list[dict[str, Any]], **options: Any) -> Imported:
    return import_netx(read_netx(write_net(path / "x.net", layers)), time_steps=4, **options)


def network(path: Path, layers: list[dict[str, Any]], **options: Any) -> IntNetwork:
    return load(path, layers, **options).network


RNG = np.random.default_rng(5)
KERNEL = random_weights(RNG, 2, 1, 3, 3)


def test_parameters_and_orientation_are_taken_over(tmp_path: Path) -> None:
    layers = [
        image((1, 6, 8)),
        conv(KERNEL, (2, 6, 8), padding=[1, 1], bias=np.array([7, -9])),
        FLATTEN,
        dense(random_weights(RNG, 3, 96), neuron=neuron(vth=262143, dv=0)),
    ]
    found = network(tmp_path, layers, coding=InputCoding.GRADED)
    first, last = found.population("conv1"), found.readout
    assert [p.name for p in found.populations] == ["input", "conv1", "fc1"]
    assert (first.reset, int(first.du.item()), int(first.dv.item())) == (Reset.HARD, 4096, 500)
    np.testing.assert_array_equal(first.bias.ravel(), [7 << 6, -9 << 6])
    np.testing.assert_array_equal(found.projections[0].weight, KERNEL)
    assert found.projections[0].padding == (1, 1)
    assert last.kind is PopulationKind.READOUT


def test_a_last_layer_that_can_fire_stays_a_spiking_one(tmp_path: Path) -> None:
    found = network(tmp_path, [dense(random_weights(RNG, 3, 5))])
    assert found.readout.kind is PopulationKind.LIF


def test_a_dense_layer_without_neuron_reads_out_its_current(tmp_path: Path) -> None:
    weight = random_weights(RNG, 3, 5)
    plain = dense(weight)
    del plain["neuron"]
    found = network(tmp_path, [plain])
    spikes = np.ones((2, 5), np.int64)
    activity = layerwise(found, over_time(spikes, 4))
    assert found.readout.kind is PopulationKind.READOUT
    np.testing.assert_array_equal(activity.readout[0], 4 * weight.sum(axis=1) << 6)


def test_an_input_block_makes_the_sample_a_bias(tmp_path: Path) -> None:
    result = load(tmp_path, [image((1, 6, 8), neuron=neuron()), conv(KERNEL, (2, 4, 6))])
    assert result.network.input_coding is InputCoding.BIAS
    assert any("weight and bias" in note for note in result.notes)


@pytest.mark.parametrize("form", ["synapse", "output", "input", "scalar"])
def test_delays_become_one_projection_each(tmp_path: Path, form: str) -> None:
    weight = random_weights(RNG, 3, 5)
    per_synapse = RNG.integers(0, 4, (3, 5))
    delay, spread = {
        "synapse": (per_synapse, per_synapse),
        "output": (per_synapse[:, 0], np.repeat(per_synapse[:, :1], 5, axis=1)),
        "input": (per_synapse[0], np.repeat(per_synapse[:1], 3, axis=0)),
        "scalar": (np.array(2), np.full((3, 5), 2)),
    }[form]
    found = network(tmp_path, [dense(weight, delay=delay)])
    assert sorted(j.delay for j in found.projections) == sorted(np.unique(spread))
    for projection in found.projections:
        here = spread == projection.delay
        np.testing.assert_array_equal(projection.weight, np.where(here, weight, 0))


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_delays_go_back_as_the_one_matrix_that_they_came_as(seed: int) -> None:
    """Read, written, read again: every weight with its delay, and the same spikes."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(2, 7, 4)
    layers = []
    for inputs, outputs in zip(sizes[:-1], sizes[1:], strict=True):
        weight = rng.integers(-127, 128, (outputs, inputs)) * (rng.random((outputs, inputs)) < 0.8)
        weight[0, 0] = 77
        delay = rng.integers(0, int(rng.integers(1, 63)), (outputs, inputs))
        layers.append(dense(weight, delay=delay, neuron=neuron(dv=int(rng.integers(0, 4097)))))
    with tempfile.TemporaryDirectory() as folder:
        first = network(Path(folder), layers)
        write_netx(first, Path(folder) / "again.net")
        read = read_netx(Path(folder) / "again.net")
        again = import_netx(read, first.time_steps).network
    for layer, given_layer in zip(read, layers, strict=True):
        assert layer.weight is not None
        np.testing.assert_array_equal(layer.weight, given_layer["weight"])
        kept = np.broadcast_to(layer.delay, layer.weight.shape)[layer.weight != 0]
        np.testing.assert_array_equal(kept, given_layer["delay"][layer.weight != 0])
    inputs = over_time((rng.random((2, sizes[0])) < 0.5).astype(np.int64), first.time_steps)
    expected, found = layerwise(first, inputs), layerwise(again, inputs)
    for name, spikes in expected.spikes.items():
        np.testing.assert_array_equal(found.spikes[name], spikes)


def test_two_delays_of_one_synapse_are_not_said(tmp_path: Path) -> None:
    found = network(tmp_path, [dense(np.ones((3, 5), np.int64), delay=np.array(1))])
    twice = replace(found.projections[0], delay=4)
    both = replace(found, projections=(*found.projections, twice))
    with pytest.raises(NetworkError, match="2 projections from input that share synapses"):
        write_netx(both, tmp_path / "n.net")
    apart = np.triu(np.ones((3, 5), np.int64))
    fine = replace(
        found,
        projections=(
            replace(found.projections[0], weight=apart),
            replace(twice, weight=2 * (1 - apart), weight_exp=1),
        ),
    )
    write_netx(fine, tmp_path / "n.net")
    (layer,) = read_netx(tmp_path / "n.net")
    assert layer.weight is not None
    np.testing.assert_array_equal(layer.weight, np.where(apart == 1, 1, 4))
    np.testing.assert_array_equal(layer.delay, np.where(apart == 1, 1, 4))


def test_weights_of_all_delays_count_together(tmp_path: Path) -> None:
    """One sign mode for the whole matrix: alone, each of the two would be kept."""
    found = network(tmp_path, [dense(np.array([[200, 1], [1, 1]]), delay=np.array([[1, 0]] * 2))])
    first, second = found.projections
    mixed = replace(found, projections=(replace(first, weight=-first.weight), second))
    with pytest.raises(NetworkError, match=r"weights -1 \.\. 200 \(shifted\)"):
        write_netx(mixed, tmp_path / "n.net")


def test_a_recurrent_layer_projects_to_itself(tmp_path: Path) -> None:
    again = random_weights(RNG, 3, 3)
    layer = dense(random_weights(RNG, 3, 5), weight_rec=again) | {"type": "dense_rec"}
    found = network(tmp_path, [layer])
    assert found.is_recurrent(found.projections[1])
    np.testing.assert_array_equal(found.projections[1].weight, again)


def test_nine_bit_weights_are_taken_with_a_note(tmp_path: Path) -> None:
    result = load(tmp_path, [dense(np.array([[-200, 131], [3, 5]]))])
    assert any("9 bits" in note for note in result.notes)


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("refDelay", 3, "refDelay 3"),
        ("gradedSpike", True, "gradedSpike 1"),
        ("wgtExp", 2, "wgtExp 2"),
        ("tauRho", 0.5, "tauRho 0.5"),
        ("anything", "words", "anything"),
        ("refDelay", 1, None),
        ("gradedSpike", False, None),
        ("wgtExp", 0, None),
    ],
)
def test_what_netx_does_not_read_of_a_neuron_is_told(
    tmp_path: Path, key: str, value: object, told: str | None
) -> None:
    notes = load(tmp_path, [dense(random_weights(RNG, 3, 5), neuron=neuron() | {key: value})]).notes
    assert [f"the neuron's {told} does nothing" in note for note in notes] == [True] * bool(told)
    block = [image((1, 6, 8), neuron=neuron() | {key: value}), conv(KERNEL, (2, 4, 6))]
    assert any(f"{told} does nothing" in x for x in load(tmp_path, block).notes) == bool(told)


def test_what_is_said_of_several_layers_is_said_once(tmp_path: Path) -> None:
    unread = neuron() | {"tauRho": 0.5}
    layers = [dense(random_weights(RNG, n, m), neuron=unread) for n, m in ((3, 5), (4, 3))]
    (told,) = load(tmp_path, layers).notes
    assert told.startswith("layer/0 (dense), layer/1 (dense): the neuron's tauRho 0.5 does nothing")


def test_a_flat_list_of_weights_counts_row_by_row(tmp_path: Path) -> None:
    weight = random_weights(RNG, 3, 5)
    found = network(tmp_path, [dense(weight.ravel()) | {"shape": [3]}])
    np.testing.assert_array_equal(found.projections[0].weight, weight)


DENSE = random_weights(RNG, 3, 5)
REFUSED = {
    "all zero": ([dense(np.zeros((3, 5), np.int64))], "not all zero"),
    "beyond one sign": ([dense(np.array([[0, 300]]))], "netx zeroes, clips or fails"),
    "all below zero, to -256": ([dense(np.array([[-1, -256]]))], "netx zeroes"),
    "odd, never above zero": ([dense(np.array([[0, -5], [-255, -7]]))], "netx zeroes"),
    "mixed and clipped": ([dense(np.array([[-300, 6]]))], "netx clips"),
    "delay": ([dense(DENSE, delay=np.array(63))], "netx clamps"),
    "delay shape": ([dense(DENSE, delay=np.zeros(4, np.int64))], r"delays of shape \(4,\)"),
    "bias": ([dense(DENSE, bias=np.full(3, 40000))], "Lava wraps"),
    "inputs": ([dense(DENSE), dense(DENSE)], r"weights of shape \(3, 5\); allowed: \(3, 3\)"),
    "transposed": ([dense(DENSE) | {"shape": [5]}], r"\(5, inputs\).*\n.*are they transposed\?"),
    "transposed, second": (
        [dense(DENSE), dense(random_weights(RNG, 3, 4)) | {"shape": [4]}],
        r"\(3, 4\); allowed: \(4, 3\).*\n.*transposed\?",
    ),
    "shape of another size": ([dense(DENSE) | {"shape": [7]}], r"\(3, 5\); allowed: \(7, inputs"),
    "flat, of another size": ([dense(DENSE.ravel()) | {"shape": [7]}], r"\(15,\); allowed: \(7"),
    "no shape at all": (
        [{key: value for key, value in dense(DENSE).items() if key != "shape"}],
        "the number of its neurons",
    ),
    "weight_rec": (
        [dense(DENSE, weight_rec=random_weights(RNG, 3, 4)) | {"type": "dense_rec"}],
        r"weight_rec: found weights of shape \(3, 4\); allowed: \(3, 3\)",
    ),
    "declared otherwise": ([dense(DENSE, inFeatures=6)], "inFeatures 6 over weights"),
    "groups of unequal size": (
        [image((2, 5, 5)), conv(random_weights(RNG, 3, 1, 3, 3), (3, 3, 3), groups=2)],
        "3 channels in 2 groups",
    ),
    "flatten": ([dense(DENSE), FLATTEN, dense(DENSE.T)], "flatten behind a flat layer"),
    "flatten behind a flat layer behind an image": (
        [image((1, 5, 5)), FLATTEN, dense(random_weights(RNG, 3, 25)), FLATTEN],
        "flatten behind a flat layer",
    ),
    "an input without a shape": (
        [{"type": "input"}, FLATTEN, dense(DENSE)],
        r"population input: shape: found \(\); allowed: \(C, H, W\) or \(N,\)",
    ),
    "no flatten": (
        [image((1, 5, 5)), conv(KERNEL, (2, 3, 3)), dense(random_weights(RNG, 2, 18))],
        "dense straight behind an image",
    ),
    "conv shape": ([image((1, 5, 5)), conv(KERNEL, (2, 5, 5))], r"found shape \(2, 5, 5\)"),
    "no shape": ([conv(KERNEL, (2, 3, 3))], "a flat or unknown input"),
    "channels": (
        [image((2, 5, 5)), conv(KERNEL, (2, 3, 3))],
        r"conv\): found a source of shape \(2, 5, 5\); allowed: \(1, h",
    ),
    "groups": (
        [
            image((128, 3, 3)),
            conv(np.ones((128, 1, 1, 1), np.int64), (128, 3, 3), groups=128),
        ],
        "wraps at int8",
    ),
    "late input": ([dense(DENSE), image((1, 1, 3))], "an input layer behind others"),
    "after the readout": (
        [dense(DENSE, neuron=neuron(vth=131072)), dense(random_weights(RNG, 2, 3))],
        "the readout last",
    ),
    "recurrent halves": (
        [dense(DENSE, weight_rec=np.full((3, 3), 131)) | {"type": "dense_rec"}],
        "one half would lose",
    ),
    "nothing": ([image((1, 5, 5))], "no layer with neurons"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_netx_gets_wrong_is_refused(tmp_path: Path, case: str) -> None:
    layers, message = REFUSED[case]
    with pytest.raises(NetworkError, match=message):
        network(tmp_path, layers)


UNREADABLE = {
    "no vThMant": ([dense(DENSE, neuron={"type": "CUBA", "iDecay": 1, "vDecay": 1})], "vThMant"),
    "iDecay": (
        [dense(DENSE, neuron=neuron(du=4097))],
        r"iDecay: found 4097.*: 0 \.\. 4096",
    ),
    "vThMant": ([dense(DENSE, neuron=neuron(vth=-1))], "vThMant: found -1"),
    "stride": ([image((1, 5, 5)), conv(KERNEL, (2, 3, 3), stride=0)], "stride: found .*1 or more"),
    "padding": ([image((1, 5, 5)), conv(KERNEL, (2, 3, 3), padding=[1, 1, 1])], "padding: found"),
    "rank": ([image((1, 5, 5)), conv(KERNEL[0], (2, 3, 3))], r"weight: found shape \(1, 3, 3\)"),
    "empty": ([dense(np.zeros((3, 0), np.int64))], "an empty data set"),
    "pool": ([{"type": "pool", "shape": [1]}], "layer type 'pool'"),
    "sigma-delta": ([dense(DENSE, neuron=neuron(kind="SDNN"))], "neuron type 'SDNN'"),
    "fractions": ([dense(DENSE) | {"weight": DENSE + 0.5}], "fractions"),
    "conv delay": ([image((1, 5, 5)), conv(KERNEL, (2, 3, 3), delay=1)], "conv with delay"),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_what_netx_drops_is_refused(tmp_path: Path, case: str) -> None:
    layers, message = UNREADABLE[case]
    with pytest.raises(FileFormatError, match=message):
        network(tmp_path, layers)


def test_bias_coding_needs_an_input_block(tmp_path: Path) -> None:
    with pytest.raises(NetworkError, match="without an input block"):
        network(tmp_path, [dense(DENSE)], coding=InputCoding.BIAS)
