"""The ONNX graphs equal the living definition: spikes, currents and membranes."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
from activities import assert_same
from hypothesis import given, settings
from strategies import Case, cases, random_conv_network, random_inputs, readout
from wild_networks import wild_case

from tssd.calibration.int_network import (
    Activity,
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
from tssd.calibration.integer import DECAY_ONE, STATE_LIMIT, IntArray, decay_toward_zero
from tssd.calibration.simulate import layerwise, over_time, pipelined
from tssd.calibration.tally import tally
from tssd.errors import DataError, FileFormatError, NetworkError
from tssd.export.onnx.graph import dialect, onnx_bytes, scan_bytes
from tssd.hw_targets.onnx import engine


def assert_equal_activity(case: Case, expected: Activity) -> None:
    """Both graphs against *expected*, the Scan graph with all its traces."""
    whole = engine.run(case.network, case.inputs, trace=True)
    stepped = engine.run(onnx_bytes(case.network)["network.onnx"], case.inputs)
    assert_same(whole, expected)
    assert_same(stepped, expected, states=False)


def check_wild(seed: int) -> bool:
    """One wild network: equal, or refused because a relay's payload has no exact sum."""
    case = wild_case(seed)
    try:
        scan_bytes(case.network)
    except NetworkError as error:
        if "no exact float32 sum" not in str(error):
            raise
        return False
    assert_equal_activity(case, layerwise(case.network, case.inputs))
    return True


@given(cases())
@settings(max_examples=25, deadline=None)
def test_graphs_equal_the_living_definition(case: Case) -> None:
    assert_equal_activity(case, layerwise(case.network, case.inputs))


@pytest.mark.parametrize("seed", range(40))
def test_wild_networks_at_the_edges_of_24_bits(seed: int) -> None:
    check_wild(seed)


@pytest.mark.parametrize("seed", range(10))
def test_negative_thresholds_lift_the_membrane_over_its_limit(seed: int) -> None:
    case = wild_case(seed)
    lowered = tuple(replace(p, vth=-p.vth) for p in case.network.populations)
    network = replace(case.network, populations=lowered)
    assert_equal_activity(Case(network, case.inputs), layerwise(network, case.inputs))


@pytest.mark.parametrize(
    ("dv", "carrier"), [(2048, "float32"), (4096, "float32"), (3072, "float32"), (410, "float64")]
)
def test_the_narrowest_exact_float_carries_a_population(dv: int, carrier: str) -> None:
    stages = dialect(leaky_cells(np.full(1, dv))).stages
    assert stages[0].carrier == carrier


@pytest.mark.campaign
def test_campaign_of_a_thousand_random_networks() -> None:
    equal = sum(check_wild(seed) for seed in range(100, 1200))
    assert equal >= 1000


def leaky_cells(dv: IntArray) -> IntNetwork:
    """Silent neurons with these decays that see a bias input only, and a readout without input."""
    size = dv.size
    cell = Population(
        "cell",
        (size,),
        PopulationKind.LIF,
        Reset.NONE,
        du=constant(DECAY_ONE, (size,)),
        dv=dv,
        vth=constant(0, (size,)),
        bias_mant=constant(0, (size,)),
        bias_exp=0,
    )
    weight = np.zeros((1, size), np.int64)
    last = readout("readout", 1, np.random.default_rng(0))
    dense = Projection("cell", "readout", ProjectionKind.DENSE, weight)
    return IntNetwork((cell, last), (dense,), 3, InputCoding.BIAS, STATE_LIMIT - 1)


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("low", [0, 2048])
def test_every_decay_truncates_toward_zero_up_to_full_scale(sign: int, low: int) -> None:
    dv = np.arange(low, low + 2049)
    network = leaky_cells(dv)
    rng = np.random.default_rng(low)
    start = sign * rng.integers(0, STATE_LIMIT, (1, 4, dv.size))
    start[0, 0] = sign * (STATE_LIMIT - 1)
    inputs = np.concatenate([start, np.zeros((2, 4, dv.size), np.int64)])
    got = engine.run(network, inputs, trace=True).states["v"]["cell"]
    np.testing.assert_array_equal(got[0], start[0])
    np.testing.assert_array_equal(got[1], decay_toward_zero(start[0], dv))
    np.testing.assert_array_equal(got[2], decay_toward_zero(got[1], dv))


def test_a_recurrent_population_equals_the_pipelined_chip() -> None:
    rng = np.random.default_rng(5)
    network = random_conv_network(3, Reset.SOFT, time_steps=8, memory=True)
    last = network.populations[-2]
    loop = Projection(
        last.name,
        last.name,
        ProjectionKind.DENSE,
        rng.integers(-60, 60, (last.neurons, last.neurons)),
        delay=1,
    )
    looped = IntNetwork(network.populations, (*network.projections, loop), 8)
    inputs = random_inputs(looped, 0, batch=1)
    expected = pipelined(looped, inputs)
    assert expected.spikes[last.name].any()
    without = layerwise(network, inputs)
    assert not np.array_equal(without.spikes[last.name], expected.spikes[last.name])
    assert_equal_activity(Case(looped, inputs), expected)


def test_counts_of_batches_equal_one_tally() -> None:
    network = random_conv_network(11, Reset.HARD)
    images = np.random.default_rng(0).integers(0, 256, (7, *network.source.shape))
    got = engine.count(network, images, batch=3)
    wanted = tally(layerwise(network, over_time(images, network.time_steps)))
    for name, events in wanted.events.items():
        np.testing.assert_array_equal(got.events[name], events)
    np.testing.assert_array_equal(got.readout, wanted.readout)


def test_same_network_same_bytes_and_only_standard_operators() -> None:
    network = random_conv_network(2, Reset.SOFT, memory=True)
    first, second = onnx_bytes(network), onnx_bytes(network)
    assert first == second
    for data in first.values():
        model = onnx.load_from_string(data)
        assert [(o.domain, o.version) for o in model.opset_import] == [("", 17)]
        assert not model.functions


def test_an_unprovable_relay_payload_is_refused() -> None:
    shape = (1, 4, 4)
    relay = plain_population("relay", shape, PopulationKind.RELAY)
    last = readout("readout", 2, np.random.default_rng(0))
    weight = np.full((1, 1, 1, 1), 30000)
    out = np.full((2, 16), 100)
    network = IntNetwork(
        (plain_population("input", shape, PopulationKind.INPUT), relay, last),
        (
            Projection("input", "relay", ProjectionKind.CONV2D, weight),
            Projection("relay", "readout", ProjectionKind.DENSE, out),
        ),
        2,
    )
    with pytest.raises(NetworkError, match="no exact float32 sum"):
        scan_bytes(network)


def test_inputs_of_another_shape_or_range_are_refused() -> None:
    network = random_conv_network(0, Reset.SOFT)
    data = scan_bytes(network)
    with pytest.raises(DataError, match="allowed: \\(4, samples"):
        engine.run(data, np.zeros((4, 1, 9), np.int64))
    with pytest.raises(DataError, match="allowed: 0 .. 255"):
        engine.run(data, random_inputs(network, 0) + 256)


def test_bytes_that_are_no_graph_of_ours_are_refused() -> None:
    with pytest.raises(FileFormatError, match="no ONNX graph that runs"):
        engine.open_model(b"not a protobuf")
    model = onnx.load_from_string(scan_bytes(random_conv_network(0, Reset.SOFT)))
    del model.metadata_props[:]
    with pytest.raises(FileFormatError, match="allowed: tssd-onnx/1"):
        engine.open_model(model.SerializeToString())
