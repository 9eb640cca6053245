"""Tally: how often each neuron sent a spike, summed over samples and steps.

Synaptic operations, messages and energy all follow from it (``hw_targets``), so a large test set
needs no stored spike tensors.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from tssd.calibration.int_network import Activity
from tssd.calibration.integer import IntArray


@dataclass(frozen=True, eq=False)
class Tally:
    """``events[name]`` has the population's shape: spikes (non-zero payloads) sent per neuron,
    summed over samples and local steps. ``readout`` is (samples, *readout shape)."""

    samples: int
    time_steps: int
    events: Mapping[str, IntArray]
    readout: IntArray

    def spikes(self, name: str) -> int:
        """Total events of one population."""
        return int(self.events[name].sum())

    def classes(self) -> IntArray:
        """The class of each sample: the largest readout membrane, the first on a tie."""
        best: IntArray = self.readout.reshape(self.samples, -1).argmax(axis=1)
        return best


def tally(activity: Activity) -> Tally:
    """Sum the events of *activity* over time and batch."""
    time_steps, samples = next(iter(activity.spikes.values())).shape[:2]
    events = {name: np.count_nonzero(s, axis=(0, 1)) for name, s in activity.spikes.items()}
    return Tally(samples, time_steps, events, activity.readout)


def merge(parts: Iterable[Tally]) -> Tally:
    """One tally of all batches."""
    parts = list(parts)
    events = {
        name: sum((p.events[name] for p in parts[1:]), x) for name, x in parts[0].events.items()
    }
    readout = np.concatenate([p.readout for p in parts])
    return Tally(sum(p.samples for p in parts), parts[0].time_steps, events, readout)
