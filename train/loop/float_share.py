"""The share of a run with few bits that is in float, before its bits act.

Until then the network is the float network. As it is when its bits begin, it is what they follow:
the teacher of ``gamma``, kept in the run folder, so that a run that is resumed has the same.
"""

import math
from pathlib import Path

from torch import Tensor

from tssd.errors import ConfigError
from tssd.train.config import TrainConfig
from tssd.train.loop.checkpoint import Position, save_checkpoint
from tssd.train.loop.folder import TEACHER
from tssd.train.networks import distributed
from tssd.train.networks.network import Unrolled
from tssd.train.quantization.network import QuantizedNet


def check_float_share(net: Unrolled, config: TrainConfig) -> None:
    """ConfigError where *net*, about to begin, has no float to begin in."""
    if config.float_share and not waits(net):
        raise ConfigError(
            "training: float_share",
            found=f"{config.float_share:g}, with whole weights from the first update on",
            allowed="0 where a run with few bits goes on, and for a network that was taken over",
            hint="train RUN on in float, then: tssd calibrate RUN --bits 4",
        )


def waits(net: Unrolled) -> bool:
    """Whether *net* is to have few bits, and is still in float."""
    return isinstance(net, QuantizedNet) and not net.begun


def is_due(config: TrainConfig, update: int, updates: int) -> bool:
    """Whether bits act from *update* on, of so many *updates*; in the last one they always do."""
    return update >= min(math.ceil(config.float_share * updates), updates - 1)


def begin(
    net: Unrolled, currents: Tensor, config: TrainConfig, classes: tuple[str, ...], folder: Path
) -> None:
    """Keep *net* as the teacher where one is wanted; then its bits act, on the levels that
    *currents* ask for."""
    assert isinstance(net, QuantizedNet)
    if config.gamma and distributed.rank() == 0:
        save_checkpoint(folder / TEACHER, net, None, config, classes, Position(), {})
    distributed.wait()
    net.begin(currents)
