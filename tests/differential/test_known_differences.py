"""Every entry of ``known_differences.toml`` shown to be as it says, in Lava's own models."""

import tomllib
from pathlib import Path

import numpy as np
import pytest
from lava_environment import differences, needs_lava

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
from tssd.calibration.integer import IntArray
from tssd.calibration.simulate import layerwise
from tssd.errors import NetworkError
from tssd.hw_targets.lava import engine

DENSE, CONV = ProjectionKind.DENSE, ProjectionKind.CONV2D
KNOWN = {
    entry["id"]: entry
    for entry in tomllib.loads(
        (Path(__file__).with_name("known_differences.toml")).read_text(encoding="utf-8")
    )["difference"]
}


def reading(name: str, shape: tuple[int, ...], bias: int = 0) -> Population:
    """A readout without leak or memory."""
    return Population(
        name,
        shape,
        PopulationKind.READOUT,
        Reset.NONE,
        du=constant(4096, shape),
        dv=constant(0, shape),
        vth=constant(0, shape),
        bias_mant=constant(bias, shape),
    )


def chain(*populations: Population, weights: list[Projection]) -> IntNetwork:
    return IntNetwork(populations, tuple(weights), 2, InputCoding.GRADED, 255)


def source(*shape: int) -> Population:
    return plain_population("input", shape, PopulationKind.INPUT)


def full(network: IntNetwork) -> IntArray:
    return np.full((2, 1, *network.source.shape), network.input_max)


def dense(weight: IntArray, origin: str = "input", target: str = "out") -> Projection:
    return Projection(origin, target, DENSE, weight)


def kernel(weight: int, exponent: int = 0, target: str = "out") -> Projection:
    return Projection("input", target, CONV, np.full((1, 1, 1, 1), weight), weight_exp=exponent)


MANY = np.full((1, 600), 255)
PAYLOAD = chain(
    source(1, 2, 2),
    plain_population("relay", (1, 2, 2), PopulationKind.RELAY),
    reading("out", (1,)),
    weights=[kernel(30000, target="relay"), dense(np.full((1, 4), 255), "relay")],
)
CASES = {
    "sum-beyond-25-bits": chain(source(600), reading("out", (1,)), weights=[dense(MANY)]),
    "payload-product-beyond-32-bits": PAYLOAD,
    "conv-left-shift": chain(
        source(1, 1, 1), reading("out", (1, 1, 1)), weights=[kernel(30000, 1)]
    ),
    "conv-right-shift": chain(
        source(1, 1, 1), reading("out", (1, 1, 1)), weights=[kernel(100, -1)]
    ),
    "bias-beyond-16-bits": chain(
        source(3), reading("out", (1,), bias=40000), weights=[dense(MANY[:, :3])]
    ),
    "dense-weights-beyond-8-bits": chain(
        source(3), reading("out", (1,)), weights=[dense(MANY[:, :3] + 1)]
    ),
    "odd-weights-of-both-signs": chain(
        source(3), reading("out", (1,)), weights=[dense(np.array([[-127, 3, 5]]))]
    ),
    "groups-beyond-127": chain(
        source(130, 2, 2),
        reading("out", (130, 1, 1)),
        weights=[
            Projection(
                "input", "out", ProjectionKind.SUM_POOL, np.ones((130, 1, 2, 2), int), groups=130
            )
        ],
    ),
}


def test_every_known_difference_has_a_case() -> None:
    assert set(CASES) == set(KNOWN)


def handled(*ways: str) -> list[str]:
    return [name for name, entry in KNOWN.items() if entry["handling"] in ways]


@pytest.fixture(scope="module")
def found() -> dict[str, Activity]:
    """All that runs, in one subprocess."""
    names = handled("rewritten", "differs")
    cases = [(CASES[name], full(CASES[name])) for name in names]
    return dict(zip(names, engine.run_many(cases, mode="inprocess"), strict=True))


@pytest.mark.lava
@needs_lava("light")
@pytest.mark.parametrize("name", handled("rewritten", "differs"))
def test_what_runs_is_equal_only_where_rewritten(found: dict[str, Activity], name: str) -> None:
    expected = layerwise(CASES[name], full(CASES[name]))
    equal = differences(expected, found[name]) == []
    assert equal == (name in handled("rewritten"))


@pytest.mark.lava
@needs_lava("light")
@pytest.mark.parametrize("name", handled("refused"))
def test_what_lava_would_change_is_refused(name: str) -> None:
    with pytest.raises(NetworkError, match="Lava: found"):
        engine.run(CASES[name], full(CASES[name]), mode="inprocess")
