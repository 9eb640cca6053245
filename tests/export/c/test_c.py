"""The exported C is the network: every spike, current and membrane, under the sanitizers."""

import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from activities import assert_same
from c_networks import FEATURES, c_case, features
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import (
    Case,
    random_conv_network,
    random_inputs,
    random_lif,
    readout,
    recurrent_case,
    residual_network,
)

from tssd.calibration.int_network import (
    Activity,
    InputCoding,
    IntNetwork,
    MembraneRead,
    PopulationKind,
    Projection,
    ProjectionKind,
    Reset,
    plain_population,
)
from tssd.calibration.simulate import check_loops, layerwise
from tssd.calibration.tally import tally
from tssd.cli import cli
from tssd.errors import FileFormatError, NetworkError, TargetError
from tssd.export.bundle.folder import write_bundle
from tssd.export.c.folder import write_c
from tssd.export.c.tables import pack, table
from tssd.hw_targets.c import engine
from tssd.hw_targets.c.engine import SANITIZED, compile_network, compiler, run
from tssd.train.handover.geometry import output_shape

pytestmark = pytest.mark.skipif(compiler() is None, reason="no C compiler")


def check_equal(case: Case, flags: tuple[str, ...] = SANITIZED) -> None:
    found = run(compile_network(case.network, flags), case.inputs)
    assert_same(found, layerwise(case.network, case.inputs))


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_random_networks_are_equal_under_the_sanitizers(seed: int) -> None:
    check_equal(c_case(seed))


def test_the_random_networks_have_all_that_c_can_say() -> None:
    drawn = (features(c_case(seed).network) for seed in range(300))
    assert set[str]().union(*drawn) == FEATURES


@pytest.mark.parametrize("coding", [InputCoding.GRADED, InputCoding.SPIKES])
def test_input_as_payloads_and_spikes(coding: InputCoding) -> None:
    network = random_conv_network(5, Reset.SOFT, memory=True, coding=coding)
    check_equal(Case(network, random_inputs(network, 5)))


def test_input_as_bias_of_either_sign() -> None:
    network, rng = random_conv_network(6, Reset.HARD), np.random.default_rng(6)
    first = random_lif(rng, network.source.name, network.source.shape, Reset.HARD, memory=True)
    biased = replace(
        network,
        populations=(first, *network.populations[1:]),
        input_coding=InputCoding.BIAS,
        input_max=4095,
    )
    shape = (network.time_steps, 3, *first.shape)
    check_equal(Case(biased, rng.integers(-4095, 4096, shape)))


def test_a_relay_that_sends_one_or_minus_one() -> None:
    """A sum of at most 1 in magnitude is no spike: its sign counts."""
    rng = np.random.default_rng(2)
    first, relay = (
        plain_population(name, (6,), kind)
        for name, kind in (("input", PopulationKind.INPUT), ("relay", PopulationKind.RELAY))
    )
    to_relay = Projection(
        "input", "relay", ProjectionKind.DENSE, rng.integers(-1, 2, (6, 6)), weight_exp=-7
    )
    weight = rng.integers(-127, 128, (3, 6))
    out = Projection("relay", "readout", ProjectionKind.DENSE, weight)
    network = IntNetwork(
        (first, relay, readout("readout", 3, rng)), (to_relay, out), 4, InputCoding.SPIKES, 1
    )
    case = Case(network, random_inputs(network, 1))
    assert set(np.unique(layerwise(network, case.inputs).spikes["relay"])) == {-1, 0}
    check_equal(case)


def test_a_part_whose_bytes_are_as_many_as_its_array_has_values() -> None:
    """memset of 12 bytes in an array of 12 values: gcc warns, and the program is right."""
    rng = np.random.default_rng(1)
    first = plain_population("input", (5,), PopulationKind.INPUT)
    wide = random_lif(rng, "wide", (12,), Reset.HARD)
    maps = [
        Projection(a, b, ProjectionKind.DENSE, rng.integers(-127, 128, shape), weight_exp=1)
        for a, b, shape in ((first.name, "wide", (12, 5)), ("wide", "readout", (3, 12)))
    ]
    network = IntNetwork((first, wide, readout("readout", 3, rng)), tuple(maps), 4)
    check_equal(Case(network, random_inputs(network, 1)))


def test_skips_delays_and_loops() -> None:
    network = residual_network(1, Reset.HARD)
    check_equal(Case(network, random_inputs(network, 1)))
    seeds = (seed for seed in range(40) if _runs_layer_by_layer(recurrent_case(seed)))
    check_equal(recurrent_case(next(seeds)))


def _runs_layer_by_layer(case: Case) -> bool:
    try:
        check_loops(case.network)
    except NetworkError:
        return False
    return any(j.is_loop for j in case.network.projections)


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 7), st.integers(0, 2**32 - 1), st.integers(1, 40))
def test_packed_values_come_back(bits: int, seed: int, size: int) -> None:
    values = np.random.default_rng(seed).integers(0, 1 << bits, size)
    packed = pack(values, bits).astype(np.int64)
    for i, value in enumerate(values.tolist()):
        bit = i * bits
        both = packed[bit >> 3] | packed[(bit >> 3) + 1] << 8
        assert int(both >> (bit & 7)) & ((1 << bits) - 1) == value


