"""Two activities held against each other."""

import numpy as np

from tssd.calibration.int_network import Activity


def assert_same(found: Activity, expected: Activity, *, states: bool = True) -> None:
    """Every spike and the final membranes; with *states* every u and v too."""
    for label in ("spikes", "u", "v") if states else ("spikes",):
        mine, wanted = getattr(found, label), getattr(expected, label)
        assert mine.keys() == wanted.keys()
        for name in wanted:
            np.testing.assert_array_equal(mine[name], wanted[name], err_msg=f"{label} of {name}")
    np.testing.assert_array_equal(found.readout, expected.readout)
