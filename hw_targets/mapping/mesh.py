"""Cores on the mesh: sites, distances, and a placement of cores that keeps traffic short.

cost = sum over pairs of cores of messages x distance, the distance being the unloaded time of the
route in units of one E-W hop: |dX| + |dY| hop_ns / hop_ew + chips crossed x chip_hop / hop_ew.
"""

from dataclasses import dataclass

import numpy as np

from tssd.calibration.integer import IntArray
from tssd.hw_targets.chip.spec import ChipSpec
from tssd.train.handover.float_network import FloatArray

NOWHERE = np.zeros((0, 4), np.int64)
PASSES = 30  # of the local search; it stops earlier when no exchange helps


@dataclass(frozen=True, eq=False)
class MeshTraffic:
    """Messages between cores, by pairs that have any."""

    source: IntArray
    target: IntArray
    messages: IntArray

    def matrix(self, cores: int) -> IntArray:
        """(cores, cores): messages from row to column."""
        table = np.zeros((cores, cores), np.int64)
        np.add.at(table, (self.source, self.target), self.messages)
        return table


def sites(chip: ChipSpec, chips: int) -> IntArray:
    """(places, 4): chip, x, y, slot of every usable core of *chips* chips.

    Slots are filled one per router first, so that a chip with fewer cores than places loses the
    last slots of its last routers.
    """
    width, height = chip.mesh.width.count, chip.mesh.height.count
    slot, y, x = np.meshgrid(
        np.arange(chip.mesh.cores_per_router.count), np.arange(height), np.arange(width),
        indexing="ij",
    )  # fmt: skip
    local = np.stack([x.ravel(), y.ravel(), slot.ravel()], axis=1)[: chip.cores]
    number = np.repeat(np.arange(chips), len(local))
    return np.column_stack([number, np.tile(local, (chips, 1))])


