"""Compiled parts of the functional engine; ``calibration.neuron`` is the definition they equal.

One call runs one population over all its time steps. Accumulators and states are int32 or int64,
as ``hw_targets.sim.program`` found sufficient; the arithmetic is that of the definition, without
branches, so that the compiler can update many neurons at once.
"""

from typing import NamedTuple

from tssd.hw_targets.sim.kernels.jit import Block, Rows, Words, compiled

_LIMIT = 1 << 23
_TURN = 1 << 24
HARD, SOFT, NONE = range(3)
PARAMETERS = ("keep_u", "keep_v", "threshold", "subtracted")  # rows of ``Neurons.p``
KEEP_U, KEEP_V, THRESHOLD, SUBTRACTED = range(4)
NEUTRAL: dict[str, int] = {}  # the row of a parameter that a neuron may lack

# a row of the table of wires: where its parts begin in the shared arrays, then its numbers
(
    W_WEIGHT, W_ROWS, W_COLUMNS, W_PLACES, W_KERNEL_H, W_KERNEL_W, W_OUT,
    W_SHIFT, W_EXPONENT, W_WRAPS, W_LATE,
) = range(11)  # fmt: skip
WIRE_COLUMNS = 11
# a row of a wire's table of source neurons
P_ROW, P_COLUMN, P_TAP, P_FIRST = range(4)


class Arriving(NamedTuple):
    """What reaches a population: its wires (see ``program.Wires``), the events of their sources,
    and two rows of accumulators.

    ``sent[first[w, t] : first[w, t + 1]]`` are the neurons that wire w's source sent in step t;
    ``payload`` their payloads, empty if all are one. ``rows`` and ``columns``: for each place of
    the source and each tap of the kernel the target's place, or -1.
    """

    wires: Rows
    weight: Words
    counted: Words
    rows: Words
    columns: Words
    places: Rows
    sent: Words
    payload: Words
    first: Rows
    sums: Words
    total: Words


class Neurons(NamedTuple):
    """A population with state. ``state`` (2, neurons) u and v; ``p`` (4, neurons): ``PARAMETERS``;
    ``bias`` (1 or steps, neurons);
    ``fired`` flags, and the same memory as words of eight; ``trace`` (steps, 2, neurons) takes the
    states after each step, or has no rows. ``own``: the last rows of ``Arriving.first``, one for
    each loop, written as the neurons fire.
    """

    state: Rows
    p: Rows
    bias: Rows
    fired: Words
    fired_words: Words
    trace: Block
    own: Rows


@compiled
def scatter(a: Arriving, wire: Words, begin: int, end: int) -> None:
    """Add payload x weight (and one to the count) at every target of the events begin .. end - 1.

    Slices of the inner loops, because the compiler knows that their indices are not negative.
    """
    high, wide, out = wire[W_KERNEL_H], wire[W_KERNEL_W], wire[W_OUT]
    for e in range(begin, end):
        place = a.places[wire[W_PLACES] + a.sent[e]]
        row, column = wire[W_ROWS] + place[P_ROW], wire[W_COLUMNS] + place[P_COLUMN]
        more = a.payload[e] - 1 if len(a.payload) else 0
        for i in range(high):
            y = a.rows[row + i]
            if y < 0:
                continue
            for j in range(wide):
                x = a.columns[column + j]
                if x < 0:
                    continue
                target = y + x + place[P_FIRST]
                tap = wire[W_WEIGHT] + place[P_TAP] + (i * wide + j) * out
                reached, added = a.sums[target : target + out], a.counted[tap : tap + out]
                for o in range(out):
                    reached[o] += added[o]
                if more:
                    added = a.weight[tap : tap + out]
                    for o in range(out):
                        reached[o] += more * added[o]


