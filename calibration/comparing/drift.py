"""How far firing rates have moved: the earth mover's distance of two layers' rates.

    d = mean over k of |a_(k) - b_(k)|        a, b: spikes per neuron and step, in order of size

Two layers of equally many neurons whose rates are distributed alike are at distance 0, whichever
neuron has which rate; a layer that fires r more everywhere is at distance r. As in
arXiv 2604.14487, which measures what quantization does to the distribution of rates.
"""

import numpy as np
import numpy.typing as npt


def rate_drift(wanted: npt.ArrayLike, found: npt.ArrayLike, slots: int) -> float:
    """The distance of two layers' event counts (any equal shape), each over *slots* samples times
    steps; in spikes per neuron and step."""
    a, b = (np.sort(np.asarray(x, dtype=np.float64), axis=None) for x in (wanted, found))
    return float(np.abs(a - b).mean()) / slots
