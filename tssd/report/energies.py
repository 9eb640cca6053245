"""Energies in a report, their ranges and how far they are to be trusted (pJ a layer, uJ a network).

Declared as the rest of the report is: see ``model``.
"""

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from tssd.report.behaviour.model import Share, about
from tssd.typed import Amount, Positive


@dataclass(frozen=True)
class Range:
    """low <= nominal <= high, one unit (in the name of the field that holds it)."""

    low: Amount
    nominal: Amount
    high: Amount


@dataclass(frozen=True)
class Parts:
    """Nominal dynamic energy in pJ: synaptic operations, neuron updates, spike generation,
    messages and hops on the network on chip."""

    synapse: Amount
    neuron: Amount
    spike: Amount
    noc: Amount


@dataclass(frozen=True)
class EnergyPj:
    """Dynamic energy of one layer in one inference, in pJ; the parts add up to nominal."""

    low: Amount
    nominal: Amount
    high: Amount
    parts: Parts


@dataclass(frozen=True)
class PredictionIntervals:
    """Where 90 % of runs that a chip file's fits did not see are promised to lie, in uJ around the
    nominal energy; the total's ends are the sums of its parts' ends."""

    dynamic: Range
    static: Annotated[Range | None, about("null where static power is of no fit")] = None
    total: Range | None = None


@dataclass(frozen=True)
class EnergyUj:
    """Energy per inference in uJ; ``low`` and ``high`` at the ends of the chip file's constants."""

    dynamic: Range | None = None
    static: Range | None = None
    total: Range | None = None
    stepping: Annotated[
        Range | None,
        about("of the dynamic energy: chips that step, whatever the network does"),
    ] = None
    prediction_interval: Annotated[
        PredictionIntervals | None,
        about("90 % of runs not used in the fits lie in it; null: the chip file is of no fit"),
    ] = None


@dataclass(frozen=True)
class EnergyTrust:
    """How good the dynamic energy is: what the fit behind the chip file promises.

    ``median_error`` and ``worst_error``: |predicted / measured - 1| over readings whose run was
    left out of the fit, None for one run alone. ``factor``: 90 % of such readings are promised
    within it; ``coverage``: the share of them that was. ``dominant``: the price that most of this
    energy rests on; ``not_told``: prices that no measured run tells.
    """

    readings: Positive
    silicon: str
    median_error: Annotated[
        Amount | None, about("of readings whose run was left out of the fit, a fraction")
    ]
    worst_error: Annotated[Amount | None, about("the same, the largest")]
    factor: Annotated[float, Meta(ge=1, description="90 % of runs not used are promised within it")]
    coverage: Annotated[Share | None, about("the share of left-out readings that was")]
    dominant: Annotated[str, about("the price that most of this energy rests on")]
    not_told: Annotated[tuple[str, ...], about("prices that no measured run tells")]
