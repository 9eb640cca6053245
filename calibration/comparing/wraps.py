"""How often a current, or the sum of a convolution, left its 24 bits and turned.

No state shows it: the value after a turn is one like any other. So the sums are made again from the
spikes, and only where the weights could reach that far; ``export`` refuses such weights, files of
integers from elsewhere may hold them.
"""

import numpy as np

from tssd.calibration.int_network import Activity, IntNetwork, Population, Projection, depths, lag
from tssd.calibration.integer import (
    STATE_LIMIT,
    WEIGHT_SHIFT,
    IntArray,
    decay_toward_zero,
    shift,
    wrap_sum,
)
from tssd.calibration.layer import memory_gain, worst_activation
from tssd.calibration.payloads import payload_bounds
from tssd.calibration.synapse import total

CURRENT = "u"


def wraps(network: IntNetwork, activity: Activity) -> dict[str, int]:
    """Population with a state -> turns of its currents and of the sums into it, in a batch whose
    states were recorded."""
    bounds = payload_bounds(network)
    return {
        p.name: _counted(network, p, activity) if may_wrap(network, p, bounds) else 0
        for p in network.populations
        if p.has_state
    }


def may_wrap(network: IntNetwork, population: Population, payloads: dict[str, int]) -> bool:
    """Whether the weights reach so far, whatever is sent."""
    incoming = network.incoming(population.name)
    if not incoming:
        return False
    arrives = sum(_worst(j, payloads, j.weight_exp) for j in incoming)
    current = arrives * memory_gain(population.du, network.time_steps) * (1 << WEIGHT_SHIFT)
    return max(current, *(_worst(j, payloads, 0) for j in incoming)) >= STATE_LIMIT


def _worst(projection: Projection, payloads: dict[str, int], exponent: int) -> int:
    payload = payloads[projection.source]
    return worst_activation([projection], [projection.weight], [payload], [exponent])


def _counted(network: IntNetwork, population: Population, activity: Activity) -> int:
    depth, u = depths(network), activity.states[CURRENT][population.name]
    arrived, turns = np.zeros_like(u), 0
    for projection in network.incoming(population.name):
        late = _late(network, projection, depth)
        sent = activity.spikes[projection.source]
        for t in range(late, len(u)):
            a, turned = _delivered(projection, sent[t - late])
            arrived[t] += a.reshape(arrived.shape[1:])
            turns += turned
    before = np.concatenate([np.zeros_like(u[:1]), u[:-1]])
    whole = decay_toward_zero(before, population.du) + (arrived << WEIGHT_SHIFT)
    return turns + int(((whole > STATE_LIMIT) | (whole <= -STATE_LIMIT)).sum())


def _late(network: IntNetwork, projection: Projection, depth: dict[str, int]) -> int:
    return 1 + projection.delay if projection.is_loop else lag(network, projection, depth)


def _delivered(projection: Projection, spikes: IntArray) -> tuple[IntArray, int]:
    """What arrives, and how many sums turned on the way."""
    summed = total(projection, spikes)
    if not projection.kind.spatial:
        return shift(summed, projection.weight_exp), 0
    turned = wrap_sum(summed)
    return shift(turned, projection.weight_exp), int((turned != summed).sum())
