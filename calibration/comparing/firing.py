"""What quantization did to a layer's spikes, from how often each neuron fires in each sample.

    spike ratio = sum b / sum a                a, b: events of a neuron in a sample, float and
    cosine      = <a, b> / (|a| |b|)           integer, over all samples and neurons

Sums over batches say all of it, so that samples stream through; counts are exact integers.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from tssd.arrays import IntArray
from tssd.calibration.comparing.drift import rate_drift

Side = Literal["float", "integer"]


@dataclass(frozen=True, eq=False)
class PairedEvents:
    """One layer in both networks: ``wanted`` and ``found`` (neurons,) are the events of float and
    of the integers, summed over samples and steps; the others are sums over samples and neurons of
    a b, a a and b b."""

    samples: int
    time_steps: int
    wanted: IntArray
    found: IntArray
    product: int
    wanted_square: int
    found_square: int

    @property
    def slots(self) -> int:
        """Steps in which one neuron could have fired."""
        return self.samples * self.time_steps

    def events(self, side: Side) -> IntArray:
        """Of each neuron (neurons,)."""
        return self.wanted if side == "float" else self.found

    def rate(self, side: Side) -> float:
        """Events per neuron and step."""
        return float(self.events(side).mean()) / self.slots

    def dead(self, side: Side) -> int:
        """Neurons that fire in no step of any sample."""
        return int(np.count_nonzero(self.events(side) == 0))

    def always(self, side: Side) -> int:
        """Neurons that fire in every step of every sample."""
        return int(np.count_nonzero(self.events(side) == self.slots))

    @property
    def ratio(self) -> float | None:
        """Spikes in integers over those in float; None where float is silent."""
        wanted = int(self.wanted.sum())
        return int(self.found.sum()) / wanted if wanted else None

    @property
    def cosine(self) -> float | None:
        """None where either network is silent: nothing has an angle to nothing."""
        squares = self.wanted_square * self.found_square
        if not squares:
            return None
        if self.product**2 == squares:  # in integers: a root may round to either side of it
            return 1.0
        return self.product / math.sqrt(squares)

    @property
    def drift(self) -> float:
        """The earth mover's distance of the neurons' rates, in events per neuron and step."""
        return rate_drift(self.wanted, self.found, self.slots)


def paired(wanted: npt.ArrayLike, found: npt.ArrayLike, time_steps: int) -> PairedEvents:
    """Events of one layer (B, *shape) over *time_steps* steps, in float and in integers."""
    a, b = (np.asarray(x, np.int64) for x in (wanted, found))
    a, b = a.reshape(len(a), -1), b.reshape(len(b), -1)
    products = (int(np.vdot(x, y)) for x, y in ((a, b), (a, a), (b, b)))
    return PairedEvents(len(a), time_steps, a.sum(axis=0), b.sum(axis=0), *products)


def merged(parts: Iterable[PairedEvents]) -> PairedEvents:
    """All batches as one."""
    parts = list(parts)
    return PairedEvents(
        sum(p.samples for p in parts),
        parts[0].time_steps,
        sum((p.wanted for p in parts[1:]), parts[0].wanted),
        sum((p.found for p in parts[1:]), parts[0].found),
        sum(p.product for p in parts),
        sum(p.wanted_square for p in parts),
        sum(p.found_square for p in parts),
    )


def sample_events(spikes: npt.NDArray[np.generic]) -> IntArray:
    """Spikes (T, B, *shape) -> events (B, neurons) of each sample, as small as T allows."""
    counted = np.count_nonzero(spikes, axis=0).reshape(spikes.shape[1], -1)
    small: IntArray = counted.astype(np.min_scalar_type(len(spikes)))
    return small
