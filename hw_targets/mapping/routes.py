"""Which directed links a message takes: out of its core, along X, along Y, into the core.

Chips tile one plane of routers; the link from one chip's edge to the next chip is a chip link.
Links are numbered: four for each router (east, west, north = +y, south), then one from each core to
its router, then one from each router to its core.
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

    def between_chips(self) -> npt.NDArray[np.bool_]:
        """(links,): True where a link leaves its chip."""
        y, x = np.divmod(np.arange(self.width * self.height), self.width)
        crosses = np.zeros((len(x), 4), np.bool_)
        crosses[:, EAST] = (x + 1) % self.chip_width == 0
        crosses[:, WEST] = x % self.chip_width == 0
        crosses[:, NORTH] = (y + 1) % self.chip_height == 0
        crosses[:, SOUTH] = y % self.chip_height == 0
        return np.concatenate([crosses.ravel(), np.zeros(2 * self.cores, np.bool_)])


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


def link_time_ns(chip: ChipSpec, grid: Grid, level: Level = Level.NOMINAL) -> FloatArray:
    """(links,): ns for each bit over each link. 1 GB/s is 8 bit per ns.

    A low time goes with a high bandwidth.
    """
    turned = {Level.LOW: Level.HIGH, Level.HIGH: Level.LOW}.get(level, level)
    rates = (chip.link.bandwidth.at(turned), chip.link.chip_bandwidth.at(turned))
    rate: FloatArray = np.where(grid.between_chips(), rates[1], rates[0])
    return 1 / (8 * rate)
