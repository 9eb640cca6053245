"""Counters: what a run did, in whole events per slice (one population on one core).

Every column is named like the energy that prices it (``spec.EnergyPj``), so that energy is counters
times table and nothing else:

    synop_dense, synop_sparse, synop_conv   non-zero weights met by spikes, at the receiving slice
    neuron_idle, neuron_active              updates: every compartment on a core, every step
    spike                                   events sent, at the sending slice
    message_out, message_in                 one per spike, projection and destination core
    hop_ew, hop_ns, chip_hop                links that the sender's messages cross
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np

from tssd import typed
from tssd.calibration.int_network import IntNetwork, interval
from tssd.calibration.integer import IntArray
from tssd.calibration.tally import Tally
from tssd.errors import DataError
from tssd.hw_targets.chip.spec import ChipSpec, EnergyTablePj
from tssd.hw_targets.mapping.fanout import Fanout, sum_at
from tssd.hw_targets.mapping.memory import compartments_of
from tssd.hw_targets.mapping.mesh import hops
from tssd.hw_targets.mapping.placement import MessageStream, Placement, streams

COLUMNS = tuple(item.name for item in fields(EnergyTablePj))
SENDING = ("spike", "message_out")  # what a port does instead of a core


@dataclass(frozen=True)
class ProjectionCount:
    """What one projection delivered, or the synapses of neurons onto themselves."""

    name: str
    kind: str  # dense, sparse or conv
    synops: typed.Count
    messages: typed.Count


@dataclass(frozen=True, eq=False)
class Counters:
    """``columns[c][i]``: events of kind c (see the module) at slice i, over all samples, steps.

    With a ``port``, the last of ``cores`` is none: its spikes are made and sent by whatever feeds
    the chip, and cost no core's energy.
    """

    samples: int
    time_steps: int  # of the chip, from one sample to the next
    populations: tuple[str, ...]  # in network order
    cores: int
    slice_population: tuple[str, ...]
    slice_core: IntArray
    columns: Mapping[str, IntArray]
    projections: tuple[ProjectionCount, ...]
    port: bool = False

    @property
    def enabled(self) -> int:
        """Cores in use."""
        return self.cores - self.port

    def paid(self, column: str) -> IntArray:
        """(slices,): the events of a column that cost what the chip's table says."""
        if not (self.port and column in SENDING):
            return self.columns[column]
        return np.where(self.slice_core < self.enabled, self.columns[column], 0)

    @property
    def steps(self) -> int:
        """Chip steps of all samples back to back, without those that fill or drain the layers."""
        return self.samples * self.time_steps

    def total(self, column: str) -> int:
        return int(self.columns[column].sum())

    def by_core(self, column: str) -> IntArray:
        """(cores,): one column summed over the slices of each core."""
        return sum_at(self.slice_core, self.columns[column], self.cores)

    def by_population(self, column: str) -> dict[str, int]:
        """One column summed over the slices of each population."""
        total = dict.fromkeys(self.populations, 0)
        for name, value in zip(self.slice_population, self.columns[column], strict=True):
            total[name] += int(value)
        return total

    def synops(self) -> dict[str, int]:
        """Synaptic operations received by each population, of all kinds."""
        kinds = [self.by_population(f"synop_{kind}") for kind in ("dense", "sparse", "conv")]
        return {name: sum(kind[name] for kind in kinds) for name in self.populations}

    def neuron_updates(self) -> dict[str, int]:
        """Updates of each population, idle and active."""
        idle, active = self.by_population("neuron_idle"), self.by_population("neuron_active")
        return {name: idle[name] + active[name] for name in self.populations}


def count(
    network: IntNetwork,
    tally: Tally,
    placement: Placement,
    chip: ChipSpec,
    active: Mapping[str, IntArray] | None = None,
    fanouts: tuple[Fanout, ...] | None = None,
    apart: int | None = None,
) -> Counters:
    """Counters of the run that *tally* summed up, under *placement* on *chip*.

    ``active[name]``: updates of each neuron that changed or received something, where a simulator
    knows; without it every update counts as active, which is the upper end. ``fanouts`` saves
    computing them again. ``apart``: chip steps from one sample to the next (every neuron is updated
    in each); ``interval(network)`` without it.
    """
    _check(network, tally)
    apart = interval(network) if apart is None else apart
    sent = streams(network, placement, chip, fanouts)
    columns = {name: np.zeros(len(placement.slices), np.int64) for name in COLUMNS}
    for i, s in enumerate(placement.slices):
        columns["spike"][i] = tally.events[s.population].ravel()[s.neurons].sum()
        if s.core == placement.port:
            continue
        updates = len(s.neurons) * tally.samples * apart
        busy = updates if active is None else int(active[s.population].ravel()[s.neurons].sum())
        each = compartments_of(network.population(s.population), chip)
        columns["neuron_active"][i] = each * busy
        columns["neuron_idle"][i] = each * (updates - busy)
    delivered = tuple(_deliver(stream, tally, placement, chip, columns) for stream in sent)
    return Counters(
        tally.samples,
        apart,
        tuple(placement.shapes),
        placement.places,
        tuple(s.population for s in placement.slices),
        np.array([s.core for s in placement.slices]),
        columns,
        delivered,
        placement.choices.outside,
    )


def _deliver(
    stream: MessageStream,
    tally: Tally,
    placement: Placement,
    chip: ChipSpec,
    columns: Mapping[str, IntArray],
) -> ProjectionCount:
    """Add what the spikes of one stream's source cause."""
    table = stream.table
    home = placement.core_of(stream.source)[table.source]
    events = tally.events[stream.source].ravel()[table.source]
    synops = events * table.synapses
    sender = _slice_of_core(placement, stream.source)[home]
    receiver = _slice_of_core(placement, stream.target)[table.core]
    ew, ns, crossed = hops(chip, placement.sites[home], placement.sites[table.core])
    for column, at, values in (
        (f"synop_{stream.stored}", receiver, synops),
        ("message_in", receiver, events),
        ("message_out", sender, events),
        ("hop_ew", sender, events * ew),
        ("hop_ns", sender, events * ns),
        ("chip_hop", sender, events * crossed),
    ):
        columns[column][:] += sum_at(at, values, len(placement.slices))
    return ProjectionCount(stream.name, stream.stored, int(synops.sum()), int(events.sum()))


def _slice_of_core(placement: Placement, population: str) -> IntArray:
    """(cores,): index of the slice of *population* on each core, -1 where there is none."""
    table = np.full(placement.places, -1)
    for i, s in enumerate(placement.slices):
        if s.population == population:
            table[s.core] = i
    return table


def _check(network: IntNetwork, tally: Tally) -> None:
    for population in network.populations:
        events = tally.events.get(population.name)
        if events is None or events.shape != population.shape:
            raise DataError(
                f"tally of population {population.name}",
                found="nothing" if events is None else f"shape {events.shape}",
                allowed=str(population.shape),
                hint="tally a run of this network",
            )
