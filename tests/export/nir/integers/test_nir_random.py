"""Random graphs of every primitive: through a file, into the float network, folded, and as
integers on every engine, spike for spike; or refused by node."""

from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nir_graphs import random_graph

from tssd.calibration.encode import encode
from tssd.calibration.int_network import SPIKES
from tssd.calibration.precision import Precision
from tssd.calibration.quantizing.fold import align, fold
from tssd.calibration.quantizing.observe import observe
from tssd.calibration.quantizing.quantize import quantize
from tssd.calibration.simulate import reference
from tssd.errors import NetworkError
from tssd.export.nir.graphs.graph import RESETTING, Graph
from tssd.export.nir.graphs.profiles import Answers
from tssd.export.nir.graphs.read import read_graph
from tssd.export.nir.graphs.run import run
from tssd.export.nir.graphs.to_float import to_float
from tssd.export.nir.graphs.write import write_graph
from tssd.hw_targets.gpu import engine as gpu
from tssd.hw_targets.onnx import engine as onnx
from tssd.hw_targets.sim.functional import activity, simulate
from tssd.hw_targets.sim.program import prepare
from tssd.train.handover import float_run
from tssd.train.handover.float_activity import ImageArray
from tssd.train.handover.float_network import FloatNetwork

STEPS = 7
FIRING = (*RESETTING, "Threshold")


def samples(graph: Graph, seed: int) -> ImageArray:
    shape = (2, *graph.nodes[graph.input].params["shape"])
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def compared(graph: Graph, told: Answers, seed: int) -> int:
    """How many networks (float, folded) were compared; each fires as the graph, at every node."""
    pictures, names = samples(graph, seed), graph.of_type(*FIRING)
    wanted = run(graph, np.repeat(pictures[None] / 255, STEPS, axis=0), told, record=names).nodes
    forms: list[FloatNetwork] = []
    with suppress(NetworkError):
        forms.append(to_float(graph, STEPS, told))
        forms.append(align(fold(forms[0])))
    for form in forms:
        shaped = pictures.reshape(2, *form.populations[0].shape)
        found = float_run.run(form, shaped, dtype="float64", keep_spikes=True).spikes
        for name in names:
            mine = found[name].reshape(wanted[name].shape)
            np.testing.assert_array_equal(mine, wanted[name], err_msg=f"{name} of seed {seed}")
    return len(forms)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_a_random_graph_becomes_the_same_network_or_is_refused(seed: int) -> None:
    compared(*random_graph(seed), seed)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
def test_most_random_graphs_can_be_compared() -> None:
    """And every primitive is among them."""
    graphs = [random_graph(seed) for seed in range(30)]
    assert sum(compared(g, told, s) == 2 for s, (g, told) in enumerate(graphs)) > 18
    found = {node.type for g, _ in graphs for node in g.nodes.values()}
    wanted = "Input Output Affine Linear Scale Conv1d Conv2d SumPool2d AvgPool2d Flatten Delay"
    assert found >= {*wanted.split(), "Threshold", "I", "IF", "LI", "LIF", "CubaLI", "CubaLIF"}


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=10, deadline=None)
def test_a_random_graph_is_the_same_after_its_file(
    seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    graph, told = random_graph(seed)
    path: Path = tmp_path_factory.mktemp("nir") / "g.nir"
    write_graph(graph, path, told)
    again = read_graph(path)
    frames = np.repeat(samples(graph, seed)[None] / 255, STEPS, axis=0)
    before, after = (run(g, frames, told).output for g in (graph, again))
    np.testing.assert_array_equal(before, after)


def differing(seed: int) -> int | None:
    """Slots in which an engine differs from the definition; None: refused."""
    graph, told = random_graph(seed)
    pictures = samples(graph, seed)
    try:
        folded = align(fold(to_float(graph, STEPS, told)))
        pictures = pictures.reshape(2, *folded.populations[0].shape)
        network = quantize(folded, Precision(), observe(folded, pictures))
    except NetworkError:
        return None
    inputs = encode(network, pictures)
    expected = reference(network, inputs)
    found = [
        gpu.run(network, inputs, states=True),
        activity(network, simulate(prepare(network), inputs, record=True)),
        *([onnx.run(network, inputs, trace=True)] if seed % 5 == 0 else []),
    ]
    return sum(
        int((one.recorded(label)[name] != values).sum())
        for one in found
        for label in (SPIKES, *expected.states)
        for name, values in expected.recorded(label).items()
    )


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
def test_the_integers_of_random_graphs_are_equal_on_every_engine() -> None:
    counts = [differing(seed) for seed in range(20)]
    assert counts.count(0) > 12
    assert set(counts) <= {0, None}


@pytest.mark.campaign
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
def test_a_thousand_random_graphs() -> None:
    counts = [differing(seed) for seed in range(1000, 2000)]
    assert counts.count(0) > 700
    assert set(counts) <= {0, None}