def test_two_values_take_a_bit_each() -> None:
    binary = table("w", np.where(np.arange(80) % 3 == 0, -1, 1))
    assert (binary.bits, binary.bytes) == (1, 10)
    assert table("w", np.full(80, 7)).bytes == 0


def test_convert_writes_what_a_compiler_takes(tmp_path: Path) -> None:
    write_bundle(tmp_path / "b", random_conv_network(3, Reset.HARD))
    out = tmp_path / "c"
    done = CliRunner().invoke(cli, ["convert", str(tmp_path / "b"), "--c", str(out)])
    assert done.exit_code == 0, done.output
    assert "bytes of constant tables" in done.output
    assert sorted(path.name for path in out.iterdir()) == ["main.c", "network.c", "network.h"]
    again = CliRunner().invoke(cli, ["convert", str(tmp_path / "b"), "--c", str(out)])
    assert isinstance(again.exception, FileFormatError)
    assert "found an existing file" in str(again.exception)


def test_what_c_cannot_say_is_refused_by_name_and_nothing_is_left(tmp_path: Path) -> None:
    network = residual_network(1, Reset.HARD)
    back = Projection("b", "a", ProjectionKind.CONV2D, np.ones((2, 2, 3, 3), int), padding=(1, 1))
    looped = replace(network, projections=(*network.projections, back))
    write_bundle(tmp_path / "b", looped)
    asked = ["convert", str(tmp_path / "b"), "--c", str(tmp_path / "c")]
    refused = CliRunner().invoke(cli, asked)
    assert isinstance(refused.exception, NetworkError)
    assert "b -> a" in str(refused.exception)
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


@pytest.mark.parametrize("read", list(MembraneRead))
def test_the_program_prints_the_class(read: MembraneRead, tmp_path: Path) -> None:
    network = random_conv_network(1, Reset.SOFT)
    falling = np.where(np.arange(network.readout.neurons) % 2, -300, 0)
    last = replace(network.readout, membrane_read=read, bias_mant=falling)
    network = replace(network, populations=(*network.populations[:-1], last))
    inputs = random_inputs(network, 3, batch=12)
    write_c(network, tmp_path, "network")
    command = [str(compiler()), "-std=c99", *SANITIZED, "network.c", "main.c", "-o", "network"]
    subprocess.run(command, cwd=tmp_path, check=True)
    sent = np.ascontiguousarray(inputs.swapaxes(0, 1), np.int32).tobytes()
    printed = subprocess.run([str(tmp_path / "network")], input=sent, capture_output=True).stdout
    wanted = tally(layerwise(network, inputs)).classes()
    assert [int(line) for line in printed.split()] == wanted.tolist()
    assert len(set(wanted.tolist())) > 1
    other = layerwise(network, inputs).states["v"][last.name]
    by = {MembraneRead.LAST: other.max(axis=0), MembraneRead.LARGEST: other[-1]}
    assert wanted.tolist() != by[read].reshape(len(wanted), -1).argmax(axis=1).tolist()


def test_without_a_compiler_the_line_that_installs_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "compiler", lambda: None)
    assert engine.presence().fix == engine.INSTALL
    with pytest.raises(TargetError, match="no C compiler\n  try: apt-get install gcc"):
        compile_network(random_conv_network(1, Reset.HARD))


def test_activity_has_the_shapes_of_the_definition() -> None:
    network = random_conv_network(2, Reset.HARD)
    found: Activity = run(compile_network(network), random_inputs(network, 2, batch=2))
    assert found.readout.shape == (2, *network.readout.shape)


@pytest.mark.parametrize(("stride", "groups"), [((2, 1), 1), ((3, 2), 2)])
def test_transposed_convolution_spreads_its_source(stride: tuple[int, int], groups: int) -> None:
    rng = np.random.default_rng(4)
    first = random_conv_network(4, Reset.SOFT).source
    shape = (2, 5, 4)
    source = replace(first, shape=shape)
    wide = Projection(
        source.name,
        "wide",
        ProjectionKind.CONV2D_TRANSPOSED,
        rng.integers(-90, 91, (4, 2 // groups, 3, 2)),
        stride=stride,
        padding=(1, 0),
        groups=groups,
    )
    target = output_shape(wide, shape)
    lif = random_lif(rng, "wide", target, Reset.SOFT)
    last = readout("readout", 5, rng)
    dense = rng.integers(-9, 10, (5, int(np.prod(target))))
    network = IntNetwork(
        (source, lif, last),
        (wide, Projection("wide", "readout", ProjectionKind.DENSE, dense)),
        4,
    )
    check_equal(Case(network, random_inputs(network, 7)))
