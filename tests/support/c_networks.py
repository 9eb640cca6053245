"""Random networks for the exported C: all that it can say, in every format that weights lie in.

The geometry is ``wild_networks``', ``strategies``' residual and recurrent networks'; weights are
then drawn again from one of the sets that a table may hold, rows of them repeated as a folded pool
repeats them. ``features`` names what a network has, ``FEATURES`` what all of them together must.
"""

import math
from dataclasses import replace

import numpy as np
from strategies import Case, random_inputs, recurrent_case, residual_network
from wild_networks import wild_case

from tssd.calibration.int_network import (
    IntNetwork,
    MembraneRead,
    Population,
    PopulationKind,
    Projection,
    ProjectionKind,
    Reset,
    depths,
    lag,
)
from tssd.calibration.integer import DECAY_ONE, IntArray, signed_bits
from tssd.calibration.simulate import check_loops
from tssd.errors import NetworkError
from tssd.export.c.widths import INT32, widths, wraps

AGAIN = 1_000_003  # from a seed whose network layers cannot run one after the other to the next
FORMATS = {
    **{f"weights of {bits} bits": (-(1 << (bits - 1)), 1 << (bits - 1)) for bits in range(2, 9)},
    "weights without a sign": (0, 256),
    "weights above zero": (40, 140),
    "weights of 16 bits": (-3000, 3000),
}
TERNARY, BINARY = "ternary weights", "binary weights"


def c_case(seed: int) -> Case:
    """The first network from *seed* on that runs layer by layer, and inputs of two samples."""
    while True:
        case = _drawn(np.random.default_rng(seed), seed)
        try:
            check_loops(case.network)
        except NetworkError:  # spikes before the first step
            seed += AGAIN
            continue
        return case


def _drawn(rng: np.random.Generator, seed: int) -> Case:
    kind = rng.random()
    if kind < 0.15:
        case = recurrent_case(seed)
    elif kind < 0.3:
        network = residual_network(seed, list(Reset)[int(rng.integers(3))])
        case = Case(network, random_inputs(network, seed, batch=2))
    else:
        case = wild_case(seed)
    network = case.network
    projections = tuple(_stored(rng, j) for j in network.projections)
    last = network.readout
    if rng.random() < 0.3:
        last = replace(last, membrane_read=MembraneRead.LARGEST)
    populations = (*network.populations[:-1], last)
    return Case(replace(network, populations=populations, projections=projections), case.inputs)


def _stored(rng: np.random.Generator, projection: Projection) -> Projection:
    """*projection* as drawn, or with weights of one of the formats, some of their rows equal."""
    if projection.kind is ProjectionKind.SUM_POOL or rng.random() < 0.25:
        return projection
    shape = projection.weight.shape
    name = str(rng.choice([*FORMATS, TERNARY, BINARY]))
    if name in FORMATS:
        weight = rng.integers(*FORMATS[name], shape)
    elif name == TERNARY:
        weight = rng.integers(-1, 2, shape)
    else:
        weight = rng.choice(rng.integers(-127, 128, 2), shape)
    return replace(projection, weight=_repeated(rng, weight))


def _repeated(rng: np.random.Generator, weight: IntArray) -> IntArray:
    """Half of the time, inputs (of a dense map) or taps (of a kernel) that are copies, or zero."""
    if rng.random() < 0.5:
        return weight
    axis = 1 if weight.ndim == 2 else 3
    places = np.arange(weight.shape[axis]) // 2
    copied = weight.take(places, axis)
    if weight.ndim == 2 and weight.shape[1] > 4:
        copied[:, rng.integers(weight.shape[1], size=2)] = 0  # what a pool drops
    return copied


FEATURES = {
    *("input graded", "input spikes", "input bias"),
    *("dense", "conv2d", "conv2d_transposed", "sum_pool", "groups", "dilation", "stride"),
    *("relay", "residual add", "delay", "late", "loop", "exponent up", "exponent down"),
    *("hard reset", "soft reset", "no reset", "an amount of its own", "synaptic memory", "leak"),
    *("threshold of all", "threshold of channels", "threshold of neurons", "exponent of a bias"),
    *("graded payload", "largest membrane", "sums that turn", "sums of 64 bits", "equal rows"),
    *(TERNARY, BINARY, *(f"weights of {bits} bits" for bits in range(2, 9)), "weights of 16 bits"),
}


def features(network: IntNetwork) -> set[str]:
    """What *network* has of ``FEATURES``."""
    found = {f"input {network.input_coding}"}
    deep, wide = depths(network), widths(network)
    for j in network.projections:
        payload = 1 if j.is_loop else wide[j.source].payload
        told = {
            "groups": j.groups > 1,
            "dilation": max(j.dilation) > 1,
            "stride": max(j.stride) > 1,
            "delay": j.delay > 0,
            "loop": j.is_loop,
            "late": not j.is_loop and lag(network, j, deep) > 0,
            "exponent up": j.weight_exp > 0,
            "exponent down": j.weight_exp < 0,
            "sums that turn": wraps(j, payload),
            "graded payload": payload > 1 and j.source != network.source.name,
            "equal rows": _rows_repeat(j),
        }
        found |= {j.kind.value, _format(j.weight)} | {name for name, has in told.items() if has}
    for p in network.populations:
        found |= _of_population(network, p)
        found |= {"sums of 64 bits"} if wide[p.name].sum > INT32 else set()
    return found & FEATURES


def _of_population(network: IntNetwork, p: Population) -> set[str]:
    told = {
        "relay": p.kind is PopulationKind.RELAY,
        "residual add": len([j for j in network.incoming(p.name) if not j.is_loop]) > 1,
        "an amount of its own": p.reset_by is not None,
        "largest membrane": p.membrane_read.of_every_step,
        "synaptic memory": p.has_state and bool((p.du != DECAY_ONE).any()),
        "leak": p.has_state and bool(p.dv.any()),
        "exponent of a bias": p.has_state and p.bias_exp not in (0, 6),
    }
    found = {name for name, has in told.items() if has}
    if p.kind is PopulationKind.LIF:
        each = p.neurons > p.shape[0] and p.vth.size == math.prod(p.shape)
        per = "neurons" if each else "channels" if p.vth.size > 1 else "all"
        reset = {Reset.HARD: "hard reset", Reset.SOFT: "soft reset", Reset.NONE: "no reset"}
        found |= {f"threshold of {per}", reset[p.reset]}
    return found


def _rows_repeat(projection: Projection) -> bool:
    """Whether two inputs, or two taps of a channel, have the same weights."""
    weight = projection.weight
    rows = weight.T if weight.ndim == 2 else weight.transpose(1, 2, 3, 0).reshape(-1, len(weight))
    return len(rows) > 1 and len(np.unique(rows, axis=0)) < len(rows)


def _format(weight: IntArray) -> str:
    """The narrowest format that holds *weight*."""
    values = np.unique(weight)
    if len(values) == 2:
        return BINARY
    if set(values) <= {-1, 0, 1}:
        return TERNARY
    bits = signed_bits(int(values[0]), int(values[-1]))
    return f"weights of {bits if bits <= 8 else 16} bits"
