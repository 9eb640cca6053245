"""The event queue against a sorted list."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tssd.hw_targets.sim.kernels.event_queue import BUCKETS, is_empty, pop, wake
from tssd.hw_targets.sim.kernels.jit import lowest_bit
from tssd.hw_targets.sim.kernels.kernel import clear
from tssd.hw_targets.sim.kernels.layout import CHANNEL_AT, CHANNEL_SIZE, NOW, QUEUE_SHIFT
from tssd.hw_targets.sim.machine import Machine, wire

SMALL = Machine(
    cycle_ns=1.0, width=3, height=3, cores_per_router=1,
    hop_x_cycles=5, hop_y_cycles=7, local_cycles=3, flit_cycles=1, credit_cycles=1,
    axon_in_cycles=4, axon_out_cycles=6, barrier_cycles=0, floor_cycles=0,
    buffer_flits=4, axon_in_flits=4, spike_out_slots=2, synapse_slots=2,
)  # fmt: skip


def test_the_lowest_bit_of_every_word() -> None:
    for bit in range(64):
        for word in (1 << bit, -1 << bit):
            assert lowest_bit(int(np.int64(np.uint64(word & (1 << 64) - 1)))) == bit


@given(st.integers(0, 5), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_channels_come_out_in_the_order_of_their_earliest_cycles(shift: int, seed: int) -> None:
    """Near and far beyond the ring, put forward or asked for again while they wait."""
    rng = np.random.default_rng(seed)
    chip = wire(SMALL)
    clear(chip)
    chip[QUEUE_SHIFT] = shift
    waiting: dict[int, int] = {}
    for turn in range(400):
        for _ in range(rng.integers(0, 6) if turn < 100 else 0):
            o = int(chip[CHANNEL_AT] + rng.integers(0, SMALL.channels) * chip[CHANNEL_SIZE])
            ahead = rng.integers(0, BUCKETS << shift) * rng.choice([0, 1, 1, 10, 1000])
            t = int(chip[NOW] + ahead)
            wake(chip, o, t)
            waiting[o] = min(waiting.get(o, t), t)
        assert is_empty(chip) == (not waiting)
        if waiting:
            earliest = min(waiting.values())
            assert waiting.pop(pop(chip)) == chip[NOW] == earliest
    assert not waiting
    assert pop(chip) == 0
