"""Which directed links a message takes: out of its core, along X, along Y, into the core.

Chips tile one plane of routers. What leaves a chip to one side goes over one link between the two
chips, its gate, whichever row or column it comes by; the way from an edge router to the next chip
is a link of the mesh. Links are numbered: four for each router (east, west, north = +y, south),
then one from each core to its router, then one from each router to its core.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tssd.calibration.integer import IntArray
from tssd.hw_targets.chip.spec import ChipSpec, Level
from tssd.train.handover.float_network import FloatArray

EAST, WEST, NORTH, SOUTH = range(4)


@dataclass(frozen=True, eq=False)
class Grid:
    """The plane of routers that holds all chips in use."""

    width: int
    height: int
    chip_width: int
    chip_height: int
    cores: int

    @property
    def links(self) -> int:
        return 4 * self.width * self.height + 2 * self.cores

    @property
    def sides(self) -> int:
        """Gates: four for each chip, whether or not there is a chip beyond."""
        return 4 * (self.width // self.chip_width) * (self.height // self.chip_height)

    def gate(self) -> IntArray:
        """(links,): the gate that a link leads to, -1 where it stays on its chip."""
        y, x = np.divmod(np.arange(self.width * self.height), self.width)
        chip = y // self.chip_height * (self.width // self.chip_width) + x // self.chip_width
        leaves = np.stack(
            [
                (x + 1) % self.chip_width == 0,
                x % self.chip_width == 0,
                (y + 1) % self.chip_height == 0,
                y % self.chip_height == 0,
            ],
            axis=1,
        )  # east, west, north, south
        numbers = np.where(leaves, 4 * chip[:, None] + np.arange(4), -1)
        return np.concatenate([numbers.ravel(), np.full(2 * self.cores, -1)])

    def over_gates(self, load: FloatArray) -> FloatArray:
        """(sides,): what flows over each gate when *load* (links,) flows over the links."""
        gate = self.gate()
        off = gate >= 0
        return np.bincount(gate[off], load[off], self.sides).astype(np.float64)


@dataclass(frozen=True, eq=False)
class Routes:
    """(pair, link) incidences of pairs of cores."""

    grid: Grid
    pair: IntArray
    link: IntArray

    def load(self, amount: npt.NDArray[np.generic]) -> FloatArray:
        """(.., links): what flows over each link when *amount* (.., pairs) flows between pairs."""
        flat = np.asarray(amount, np.float64).reshape(-1, amount.shape[-1])
        loads = [np.bincount(self.link, row[self.pair], self.grid.links) for row in flat]
        stacked = np.stack(loads).astype(np.float64)
        return stacked.reshape(*amount.shape[:-1], self.grid.links)


def grid_of(chip: ChipSpec, sites: IntArray) -> Grid:
    """The plane that holds the chips of *sites* (cores, 4)."""
    columns = min(chip.mesh.chip_columns.count, int(sites[:, 0].max()) + 1)
    rows = int(sites[:, 0].max()) // chip.mesh.chip_columns.count + 1
    width, height = chip.mesh.width.count, chip.mesh.height.count
    return Grid(columns * width, rows * height, width, height, len(sites))


def router_position(chip: ChipSpec, sites: IntArray) -> tuple[IntArray, IntArray]:
    """(X, Y) of the router of each site, in the plane of all chips."""
    columns = chip.mesh.chip_columns.count
    x = sites[:, 0] % columns * chip.mesh.width.count + sites[:, 1]
    y = sites[:, 0] // columns * chip.mesh.height.count + sites[:, 2]
    return x, y


def routes(chip: ChipSpec, sites: IntArray, source: IntArray, target: IntArray) -> Routes:
    """The X-then-Y routes of the pairs (source core, target core)."""
    grid = grid_of(chip, sites)
    x, y = router_position(chip, sites)
    pairs = np.arange(len(source))
    found = [
        (pairs, 4 * grid.width * grid.height + source),
        (pairs, 4 * grid.width * grid.height + grid.cores + target),
    ]
    found += _walk(x[source], x[target], y[source], grid.width, 1, EAST, WEST)
    found += _walk(y[source], y[target], x[target], 1, grid.width, NORTH, SOUTH)
    pair, link = (np.concatenate(part) for part in zip(*found, strict=True))
    order = np.argsort(pair, kind="stable")  # along each route: out, in, then hop by hop
    return Routes(grid, pair[order], link[order])


def _walk(
    start: IntArray,
    stop: IntArray,
    across: IntArray,
    across_step: int,
    step: int,
    up: int,
    down: int,
) -> list[tuple[IntArray, IntArray]]:
    """Links along one axis, one hop of all pairs at a time."""
    distance = np.abs(stop - start)
    sign = np.sign(stop - start)
    found = []
    for hop in range(int(distance.max(initial=0))):
        going = np.flatnonzero(distance > hop)
        router = across[going] * across_step + (start[going] + sign[going] * hop) * step
        found.append((going, router * 4 + np.where(sign[going] > 0, up, down)))
    return found


def link_time_ns(chip: ChipSpec, level: Level = Level.NOMINAL) -> tuple[float, float]:
    """ns for each bit over a link on a chip and over a gate. 1 GB/s is 8 bit per ns.

    A low time goes with a high bandwidth.
    """
    turned = {Level.LOW: Level.HIGH, Level.HIGH: Level.LOW}.get(level, level)
    return 1 / (8 * chip.link.bandwidth.at(turned)), 1 / (8 * chip.link.chip_bandwidth.at(turned))


def heaviest_link_ns(
    chip: ChipSpec,
    paths: Routes,
    bits: npt.NDArray[np.generic],
    gate_bits: npt.NDArray[np.generic],
    level: Level = Level.NOMINAL,
) -> float:
    """How long the busiest link is busy when *bits* (pairs,) flow between the pairs of *paths*,
    which are *gate_bits* (pairs,) where they go from chip to chip."""
    on_chip, between = link_time_ns(chip, level)
    inside = paths.load(bits).max(initial=0.0) * on_chip
    gates = paths.grid.over_gates(paths.load(gate_bits)).max(initial=0.0) * between
    return float(max(inside, gates))
