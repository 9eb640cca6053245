"""ChipSpec -> Precision: every width of the chip, as calibration and the integer neuron need it."""

from tssd.calibration.integer import WEIGHT_SHIFT
from tssd.calibration.precision import Precision
from tssd.errors import ConfigError
from tssd.hw_targets.chip.spec import ChipSpec


def precision_of(chip: ChipSpec, weight_bits: int | None = None) -> Precision:
    """The widths of *chip*, its weights narrowed to *weight_bits* where that is given."""
    bits = chip.bits
    exponent_max = (1 << bits.bias_exponent.count) - 1
    return Precision(
        weight_bits=_asked(chip, weight_bits),
        decay_bits=bits.decay.count,
        vth_max=(1 << bits.threshold.count) - 1,
        bias_mant_max=(1 << (bits.bias.count - 1)) - 1,
        bias_exp=min(WEIGHT_SHIFT, exponent_max),  # netx says WEIGHT_SHIFT and nothing else
        bias_exp_max=exponent_max,
        state_bits=bits.state.count,
        payload_bits=bits.payload.count,
        delay_max=chip.limits.delay.count,
        finer_max=(1 << max(bits.weight_exponent.count - 1, 0)) - 1,
    )


def _asked(chip: ChipSpec, weight_bits: int | None) -> int:
    has = chip.bits.weight.count
    if weight_bits is not None and weight_bits > has:
        raise ConfigError(
            f"--weight-bits {weight_bits}",
            found=f"chip {chip.name}, whose weights have {has} bits",
            allowed=f"2 .. {has}",
        )
    return has if weight_bits is None else weight_bits
