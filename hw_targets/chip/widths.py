"""ChipSpec -> Precision: every width of the chip, as calibration and the integer neuron need it."""

from collections.abc import Mapping

from tssd.calibration.integer import WEIGHT_SHIFT
from tssd.calibration.precision import RANGES, Precision
from tssd.errors import ConfigError
from tssd.hw_targets.chip.spec import ChipSpec

NONE: Mapping[str, int] = {}


def precision_of(
    chip: ChipSpec, weight_bits: int | None = None, layer_bits: Mapping[str, int] = NONE
) -> Precision:
    """The widths of *chip*, its weights narrowed to *weight_bits* where that is given; those of
    single layers, *layer_bits*, are only checked."""
    bits = chip.bits
    for layer, count in layer_bits.items():
        _asked(chip, count, f" for {layer}")
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


def _asked(chip: ChipSpec, weight_bits: int | None, where: str = "") -> int:
    has = chip.bits.weight.count
    if weight_bits is not None and not RANGES["weight_bits"][0] <= weight_bits <= has:
        raise ConfigError(
            f"--weight-bits {weight_bits}{where}",
            found=f"chip {chip.name}, whose weights have {has} bits",
            allowed=f"2 .. {has}",
        )
    return has if weight_bits is None else weight_bits
