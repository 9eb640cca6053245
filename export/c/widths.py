"""What the values of a network can reach, and so the C types that hold them exactly."""

from collections.abc import Mapping
from dataclasses import dataclass

from tssd.calibration.int_network import (
    IntNetwork,
    Population,
    PopulationKind,
    Projection,
)
from tssd.calibration.integer import DECAY_ONE, STATE_LIMIT, UNIT
from tssd.errors import NetworkError
from tssd.train.handover.geometry import largest, rows

INT32, INT64 = (1 << 31) - 1, (1 << 63) - 1
WIDTHS = (
    (0xFF, "uint8_t", 0),
    (0x7FFF, "int16_t", 1),
    (INT32, "int32_t", 1),
    (INT64, "int64_t", 1),
)


@dataclass(frozen=True)
class Widths:
    """Of one population: the largest sum |a|, the largest payload |s|, and the types."""

    sum: int
    payload: int
    signed: bool  # whether a payload can be negative
    memory: bool  # whether a current is kept from step to step

    @property
    def sum_type(self) -> str:
        return "int32_t" if self.sum <= INT32 else "int64_t"

    @property
    def payload_type(self) -> str:
        return next(t for top, t, sign in WIDTHS if self.payload <= top and sign >= self.signed)

    @property
    def current_type(self) -> str:
        """u turns once: it stays below 2^23 unless the sum alone is beyond a whole turn."""
        return "int32_t" if self.sum * UNIT <= 2 * STATE_LIMIT else "int64_t"


def widths(network: IntNetwork) -> dict[str, Widths]:
    """Every population's; NetworkError where 64 bits do not hold a sum."""
    found: dict[str, Widths] = {}
    for population in network.populations:
        found[population.name] = _of(network, population, found)
    return found


def _of(network: IntNetwork, population: Population, found: Mapping[str, Widths]) -> Widths:
    memory = population.has_state and bool((population.du != DECAY_ONE).any())
    if population is network.source:
        low = network.input_coding.as_bias
        fires = population.kind.fires
        return Widths(0, 1 if fires else network.input_max, low and not fires, memory)
    total = sum(reach(j, _payload(j, found)) for j in network.incoming(population.name))
    if total > INT64 >> 8:
        raise NetworkError(
            f"population {population.name}",
            found=f"sums up to {total:.3g}",
            allowed=f"up to {INT64 >> 8:.3g}, which 64 bits hold",
        )
    match population.kind:
        case PopulationKind.RELAY | PopulationKind.INPUT:
            return Widths(total, total, True, memory)
        case PopulationKind.LIF | PopulationKind.READOUT:
            return Widths(total, 1, False, memory)


def _payload(projection: Projection, found: Mapping[str, Widths]) -> int:
    return 1 if projection.is_loop else found[projection.source].payload


def reach(projection: Projection, payload: int) -> int:
    """The largest |sum| that *projection* delivers, after its shift."""
    signed = rows(projection).astype(object) if payload > INT32 else rows(projection)
    top = largest(signed, payload)
    if projection.kind.spatial:
        top = min(top, STATE_LIMIT)
    e = projection.weight_exp
    return top << e if e >= 0 else (top >> -e) + 1


def wraps(projection: Projection, payload: int) -> bool:
    """Whether the 24 bits of a spatial sum can overflow."""
    return projection.kind.spatial and largest(rows(projection), payload) >= STATE_LIMIT
