"""Which floats carry which layer exactly: bounds from the integers alone, before anything runs.

A float with p bits of significand (24 for float32, 53 for float64) holds every integer of
magnitude <= 2**p. If every product and every partial sum that *any* order of summation can meet
is an integer below 2**p, each operation is exact and the result is the integer result. So:

    synapses  max over outputs of sum |w| * payload < 2**p             any partial sum is below it
              payload: input_max for an INPUT, 1 for a LIF (also through a loop), the same bound
              again for a RELAY
    current   |u[t]| <= |u[t-1]| * |4096 - du| / 4096 + (|a| << 6)      |u * (4096 - du)| < 2**p
              a multiple of 64 needs six bits less, so a << 6 is exact where a is
    membrane  |v[t]| <= |v[t-1]| * |4096 - dv| / 4096 + |u| + |bias|    every sum below 2**p, at
              most 2**23 - 1 after the clip, unless a soft reset lifts v or leaves it further
              below zero; |v| * m < 2**p for 4096 - dv = m * 2**k, m odd, as the division by
              4096 only moves the exponent and truncation then is exact

This needs convolutions that multiply and add as written: no Winograd or Fourier transforms and
no reduced-precision products (``arithmetic.exact_products`` switches those off). A layer that
fits neither float is refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tssd.calibration.int_network import (
    IntNetwork,
    Population,
    Projection,
)
from tssd.calibration.integer import DECAY_ONE, STATE_LIMIT, WEIGHT_SHIFT, IntArray
from tssd.errors import TargetError
from tssd.train.handover.geometry import largest, rows

Carrier = Literal["float32", "float64"]
SIGNIFICAND_BITS: dict[Carrier, int] = {"float32": 24, "float64": 53}


@dataclass(frozen=True)
class Bounds:
    """What one population can meet, and the float that carries it.

    ``partial``: largest partial sum of any projection; ``activation``: largest |a|; ``membrane``:
    largest |v| before the clip; ``product``: largest significand of a decay product; ``payload``:
    largest event sent. ``wraps`` names the projections whose sums must be wrapped to 24 bits,
    ``u_wraps`` and ``v_clips`` say whether the states can reach their ends.
    """

    name: str
    partial: int
    activation: int
    membrane: int
    product: int
    payload: int
    wraps: tuple[bool, ...]
    u_wraps: bool
    v_clips: bool
    carrier: Carrier


def bounds(network: IntNetwork) -> dict[str, Bounds]:
    """Bounds of every population, loops included; raises TargetError where none holds."""
    found: dict[str, Bounds] = {}
    for population in network.populations:
        incoming = network.incoming(population.name)
        sources = [1 if j.is_loop else found[j.source].payload for j in incoming]
        found[population.name] = _bounds(network, population, incoming, sources)
    return found


def _bounds(
    network: IntNetwork,
    population: Population,
    incoming: Sequence[Projection],
    payloads: Sequence[int],
) -> Bounds:
    sums = [largest(rows(j), p) for j, p in zip(incoming, payloads, strict=True)]
    wraps = tuple(j.kind.spatial and s >= STATE_LIMIT for j, s in zip(incoming, sums, strict=True))
    arriving = [
        _shifted(min(s, STATE_LIMIT) if wrap else s, j.weight_exp)
        for j, s, wrap in zip(incoming, sums, wraps, strict=True)
    ]
    activation = sum(arriving)
    if population.kind.enters:
        activation = network.input_max
    partial = max([*sums, *arriving, activation], default=0)
    if not population.has_state:
        carrier = _carrier(population, partial)
        return Bounds(
            population.name, partial, activation, 0, 0, activation, wraps, False, False, carrier
        )
    bias = _largest(population.bias)
    if population is network.source and network.input_coding.as_bias:
        bias = _shifted(network.input_max, population.bias_exp)
    membrane, product, u_wraps = _states(population, activation, bias, network.time_steps)
    levels = max(_largest(level) for level in population.levels.values()) << WEIGHT_SHIFT
    need = max(partial, membrane, product, levels)
    return Bounds(
        population.name,
        partial,
        activation,
        membrane,
        product,
        1,
        wraps,
        u_wraps,
        membrane >= STATE_LIMIT,
        _carrier(population, need),
    )


def _states(
    population: Population, activation: int, bias: int, time_steps: int
) -> tuple[int, int, bool]:
    """(largest |v| before the clip, largest significand of a product, whether u can wrap)."""
    keep_u, odd_u = _decay(population.du)
    keep_v, odd_v = _decay(population.dv)
    u = v = highest_u = highest_v = 0
    for _ in range(time_steps):
        u = u * keep_u // DECAY_ONE + (activation << WEIGHT_SHIFT)
        highest_u = max(highest_u, u)
        before = v * keep_v // DECAY_ONE + u + bias
        highest_v = max(highest_v, before)
        v = max(min(before, STATE_LIMIT - 1) + population.lifted, population.sunk)
    after = max(min(highest_v, STATE_LIMIT - 1), v)
    product = max(highest_u * odd_u, after * max(odd_v, 1))
    return highest_v, product, highest_u >= STATE_LIMIT


def _decay(decay: IntArray) -> tuple[int, int]:
    """(largest |4096 - decay|, largest odd part of it)."""
    factors = np.abs(DECAY_ONE - np.unique(decay))
    odd = [int(f) // (int(f) & -int(f)) for f in factors if f]
    return int(factors.max()), max(odd, default=0)


def _shifted(value: int, exponent: int) -> int:
    """A bound of |x << exponent|; a right shift rounds toward -inf, so one more."""
    return value << exponent if exponent >= 0 else (value >> -exponent) + 1


def _largest(array: IntArray) -> int:
    return int(np.abs(array).max(initial=0))


def _carrier(population: Population, need: int) -> Carrier:
    """The narrowest float that holds every integer up to ``need``."""
    for carrier, bits in SIGNIFICAND_BITS.items():
        if need < 1 << bits:
            return carrier
    raise TargetError(
        f"population {population.name}",
        found=f"sums up to {need}",
        allowed="below 2**53, so that float64 is exact",
        hint="use the integer definition (calibration.simulate)",
    )
