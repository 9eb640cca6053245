"""Precision: the widths that a target gives weights, states and parameters.

The defaults are Loihi's, as Lava 0.10 and lava-dl 0.6 read and declare them (weights of 8 bits with
sign, 12-bit decays, 17-bit thresholds, 13-bit signed bias mantissas shifted by 6, 24-bit states;
``lava/proc/lif``, ``lava/lib/dl/netx/hdf5.py``). The pipeline fills it from a chip file.
"""

from dataclasses import dataclass

from tssd.calibration.integer import DECAY_ONE, STATE_BITS, WEIGHT_SHIFT
from tssd.errors import ConfigError


@dataclass(frozen=True)
class Precision:
    """Bit widths and ranges of one target.

    ``weight_bits`` counts the sign: 8 gives integers in [-127, 127], which every weight format of
    the target holds exactly, whatever mix of signs a layer has. ``bias_exp`` is the exponent that
    every exporter can say (netx fixes 6); ``bias_exp_max`` is the largest that the field holds.
    ``finer_max``: how far a dense projection's weight exponent may go below 0. Lava declares the
    field with 4 bits, -8 .. 7 (``lava/proc/dense/models.py``); odd weights of both signs take one.
    """

    weight_bits: int = 8
    decay_bits: int = 12
    vth_max: int = (1 << 17) - 1
    bias_mant_max: int = (1 << 12) - 1
    bias_exp: int = WEIGHT_SHIFT
    bias_exp_max: int = 7
    state_bits: int = STATE_BITS
    payload_bits: int = 8
    delay_max: int = 62
    finer_max: int = 7

    def __post_init__(self) -> None:
        _within("weight_bits", self.weight_bits, 2, 16)
        _within("decay_bits", self.decay_bits, 12, 12)
        _within("state_bits", self.state_bits, STATE_BITS, STATE_BITS)
        _within("payload_bits", self.payload_bits, 1, 24)
        _within("bias_exp", self.bias_exp, 0, self.bias_exp_max)
        _within("delay_max", self.delay_max, 0, 1 << 16)
        _within("finer_max", self.finer_max, 0, 7)
        for name in ("vth_max", "bias_mant_max"):
            _within(name, getattr(self, name), 1, 1 << 30)

    @property
    def weight_max(self) -> int:
        """The largest magnitude of the sign-safe weight set."""
        return (1 << (self.weight_bits - 1)) - 1

    @property
    def activation_max(self) -> int:
        """Largest worst-case |a| for which u = a << 6 never wraps: 131071."""
        return (1 << (self.state_bits - 1 - WEIGHT_SHIFT)) - 1

    @property
    def decay_one(self) -> int:
        """The integer that stands for forgetting everything."""
        return DECAY_ONE

    @property
    def payload_max(self) -> int:
        """The largest payload of an input event."""
        return (1 << self.payload_bits) - 1


def _within(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise ConfigError(f"precision: {name}", found=str(value), allowed=f"{low} .. {high}")


LOIHI = Precision()
