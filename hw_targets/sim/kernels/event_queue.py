"""The kernel's event queue: a ring of buckets of a few cycles each, holding channels.

A channel waits for at most one cycle, its earliest (``C_WAKE``); its record is its own link in the
list of a bucket, which is kept in the order of time. A channel that must wait for longer than the
ring is long is put at its end and moved on when that cycle comes.
"""

from tssd.hw_targets.sim.kernels.jit import Words, index, inlined, lowest_bit
from tssd.hw_targets.sim.kernels.layout import (
    C_AT,
    C_NEXT,
    C_WAKE,
    NEVER,
    NOW,
    QUEUE_AT,
    QUEUE_SHIFT,
)

BUCKETS = 2048
_WORDS = BUCKETS // 64
QUEUE_WORDS = 1 + _WORDS + BUCKETS  # waiting channels, a bit per bucket, first channel per bucket
_HEADS = 1 + _WORDS


@inlined
def _link(chip: Words, o: int) -> None:
    """Put channel *o* into the ring for its cycle, or at the ring's end if that is beyond."""
    shift, queue = chip[QUEUE_SHIFT], index(chip[QUEUE_AT])
    end = ((chip[NOW] >> shift) + BUCKETS) << shift
    at = min(chip[o + C_WAKE], end - 1)
    bucket = (at >> shift) & (BUCKETS - 1)
    chip[o + C_AT] = at
    chip[queue] += 1
    chip[queue + 1 + (bucket >> 6)] |= 1 << (bucket & 63)
    before, after = 0, index(chip[queue + _HEADS + bucket])
    while after and chip[after + C_AT] < at:
        before, after = after, index(chip[after + C_NEXT])
    chip[o + C_NEXT] = after
    if before:
        chip[before + C_NEXT] = o
    else:
        chip[queue + _HEADS + bucket] = o


@inlined
def _unlink(chip: Words, o: int) -> None:
    """Take channel *o* out of its bucket."""
    queue = index(chip[QUEUE_AT])
    bucket = (chip[o + C_AT] >> chip[QUEUE_SHIFT]) & (BUCKETS - 1)
    before, here = 0, index(chip[queue + _HEADS + bucket])
    while here != o:
        before, here = here, index(chip[here + C_NEXT])
    after = chip[o + C_NEXT]
    if before:
        chip[before + C_NEXT] = after
    else:
        chip[queue + _HEADS + bucket] = after
        if after == 0:
            chip[queue + 1 + (bucket >> 6)] ^= 1 << (bucket & 63)
    chip[queue] -= 1


@inlined
def wake(chip: Words, o: int, t: int) -> None:
    """Look at channel *o* in cycle t, unless it will be looked at before."""
    before = chip[o + C_WAKE]
    if t < before:
        if before != NEVER:
            _unlink(chip, o)
        chip[o + C_WAKE] = t
        _link(chip, o)


@inlined
def pop(chip: Words) -> int:
    """The channel that is due next, ``NOW`` being its cycle; 0 if none waits."""
    shift, queue = chip[QUEUE_SHIFT], index(chip[QUEUE_AT])
    while chip[queue]:
        bucket = (chip[NOW] >> shift) & (BUCKETS - 1)
        at = bucket >> 6
        word = chip[queue + 1 + at] & (-1 << (bucket & 63))
        while word == 0:
            at = at + 1 if at + 1 < _WORDS else 0
            word = chip[queue + 1 + at]
        bucket = (at << 6) + lowest_bit(word)
        o = index(chip[queue + _HEADS + bucket])
        after = chip[o + C_NEXT]
        chip[queue + _HEADS + bucket] = after
        if after == 0:
            chip[queue + 1 + at] ^= 1 << (bucket & 63)
        chip[queue] -= 1
        chip[NOW] = chip[o + C_AT]
        if chip[o + C_AT] == chip[o + C_WAKE]:
            chip[o + C_WAKE] = NEVER
            return o
        _link(chip, o)
    return 0


@inlined
def is_empty(chip: Words) -> bool:
    """Whether no channel waits."""
    return chip[index(chip[QUEUE_AT])] == 0
