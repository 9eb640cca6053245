"""Options: the choices of quantization, and what those left open become for a width of weights."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from tssd.calibration.int_network import InputCoding
from tssd.calibration.precision import Precision
from tssd.calibration.quantizing.channels import Granularity, Rounding, Search, Tuning
from tssd.calibration.quantizing.entering import BiasRoute
from tssd.calibration.quantizing.given import GivenIntegers

FEW_BITS = 7  # of weights; with more there is nothing to win, as docs/quantization.md measures


class Exponents(StrEnum):
    """When weights of dense layers that would lose bits are finer, behind a negative weight
    exponent that a .net cannot say.

    ALWAYS: where a layer would lose bits. WORTH: only in a network where that halves some layer's
    error. NEVER: only in a layer that would lose all.
    """

    ALWAYS = "always"
    WORTH = "worth"
    NEVER = "never"


@dataclass(frozen=True)
class Decided:
    """What has a scale of its own, how weights become whole, what then follows the floats."""

    granularity: Granularity
    rounding: Rounding
    tuning: Tuning

    @property
    def refines(self) -> bool:
        """Whether layers change after their scales are found."""
        return self.rounding is not Rounding.NEAREST or self.tuning is not Tuning.NONE


WHOLE = Decided(Granularity.LAYER, Rounding.NEAREST, Tuning.NONE)
FEW = Decided(Granularity.CHANNEL, Rounding.COMPENSATED, Tuning.SPIKES)


@dataclass(frozen=True)
class Options:
    """Choices of quantization; the defaults are ours, measured in docs/quantization.md.

    ``input_coding`` None: as the samples are (see ``entering``). ``granularity``, ``rounding``,
    ``tuning`` None: as the width of the weights needs. ``layer_bits``: the width of the weights
    into a population, where it is not the precision's. ``given``: the network is in whole numbers
    already; nothing else acts then.
    """

    input_coding: InputCoding | None = None
    bias_route: BiasRoute = BiasRoute.AUTO
    search: Search = Search.OUTPUT
    granularity: Granularity | None = None
    rounding: Rounding | None = None
    tuning: Tuning | None = None
    exponents: Exponents = Exponents.ALWAYS
    given: GivenIntegers | None = None
    layer_bits: Mapping[str, int] = field(default_factory=dict)

    def field(self, layer: str, precision: Precision) -> Precision:
        """*precision* with the width of the weights into one *layer*."""
        return replace(precision, weight_bits=self.layer_bits.get(layer, precision.weight_bits))

    def decided(self, precision: Precision) -> Decided:
        """The choices left open, made for the width of the weights."""
        usual = FEW if precision.weight_bits <= FEW_BITS else WHOLE
        return Decided(
            self.granularity or usual.granularity,
            self.rounding or usual.rounding,
            self.tuning or usual.tuning,
        )
