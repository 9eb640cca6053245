"""FloatNetwork -> graph -> file: every neuron fires as in the float run, and comes back."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from float_nets import dense, images, lif, small_residual, small_vgg, stateless

from tssd.export.nir.from_float import from_float
from tssd.export.nir.graphs.graph import Graph
from tssd.export.nir.graphs.read import read_graph
from tssd.export.nir.graphs.run import run
from tssd.export.nir.graphs.to_float import to_float
from tssd.export.nir.graphs.write import write_graph
from tssd.export.nir.integers.graph import NirMode
from tssd.train.handover import float_run
from tssd.train.handover.float_network import (
    FloatArray,
    FloatNetwork,
    FloatProjection,
    PopulationKind,
    ProjectionKind,
    Reset,
)

RNG = np.random.default_rng


def with_neurons(network: FloatNetwork, **changes: Any) -> FloatNetwork:
    """Every LIF population with *changes*."""
    return replace(
        network,
        populations=tuple(
            replace(p, **changes) if p.kind is PopulationKind.LIF else p
            for p in network.populations
        ),
    )


def one(value: float) -> FloatArray:
    return np.full((1, 1, 1), value)


def recurrent() -> FloatNetwork:
    """Four values -> six neurons that see each other, some two steps later -> a leaky readout."""
    rng = RNG(5)
    neurons = replace(lif("n", (6,), Reset.SOFT), bias=rng.uniform(0, 0.3, 6))
    readout = stateless("readout", (3,), PopulationKind.READOUT)
    late = replace(dense(rng, "n", "n", (6, 6)), delay=2, bias=None)
    links = (dense(rng, "input", "n", (4, 6)), dense(rng, "n", "n", (6, 6)), late)
    return FloatNetwork(
        (
            stateless("input", (4,), PopulationKind.INPUT),
            neurons,
            replace(readout, decay=0.8 * np.ones(1)),
        ),
        (*links, dense(rng, "n", "readout", (6, 3))),
        12,
    )


NETWORKS = {
    "hard": small_vgg(1, Reset.HARD),
    "soft": small_vgg(2, Reset.SOFT),
    "soft-by": with_neurons(small_vgg(3, Reset.SOFT), reset_by=one(1.7)),
    "late": with_neurons(small_vgg(9, Reset.SOFT), reset_by=one(2.0)),
    "bias": with_neurons(small_vgg(8, Reset.SOFT), bias=one(0.2)),
    "none": with_neurons(small_vgg(4, Reset.SOFT), reset=Reset.NONE),
    "no-leak": with_neurons(small_vgg(5, Reset.HARD), decay=one(1.0)),
    "memory": with_neurons(small_residual(6, Reset.SOFT), synapse_decay=one(0.6), bias=one(0.1)),
    "skip": small_residual(7, Reset.HARD),
    "recurrent": recurrent(),
}


def samples(network: FloatNetwork) -> Any:
    if len(network.populations[0].shape) == 1:
        return RNG(0).integers(0, 256, (6, 4)).astype(np.uint8)
    return images(network, 6)


def activity(graph: Graph, network: FloatNetwork) -> Any:
    """The graph on the samples, every spiking node recorded."""
    names = [p.name for p in network.populations if p.kind is PopulationKind.LIF]
    shown = samples(network) / 255
    frames = np.broadcast_to(shown, (network.time_steps, *shown.shape)).copy()
    return run(graph, frames, record=names)


@pytest.mark.parametrize("mode", NirMode)
@pytest.mark.parametrize("name", NETWORKS)
def test_every_neuron_of_the_file_fires_as_in_the_network(
    name: str, mode: NirMode, tmp_path: Path
) -> None:
    network = NETWORKS[name]
    write_graph(from_float(network, mode=mode), tmp_path / "n.nir")
    graph = read_graph(tmp_path / "n.nir")
    found = activity(graph, network)
    expected = float_run.run(network, samples(network), dtype="float64", keep_spikes=True)
    for neuron, spikes in found.nodes.items():
        assert 0.01 < spikes.mean() < 0.99
        np.testing.assert_array_equal(spikes, expected.spikes[neuron], err_msg=neuron)
    kinds = {node.type for node in graph.nodes.values()}
    spelled = mode is NirMode.EXACT and name.startswith(("soft", "rec", "mem", "bias", "late"))
    assert ("Threshold" in kinds) == (spelled or name == "none")
    assert ("IF" in kinds) == (name == "no-leak")


@pytest.mark.parametrize("name", NETWORKS)
def test_the_output_adds_up_to_the_readout(name: str) -> None:
    network = NETWORKS[name]
    found = activity(from_float(network), network).output
    logits = float_run.run(network, samples(network), dtype="float64").logits
    whole = found[-1] if name == "recurrent" else found.sum(0)
    np.testing.assert_allclose(whole.reshape(logits.shape) / network.time_steps, logits, atol=1e-9)


@pytest.mark.parametrize("name", ["hard", "soft", "soft-by", "late", "bias", "skip"])
def test_the_file_comes_back_as_the_same_network(name: str, tmp_path: Path) -> None:
    network = NETWORKS[name]
    write_graph(from_float(network), tmp_path / "n.nir")
    again = to_float(read_graph(tmp_path / "n.nir"), network.time_steps)
    assert [p.name for p in again.populations] == [p.name for p in network.populations]
    wanted, found = (
        float_run.run(n, samples(network), dtype="float64", keep_spikes=True)
        for n in (network, again)
    )
    for p in network.populations[1:-1]:
        np.testing.assert_array_equal(found.spikes[p.name], wanted.spikes[p.name], err_msg=p.name)
    np.testing.assert_allclose(found.logits, wanted.logits, atol=1e-9)


def test_a_subtraction_of_theta_over_decay_is_said_as_late() -> None:
    said = {
        name: [
            (node.metadata.get("reset_delay"), "reset_by" in node.metadata)
            for node in from_float(NETWORKS[name], mode=NirMode.COMPATIBLE).nodes.values()
            if node.type == "LIF"
        ]
        for name in ("late", "soft-by", "soft")
    }
    assert set(said["late"]) == {(True, False)}
    assert set(said["soft-by"]) == {(False, True)}
    assert set(said["soft"]) == {(False, False)}


def test_a_transposed_convolution_is_written_out() -> None:
    rng = RNG(3)
    image, small = stateless("input", (2, 3, 3), PopulationKind.INPUT), (3, 5, 5)
    weight = rng.normal(0, 1, (3, 2, 3, 3))
    kind = ProjectionKind.CONV2D_TRANSPOSED
    up = FloatProjection(
        "input", "n", kind, weight, np.ones(3) * 0.1, stride=(2, 2), padding=(1, 1)
    )
    network = FloatNetwork(
        (image, lif("n", small, Reset.SOFT), stateless("readout", (4,), PopulationKind.READOUT)),
        (up, dense(rng, "n", "readout", (75, 4))),
        6,
    )
    found = activity(from_float(network), network)
    expected = float_run.run(network, samples(network), dtype="float64", keep_spikes=True)
    assert found.nodes["n"].mean() > 0.01
    np.testing.assert_array_equal(found.nodes["n"], expected.spikes["n"])


def test_names_that_are_taken_or_not_allowed_get_others() -> None:
    network = small_vgg(1)

    def named(name: str) -> str:
        return "a.b" if name == "conv1" else name

    populations = tuple(replace(p, name=named(p.name)) for p in network.populations)
    projections = tuple(
        replace(j, source=named(j.source), target=named(j.target)) for j in network.projections
    )
    graph = from_float(FloatNetwork(populations, projections, 2))
    assert {"a_b", "a_b_membrane", "input_to_a_b_membrane"} <= set(graph.nodes)
