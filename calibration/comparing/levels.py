"""What rounding the user's numbers to the levels of the input changed in the float network."""

from typing import Any

import numpy as np

from tssd.calibration.int_network import IntNetwork
from tssd.train.handover.float_activity import ImageArray
from tssd.train.handover.float_network import FloatArray, FloatNetwork
from tssd.train.handover.float_run import run


def rounding_note(
    network: FloatNetwork, values: FloatArray, mapped: FloatNetwork, images: ImageArray
) -> str | None:
    """How many spike slots differ between *network* on *values* and *mapped* on the levels
    *images*, and whether a class does; None where nothing does."""
    before, after = (
        run(n, x, dtype="float64", keep_spikes=True)
        for n, x in ((network, values), (mapped, images))
    )
    firing = [p.name for p in network.populations if p.kind.fires]
    slots = sum(before.spikes[name].size for name in firing)
    differing = sum(int((before.spikes[n] != after.spikes[n]).sum()) for n in firing)
    classes = int(np.count_nonzero(before.classes() != after.classes()))
    if not differing and not classes:
        return None
    return (
        f"input values are rounded to 256 levels: {differing:,} of {slots:,} spike slots of the "
        f"float network differ ({100 * differing / max(slots, 1):.2g} %), and the class of "
        f"{classes} of {len(images)} samples"
    )


def input_table(network: IntNetwork, stripped: FloatNetwork) -> dict[str, Any]:
    """What enters, for a manifest: coding, largest payload, and what level 0 and 1 of each channel
    or value mean, where that is not 0 and 1."""
    table: dict[str, Any] = {"coding": str(network.input_coding), "largest": network.input_max}
    if stripped.entry is not None:
        table["low"] = [float(x) for x in stripped.entry.low.ravel()]
        table["high"] = [float(x) for x in stripped.entry.high.ravel()]
    return table
