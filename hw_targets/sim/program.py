"""Program: a network laid out for the functional kernel, with the narrowest numbers that suffice.

Neurons of images are numbered with the channel moving fastest, so that the targets of one kernel
tap lie side by side. An accumulator holds a sum of weights in its lower bits and the number of
synapses met above them. It is 32 bits wide where the largest possible sum, count, bias and current
prove that nothing can overflow, else 64.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tssd.arrays import Array
from tssd.calibration.int_network import (
    IntNetwork,
    Population,
    Projection,
    depths,
    lag,
)
from tssd.calibration.integer import DECAY_ONE, STATE_LIMIT, WEIGHT_SHIFT, IntArray
from tssd.calibration.neuron import parameters
from tssd.calibration.simulate import check_loops
from tssd.errors import NetworkError
from tssd.hw_targets.mapping.fanout import as_image
from tssd.hw_targets.sim.kernels import functional_kernel as k
from tssd.train.handover.geometry import axes, largest, rows

_SUM_BITS, _COUNT_BITS = 40, 22  # of the widest accumulator
_NARROW = 1 << 31

Numbers = Array  # int32 or int64


@dataclass(frozen=True, eq=False)
class Wires:
    """All projections into one population, their tables one after the other, loops last.

    ``table`` (wires, 11) as ``functional_kernel.W_*`` name its columns; ``counted`` the weights
    (C_in, k_h, k_w, C_out of a group), each that counts with a one above the sum's bits;
    ``weight`` without, empty if all payloads are one; ``rows``, ``columns`` and ``places`` (source
    neurons, 4): where a source neuron's taps go.
    """

    sources: tuple[str, ...]
    table: IntArray
    weight: Numbers
    counted: Numbers
    rows: Numbers
    columns: Numbers
    places: Numbers


@dataclass(frozen=True, eq=False)
class ProgramLayer:
    """A population as the kernel wants it: ``flat`` (neurons,) from its numbering to (C, H, W);
    ``parameters`` (4, neurons) as ``functional_kernel.PARAMETERS`` names its rows; ``bias`` (1,
    neurons)."""

    population: Population
    flat: IntArray
    dtype: type[np.int32] | type[np.int64]
    wires: Wires
    parameters: Numbers
    bias: Numbers


@dataclass(frozen=True, eq=False)
class Program:
    """A network prepared for ``functional.simulate``."""

    network: IntNetwork
    layers: tuple[ProgramLayer, ...]


def prepare(network: IntNetwork, stored_zeros: bool = False) -> Program:
    """Lay the network out for the kernel; NetworkError for too large sums and for recurrence other
    than from a population to itself.

    ``stored_zeros``: synapses of weight zero are met too, as on a chip that stores them.
    """
    check_loops(network)
    depth = depths(network)
    largest: dict[str, int] = {}
    layers = []
    for population in network.populations:
        layer, largest[population.name] = _layer(network, population, largest, depth, stored_zeros)
        layers.append(layer)
    return Program(network, tuple(layers))


def _layer(
    network: IntNetwork,
    population: Population,
    largest: Mapping[str, int],
    depth: Mapping[str, int],
    zeros: bool,
) -> tuple[ProgramLayer, int]:
    """The layer, and the largest payload that it may send."""
    incoming = tuple(sorted(network.incoming(population.name), key=lambda j: j.is_loop))
    payloads = [1 if j.is_loop else largest[j.source] for j in incoming]
    sums = [_largest_sum(j, most) for j, most in zip(incoming, payloads, strict=True)]
    total = sum(_after_settling(j, most) for j, most in zip(incoming, sums, strict=True))
    if population is network.source and population.kind.enters:
        total = network.input_max
    counts = [_most_synapses(j, zeros) for j in incoming]
    packed = [(c + 1) << _sum_bits(s) for s, c in zip(sums, counts, strict=True)]
    bias = _largest_bias(network, population)
    narrow = max(packed, default=0) < _NARROW and _fits_32_bits(population, total, bias)
    dtype = np.int32 if narrow else np.int64
    shifts = [_sum_bits(s) if narrow else _SUM_BITS for s in sums]
    relayed = any(network.population(j.source).kind.relays for j in incoming)
    ones = not relayed and max(payloads, default=0) <= 1
    late = [lag(network, j, depth) for j in incoming]
    layer = ProgramLayer(
        population,
        _channel_last(np.arange(population.neurons).reshape(population.shape)),
        dtype,
        _wires(network, incoming, shifts, late, ones, zeros, dtype),
        _spread(population, *_rows(population)).astype(dtype),
        _spread(population, population.bias).astype(dtype),
    )
    fires = population.kind.has_state
    return layer, 1 if fires else total


def _largest_sum(j: Projection, payload: int) -> int:
    """The largest magnitude that the sum of one target can reach in a step."""
    most = largest(rows(j), payload)
    synapses = _most_synapses(j, zeros=True)
    if most >= 1 << (_SUM_BITS - 1) or synapses >= 1 << _COUNT_BITS:
        raise NetworkError(
            f"projection {j.name}",
            found=f"sums up to {most} from {synapses} synapses",
            allowed=f"below {1 << (_SUM_BITS - 1)} and {1 << _COUNT_BITS}",
        )
    return most


def _most_synapses(j: Projection, zeros: bool) -> int:
    """The most synapses of one target."""
    stored = np.ones(j.weight.shape, np.int64) if zeros else (j.weight != 0).astype(np.int64)
    return largest(rows(j, stored))


def _sum_bits(most: int) -> int:
    """Bits of a signed number of magnitude *most*."""
    return most.bit_length() + 1


def _after_settling(j: Projection, most: int) -> int:
    """The largest magnitude of a sum once it is wrapped and shifted."""
    wrapped = min(most, STATE_LIMIT) if j.kind.spatial else most
    return wrapped << j.weight_exp if j.weight_exp >= 0 else (wrapped >> -j.weight_exp) + 1


def _largest_bias(network: IntNetwork, population: Population) -> int:
    if population is network.source and network.input_coding.as_bias:
        return network.input_max << max(population.bias_exp, 0)
    return int(np.abs(population.bias).max(initial=0))


def _fits_32_bits(population: Population, total: int, bias: int) -> bool:
    """Whether currents and membranes stay within 32 bits.

    A current of at most one turn (2**24) beyond a wrapped one is wrapped by the single turn of the
    rule, so it never grows; without memory (du 4096) it need only fit by itself.
    """
    if not population.has_state:
        return total < _NARROW
    current = total << WEIGHT_SHIFT
    memory = bool((population.du != DECAY_ONE).any())
    levels = [int(np.abs(x).max(initial=0)) for x in population.levels.values()]
    most = 2 * STATE_LIMIT if memory else _NARROW // 2
    return current <= most and max(bias, max(levels) << WEIGHT_SHIFT) < _NARROW // 4


def _rows(population: Population) -> list[IntArray]:
    """The parameters as rows of the kernel, neutral ones where the neuron has none."""
    found = parameters(population, k.PARAMETERS)
    return [
        found[name] if name in found else np.array(k.NEUTRAL[name], np.int64)
        for name in k.PARAMETERS
    ]


def _spread(population: Population, *parameters: IntArray) -> IntArray:
    rows = [_channel_last(np.broadcast_to(p, population.shape)) for p in parameters]
    return np.stack(rows)


def _channel_last(array: IntArray) -> IntArray:
    """(..., C, H, W) or (N,) flattened over the neurons, the channel moving fastest."""
    moved = np.moveaxis(array, 0, -1) if array.ndim == 3 else array
    return np.ascontiguousarray(moved).reshape(-1)


def _wires(
    network: IntNetwork,
    incoming: tuple[Projection, ...],
    shifts: list[int],
    late: list[int],
    ones: bool,
    zeros: bool,
    dtype: type[np.int32] | type[np.int64],
) -> Wires:
    """Concatenate the tables of all incoming projections; ``ones``: every payload is one,
    ``zeros``: weights of zero count as synapses."""
    tables = [_tables(network, j) for j in incoming]
    ends = [np.cumsum([0, *(len(t[part]) for t in tables)]) for part in range(4)]
    table = np.zeros((len(incoming), k.WIRE_COLUMNS), np.int64)
    for w, j in enumerate(incoming):
        kernel = j.weight.shape[2:] if j.kind.spatial else (1, 1)
        outs, wraps = len(j.weight) // j.groups, j.kind.spatial
        numbers = (*kernel, outs, shifts[w], j.weight_exp, wraps, late[w])
        table[w] = [*(int(end[w]) for end in ends), *numbers]
    weight, rows, columns, places = (
        np.concatenate([t[part] for t in tables]) if tables else empty
        for part, empty in enumerate([np.zeros(0), np.zeros(0), np.zeros(0), np.zeros((0, 4))])
    )
    shift = np.repeat(np.array(shifts, np.int64), np.diff(ends[0]))
    met = (weight != 0) | zeros
    counted = weight.astype(np.int64) + (met.astype(np.int64) << shift)
    return Wires(
        tuple(j.source for j in incoming),
        table,
        (weight[:0] if ones else weight).astype(dtype),
        counted.astype(dtype),
        rows.astype(np.int32),
        columns.astype(np.int32),
        places.astype(np.int32),
    )


def _tables(network: IntNetwork, j: Projection) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """Flat weights, rows, columns and places of one projection (see ``Wires``)."""
    source, target = network.population(j.source), network.population(j.target)
    if not j.kind.spatial:
        order, taps = (
            _channel_last(np.arange(p.neurons).reshape(p.shape)) for p in (target, source)
        )
        places = np.zeros((source.neurons, 4), np.int64)
        places[:, k.P_TAP] = taps * target.neurons
        zero = np.zeros(1, np.int64)
        return np.ascontiguousarray(j.weight[order].T).reshape(-1), zero, zero, places
    per_group, inputs, high, wide = len(j.weight) // j.groups, *j.weight.shape[1:]
    grouped = j.weight.reshape(j.groups, per_group, inputs, high, wide)
    weight = np.ascontiguousarray(grouped.transpose(0, 2, 3, 4, 1)).reshape(-1)
    channels, height, width = as_image(source.shape)
    to_channels, to_height, to_width = as_image(target.shape)
    tall, broad = axes(j)
    lines = _pitched(tall.reached(height, to_height), to_width * to_channels)
    columns = _pitched(broad.reached(width, to_width), to_channels)
    y, x, c = (a.reshape(-1) for a in np.indices((height, width, channels)))
    first = c // inputs * per_group
    places = np.column_stack([y * high, x * wide, c * high * wide * per_group, first])
    return weight, lines, columns, places


def _pitched(reached: IntArray, pitch: int) -> IntArray:
    """(places * taps,): *pitch* times the place that each reaches in the target, or -1."""
    found: IntArray = np.where(reached < 0, -1, reached * pitch).reshape(-1)
    return found