def hops(chip: ChipSpec, a: IntArray, b: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """(E-W hops, N-S hops, chips crossed) between sites *a* and *b*, (.., 4) each."""
    columns = chip.mesh.chip_columns.count
    size = (chip.mesh.width.count, chip.mesh.height.count)
    chip_a, chip_b = (
        (a[..., 0] % columns, a[..., 0] // columns),
        (
            b[..., 0] % columns,
            b[..., 0] // columns,
        ),
    )
    along = [
        np.abs(chip_a[k] * size[k] + a[..., 1 + k] - chip_b[k] * size[k] - b[..., 1 + k])
        for k in (0, 1)
    ]
    crossed = np.abs(chip_a[0] - chip_b[0]) + np.abs(chip_a[1] - chip_b[1])
    return along[0], along[1], crossed


def distance(chip: ChipSpec, a: IntArray, b: IntArray) -> FloatArray:
    """Unloaded time between sites in E-W hops; 0 within a router."""
    time = chip.time_ns
    unit = time.hop_ew.value or 1.0
    ew, ns, crossed = hops(chip, a, b)
    length: FloatArray = (
        ew + ns * (time.hop_ns.value / unit) + crossed * (time.chip_hop.value / unit)
    )
    return length


@dataclass(frozen=True)
class Flow:
    """What one population sends to another."""

    messages: int
    mean_hops: float  # router hops of a message
    chip_hops: int  # messages x chips crossed


def hop_cost(chip: ChipSpec, traffic: MeshTraffic, placed: IntArray) -> float:
    """Messages times distance, summed over all pairs; *placed* is (cores, 4)."""
    lengths = distance(chip, placed[traffic.source], placed[traffic.target])
    return float(traffic.messages @ lengths)


def in_order(where: IntArray) -> IntArray:
    """Sites router by router, along each row of a chip, chip after chip."""
    return where[np.lexsort((where[:, 3], where[:, 1], where[:, 2], where[:, 0]))]


def port_site(chip: ChipSpec) -> IntArray:
    """(1, 4): where input from outside enters: a slot of its own at the first chip's corner."""
    return np.array([[0, 0, 0, chip.mesh.cores_per_router.count]])


def spread(
    chip: ChipSpec, traffic: MeshTraffic, cores: int, seed: int = 0, fixed: IntArray = NOWHERE
) -> IntArray:
    """(cores + fixed, 4) sites: two starts, exchanges while any lowers the cost, the better result.

    ``fixed`` (.., 4): sites of what is numbered after the cores and does not move.

    One start is constructive, the other is the order of the cores. Each core in turn (in a random
    order that *seed* fixes) takes the place that helps most, be it empty or another core's, which
    then moves to the place left.
    """
    where = in_order(sites(chip, -(-cores // chip.cores)))
    lengths = distance(chip, where[:, None], where[None, :])
    whole = traffic.matrix(cores + len(fixed)).astype(np.float64)
    whole += whole.T
    np.fill_diagonal(whole, 0.0)
    flow, held = whole[:cores, :cores], whole[:cores, cores:]
    pull = held @ distance(chip, fixed[:, None], where[None, :])
    starts = (construct(flow, lengths, pull), np.arange(cores))
    found = [
        np.vstack([where[improve(flow, lengths, start, seed, pull)], fixed]) for start in starts
    ]
    return min(found, key=lambda placed: hop_cost(chip, traffic, placed))


def construct(flow: FloatArray, lengths: FloatArray, pull: FloatArray) -> IntArray:
    """(cores,) place of each core: strongest ties first, each nearest to its partners.

    ``pull`` (cores, places): cost of each core at each place, for what does not move.
    """
    cores = len(flow)
    place = np.full(cores, -1)
    free = np.ones(len(lengths), np.bool_)
    pull = pull.copy()  # with those placed so far
    ties = np.zeros(cores)
    core = int(flow.sum(axis=1).argmax())
    centre = int(lengths.sum(axis=1).argmin())
    for step in range(cores):
        if step:
            core = int(np.where(place < 0, ties, -1.0).argmax())
            spot = int(np.where(free, pull[core], np.inf).argmin())
        else:
            spot = centre
        place[core], free[spot] = spot, False
        partners = np.flatnonzero(flow[core])
        pull[partners] += flow[core, partners, None] * lengths[spot]
        ties += flow[core]
    return place


def improve(
    flow: FloatArray, lengths: FloatArray, place: IntArray, seed: int, pull: FloatArray
) -> IntArray:
    """Exchange places until no single exchange helps (or PASSES are over); *pull* as above."""
    rng = np.random.default_rng(seed)
    place = place.copy()
    holder = np.full(len(lengths), -1)
    holder[place] = np.arange(len(place))
    cost = flow @ lengths[place] + pull  # (core, place): cost of the core there
    for _ in range(PASSES):
        moved = False
        for core in rng.permutation(len(place)):
            gain = _gains(flow, lengths, place, holder, cost, int(core))
            spot = int(gain.argmax())
            if gain[spot] > 1e-9 * max(1.0, float(abs(cost[core]).max())):
                _exchange(flow, lengths, place, holder, cost, int(core), spot)
                moved = True
        if not moved:
            break
    return place


def _gains(
    flow: FloatArray,
    lengths: FloatArray,
    place: IntArray,
    holder: IntArray,
    cost: FloatArray,
    core: int,
) -> FloatArray:
    """(places,): how much the cost falls if *core* goes there and the holder comes here."""
    here = place[core]
    gain: FloatArray = cost[core, here] - cost[core]
    taken = np.flatnonzero(holder >= 0)
    other = holder[taken]
    back = cost[other, taken] - cost[other, here] - 2 * flow[core, other] * lengths[here, taken]
    gain[taken] += back
    gain[here] = 0.0
    return gain


def _exchange(
    flow: FloatArray,
    lengths: FloatArray,
    place: IntArray,
    holder: IntArray,
    cost: FloatArray,
    core: int,
    spot: int,
) -> None:
    here, other = int(place[core]), int(holder[spot])
    _move(flow, cost, core, lengths[spot] - lengths[here])
    if other >= 0:
        _move(flow, cost, other, lengths[here] - lengths[spot])
        place[other] = here
    place[core] = spot
    holder[here], holder[spot] = other, core


def _move(flow: FloatArray, cost: FloatArray, core: int, change: FloatArray) -> None:
    """Update the costs of those that talk to *core*, whose distances to all places change."""
    partners = np.flatnonzero(flow[core])
    cost[partners] += flow[core, partners, None] * change
