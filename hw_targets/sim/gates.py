"""Gates: where messages leave a chip, one link for each side and direction.

The edge routers of a side share one link. Each sends to the gate on its own channel, a **feeder**;
the link takes one message at a time, and the far gate hands it to the router across, in the same
row (moving east or west) or column (north or south). In numbers: the channels of routers and cores
come first, then the links, then the feeders, those of a link side by side in their order of rows or
columns (its **lanes**). From the far gate a message goes on over the channel into that router that
would come from its neighbour if both were on one chip.
"""

from dataclasses import dataclass

import numpy as np

from tssd.arrays import BoolArray
from tssd.calibration.integer import IntArray

EAST, WEST, NORTH, SOUTH = 0, 1, 2, 3  # the direction in which a message moves
DIRECTIONS = ("east", "west", "north", "south")


@dataclass(frozen=True)
class Plane:
    """Routers of ``chips_x`` x ``chips_y`` chips, each ``width`` x ``height``, as one plane."""

    width: int
    height: int
    chips_x: int
    chips_y: int

    @property
    def columns(self) -> int:
        return self.width * self.chips_x

    @property
    def rows(self) -> int:
        return self.height * self.chips_y

    def ahead(self) -> tuple[int, int, int, int]:
        """Router number ahead minus router number here, by direction (north: y + 1)."""
        return 1, -1, self.columns, -self.columns

    def leaves(self, direction: int) -> BoolArray:
        """(routers,): whether a message that moves on in *direction* goes to another chip."""
        y, x = np.divmod(np.arange(self.columns * self.rows), self.columns)
        at_edge: dict[int, BoolArray] = {
            EAST: (x % self.width == self.width - 1) & (x < self.columns - 1),
            WEST: (x % self.width == 0) & (x > 0),
            NORTH: (y % self.height == self.height - 1) & (y < self.rows - 1),
            SOUTH: (y % self.height == 0) & (y > 0),
        }
        return at_edge[direction]

    def chip_of(self, router: IntArray) -> tuple[IntArray, IntArray]:
        """(x, y) of the chip of a router or of each of many."""
        return router % self.columns // self.width, router // self.columns // self.height


@dataclass(frozen=True, eq=False)
class Gates:
    """All links between chips: ``direction`` (links,) and ``first`` (links + 1,), the feeders of a
    link; ``router`` (feeders,) at the near edge and ``across`` (feeders,) at the far one."""

    direction: IntArray
    first: IntArray
    router: IntArray
    across: IntArray

    @property
    def links(self) -> int:
        return len(self.direction)

    @property
    def feeders(self) -> int:
        return len(self.router)

    @property
    def link(self) -> IntArray:
        """(feeders,): the link of each."""
        return np.repeat(np.arange(self.links), np.diff(self.first))

    @property
    def lane(self) -> IntArray:
        """(feeders,): its number among those of its link."""
        return np.arange(self.feeders) - self.first[self.link]


def gates_of(plane: Plane) -> Gates:
    """The gates of *plane*: by direction, then chip by chip along the rows of chips."""
    found = [_one_way(plane, direction) for direction in range(len(DIRECTIONS))]
    direction = np.repeat(np.arange(len(found)), [len(sizes) for sizes, _ in found])
    sizes = np.concatenate([sizes for sizes, _ in found])
    router = np.concatenate([routers for _, routers in found])
    step = np.repeat(np.array(plane.ahead())[direction], sizes)
    first = np.concatenate([[0], np.cumsum(sizes)])
    return Gates(direction, first, router, router + step)


def _one_way(plane: Plane, direction: int) -> tuple[IntArray, IntArray]:
    """(feeders of each link, their routers in the order of links)."""
    router = np.flatnonzero(plane.leaves(direction))
    x, y = plane.chip_of(router)
    chip = y * plane.chips_x + x
    order = np.argsort(chip, kind="stable")  # rows and columns rise with the router's number
    sizes = np.unique(chip, return_counts=True)[1]
    return sizes, router[order]
