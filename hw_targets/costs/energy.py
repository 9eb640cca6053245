"""Energy = counters x table: per layer, core and part, at the low, nominal and high constants.

    E[part, slice] = sum over the columns of the part of  count[column, slice] x energy_pj[column]

Pure: an old run is priced anew with another table. Static power times time is kept apart, because
it depends on how long the run took and not on what it did.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tssd.calibration.integer import IntArray
from tssd.hw_targets.chip.spec import LEVELS, ChipSpec, Quantity
from tssd.hw_targets.costs.counters import Counters
from tssd.train.handover.float_network import FloatArray

PARTS: dict[str, tuple[str, ...]] = {
    "synapse": ("synop_dense", "synop_sparse", "synop_conv"),
    "neuron": ("neuron_idle", "neuron_active"),
    "spike": ("spike",),
    "noc": ("message_in", "message_out", "hop_ew", "hop_ns", "chip_hop"),
}


@dataclass(frozen=True)
class EnergyRange:
    """An energy in pJ at the low, nominal and high constants."""

    low: float
    nominal: float
    high: float

    def __add__(self, other: "EnergyRange") -> "EnergyRange":
        return EnergyRange(
            self.low + other.low, self.nominal + other.nominal, self.high + other.high
        )

    def scaled(self, factor: float) -> "EnergyRange":
        """The range times *factor*, for instance to change the unit."""
        return EnergyRange(self.low * factor, self.nominal * factor, self.high * factor)


@dataclass(frozen=True, eq=False)
class Energy:
    """Dynamic energy in pJ over all samples: ``pj[part]`` is (low / nominal / high, slices)."""

    chip: str
    samples: int
    populations: tuple[str, ...]
    cores: int
    slice_population: tuple[str, ...]
    slice_core: IntArray
    pj: Mapping[str, FloatArray]

    def total(self) -> EnergyRange:
        """Everything dynamic."""
        return _range(sum((self.pj[p] for p in PARTS), np.zeros((3, 1))).sum(axis=1))

    def part(self, part: str) -> EnergyRange:
        """One part over the whole network."""
        return _range(self.pj[part].sum(axis=1))

    def layer(self, population: str, part: str | None = None) -> EnergyRange:
        """One population; synapses count where they receive, messages where they are sent."""
        mine = np.array([name == population for name in self.slice_population])
        return _range(self._parts(part)[:, mine].sum(axis=1))

    def core(self, core: int, part: str | None = None) -> EnergyRange:
        """One core."""
        return _range(self._parts(part)[:, self.slice_core == core].sum(axis=1))

    def by_core(self) -> FloatArray:
        """(cores,): nominal energy of each core."""
        return np.bincount(self.slice_core, self._parts(None)[1], self.cores).astype(np.float64)

    def _parts(self, part: str | None) -> FloatArray:
        chosen = PARTS if part is None else (part,)
        total: FloatArray = np.sum([self.pj[name] for name in chosen], axis=0)
        return total


def price(counters: Counters, chip: ChipSpec) -> Energy:
    """The dynamic energy of *counters* with the table of *chip*."""
    pj = {}
    for part, columns in PARTS.items():
        table = np.array(
            [[getattr(chip.energy_pj, c).at(level) for c in columns] for level in LEVELS]
        )
        pj[part] = table @ np.stack([counters.paid(c).astype(np.float64) for c in columns])
    return Energy(
        chip.name,
        counters.samples,
        counters.populations,
        counters.cores,
        counters.slice_population,
        counters.slice_core,
        pj,
    )


def static_pj(
    chip: ChipSpec, chips: int, time_us: float, cores: int = 0, board: bool = False
) -> EnergyRange:
    """Static energy over *time_us* of *chips* chips with *cores* enabled cores in all, and of their
    board if asked for: 1 W for 1 us is 10^6 pJ."""
    power = chip.power_w
    parts = [(power.static_per_chip, chips), (power.static_per_core, cores)]
    return _over(time_us, [*parts, (power.board_per_chip, chips)] if board else parts)


def running_pj(chip: ChipSpec, chips: int, time_us: float) -> EnergyRange:
    """Dynamic energy of *chips* chips that step for *time_us*, whatever the network does."""
    return _over(time_us, [(chip.power_w.running_per_chip, chips)])


def _over(time_us: float, parts: list[tuple[Quantity, int]]) -> EnergyRange:
    return EnergyRange(
        *(sum(q.at(level) * n for q, n in parts) * time_us * 1e6 for level in LEVELS)
    )


def _range(values: FloatArray) -> EnergyRange:
    low, nominal, high = (float(v) for v in values)
    return EnergyRange(low, nominal, high)
