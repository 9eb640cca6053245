"""A further parameter of the neuron: one field, and files, listings, limits and engines know it."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from strategies import random_conv_network

from tssd.calibration import serial
from tssd.calibration.int_network import IntNetwork, Population, Reset, constant
from tssd.calibration.integer import IntArray
from tssd.calibration.layer import scaled_amounts, unscaled_amounts
from tssd.calibration.neuron import PARAMETERS, parameters
from tssd.calibration.precision import Precision
from tssd.calibration.quantizing.quantize import check_integers
from tssd.errors import FileFormatError, NetworkError
from tssd.export.c.source import source
from tssd.export.netx.rules import check_netx
from tssd.export.nir.from_float import from_float
from tssd.export.nir.integers.graph import NirMode, to_nir
from tssd.export.nir.integers.roundtrip import check_plain_nir
from tssd.export.onnx import float_graph, graph
from tssd.hw_targets.gpu import engine as gpu
from tssd.hw_targets.sim import program
from tssd.hw_targets.sim.kernels import functional_kernel
from tssd.inspecting import difference
from tssd.train.handover.fields import amount
from tssd.train.handover.float_network import (
    FloatArray,
    FloatNetwork,
    FloatPopulation,
    FloatProjection,
    PopulationKind,
    ProjectionKind,
)


@dataclass(frozen=True, eq=False)
class Floored(Population):
    """A membrane that does not fall below -floor."""

    floor: IntArray | None = field(default=None, metadata=amount("floor", 5))

    @property
    def levels(self) -> dict[str, IntArray]:
        own = {} if self.floor is None else {"floor": self.floor}
        return {**super().levels, **own}


@dataclass(frozen=True, eq=False)
class FloatFloored(FloatPopulation):
    floor: FloatArray | None = field(default=None, metadata=amount("floor", 5))


def with_floor(network: IntNetwork, floor: int | None = 90) -> IntNetwork:
    """The last firing population with a floor, or with the class alone."""
    *before, last, readout = network.populations
    given = None if floor is None else constant(floor, last.shape)
    return replace(network, populations=(*before, Floored(**vars(last), floor=given), readout))


NETWORK = random_conv_network(3, Reset.HARD)
FLOORED = with_floor(NETWORK)
NAME = FLOORED.populations[-2].name


def test_files_carry_it_and_older_readers_refuse_it() -> None:
    header, arrays = serial.to_arrays(FLOORED)
    assert json.loads(header)["schema"] == "tssd-int/5"
    (key,) = set(arrays) - set(serial.to_arrays(NETWORK)[1])
    assert key.endswith("/floor")
    assert arrays[key].item() == 90
    with pytest.raises(FileFormatError, match="schema 'tssd-int/5'; allowed: tssd-int/1, tssd-int"):
        serial.from_arrays(header, arrays)


def test_where_it_says_nothing_files_stay_as_they_were() -> None:
    header, arrays = serial.to_arrays(with_floor(NETWORK, None))
    wanted, others = serial.to_arrays(NETWORK)
    assert header == wanted
    assert arrays.keys() == others.keys()


def test_a_listing_for_comparison_has_it() -> None:
    found = difference._network(FLOORED)[NAME]
    assert found["floor"].item() == 90
    assert set(found) - set(difference._network(NETWORK)[NAME]) == {"floor"}


def test_nir_carries_it_beside_the_plain_nodes_and_checks_it() -> None:
    made = to_nir(FLOORED)
    assert (made.nodes[NAME].metadata["floor"] == 90).all()
    assert made.nodes[NAME].metadata["floor"].shape == FLOORED.population(NAME).shape
    assert made.metadata["reset"] == "per node"
    wrong = {row.name for row in check_plain_nir(NETWORK, made) if row.status == "fail"}
    assert wrong == set()  # a Population knows of no floor


def test_its_limit_is_a_threshold_s() -> None:
    wide = with_floor(NETWORK, Precision().vth_max + 1)
    with pytest.raises(NetworkError, match=f"{NAME}: found a floor of 131072; allowed: .-131071"):
        check_integers(wide, Precision())


def test_it_is_scaled_with_the_weights() -> None:
    one = np.ones((1,))
    p = FloatFloored("n", (4,), PopulationKind.LIF, Reset.HARD, one, one, one, floor=2.26 * one)
    scaled = scaled_amounts(p, 10.0)
    assert {name: array.tolist() for name, array in scaled.items()} == {"floor": [23.0]}
    integers = {name: array.astype(np.int64) for name, array in scaled.items()}
    assert unscaled_amounts(integers, 10.0)["floor"].tolist() == [2.3]


def test_whoever_reads_it_has_it_in_membrane_units() -> None:
    found = parameters(FLOORED.population(NAME), (*PARAMETERS, "floor"))
    assert found["floor"].item() == 90 << 6
    assert tuple(found) == (*PARAMETERS, "floor")


ENGINES: dict[str, Callable[[IntNetwork], object]] = {
    "gpu": gpu.prepare,
    "sim": program.prepare,
    "onnx": graph.check,
    "c": lambda network: source(network, "n", "0"),
    "plain nodes": lambda network: to_nir(softly(network), NirMode.EXACT),
}


def softly(network: IntNetwork) -> IntNetwork:
    return replace(
        network, populations=tuple(replace(p, reset=Reset.SOFT) for p in network.populations)
    )


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_that_lacks_it_refuses_the_network_by_its_name(name: str) -> None:
    with pytest.raises(NetworkError, match=f"{NAME}: found a neuron with floor; allowed: keep_u"):
        ENGINES[name](FLOORED)
    ENGINES[name](with_floor(NETWORK, None))


def test_the_simulator_s_row_is_neutral_where_a_neuron_has_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(functional_kernel, "PARAMETERS", (*PARAMETERS, "floor"))
    monkeypatch.setattr(functional_kernel, "NEUTRAL", {"floor": 7})
    rows = {x.population.name: x.parameters[4] for x in program.prepare(FLOORED).layers}
    assert set(rows.pop(NAME)) == {90 << 6}
    assert {int(x) for row in rows.values() for x in row} == {7}


def test_netx_finds_it() -> None:
    mine = {str(f) for f in check_netx(FLOORED)} - {str(f) for f in check_netx(NETWORK)}
    assert len(mine) == 1
    assert f"population {NAME}: found a neuron with floor" in mine.pop()


def float_network(floor: float | None) -> FloatNetwork:
    one = np.ones((1,))
    given = None if floor is None else floor * one
    populations = (
        FloatPopulation("input", (4,), PopulationKind.INPUT, Reset.NONE, 0 * one, one, 0 * one),
        FloatFloored("n", (4,), PopulationKind.LIF, Reset.HARD, one, one, 0 * one, floor=given),
        FloatPopulation("out", (4,), PopulationKind.READOUT, Reset.NONE, one, one, 0 * one),
    )
    ways = (("input", "n"), ("n", "out"))
    eye = tuple(FloatProjection(s, t, ProjectionKind.DENSE, np.eye(4)) for s, t in ways)
    return FloatNetwork(populations, eye, 3)


@pytest.mark.parametrize(
    ("write", "what"),
    [(from_float, "a NIR graph"), (float_graph.onnx_float_bytes, "a float ONNX graph")],
)
def test_a_float_format_that_lacks_it_refuses(
    write: Callable[[FloatNetwork], object], what: str
) -> None:
    with pytest.raises(NetworkError, match=f"n: floor: found a neuron with .*{what} can say"):
        write(float_network(0.5))
    write(float_network(None))


def test_lava_s_runner_hands_it_on(tmp_path: Path) -> None:
    """It has no tssd, so it goes by the keys of the arrays alone."""
    import importlib.util

    import tssd.hw_targets.lava as lava

    place = Path(str(lava.__file__)).parent / "runner" / "model.py"
    spec = importlib.util.spec_from_file_location("lava_model", place)
    assert spec is not None
    assert spec.loader is not None
    model = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(model)
    read = model.build(*serial.to_arrays(FLOORED))
    (population,) = (p for p in read.populations if p.name == NAME)
    assert {name: x.item() for name, x in population.levels.items()} == {"floor": 90}
