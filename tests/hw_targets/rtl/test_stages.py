"""Queues and stages by themselves: nothing is lost, doubled or overtaken; every clock counts."""

from collections import deque
from typing import Any

import numpy as np
import pytest
from clocked import stepped

from tssd.hw_targets.rtl.units.queue import Credits, Queue
from tssd.hw_targets.rtl.units.router import Router
from tssd.hw_targets.rtl.units.synapse_stage import SynapseStage
from tssd.hw_targets.rtl.units.widths import BuildSizes

SIZES = BuildSizes(
    width=3, height=3, cores_per_router=2, neurons=16, fan_out=16, axons=16, synapses=64,
    link_slots=2, axon_in_slots=1, spike_out_slots=2, synapse_slots=2, barrier=8,
)  # fmt: skip


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_a_queue_gives_what_it_took_in_order(depth: int) -> None:
    queue, rng = Queue(8, depth), np.random.default_rng(depth)
    held: deque[int] = deque()

    async def bench(ctx: Any) -> None:
        for value in rng.integers(0, 256, 300).tolist():
            assert ctx.get(queue.level) == len(held)
            pops = bool(held) and rng.random() < 0.5
            pushes = len(held) < depth and rng.random() < 0.6
            if held:
                assert ctx.get(queue.first) == held[0]
            ctx.set(queue.pop, pops)
            ctx.set(queue.push, pushes)
            ctx.set(queue.entry, value)
            await ctx.tick()
            if pops:
                held.popleft()
            if pushes:
                held.append(value)

    stepped(queue, bench)


def test_credits_end_with_the_buffer_and_come_back() -> None:
    credits = Credits(2)

    async def bench(ctx: Any) -> None:
        for sent, freed, room in ((1, 0, 1), (1, 0, 0), (0, 1, 1), (1, 1, 1), (1, 0, 0)):
            ctx.set(credits.sent, sent)
            ctx.set(credits.freed, freed)
            await ctx.tick()
            assert ctx.get(credits.room) == room

    stepped(credits, bench)


@pytest.mark.parametrize("slots", [0, 2])
def test_the_synapse_stage_sums_one_synapse_a_clock(slots: int) -> None:
    """Rows that follow each other at once and meet the same target, over and over."""
    rng = np.random.default_rng(slots)
    weights, offsets = rng.integers(-99, 100, 64), rng.integers(0, 3, 64)
    rows = [(int(r), int(n), int(b)) for r, n, b in rng.integers((0, 1, 0), (50, 9, 4), (12, 3))]
    payloads = rng.integers(-500, 500, len(rows)).tolist()
    stage = SynapseStage(BuildSizes(**{**vars(SIZES), "synapse_slots": slots}))
    sums, expected = np.zeros(16, np.int64), np.zeros(16, np.int64)
    for (row, count, base), payload in zip(rows, payloads, strict=True):
        np.add.at(expected, base + offsets[row : row + count], payload * weights[row : row + count])

    async def bench(ctx: Any) -> None:
        waiting, clocks = deque(zip(rows, payloads, strict=True)), 0
        while waiting or not ctx.get(stage.quiet):
            if waiting:
                (row, count, base), payload = waiting[0]
                for name, value in (("row", row), ("count", count), ("base", base)):
                    ctx.set(getattr(stage, name), value)
                ctx.set(stage.payload, payload)
            ctx.set(stage.offered, bool(waiting))
            await clock(ctx)
            clocks += 1
            if handed[0]:
                waiting.popleft()
        assert clocks == sum(count for _, count, _ in rows)
        ctx.set(stage.offered, 0)
        for _ in range(4):
            await clock(ctx)

    handed = [0]

    async def clock(ctx: Any) -> None:
        """One clock of the stage, with memories that answer in the next."""
        handed[0] = ctx.get(stage.handed)
        read_at, target = ctx.get(stage.read_at), ctx.get(stage.target)
        if ctx.get(stage.add):
            sums[ctx.get(stage.add_at)] = ctx.get(stage.total_out)
        await ctx.tick()
        ctx.set(stage.weight, int(weights[read_at % 64]))
        ctx.set(stage.offset, int(offsets[read_at % 64]))
        ctx.set(stage.total, int(sums[target % 16]))

    stepped(stage, bench)
    np.testing.assert_array_equal(sums, expected)


def test_a_router_sends_each_message_its_way_once_and_in_order() -> None:
    router, rng = Router(SIZES), np.random.default_rng(3)
    here = (1, 1)
    ways = {(1, 1, 0): 0, (1, 1, 1): 1, (2, 0, 0): 2, (0, 2, 1): 3, (1, 2, 0): 4, (1, 0, 1): 5}
    room = [SIZES.link_slots] * SIZES.ports  # credits that the senders hold
    owed: list[deque[int]] = [deque() for _ in range(SIZES.ports)]  # buffers ahead
    sent: dict[tuple[int, int], list[int]] = {}
    left: dict[tuple[int, int], list[int]] = {}

    async def bench(ctx: Any) -> None:
        ctx.set(router.x, here[0])
        ctx.set(router.y, here[1])
        for t in range(500):
            for p in range(SIZES.ports):
                room[p] += ctx.get(getattr(router, f"credit_{p}"))
                arrives = t < 400 and room[p] > 0 and rng.random() < 0.7
                ctx.set(getattr(router, f"arrives_{p}"), arrives)
                if arrives:
                    room[p] -= 1
                    (x, y, slot), o = list(ways.items())[int(rng.integers(len(ways)))]
                    to = {"x": x, "y": y, "slot": slot, "axon": t}
                    ctx.set(getattr(router, f"in_{p}"), {"to": to, "payload": p})
                    sent.setdefault((p, o), []).append(t)
                freed = bool(owed[p]) and rng.random() < 0.4
                ctx.set(getattr(router, f"freed_{p}"), freed)
                if freed:
                    owed[p].popleft()
            for o in range(SIZES.ports):
                if ctx.get(getattr(router, f"send_{o}")):
                    message = ctx.get(getattr(router, f"out_{o}"))
                    left.setdefault((message.payload, o), []).append(message.to.axon)
                    owed[o].append(t)
                    slots = SIZES.axon_in_slots if o < 2 else SIZES.link_slots
                    assert len(owed[o]) <= slots
            await ctx.tick()
        assert ctx.get(router.quiet)

    stepped(router, bench)
    assert left == sent
    assert sum(map(len, sent.values())) > 300