@compiled
def settle(sums: Words, total: Words, touched: Words, wire: Words) -> None:
    """Move the sums of one wire into the total: wrapped, shifted; sums are zero again."""
    half = 1 << (wire[W_SHIFT] - 1)
    low, wraps = 2 * half - 1, wire[W_WRAPS]
    left, right = max(wire[W_EXPONENT], 0), max(-wire[W_EXPONENT], 0)
    for i in range(len(total)):
        both = sums[i]
        a = ((both + half) & low) - half
        touched[i] |= both != a
        if wraps:
            a = ((a + _LIMIT) & (_TURN - 1)) - _LIMIT
        total[i] += (a << left) >> right
        sums[i] = 0


@compiled
def _decayed(x: int, keep: int) -> int:
    """x * keep / 4096, toward zero: a negative product is raised by 4095 before it is shifted."""
    product = x * keep
    return (product + ((product >> 63) & 4095)) >> 12


@compiled
def fire(total: Words, touched: Words, n: Neurons, bias: Words, reset: int, fires: bool) -> None:
    """Update every neuron and say which fire; ``total`` is zero afterwards."""
    u_state, v_state, p, fired = n.state[0], n.state[1], n.p, n.fired
    for i in range(len(total)):
        u, v = _decayed(u_state[i], p[KEEP_U, i]), v_state[i]
        touched[i] |= (u != 0) | (v != 0) | (bias[i] != 0)
        u += total[i] << 6
        total[i] = 0
        u = u - _TURN if u > _LIMIT else (u + _TURN if u <= -_LIMIT else u)
        v = min(max(_decayed(v, p[KEEP_V, i]) + u + bias[i], 1 - _LIMIT), _LIMIT - 1)
        spike = (v > p[THRESHOLD, i]) & fires
        after = v if reset == NONE else (v - p[SUBTRACTED, i] if reset == SOFT else 0)
        fired[i] = spike
        u_state[i], v_state[i] = u, after if spike else v


@compiled
def list_fired(n: Neurons, sent: Words, at: int) -> int:
    """Append the neurons that fire to ``sent`` from *at* on; returns the new end."""
    for word in range(len(n.fired_words)):
        if n.fired_words[word]:  # most are zero
            for i in range(8 * word, 8 * word + 8):
                if n.fired[i]:
                    sent[at] = i
                    at += 1
    return at


@compiled
def gather(a: Arriving, t: int, touched: Words) -> None:
    """The input of local step t into ``a.total``."""
    for w in range(a.wires.shape[0]):
        wire, then = a.wires[w], t - a.wires[w, W_LATE]
        if then >= 0 and a.first[w, then] < a.first[w, then + 1]:
            scatter(a, wire, a.first[w, then], a.first[w, then + 1])
            settle(a.sums, a.total, touched, wire)


@compiled
def run_neurons(
    a: Arriving, n: Neurons, active: Rows, out: Words, out_first: Words, reset: int, fires: bool
) -> None:
    """All time steps of a population with state: gather, update, list what fires.

    ``out`` and ``out_first`` say what it sends, as ``sent`` and ``first`` do for its sources; with
    loops ``out`` is ``a.sent``, whose end is free from ``out_first[0]`` on.
    """
    at = out_first[0]
    for t in range(active.shape[0]):
        gather(a, t, active[t])
        fire(a.total, active[t], n, n.bias[t if n.bias.shape[0] > 1 else 0], reset, fires)
        if fires:
            at = list_fired(n, out, at)
        out_first[t + 1] = at
        for w in range(n.own.shape[0]):
            n.own[w, t + 1] = at
        if n.trace.shape[0]:
            for k in range(n.state.shape[0]):
                for i in range(len(a.total)):
                    n.trace[t, k, i] = n.state[k, i]


@compiled
def run_relay(a: Arriving, active: Rows, out: Words, out_payload: Words, out_first: Words) -> None:
    """All time steps of a population without state: its total is its payload, zeros stay home."""
    at = 0
    for t in range(active.shape[0]):
        gather(a, t, active[t])
        for i in range(len(a.total)):
            if a.total[i] != 0:
                out[at], out_payload[at] = i, a.total[i]
                active[t, i] = 1
                at += 1
                a.total[i] = 0
        out_first[t + 1] = at
