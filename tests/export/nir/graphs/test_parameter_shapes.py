"""A node's parameters broadcast axis by axis, as they do in the run; what is ambiguous is refused.

The right value is always the same graph with every parameter written out in full.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tssd.arrays import FloatArray
from tssd.calibration.quantizing.fold import fold
from tssd.errors import NetworkError
from tssd.export.nir.graphs.graph import FIELDS, Graph, Node
from tssd.export.nir.graphs.profiles import Answers
from tssd.export.nir.graphs.read import read_graph
from tssd.export.nir.graphs.run import run
from tssd.export.nir.graphs.to_float import to_float
from tssd.export.nir.graphs.write import write_graph
from tssd.train.handover import float_run

STEPS = 6
TOLD = Answers(dt_seconds=1.0, rule="euler", reset="zero")
SHAPES = {"image": (3, 4, 4), "line": (3, 4), "row": (4,)}  # channels as many as columns, almost
RANGES = {
    **{"tau": (2, 9), "tau_mem": (2, 9), "tau_syn": (2, 9), "r": (1, 3), "w_in": (1, 3)},
    **{
        "v_leak": (-0.1, 0.1),
        "v_threshold": (0.1, 1),
        "v_reset": (-0.1, 0.05),
        "threshold": (0, 1),
    },
}


def network(shape: tuple[int, ...], kind: str, params: dict[str, Any], seed: int) -> Graph:
    """A convolution (or Linear) into neurons with these parameters, all read out by a Linear."""
    rng = np.random.default_rng(seed)
    size = int(np.prod(shape))
    first = Node("Linear", {"weight": rng.normal(0.3, 1, (shape[0], shape[0]))})
    if len(shape) > 1:
        axes = len(shape) - 1
        weight = rng.normal(0.1, 0.6, (shape[0], shape[0], *(3,) * axes))
        how: dict[str, Any] = {"stride": (1,), "padding": (1,), "dilation": (1,), "groups": 1}
        first = Node(f"Conv{axes}d", {"weight": weight, "bias": np.zeros(shape[0]), **how})
    nodes = {
        "input": Node("Input", {"shape": shape}),
        "first": first,
        "cells": Node(kind, params),
        "flat": Node("Flatten", {"start_dim": 0, "end_dim": -1}),
        "last": Node("Linear", {"weight": rng.normal(0, 1, (2, size))}),
        "output": Node("Output", {"shape": (2,)}),
    }
    if len(shape) == 1:
        del nodes["flat"]
    names = list(nodes)
    return Graph(nodes, tuple(zip(names[:-1], names[1:], strict=True)))


def parts(rng: np.random.Generator, shape: tuple[int, ...], kind: str) -> dict[str, FloatArray]:
    """Each parameter over some of the axes: 1 in place of the others."""
    found = {}
    for name in FIELDS[kind]:
        part = tuple(n if rng.random() < 0.5 else 1 for n in shape)
        low, high = RANGES[name]
        found[name] = rng.uniform(low, high, part)
    return found


@pytest.mark.parametrize("where", SHAPES)
@pytest.mark.parametrize("kind", ["LIF", "IF", "CubaLIF", "Threshold"])
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=6, deadline=None)
def test_partial_parameters_are_the_full_ones(kind: str, where: str, seed: int) -> None:
    shape, rng = SHAPES[where], np.random.default_rng(seed)
    some = parts(rng, shape, kind)
    full = {name: np.broadcast_to(value, shape).copy() for name, value in some.items()}
    images = rng.integers(0, 256, (2, *shape)).astype(np.uint8)
    graph = network(shape, kind, some, seed)
    expected = run(network(shape, kind, full, seed), _frames(images), TOLD, record=["cells"])
    np.testing.assert_array_equal(
        run(graph, _frames(images), TOLD, record=["cells"]).nodes["cells"], expected.nodes["cells"]
    )
    floats = fold(to_float(graph, STEPS, TOLD))
    samples = images.reshape(2, *floats.populations[0].shape)  # a line is an image of height one
    deployed = float_run.run(floats, samples, dtype="float64", keep_spikes=True)
    ours = deployed.spikes["cells"].reshape(expected.nodes["cells"].shape)
    np.testing.assert_array_equal(ours, expected.nodes["cells"])


def _frames(images: "np.typing.NDArray[np.uint8]") -> FloatArray:
    return np.broadcast_to(images / 255, (STEPS, *images.shape))


def test_fewer_axes_than_the_layer_are_refused() -> None:
    """(4,) over (3, 4, 4): four columns, four rows? Over (4, 4, 4) channels, too."""
    for label, shape in (("v_threshold", (4,)), ("tau", (4, 4)), ("r", (3, 1)), ("v_leak", (4,))):
        params: dict[str, FloatArray] = {
            name: np.full((), float(np.mean(RANGES[name]))) for name in FIELDS["LIF"]
        }
        params[label] = np.full(shape, 2.0)
        graph = network(SHAPES["image"], "LIF", params, 0)
        with pytest.raises(NetworkError, match=rf"node cells: {label}: found shape \({shape[0]}"):
            to_float(graph, STEPS, TOLD)


def test_a_shape_that_fits_nowhere_is_refused() -> None:
    params = {name: np.full((), 2.0) for name in FIELDS["LIF"]} | {"tau": np.full((1, 1, 5), 2.0)}
    with pytest.raises(NetworkError, match=r"node cells: tau: found shape \(1, 1, 5\)"):
        run(network(SHAPES["image"], "LIF", params, 0), np.zeros((1, 1, 3, 4, 4)), TOLD)


def test_a_delay_of_one_number_waits_for_the_whole_layer() -> None:
    """Its shape is known before the first value comes out of it."""
    params = {"threshold": np.full((1, 1, 1), 0.4)}
    plain = network(SHAPES["image"], "Threshold", params, 1)
    nodes = {**plain.nodes, "wait": Node("Delay", {"delay": np.full((), 2.0)})}
    edges = [e for e in plain.edges if e != ("first", "cells")]
    late = replace(plain, nodes=nodes, edges=(*edges, ("first", "wait"), ("wait", "cells")))
    frames = np.random.default_rng(0).random((STEPS, 2, 3, 4, 4))
    expected = run(plain, frames, TOLD, record=["cells"]).nodes["cells"]
    found = run(late, frames, TOLD, record=["cells"]).nodes["cells"]
    assert expected.any()
    np.testing.assert_array_equal(found[2:], expected[:-2])
    assert not found[:2].any()


def test_written_parameters_are_full(tmp_path: Path) -> None:
    """As the nir package demands: it infers a node's shape from them."""
    params = parts(np.random.default_rng(0), SHAPES["image"], "CubaLIF")
    write_graph(network(SHAPES["image"], "CubaLIF", params, 0), tmp_path / "n.nir", TOLD)
    assert {v.shape for v in read_graph(tmp_path / "n.nir").nodes["cells"].params.values()} == {
        SHAPES["image"]
    }
    assert nir.read(tmp_path / "n.nir").nodes["cells"].tau_mem.shape == SHAPES["image"]


