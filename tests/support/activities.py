"""Two activities held against each other."""

import numpy as np

from tssd.calibration.int_network import SPIKES, Activity


def assert_same(found: Activity, expected: Activity, *, states: bool = True) -> None:
    """Every spike and the final membranes; with *states* every state of every step too."""
    for label in (SPIKES, *expected.states) if states else (SPIKES,):
        mine, wanted = found.recorded(label), expected.recorded(label)
        assert mine.keys() == wanted.keys()
        for name in wanted:
            np.testing.assert_array_equal(mine[name], wanted[name], err_msg=f"{label} of {name}")
    np.testing.assert_array_equal(found.readout, expected.readout)
