"""A readout whose largest membrane is the answer: the same number from the definition, every
engine, the C code, torch and the float run; refused by name where a format cannot say it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from float_nets import small_vgg
from hypothesis import example, given, settings
from hypothesis import strategies as st
from strategies import random_conv_network, random_inputs, recurrent_case

from tssd.calibration.int_network import IntNetwork, MembraneRead, Reset
from tssd.calibration.integer import IntArray
from tssd.calibration.quantizing.fold import align, fold
from tssd.calibration.serial import from_arrays, to_arrays
from tssd.calibration.simulate import pipelined, reference
from tssd.chain.torch_module import FloatModule, IntegerModule
from tssd.errors import NetworkError
from tssd.export.netx.write import check_netx
from tssd.export.nir.from_float import from_float
from tssd.export.nir.integers.read import read_nir
from tssd.export.nir.integers.write import write_nir
from tssd.export.onnx import float_graph
from tssd.export.onnx.graph import step_bytes
from tssd.hw_targets.gpu import engine as gpu
from tssd.hw_targets.onnx import engine as onnx
from tssd.hw_targets.sim.functional import activity as activity_of
from tssd.hw_targets.sim.functional import simulate, tally_of
from tssd.hw_targets.sim.program import prepare
from tssd.train.handover.float_network import FloatNetwork
from tssd.train.handover.float_run import run

SEEDS = st.integers(0, 2**32 - 1)


def read_largest(network: IntNetwork, bias: int | None = None) -> IntNetwork:
    last = replace(network.readout, membrane_read=MembraneRead.LARGEST)
    if bias is not None:
        last = replace(last, bias_mant=np.full_like(last.bias_mant, bias))
    return replace(network, populations=(*network.populations[:-1], last))


def answers(network: IntNetwork, inputs: IntArray) -> dict[str, IntArray]:
    """What every way to run *network* answers."""
    program = prepare(network)
    recorded = activity_of(network, simulate(program, inputs, record=True))
    return {
        "gpu": gpu.run(network, inputs).readout,
        "gpu count": gpu.count(network, inputs).readout,
        "onnx": onnx.run(network, inputs).readout,
        "onnx, traced": onnx.run(network, inputs, trace=True).readout,
        "onnx, step by step": onnx.run(step_bytes(network), inputs).readout,
        "sim": recorded.readout,
        "sim count": tally_of(network, simulate(program, inputs)).readout,
        "torch": IntegerModule(network)(torch.from_numpy(inputs)).numpy(),
    }


@given(SEEDS)
@example(118)  # input as bias into a population with loops: its own bias does not count
@settings(max_examples=8, deadline=None)
def test_every_engine_answers_with_the_largest_membrane(seed: int) -> None:
    case = recurrent_case(seed)
    network = read_largest(case.network)
    wanted = reference(network, case.inputs)
    membranes = wanted.states["v"][network.readout.name]
    np.testing.assert_array_equal(wanted.readout, membranes.max(axis=0))
    for name, found in answers(network, case.inputs).items():
        np.testing.assert_array_equal(found, wanted.readout, err_msg=name)


@pytest.mark.parametrize("bias", [-4095, 4095])
def test_the_first_step_counts_and_rest_does_not(bias: int) -> None:
    """Membranes that only fall are largest in the first step, and below zero."""
    network = read_largest(random_conv_network(3, Reset.SOFT), bias)
    inputs = random_inputs(network, 3)
    wanted = reference(network, inputs).states["v"][network.readout.name]
    if bias < 0:
        assert (wanted.max(axis=0) < 0).any()
    assert (wanted.max(axis=0) != wanted[-1]).any() == (bias < 0)
    for name, found in answers(network, inputs).items():
        np.testing.assert_array_equal(found, wanted.max(axis=0), err_msg=name)


def test_the_pipelined_order_answers_the_same() -> None:
    network = read_largest(random_conv_network(4, Reset.HARD), -90)
    inputs = random_inputs(network, 4)
    np.testing.assert_array_equal(
        pipelined(network, inputs).readout, reference(network, inputs).readout
    )


def test_files_keep_the_rule(tmp_path: Path) -> None:
    plain = random_conv_network(5, Reset.HARD)
    network = read_largest(plain)
    header, arrays = to_arrays(network)
    assert '"tssd-int/4"' in header
    assert from_arrays(header, arrays).readout.membrane_read is MembraneRead.LARGEST
    assert "membrane_read" not in to_arrays(plain)[0]
    write_nir(network, tmp_path / "n.nir")
    assert read_nir(tmp_path / "n.nir").readout.membrane_read is MembraneRead.LARGEST


def test_another_population_has_no_answer() -> None:
    first = random_conv_network(5, Reset.HARD).populations[1]
    with pytest.raises(NetworkError, match="membrane_read: found the largest membrane as the answ"):
        replace(first, membrane_read=MembraneRead.LARGEST)


def float_largest() -> FloatNetwork:
    network = align(fold(small_vgg(2, side=8)))
    last = replace(network.populations[-1], membrane_read=MembraneRead.LARGEST)
    biased = replace(last, bias=last.bias - 0.2)
    return replace(network, populations=(*network.populations[:-1], biased))


def test_the_float_run_and_its_torch_module_read_it_too() -> None:
    network = float_largest()
    images = np.random.default_rng(0).integers(0, 256, (5, 1, 8, 8)).astype(np.uint8)
    found = run(network, images, dtype="float64", keep_spikes=True)
    membranes = found.membranes[network.populations[-1].name]
    wanted = membranes.max(axis=0) / network.time_steps
    np.testing.assert_allclose(found.logits, wanted)
    assert not np.allclose(membranes[-1] / network.time_steps, wanted)
    module = FloatModule(network)
    with torch.no_grad():
        np.testing.assert_allclose(module(module.inputs(images)).numpy(), wanted, atol=1e-5)


REFUSALS: dict[str, tuple[Callable[[], object], str]] = {
    "nir": (lambda: from_float(float_largest()), "a NIR graph says no rule for its output"),
    "float onnx": (
        lambda: float_graph.scan_bytes(float_largest()),
        "try: --onnx integer, whose graph keeps the largest",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_cannot_say_it_refuses(name: str) -> None:
    write, message = REFUSALS[name]
    with pytest.raises(NetworkError, match=message):
        write()


def test_a_net_cannot_say_it() -> None:
    network = random_conv_network(5, Reset.HARD)
    before, found = (map(str, check_netx(n)) for n in (network, read_largest(network)))
    (new,) = set(found) - set(before)
    assert "found the largest membrane as the answer; allowed: that of the last step" in new
