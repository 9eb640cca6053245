"""FloatNetwork on calibration samples -> what enters, what its currents and membranes reach."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from tssd.calibration.encode import on_levels, rate_code
from tssd.calibration.quantizing.entering import Entry
from tssd.train.handover.float_activity import ImageArray, ValueRange, presented
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


def coded_input(network: FloatNetwork, images: ImageArray, entry: Entry) -> Tensor:
    """The input as the integer network will see it, in float: rounded to its levels, or spikes."""
    pixels = presented(network, images)
    if entry.coding.binary and len(pixels) == 1:
        coded = rate_code(images, network.time_steps)
    else:
        coded = on_levels(pixels, entry.input_max)
    return torch.tensor(coded).float() / entry.input_max
