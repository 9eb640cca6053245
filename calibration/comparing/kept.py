"""What quantization kept: the bits of each projection's weights, and what a user must know of it.

kept bits = log2(2 max|w| + 1)      127 keeps 8.0 of 8, weights -4 .. 5 keep 3.5
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from tssd.calibration.int_network import IntNetwork, Population, Projection
from tssd.calibration.layer import Clip, LayerIntegers
from tssd.calibration.tally import Tally
from tssd.errors import counted

if TYPE_CHECKING:  # a report of bits needs no torch
    from tssd.calibration.quantizing.scales import Scales

FEW_BITS = 4  # below, a note
MOVED = 0.03  # of a layer's spikes; more is noted, unless chance explains it
STANDARD_ERRORS = 2.0  # of a count of spikes, its square root


@dataclass(frozen=True)
class Kept:
    """Weights ``low`` .. ``high`` of one projection into ``layer``, in fields of ``field`` bits.
    ``wiring``: they have one value beside zero, which has nothing to lose."""

    layer: str
    source: str
    low: int
    high: int
    exponent: int
    field: int
    wiring: bool = False

    @property
    def bits(self) -> float:
        return math.log2(2 * max(abs(self.low), abs(self.high)) + 1)

    @property
    def all_bits(self) -> float:
        """What the field holds without its one odd value: 3.9 of 4 bits for -7 .. 7."""
        return math.log2(2**self.field - 1)

    def __str__(self) -> str:
        shift = f", shifted right by {-self.exponent}" if self.exponent < 0 else ""
        return (
            f"{self.layer}: weights from {self.source} keep {self.bits:.1f} of {self.field} bits "
            f"({self.low} .. {self.high}{shift})"
        )


def kept(network: IntNetwork, weight_bits: int = 8) -> tuple[Kept, ...]:
    """One row per projection with learned weights; sums of relays have none."""
    return tuple(
        _row(j, weight_bits)
        for j in network.projections
        if not network.population(j.target).kind.relays
    )


def _row(projection: Projection, weight_bits: int) -> Kept:
    low, high = int(projection.weight.min()), int(projection.weight.max())
    one = len(np.unique(projection.weight[projection.weight != 0])) == 1
    names = (projection.target, projection.source)
    return Kept(*names, low, high, projection.weight_exp, weight_bits, one)


def layer_bits(network: IntNetwork, name: str) -> float | None:
    """The fewest bits that any projection into the layer *name* keeps; None where none has weights
    of its own."""
    return min((row.bits for row in kept(network) if row.layer == name), default=None)


def weight_table(network: IntNetwork, scales: "Scales") -> tuple[dict[str, object], ...]:
    """The same rows for a manifest, with what was clipped."""
    return tuple(
        {
            "layer": row.layer,
            "from": row.source,
            "least": row.low,
            "largest": row.high,
            "exponent": row.exponent,
            "kept_bits": round(row.bits, 2),
            "field_bits": row.field,
            "limited_by": scales.limits[row.layer],
            "clipped": [str(c) for c in scales.layers[row.layer].clips],
        }
        for row in _rows(network, scales)
    )


def _rows(network: IntNetwork, scales: "Scales") -> tuple[Kept, ...]:
    """``kept`` with the field of each projection's weights."""
    fields = {
        (name, j.source): field
        for name, layer in scales.layers.items()
        for j, field in zip(network.incoming(name), _fields(layer), strict=True)
    }
    usual = scales.precision.weight_bits
    return tuple(
        replace(row, field=fields.get((row.layer, row.source), usual)) for row in kept(network)
    )


def _fields(layer: LayerIntegers) -> tuple[int, ...]:
    return layer.fields or (layer.form.precision.weight_bits,) * len(layer.weights)


def notes(
    network: IntNetwork, scales: "Scales", float_events: Mapping[str, int], found: Tally
) -> tuple[str, ...]:
    """What a user must know: few bits, clipped biases, spikes that moved (``float_events`` and
    ``found`` count the same samples)."""
    return (
        *_few_bits(network, scales),
        *(_clipped(c) for c in scales.clips if c.quantity == "bias mantissas"),
        *_told_nothing(network, float_events, found),
        *(
            _moved(p, float_events[p.name], found.spikes(p.name))
            for p in network.populations
            if p.kind.fires
            and p.name in float_events
            and moved(float_events[p.name], found.spikes(p.name))
        ),
    )


def _few_bits(network: IntNetwork, scales: "Scales") -> tuple[str, ...]:
    rows = [row for row in _rows(network, scales) if not row.wiring]
    few = [row for row in rows if row.bits < min(FEW_BITS, row.all_bits) - 1e-9]
    limits = {row.layer: scales.limits[row.layer] for row in few}
    return tuple(
        f"{row}: "
        + (
            f"{limits[row.layer]} has no room for more"
            if limits[row.layer]
            else "others into this layer are far larger"
        )
        for row in few
    )


def _told_nothing(
    network: IntNetwork, float_events: Mapping[str, int], found: Tally
) -> tuple[str, ...]:
    """Layers that are silent in float, or fire always: their spikes told no scale from another."""
    slots = found.samples * found.time_steps
    most = {p.name: slots * p.neurons for p in network.populations if p.kind.fires}
    return tuple(
        f"{name}: {'every neuron fires in every step' if float_events[name] else 'no neuron fires'}"
        f" in float on {counted(found.samples, 'sample')}: no scale is better than another there"
        for name, whole in most.items()
        if float_events.get(name) in (0, whole)
    )


def _clipped(clip: Clip) -> str:
    return (
        f"{clip.layer}: {clip.count} of {clip.total} biases are clipped at {clip.limit:g}, the "
        f"largest from {clip.largest:.0f}"
    )


def moved(float_spikes: int, integer_spikes: int) -> bool:
    """Whether a layer fires otherwise by more than MOVED, and more than chance explains."""
    difference = abs(integer_spikes - float_spikes)
    chance = STANDARD_ERRORS * math.sqrt(max(float_spikes, 1))
    return difference > MOVED * float_spikes and difference > chance


def _moved(population: Population, wanted: int, found: int) -> str:
    change = f"{100 * (found / wanted - 1):+.1f} %" if wanted else "none in float"
    return f"{population.name}: {found:,} spikes in integers, {wanted:,} in float ({change})"
