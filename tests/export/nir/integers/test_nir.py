"""NIR out and in: identity, plain part, shapes that nir infers wrongly."""

import tempfile
import time
from dataclasses import replace
from pathlib import Path

import h5py
import nir
import nir_interpreter
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import (
    Case,
    cases,
    random_conv_network,
    random_inputs,
    random_lif,
    readout,
    residual_network,
)

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
from tssd.calibration.simulate import layerwise
from tssd.contracts import require
from tssd.errors import NetworkError
from tssd.export.nir.graphs.read import read_graph
from tssd.export.nir.graphs.run import run
from tssd.export.nir.graphs.to_float import to_float
from tssd.export.nir.integers.graph import NirMode, to_nir
from tssd.export.nir.integers.roundtrip import check_plain_nir, check_round_trip, first_difference
from tssd.export.nir.integers.write import write_nir


def chain(*populations: Population, projections: tuple[Projection, ...]) -> IntNetwork:
    return IntNetwork(populations, projections, time_steps=6)


def conv_pair(kernel: tuple[int, int], *, groups: int = 1, dilation: int = 1) -> IntNetwork:
    """input (2, 9, 9) -> conv -> readout."""
    rng = np.random.default_rng(0)
    weight = rng.integers(-50, 50, (4, 2 // groups, *kernel))
    size = [9 - dilation * (k - 1) for k in kernel]
    shape = (4, size[0], size[1])
    source = plain_population("input", (2, 9, 9), PopulationKind.INPUT)
    conv = Projection(
        "input", "c", ProjectionKind.CONV2D, weight, groups=groups, dilation=(dilation, dilation)
    )
    dense = rng.integers(-50, 50, (3, int(np.prod(shape))))
    last = Projection("c", "out", ProjectionKind.DENSE, dense)
    lif = random_lif(rng, "c", shape, Reset.HARD)
    return chain(source, lif, readout("out", 3, rng), projections=(conv, last))


@given(cases(), st.sampled_from(NirMode))
@settings(max_examples=10, deadline=None)
def test_write_read_is_identity_and_plain_part_agrees(case: Case, mode: NirMode) -> None:
    require(check_round_trip(case.network, mode))


def test_changed_weight_in_the_plain_part_is_found(tmp_path: Path) -> None:
    network = residual_network(1, Reset.HARD)
    graph = to_nir(network)
    graph.nodes["a_to_b"].weight[0, 0, 1, 1] += 1
    graph.nodes["b"].v_threshold[0, 0, 0] += 1
    graph.nodes["c"].tau[1, 2, 2] *= 1.01
    graph.nodes["a_to_b"].bias[0] += 1
    rows = {row.name: row for row in check_plain_nir(network, graph)}
    assert [(r.status, r.found, r.where) for r in rows.values()] == [
        ("fail", "1 differ", "a_to_b"),
        ("fail", "1 differ", "b"),
        ("fail", "1 differ", "c"),
        ("fail", "25 differ", "b"),
    ]


def exact_decay(population: Population) -> Population:
    """beta of 0 or 1 per channel: integer and float arithmetic agree without rounding."""
    return replace(population, dv=np.where(population.dv > 2048, 4096, 0))


def with_exact_decay(network: IntNetwork) -> IntNetwork:
    """No rounding, no synaptic memory, and a readout as it is."""
    kinds = (PopulationKind.LIF,)
    populations = tuple(exact_decay(p) if p.kind in kinds else p for p in network.populations)
    return replace(network, populations=populations)


@given(cases(memory=False))
@settings(max_examples=12, deadline=None)
def test_plain_part_alone_fires_the_same_spikes(case: Case) -> None:
    """Hard reset in compatible mode, soft reset in exact mode, through an independent reader."""
    network, inputs = with_exact_decay(case.network), case.inputs // 64  # no wrap, no saturation
    soft = any(p.reset is Reset.SOFT for p in network.populations)
    graph = to_nir(network, NirMode.EXACT if soft else NirMode.COMPATIBLE)
    wanted = layerwise(network, inputs)
    got = nir_interpreter.run(graph, inputs[:, 0].astype(np.float64), graph.metadata["dt"])
    for population in network.populations[:-1]:
        np.testing.assert_array_equal(got[population.name], wanted.spikes[population.name][:, 0])
    np.testing.assert_array_equal(got["output"][-1] * 64, wanted.readout[0])


@given(st.integers(0, 2**32 - 1), st.sampled_from(NirMode))
@settings(max_examples=12, deadline=None)
def test_a_reset_of_its_own_amount_is_read_from_either_mode(seed: int, mode: NirMode) -> None:
    """Spelled out, or as metadata: our reader of anyone's graphs fires the same spikes."""
    network = with_exact_decay(random_conv_network(seed, Reset.SOFT))
    amount = tuple(
        replace(p, reset_by=p.vth + 7, dv=np.minimum(p.dv, 2048)) if p.reset is Reset.SOFT else p
        for p in network.populations
    )
    network = replace(network, populations=amount)
    inputs = random_inputs(network, seed) // 64
    wanted = layerwise(network, inputs).spikes
    with tempfile.TemporaryDirectory() as folder:
        write_nir(network, Path(folder) / "n.nir", mode)
        graph = read_graph(Path(folder) / "n.nir")
    names = [p.name for p in network.populations[1:-1]]
    found = run(graph, inputs.astype(np.float64), record=names).nodes
    differing = sum(int((found[name] != wanted[name]).sum()) for name in names)
    assert differing <= 1e-2 * sum(wanted[name].size for name in names)  # the decay's rounding
    rounded = to_float(graph, network.time_steps)
    for p in network.populations[1:-1]:
        assert p.reset_by is not None
        np.testing.assert_allclose(
            np.broadcast_to(rounded.population(p.name).subtracted, p.shape),
            np.broadcast_to(p.reset_by, p.shape),
        )


def slots_that_differ(reset: Reset, mode: NirMode) -> float:
    """Share of neuron steps in which the plain part, read in float64, fires otherwise."""
    different = slots = 0
    for seed in range(6):
        network = random_conv_network(seed, reset, memory=seed % 2 == 0, time_steps=12)
        inputs = random_inputs(network, seed, batch=1) // 64
        wanted = layerwise(network, inputs).spikes
        graph = to_nir(network, mode)
        got = nir_interpreter.run(graph, inputs[:, 0].astype(np.float64), graph.metadata["dt"])
        for population in network.populations[1:-1]:
            spikes = wanted[population.name][:, 0]
            different += int((got[population.name] != spikes).sum())
            slots += spikes.size
    return different / slots


def test_any_decay_agrees_up_to_rounding() -> None:
    """The 12-bit decay rounds toward zero, float64 does not: at most 1 slot in 1000."""
    assert slots_that_differ(Reset.HARD, NirMode.COMPATIBLE) <= 1e-3
    assert slots_that_differ(Reset.SOFT, NirMode.EXACT) <= 1e-3
    assert slots_that_differ(Reset.SOFT, NirMode.COMPATIBLE) > 4e-3  # read as a hard reset


def test_synaptic_memory_with_bias_and_image_bias_are_spelled_out() -> None:
    rng = np.random.default_rng(5)
    network = conv_pair((3, 3))
    lif = replace(
        network.populations[1],
        du=constant(2048, (4, 7, 7)),
        dv=constant(0, (4, 7, 7)),
        bias_mant=rng.integers(-9, 9, (4, 7, 7)),
    )
    network = replace(network, populations=(network.source, lif, network.readout))
    graph = to_nir(network)
    assert {"c_current", "c_bias", "c"} <= set(graph.nodes)
    require(check_round_trip(network))
    inputs = random_inputs(replace(network, input_max=3), 1)
    got = nir_interpreter.run(graph, inputs[:, 0].astype(np.float64), 1e-4)
    np.testing.assert_array_equal(got["c"], layerwise(network, inputs).spikes["c"][:, 0])


def test_bias_input_reaches_the_first_membrane() -> None:
    rng = np.random.default_rng(2)
    lif = replace(random_lif(rng, "first", (1, 4, 4), Reset.HARD), dv=constant(4096, (1, 4, 4)))
    dense = Projection("first", "out", ProjectionKind.DENSE, rng.integers(-9, 9, (3, 16)))
    network = IntNetwork((lif, readout("out", 3, rng)), (dense,), 4, InputCoding.BIAS, 900)
    inputs = random_inputs(network, 3)
    got = nir_interpreter.run(to_nir(network), inputs[:, 0].astype(np.float64), 1e-4)
    wanted = layerwise(network, inputs)
    assert 0 < wanted.spikes["first"].sum() < wanted.spikes["first"].size
    np.testing.assert_array_equal(got["first"], wanted.spikes["first"][:, 0])
    require(check_round_trip(network))


@pytest.mark.parametrize("kernel", [(3, 3), (3, 5), (5, 1), (2, 4), (1, 3)])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("dilation", [1, 2])
def test_nir_reads_with_its_own_type_check(
    tmp_path: Path, kernel: tuple[int, int], groups: int, dilation: int
) -> None:
    network = conv_pair(kernel, groups=groups, dilation=dilation)
    write_nir(network, tmp_path / "n.nir")
    graph = nir.read(tmp_path / "n.nir")
    inputs = random_inputs(network, 0) // 64
    got = nir_interpreter.run(graph, inputs[:, 0].astype(np.float64), 1e-4)
    wanted = layerwise(with_exact_decay(network), inputs)
    exact = to_nir(with_exact_decay(network))
    again = nir_interpreter.run(exact, inputs[:, 0].astype(np.float64), 1e-4)
    np.testing.assert_array_equal(again["c"], wanted.spikes["c"][:, 0])
    assert got["c"].shape == again["c"].shape


def test_kernel_of_unequal_parity_is_marked(tmp_path: Path) -> None:
    write_nir(conv_pair((2, 3)), tmp_path / "n.nir")
    graph = nir.read(tmp_path / "n.nir", type_check=False)
    assert not graph.metadata["nir_type_check"]
    with pytest.raises(ValueError, match="type mismatch"):
        nir.read(tmp_path / "n.nir")


def test_unaligned_skip_and_recurrence_become_delays() -> None:
    network = residual_network(3, Reset.HARD)
    late = replace(network.projections[3], delay=3)
    network = replace(network, projections=(*network.projections[:3], late, network.projections[4]))
    graph = to_nir(with_exact_decay(network))
    np.testing.assert_allclose(graph.nodes["a_to_c_delay"].delay, 2e-4)
    inputs = random_inputs(network, 4) // 64
    got = nir_interpreter.run(graph, inputs[:, 0].astype(np.float64), 1e-4)
    wanted = layerwise(with_exact_decay(network), inputs)
    np.testing.assert_array_equal(got["c"], wanted.spikes["c"][:, 0])
    loop = Projection("c", "c", ProjectionKind.CONV2D, np.ones((2, 1, 1, 1), np.int64), groups=2)
    recurrent = replace(network, projections=(*network.projections, loop))
    assert ("c", "c_to_c") in to_nir(recurrent).edges
    require(check_round_trip(recurrent))


def test_same_bytes_every_time(tmp_path: Path) -> None:
    network = residual_network(2, Reset.SOFT)
    write_nir(network, tmp_path / "a.nir", NirMode.EXACT)
    time.sleep(1.1)  # HDF5 stamps whole seconds
    write_nir(network, tmp_path / "b.nir", NirMode.EXACT)
    assert (tmp_path / "a.nir").read_bytes() == (tmp_path / "b.nir").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.nir", "b.nir"]


def test_integers_are_plain_and_small(tmp_path: Path) -> None:
    network = residual_network(2, Reset.SOFT)
    write_nir(network, tmp_path / "n.nir")
    with h5py.File(tmp_path / "n.nir") as file:
        assert file["tssd/projection/0/weight"].dtype == np.int8
        assert file["node/nodes/input_to_a/weight"].dtype == np.float32
        assert file["node/nodes/input_to_a/weight"].is_virtual


def test_names_that_collide_are_refused() -> None:
    network = residual_network(0, Reset.HARD)
    twins = [replace(network.populations[i], name=n) for i, n in ((1, "a.b"), (2, "a_b"))]
    joins = tuple(
        replace(
            j,
            source={"a": "a.b", "b": "a_b"}.get(j.source, j.source),
            target={"a": "a.b", "b": "a_b"}.get(j.target, j.target),
        )
        for j in network.projections
    )
    broken = replace(
        network, populations=(network.source, *twins, *network.populations[3:]), projections=joins
    )
    with pytest.raises(NetworkError, match="names that differ only in"):
        to_nir(broken)


def test_dense_into_an_image_is_refused() -> None:
    network = conv_pair((3, 3))
    dense = Projection("input", "c", ProjectionKind.DENSE, np.ones((196, 162), np.int64))
    broken = replace(network, projections=(dense, network.projections[1]))
    with pytest.raises(NetworkError, match=r"dense projection into the image shape \(4, 7, 7\)"):
        to_nir(broken)


def test_wrong_target_shape_is_refused() -> None:
    network = conv_pair((3, 3))
    wrong = replace(network.projections[0], padding=(1, 1))
    with pytest.raises(NetworkError, match=r"input -> c: found shape \(4, 9, 9\)"):
        to_nir(replace(network, projections=(wrong, network.projections[1])))


def test_dt_must_be_positive() -> None:
    with pytest.raises(NetworkError, match="allowed: a positive number"):
        to_nir(residual_network(0, Reset.HARD), dt_seconds=0.0)


def test_first_difference_names_the_array() -> None:
    network = residual_network(0, Reset.HARD)
    changed = replace(network.projections[2], weight=network.projections[2].weight + 1)
    other = replace(
        network, projections=(*network.projections[:2], changed, *network.projections[3:])
    )
    assert first_difference(network, other) == "projection/2/weight"
    assert first_difference(network, network.with_time_steps(9)) == "header"
    assert first_difference(network, network) is None
