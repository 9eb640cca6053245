"""Precision: the widths that a target gives weights, states and parameters.

The defaults are Loihi's, as Lava 0.10 and lava-dl 0.6 read and declare them (weights of 8 bits with
sign, 12-bit decays, 17-bit thresholds, 13-bit signed bias mantissas shifted by 6, 24-bit states;
``lava/proc/lif``, ``lava/lib/dl/netx/hdf5.py``). A chip file gives every one of them
(``hw_targets.chip.widths``); ``RANGES`` is what the integer neuron can honour.
"""

from dataclasses import dataclass

from tssd.calibration.integer import DECAY_ONE, STATE_BITS, WEIGHT_SHIFT
from tssd.errors import ConfigError

# what the integer neuron can honour: field -> least, largest
RANGES: dict[str, tuple[int, int]] = {
    "weight_bits": (2, 16),
    "decay_bits": (1, DECAY_ONE.bit_length() - 1),
    "vth_max": (1, (1 << (STATE_BITS - 1 - WEIGHT_SHIFT)) - 1),
    "bias_mant_max": (1, (1 << (STATE_BITS - 1)) - 1),
    "bias_exp": (0, 7),
    "bias_exp_max": (0, 7),
    "state_bits": (STATE_BITS, STATE_BITS),
    "payload_bits": (0, 24),
    "delay_max": (0, 1 << 16),
    "finer_max": (0, 7),
}


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
        for name, (low, high) in RANGES.items():
            _within(name, getattr(self, name), low, high)
        _within("bias_exp", self.bias_exp, 0, self.bias_exp_max)

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
    def decay_step(self) -> int:
        """Decays are multiples of it: 2**-decay_bits of forgetting everything. A narrower field is
        exact in the 12 bits of the definition: x (4096 - 16 d) >> 12 is x (256 - d) >> 8."""
        return DECAY_ONE >> self.decay_bits

    @property
    def payload_max(self) -> int:
        """The largest payload of an input event; a spike without a payload counts as 1."""
        return max((1 << self.payload_bits) - 1, 1)


def _within(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise ConfigError(f"precision: {name}", found=str(value), allowed=f"{low} .. {high}")


LOIHI = Precision()
