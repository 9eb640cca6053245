"""What a chip holds, and the bits of each stage: values that a later stage passes in."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

from tssd.config import unknown_name, with_exceptions
from tssd.errors import ConfigError
from tssd.train.config import TrainConfig

NAMED = {"ternary": 2, "binary": 1}
MOST_BITS, FEWEST_BITS = 16, 2


@dataclass(frozen=True)
class ChipWidths:
    """Ranges of a target, in the integer neuron's own units (weight units; 64 in a membrane's).

    ``weight_bits`` count the sign, so that 8 allow -127 .. 127. The defaults are Loihi's.
    """

    weight_bits: int = 8
    decay_bits: int = 12
    vth_max: int = (1 << 17) - 1
    bias_max: int = (1 << 12) - 1
    activation_max: int = (1 << 17) - 1
    payload_max: int = 255


def chip_of(config: TrainConfig) -> ChipWidths:
    """The ranges that a run was made for."""
    names = [field.name for field in fields(ChipWidths)]
    return ChipWidths(**{name: getattr(config, f"chip_{name}") for name in names})


@dataclass(frozen=True)
class WeightBits:
    """The integers of one stage's weights: -largest .. largest; ``binary``: -1 and 1 alone."""

    largest: int
    binary: bool = False

    @property
    def field(self) -> int:
        """Bits of a field that holds them, sign included."""
        return self.largest.bit_length() + 1


def weight_bits(text: str, stages: Sequence[str], chip: ChipWidths) -> dict[str, WeightBits]:
    """The bits of every stage: "4" or "ternary" for all, "4,conv1=8,readout=8" with exceptions.

    2 bits are ternary: a sign and -1, 0, 1. ConfigError for what no stage or chip has.
    """
    whole, named = with_exceptions(text, "training: bits")
    found = dict.fromkeys(stages, _width(whole, chip))
    for name, value in named.items():
        if name not in found:
            raise unknown_name("training: bits", f"stage {name!r}", name, stages)
        found[name] = _width(value, chip)
    return found


def _width(text: str, chip: ChipWidths) -> WeightBits:
    named = NAMED.get(text)
    bits = named if named is not None else int(text) if text.isdecimal() else 0
    if named is None and not FEWEST_BITS <= bits <= MOST_BITS:
        raise ConfigError(
            "training: bits",
            found=repr(text),
            allowed=f"{FEWEST_BITS} .. {chip.weight_bits}, ternary or binary",
        )
    if bits > chip.weight_bits:
        raise ConfigError(
            "training: bits",
            found=f"{bits} bits",
            allowed=f"at most {chip.weight_bits}, the chip's",
            hint="fewer bits, or another --target",
        )
    return WeightBits(max((1 << (bits - 1)) - 1, 1), binary=bits == 1)
