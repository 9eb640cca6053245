"""Compiled parts of the functional engine; ``calibration.neuron`` is the definition they equal."""

from tssd.hw_targets.sim.jit import Rows, Words, compiled

COUNT_SHIFT = 40  # an accumulator holds a sum below this bit and a count of synapses above it
_LOW = (1 << COUNT_SHIFT) - 1
_HALF = 1 << (COUNT_SHIFT - 1)
_LIMIT = 1 << 23
_TURN = 1 << 24

# geometry of a projection: source and kernel, then the target's places
(
    G_CHANNELS, G_HEIGHT, G_WIDTH, G_KERNEL_H, G_KERNEL_W, G_STRIDE_H, G_STRIDE_W,
    G_PAD_H, G_PAD_W, G_DILATION_H, G_DILATION_W, G_OUT, G_IN, G_TO, G_TO_H, G_TO_W,
) = range(16)  # fmt: skip


@compiled
def scatter(sums: Words, weight: Words, counted: Words, g: Words, events: Rows) -> None:
    """Add payload x weight (and one to the count) at every target of every event.

    ``events`` (events, 2): neuron in C, H, W order, payload; ``sums`` with the channel last.
    """
    area, out, to = g[G_HEIGHT] * g[G_WIDTH], g[G_OUT], g[G_TO]
    for e in range(events.shape[0]):
        channel, place = events[e, 0] // area, events[e, 0] % area
        row, column = place // g[G_WIDTH] + g[G_PAD_H], place % g[G_WIDTH] + g[G_PAD_W]
        more = events[e, 1] - 1
        first = channel // g[G_IN] * out
        for i in range(g[G_KERNEL_H]):
            y = row - i * g[G_DILATION_H]
            if y < 0 or y % g[G_STRIDE_H] or y // g[G_STRIDE_H] >= g[G_TO_H]:
                continue
            for j in range(g[G_KERNEL_W]):
                x = column - j * g[G_DILATION_W]
                if x < 0 or x % g[G_STRIDE_W] or x // g[G_STRIDE_W] >= g[G_TO_W]:
                    continue
                target = (y // g[G_STRIDE_H] * g[G_TO_W] + x // g[G_STRIDE_W]) * to + first
                tap = ((channel * g[G_KERNEL_H] + i) * g[G_KERNEL_W] + j) * out
                if more == 0:
                    for o in range(out):
                        sums[target + o] += counted[tap + o]
                else:
                    for o in range(out):
                        sums[target + o] += counted[tap + o] + more * weight[tap + o]


@compiled
def settle(sums: Words, total: Words, touched: Words, exponent: int, wraps: bool) -> None:
    """Move the sums of one projection into the total: wrapped, shifted; sums are zero again."""
    for i in range(len(sums)):
        both = sums[i]
        if both == 0:
            continue
        sums[i] = 0
        touched[i] = 1
        a = ((both + _HALF) & _LOW) - _HALF
        if wraps:
            a = ((a + _LIMIT) & (_TURN - 1)) - _LIMIT
        total[i] += a << exponent if exponent >= 0 else a >> -exponent


@compiled
def _decayed(x: int, decay: int) -> int:
    product = x * (4096 - decay)
    return product >> 12 if product >= 0 else -(-product >> 12)


@compiled
def fire(
    total: Words, touched: Words, state: Rows, p: Rows, out: Rows, reset: int, fires: bool
) -> int:
    """Update every neuron; list those that fire as (neuron, 1) rows of ``out``, return how many.

    ``p`` (4, neurons): du, dv, threshold << 6, bias; ``total`` is zero afterwards.
    """
    count = 0
    for i in range(len(total)):
        u, v, bias = _decayed(state[0, i], p[0, i]), state[1, i], p[3, i]
        if u != 0 or v != 0 or bias != 0:
            touched[i] = 1
        u += total[i] << 6
        total[i] = 0
        if u > _LIMIT:
            u -= _TURN
        elif u <= -_LIMIT:
            u += _TURN
        v = min(max(_decayed(v, p[1, i]) + u + bias, 1 - _LIMIT), _LIMIT - 1)
        if fires and v > p[2, i]:
            out[count, 0], out[count, 1] = i, 1
            count += 1
            if reset == 0:
                v = 0
            elif reset == 1:
                v -= p[2, i]
        state[0, i], state[1, i] = u, v
    return count


@compiled
def pass_on(total: Words, touched: Words, out: Rows) -> int:
    """A population without state sends its total as a payload; returns how many are not zero."""
    count = 0
    for i in range(len(total)):
        if total[i] != 0:
            out[count, 0], out[count, 1] = i, total[i]
            touched[i] = 1
            count += 1
        total[i] = 0
    return count
