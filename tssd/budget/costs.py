"""What an integer network takes on a chip: memory, energy and time, by placement and prices.

memory  bytes of the synapses as the cores hold them, packed as the chip's file says
time    chip steps from one sample to the next, times the lower bound of a step (``bound``)
energy  counters x table, and what the chip draws over that time
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from tssd.calibration.int_network import IntNetwork, interval
from tssd.calibration.tally import Tally
from tssd.errors import ConfigError
from tssd.hw_targets.chip.spec import ChipSpec
from tssd.hw_targets.costs.bound import us_per_step
from tssd.hw_targets.costs.counters import count
from tssd.hw_targets.costs.energy import price, running_pj, static_pj
from tssd.hw_targets.mapping.placement import place


class Minimise(StrEnum):
    """What is to be small."""

    MEMORY = "memory"
    ENERGY = "energy"
    TIME = "time"

    @property
    def unit(self) -> str:
        match self:
            case Minimise.MEMORY:
                return "bytes"
            case Minimise.ENERGY:
                return "uJ"
            case Minimise.TIME:
                return "us"
            case _:
                assert_never(self)


@dataclass(frozen=True)
class ChipCost:
    """One inference on the fewest cores; ``energy_uj`` is None where the chip file tells none."""

    memory_bytes: int
    energy_uj: float | None
    time_us: float
    synops: float
    cores: int

    def of(self, goal: Minimise) -> float:
        """The figure that *goal* is about."""
        match goal:
            case Minimise.MEMORY:
                return self.memory_bytes
            case Minimise.ENERGY:
                assert self.energy_uj is not None  # ``check_told`` has looked
                return self.energy_uj
            case Minimise.TIME:
                return self.time_us
            case _:
                assert_never(goal)


def check_told(goal: Minimise, chip: ChipSpec) -> None:
    """ConfigError for energy on a chip whose file tells none."""
    match goal:
        case Minimise.ENERGY if chip.untold:
            raise ConfigError(
                "--minimise energy",
                found=f"chip {chip.name}, whose file has no [{chip.untold[0]}]",
                allowed="a chip file that says what its events cost",
                hint="--minimise memory, or time",
            )
        case Minimise.MEMORY | Minimise.ENERGY | Minimise.TIME:
            return
        case _:
            assert_never(goal)


def chip_cost(network: IntNetwork, tally: Tally, chip: ChipSpec, seed: int = 0) -> ChipCost:
    """What *network* takes on *chip* for the mean of the samples that *tally* counted."""
    placement = place(network, chip, tally, seed)
    counters = count(network, tally, placement, chip)
    us = us_per_step(network, tally, counters, placement, chip) * interval(network)
    return ChipCost(
        sum(need.memory_bytes for need in placement.needs),
        None
        if chip.untold
        else (
            price(counters, chip).total().scaled(1 / tally.samples)
            + running_pj(chip, placement.chips, us)
            + static_pj(chip, placement.chips, us, placement.cores)
        ).nominal
        / 1e6,
        us,
        sum(counters.synops().values()) / tally.samples,
        placement.cores,
    )
