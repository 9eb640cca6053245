"""The float network's serial form is lossless and refuses what is damaged."""

import json
from dataclasses import replace

import numpy as np
import pytest

from tssd.errors import FileFormatError
from tssd.train.handover.float_network import (
    AveragePool,
    FloatNetwork,
    FloatPopulation,
    FloatProjection,
    MembraneRead,
    Norm,
    PopulationKind,
    ProjectionKind,
    Reset,
)
from tssd.train.handover.float_serial import from_arrays, to_arrays

LIF, SOFT, NONE = PopulationKind.LIF, Reset.SOFT, Reset.NONE


def small_network() -> FloatNetwork:
    rng = np.random.default_rng(0)
    one = np.ones((1, 1, 1))
    mean, variance, gain, shift = rng.random((4, 2))
    populations = (
        FloatPopulation("input", (1, 4, 4), PopulationKind.INPUT, NONE, 0 * one, one, 0 * one),
        FloatPopulation("conv1", (2, 4, 4), LIF, SOFT, 0.5 * one, one, 0 * one),
        FloatPopulation(
            "readout", (3,), PopulationKind.READOUT, NONE, np.ones(1), np.ones(1), np.zeros(1)
        ),
    )
    conv = FloatProjection(
        "input",
        "conv1",
        ProjectionKind.CONV2D,
        rng.normal(size=(2, 1, 3, 3)),
        padding=(1, 1),
        norm=Norm(mean, variance, gain, shift, 1e-5),
    )
    dense = FloatProjection(
        "conv1",
        "readout",
        ProjectionKind.DENSE,
        rng.normal(size=(3, 8)),
        bias=rng.normal(size=3),
        pool=AveragePool((2, 2), (2, 2)),
    )
    return FloatNetwork(populations, (conv, dense), 4)


def test_serial_form_is_lossless() -> None:
    header, arrays = to_arrays(small_network())
    again, copies = to_arrays(from_arrays(header, arrays))
    assert again == header
    assert copies.keys() == arrays.keys()
    for key, array in arrays.items():
        np.testing.assert_array_equal(copies[key], array)


def test_a_reset_of_its_own_amount_makes_a_later_schema() -> None:
    plain = small_network()
    own = replace(plain.populations[1], reset_by=np.full((1, 1, 1), 1.25))
    network = replace(plain, populations=(plain.populations[0], own, plain.populations[2]))
    header, arrays = to_arrays(network)
    assert (json.loads(to_arrays(plain)[0])["schema"], json.loads(header)["schema"]) == (
        *("tssd-float/1", "tssd-float/2"),
    )
    again = from_arrays(header, arrays).populations
    assert [p.reset_by is None for p in again] == [True, False, True]
    assert again[1].subtracted.item() == 1.25
    assert plain.populations[1].subtracted.item() == 1


def test_a_largest_membrane_that_is_read_makes_a_later_schema() -> None:
    plain = small_network()
    last = replace(plain.populations[-1], membrane_read=MembraneRead.LARGEST)
    header, arrays = to_arrays(replace(plain, populations=(*plain.populations[:-1], last)))
    assert json.loads(header)["schema"] == "tssd-float/3"
    read = [p.membrane_read for p in from_arrays(header, arrays).populations]
    assert read == [MembraneRead.LAST, MembraneRead.LAST, MembraneRead.LARGEST]


def test_a_missing_array_is_refused() -> None:
    header, arrays = to_arrays(small_network())
    del arrays["projection/0/variance"]
    with pytest.raises(FileFormatError, match="projection/0/variance"):
        from_arrays(header, arrays)


def test_another_schema_is_refused() -> None:
    header, arrays = to_arrays(small_network())
    with pytest.raises(FileFormatError, match="allowed: tssd-float/1"):
        from_arrays(header.replace("tssd-float/1", "tssd-float/9"), arrays)
