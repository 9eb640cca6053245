"""The weights and membranes of a layer in both networks, on one scale.

    weights      w of the integers as stored; of float  W S / (s 2**e)      in steps of the weights
    membranes    v / (64 vth)                           H / theta           in thresholds
                 v / (64 S)                             H                   where nothing fires

S: the layer's scale, s: its source's, e: the exponent behind the weights (``int_network``).
Membranes are those after a step and its reset. What a float weight becomes is the nearest step, or
what a search made of it.
"""

from collections.abc import Mapping

import numpy as np

from tssd.arrays import FloatArray
from tssd.calibration.comparing.histogram import Histogram, histogram, merged
from tssd.calibration.int_network import MEMBRANE, Activity, IntNetwork, Population, Projection
from tssd.calibration.integer import UNIT
from tssd.train.handover.float_activity import FloatActivity
from tssd.train.handover.float_network import FloatNetwork, FloatPopulation, FloatProjection

STEP = 0  # log2 of the narrowest bin of weights: one step
FINEST = -10  # of membranes, in thresholds
HALF_STEP = 0.5  # whole numbers stand in the middle of their bins


def integer_weights(network: IntNetwork) -> dict[str, Histogram]:
    """Population -> its incoming weights, each stored one once, plus HALF_STEP."""
    found = {}
    for population in network.populations:
        incoming = _weighted(network, population)
        if incoming:
            found[population.name] = merged(histogram(j.weight + HALF_STEP, STEP) for j in incoming)
    return found


def float_weights(network: IntNetwork, folded: FloatNetwork) -> dict[str, Histogram]:
    """The same of the folded float network, in the integers' steps; populations into which the two
    networks have other projections are left out."""
    found = {}
    for population in network.populations:
        ours = _weighted(network, population)
        theirs = [j for j in folded.projections if j.target == population.name]
        if ours and [j.source for j in ours] == [j.source for j in theirs]:
            pairs = zip(ours, theirs, strict=True)
            found[population.name] = merged(
                histogram(_in_steps(network, a, b) + HALF_STEP, STEP) for a, b in pairs
            )
    return found


def _weighted(network: IntNetwork, population: Population) -> tuple[Projection, ...]:
    """Projections with learned weights; sums of relays have none."""
    return () if population.kind.relays else network.incoming(population.name)


def _in_steps(network: IntNetwork, ours: Projection, theirs: FloatProjection) -> FloatArray:
    target = network.population(ours.target).scales.ravel()
    channels = np.repeat(target, len(theirs.weight) // len(target)) if len(target) > 1 else target
    per_output = channels.reshape(-1, *(1,) * (theirs.weight.ndim - 1))
    source = network.population(ours.source)
    payload = 1.0 if source.kind.fires else source.scale
    return theirs.weight * per_output / (payload * 2.0**ours.weight_exp)


def in_thresholds(population: Population) -> bool:
    """Whether its membranes are told in thresholds."""
    return population.kind.fires and bool((population.vth > 0).all())


def integer_membranes(network: IntNetwork, activity: Activity) -> dict[str, Histogram]:
    """Population -> its membranes after every step of a batch."""
    found = {}
    for name, v in activity.states.get(MEMBRANE, {}).items():
        population = network.population(name)
        unit = population.vth if in_thresholds(population) else population.scales
        found[name] = histogram(v / (UNIT * unit), FINEST)
    return found


def float_membranes(
    network: IntNetwork, folded: FloatNetwork, activity: FloatActivity, samples: int
) -> dict[str, Histogram]:
    """The same of the folded float network, of the first *samples* of a batch."""
    units: Mapping[str, Population] = {p.name: p for p in network.populations}
    found = {}
    for population in folded.populations:
        name = population.name
        if name not in activity.membranes or name not in units:
            continue
        part = activity.membranes[name][:, :samples]
        after = after_reset(population, part, activity.spikes[name][:, :samples])
        told = in_thresholds(units[name])
        if not told or (population.threshold > 0).all():
            found[name] = histogram(after / (population.threshold if told else 1.0), FINEST)
    return found


def after_reset(population: FloatPopulation, before: FloatArray, spikes: FloatArray) -> FloatArray:
    """H (T, B, *shape) once those that fired are reset."""
    if not population.kind.fires or population.reset.keeps:
        return before
    if population.reset.zeroes:
        return np.where(spikes > 0, 0.0, before)
    return before - spikes * population.subtracted
