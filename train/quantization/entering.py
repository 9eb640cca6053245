"""How samples enter a network of few bits: on as many levels as leave its first layers bits."""

import math
from collections.abc import Callable

from torch import Tensor

from tssd.errors import ConfigError, NetworkError
from tssd.train.quantization.widths import ChipWidths

PIXEL_MAX = 255
LEVELS = (255, 127, 63, 31, 15, 7)  # largest payloads of the input that are tried
COARSER = 0.1  # bits that the layers behind the input may lose, in the mean of their channels


def input_levels(images: Tensor, chip: ChipWidths, lost: Callable[[int], Tensor]) -> int:
    """The largest payload of *images* (values 0 .. 1): 1 of zeros and ones. *lost* gives the bits
    that the channels behind the input lose with so many levels; NetworkError: all of them."""
    two_valued = bool(((images == 0) | (images == 1)).all())
    top = 1 if two_valued else min(PIXEL_MAX, chip.payload_max)
    if top == 1 and not two_valued:
        raise ConfigError(
            "training: bits",
            found="pictures of more than two values, and a chip whose spikes carry no payload",
            allowed="a chip with graded spikes, or recordings of events",
            hint="--target loihi2",
        )
    tried = (top, *(level for level in LEVELS if level < top))
    mean = {level: _mean_lost(level, lost, last=level == tried[-1]) for level in tried}
    least = mean[tried[-1]] + COARSER
    return next(level for level in tried if mean[level] <= least)


def _mean_lost(level: int, lost: Callable[[int], Tensor], *, last: bool) -> float:
    """In the mean of the channels; what does not fit with the fewest levels is refused."""
    try:
        return float(lost(level).mean())
    except NetworkError:
        if last:
            raise
        return math.inf


def on_levels(images: Tensor, levels: int) -> Tensor:
    """Values 0 .. 1 -> payloads, as the deployed network's input is coded."""
    pixels = (images * PIXEL_MAX).round()
    return ((pixels * levels + PIXEL_MAX // 2) / PIXEL_MAX).floor()
