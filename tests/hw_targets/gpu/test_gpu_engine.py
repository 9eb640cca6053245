"""The torch reference equals the integer definition bit for bit; its proof refuses what is wide."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from activities import assert_same
from float_nets import images, small_residual, small_vgg
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import (
    Case,
    cases,
    extreme_network,
    random_conv_network,
    random_inputs,
    readout,
)

from tssd.calibration.encode import encode
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
from tssd.calibration.precision import LOIHI
from tssd.calibration.quantizing.fold import Pooling, align, fold
from tssd.calibration.quantizing.observe import observe
from tssd.calibration.quantizing.quantize import quantize
from tssd.calibration.quantizing.scales import Options, Search
from tssd.calibration.simulate import layerwise, over_time
from tssd.calibration.tally import tally
from tssd.errors import TargetError
from tssd.hw_targets.gpu import engine
from tssd.hw_targets.gpu.arithmetic import exact_products
from tssd.hw_targets.gpu.engine import count, run
from tssd.hw_targets.gpu.proof import bounds


@given(cases(), st.integers(1, 3))
@settings(max_examples=30, deadline=None)
def test_equal_to_the_definition(case: Case, batch: int) -> None:
    wanted = layerwise(case.network, case.inputs)
    found = run(case.network, case.inputs, batch=batch, states=True)
    assert set(found.states["u"]) == {p.name for p in case.network.populations if p.has_state}
    assert_same(found, wanted)


@given(st.integers(0, 2**32 - 1), st.sampled_from(list(Reset)))
@settings(max_examples=30, deadline=None)
def test_equal_where_states_wrap_and_saturate(seed: int, reset: Reset) -> None:
    network = extreme_network(seed, reset)
    inputs = random_inputs(network, seed)
    assert_same(run(network, inputs, states=True), layerwise(network, inputs))


def test_the_extreme_networks_reach_every_branch() -> None:
    reached = [b for seed in range(12) for b in bounds(extreme_network(seed, Reset.SOFT)).values()]
    assert any(any(b.wraps) for b in reached)
    assert any(b.u_wraps for b in reached)
    assert any(b.v_clips for b in reached)
    assert {b.carrier for b in reached} == {"float32", "float64"}


@pytest.mark.parametrize("pooling", ["fold", "population"])
@pytest.mark.parametrize("reset", [Reset.SOFT, Reset.HARD])
def test_equal_on_quantized_networks(pooling: Pooling, reset: Reset) -> None:
    for trained in (small_vgg(1, reset, side=10), small_residual(1, reset)):
        folded = align(fold(trained, pooling))
        samples = images(folded, 6)
        plain = Options(search=Search.MAX_ABS)
        network = quantize(folded, LOIHI, observe(folded, samples), plain)
        wanted = layerwise(network, encode(network, samples))
        assert_same(run(network, encode(network, samples), batch=4, states=True), wanted)
        assert {b.carrier for b in bounds(network).values()} == {"float32"}
        counted, exact = count(network, samples, batch=4), tally(wanted)
        assert counted.samples == 6
        np.testing.assert_array_equal(counted.readout, exact.readout)
        for name, events in exact.events.items():
            np.testing.assert_array_equal(counted.events[name], events, err_msg=name)


@pytest.mark.parametrize("reset", [Reset.SOFT, Reset.HARD])
def test_bias_input(reset: Reset) -> None:
    """The first population is a LIF and the sample its bias mantissa, of either sign."""
    network = random_conv_network(3, reset)
    shape = network.source.shape
    first = Population(
        "input",
        shape,
        PopulationKind.LIF,
        reset,
        du=constant(4096, shape),
        dv=constant(1024, shape),
        vth=constant(90, shape),
        bias_mant=constant(0, shape),
    )
    network = replace(
        network,
        populations=(first, *network.populations[1:]),
        input_coding=InputCoding.BIAS,
        input_max=300,
    )
    samples = np.random.default_rng(0).integers(-300, 301, (5, *shape))
    for inputs in (over_time(samples, 4), np.ascontiguousarray(over_time(samples, 4))):
        wanted = layerwise(network, inputs)
        assert wanted.spikes["input"].any()
        assert_same(run(network, inputs, batch=2, states=True), wanted)


def test_counting_tells_its_progress_and_takes_inputs() -> None:
    network = random_conv_network(1, Reset.SOFT)
    inputs = random_inputs(network, 1, batch=7)
    seen: list[int] = []
    found = count(network, inputs, batch=3, progress=seen.append)
    assert seen == [3, 3, 1]
    wanted = tally(layerwise(network, inputs))
    for name, events in wanted.events.items():
        np.testing.assert_array_equal(found.events[name], events)


def accumulator(weight: int, payload: int, *, dv: int = 0, vth: int = 0) -> IntNetwork:
    """One input, one LIF that gets ``weight * payload`` every step, one readout."""
    rng = np.random.default_rng(0)
    neuron = Population(
        "n",
        (1,),
        PopulationKind.LIF,
        Reset.SOFT,
        du=constant(4096, (1,)),
        dv=constant(dv, (1,)),
        vth=constant(vth, (1,)),
        bias_mant=constant(0, (1,)),
    )
    source = plain_population("input", (1,), PopulationKind.INPUT)
    one = np.full((1, 1), 1, np.int64)
    projections = (
        Projection("input", "n", ProjectionKind.DENSE, weight * one),
        Projection("n", "readout", ProjectionKind.DENSE, one),
    )
    populations = (source, neuron, readout("readout", 1, rng))
    return IntNetwork(populations, projections, 1, InputCoding.GRADED, payload)


def test_the_proof_is_tight_at_24_bits() -> None:
    """With no decay product the partial sum decides: 2**24 - 1 fits, 2**24 does not."""
    fits, wide = accumulator(1, (1 << 24) - 1, dv=4096), accumulator(1, 1 << 24, dv=4096)
    assert bounds(fits)["input"].carrier == "float32"
    assert bounds(wide)["input"].carrier == "float64"
    # the membrane's sum must fit as well: 64 * a < 2**24
    assert bounds(accumulator(1, (1 << 18) - 1, dv=4096))["n"].carrier == "float32"
    assert bounds(accumulator(1, 1 << 18, dv=4096))["n"].carrier == "float64"


def test_the_proof_counts_the_bits_of_a_decay() -> None:
    """4096 - dv = 2048 only halves; 4095 needs twelve bits of its own."""
    halves, awkward = accumulator(1, 1 << 17, dv=2048), accumulator(1, 1 << 17, dv=1)
    assert bounds(halves)["n"].carrier == "float32"
    assert bounds(awkward)["n"].carrier == "float64"
    assert bounds(accumulator(1, 63, dv=1))["n"].carrier == "float32"


def test_what_no_float_holds_is_refused() -> None:
    with pytest.raises(TargetError, match=r"population n: found sums up to .*below 2\*\*53"):
        run(accumulator(1 << 40, 1 << 20), np.ones((1, 1, 1), np.int64))


def test_full_precision_is_switched_on_and_back() -> None:
    before = torch.get_float32_matmul_precision()
    backends: Any = torch.backends
    switches = (backends.cuda.matmul, backends.mkldnn.matmul)
    try:
        torch.set_float32_matmul_precision("medium")
        reduced = [s.fp32_precision for s in switches]
        assert "ieee" not in reduced
        with exact_products():
            assert torch.get_float32_matmul_precision() == "highest"
            assert [s.fp32_precision for s in switches] == ["ieee", "ieee"]
            assert not torch.backends.cudnn.enabled
        assert torch.get_float32_matmul_precision() == "medium"
        assert [s.fp32_precision for s in switches] == reduced
        assert torch.backends.cudnn.enabled
    finally:
        torch.set_float32_matmul_precision(before)


@pytest.mark.parametrize("coding", list(InputCoding))
def test_every_tensor_of_a_run_is_on_the_device(
    coding: InputCoding, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The meta device computes no values, but refuses to mix with the CPU as CUDA does."""
    monkeypatch.setattr(engine, "check_device", lambda device: None)
    network = random_conv_network(1, Reset.SOFT, memory=True)
    if coding is InputCoding.BIAS:
        first = replace(network.populations[1], name="input")
        rest = [j for j in network.projections if j.source != "input"]
        onward = [replace(j, source="input") if j.source == "conv0" else j for j in rest]
        network = IntNetwork((first, *network.populations[2:]), tuple(onward), 4, coding, 99)
    else:
        network = replace(network, input_coding=coding)
    layers = list(engine.prepare(network, "meta").layers(random_inputs(network, 0)))
    assert [layer.name for layer in layers] == [p.name for p in network.populations]
    assert {layer.sent.device.type for layer in layers} == {"meta"}
    assert {state: x.device.type for state, x in layers[-1].last.items()} == {
        "u": "meta",
        "v": "meta",
        "answer": "meta",
    }


def test_devices_are_checked() -> None:
    network = random_conv_network(0, Reset.SOFT)
    inputs = random_inputs(network, 0)
    with pytest.raises(TargetError, match="device 'tpu': found an unknown device"):
        run(network, inputs, device="tpu")
    if not torch.cuda.is_available():
        with pytest.raises(TargetError, match="no CUDA device"):
            run(network, inputs, device="cuda")
