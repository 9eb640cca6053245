"""FloatNetwork on calibration samples -> what its currents and membranes reach."""

from collections.abc import Mapping
from dataclasses import dataclass

from tssd.train.handover.float_activity import ImageArray, ValueRange
from tssd.train.handover.float_network import FloatNetwork
from tssd.train.handover.float_run import run


@dataclass(frozen=True, eq=False)
class Observation:
    """The calibration images (training split only) and the range of every population on them."""

    images: ImageArray
    ranges: Mapping[str, ValueRange]


def observe(network: FloatNetwork, images: ImageArray, batch: int = 64) -> Observation:
    """Run the folded ``network`` on uint8 ``images`` (N, C, H, W)."""
    return Observation(images, run(network, images, batch=batch, keep_ranges=True).ranges)