@pytest.mark.parametrize("name", ["readout", "input", "lif_input", "3", "höhe", "a/b", "constant"])
def test_a_neuron_may_have_any_name(name: str) -> None:
    """Also those that populations of ours have; each keeps a name of its own."""
    params = {label: np.full((), float(np.mean(RANGES[label]))) for label in FIELDS["LIF"]}
    plain = network(SHAPES["row"], "LIF", params, 0)
    names = {"cells": name, "input": "in" if name == "input" else "input"}
    nodes = {names.get(n, n): node for n, node in plain.nodes.items()}
    edges = tuple((names.get(a, a), names.get(b, b)) for a, b in plain.edges)
    renamed = to_float(replace(plain, nodes=nodes, edges=edges), STEPS, TOLD)
    images = np.full((1, *SHAPES["row"]), 200, np.uint8)
    ours = float_run.run(renamed, images, dtype="float64", keep_spikes=True)
    expected = float_run.run(
        to_float(plain, STEPS, TOLD), images, dtype="float64", keep_spikes=True
    )
    assert [p.name for p in renamed.populations][::2] == ["input", "readout"]
    np.testing.assert_array_equal(
        ours.spikes[renamed.populations[1].name], expected.spikes["cells"]
    )


def test_names_that_become_one_are_told_apart() -> None:
    """``1`` becomes ``lif_1``, which another node is called."""
    params = {label: np.full((), float(np.mean(RANGES[label]))) for label in FIELDS["LIF"]}
    plain = network(SHAPES["row"], "LIF", params, 0)
    again = Node("Linear", {"weight": np.eye(4)})
    nodes = {("1" if n == "cells" else n): node for n, node in plain.nodes.items()}
    nodes |= {"w": again, "lif_1": Node("LIF", params)}
    edges = (("input", "first"), ("first", "1"), ("1", "w"), ("w", "lif_1"), ("lif_1", "last"))
    graph = replace(plain, nodes=nodes, edges=(*edges, ("last", "output")))
    names = [p.name for p in to_float(graph, STEPS, TOLD).populations]
    assert len(set(names)) == len(names) == 4
