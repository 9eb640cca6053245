"""The living definition: layer by layer equals the pipelined chip, sample after sample."""

import numpy as np
import pytest
from activities import assert_same
from hypothesis import given, settings
from strategies import Case, cases, random_conv_network, random_inputs

from tssd.calibration.int_network import Reset
from tssd.calibration.serial import from_arrays, to_arrays
from tssd.calibration.simulate import layerwise, pipelined
from tssd.errors import DataError


@given(cases())
@settings(max_examples=40, deadline=None)
def test_pipelined_chip_equals_layer_by_layer(case: Case) -> None:
    assert_same(layerwise(case.network, case.inputs), pipelined(case.network, case.inputs))


@given(cases())
@settings(max_examples=20, deadline=None)
def test_serial_form_is_lossless(case: Case) -> None:
    header, arrays = to_arrays(case.network)
    again = from_arrays(header, arrays)
    assert to_arrays(again)[0] == header
    for key, array in to_arrays(again)[1].items():
        np.testing.assert_array_equal(array, arrays[key])


def test_inputs_out_of_range_are_refused() -> None:
    network = random_conv_network(0, Reset.SOFT)
    with pytest.raises(DataError, match="allowed: 0 .. 255"):
        layerwise(network, random_inputs(network, 0) + 255)
