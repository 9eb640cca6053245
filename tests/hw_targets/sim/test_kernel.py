"""The timing kernel against closed formulas, against the slow machine, and against itself."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slow_machine import Message, SlowMachine

from tssd.errors import ConfigError, DataError, TargetError
from tssd.hw_targets.sim.kernels import layout as k
from tssd.hw_targets.sim.machine import MOST_PORTS, MOST_ROUTERS, Machine, wire
from tssd.hw_targets.sim.timing import StepTimes, Traffic, message_rows, time_steps

PLAIN = Machine(
    cycle_ns=1.0, width=4, height=3, cores_per_router=2,
    hop_x_cycles=5, hop_y_cycles=7, local_cycles=3, flit_cycles=1, credit_cycles=1,
    axon_in_cycles=4, axon_out_cycles=6, barrier_cycles=0, floor_cycles=0,
    buffer_flits=4, axon_in_flits=4, spike_out_slots=2, synapse_slots=2,
)  # fmt: skip


def traffic_of(machine: Machine, messages: list[Message], tails: list[int]) -> Traffic:
    """One step; the messages in order of emission per core."""
    ordered = sorted(messages, key=lambda m: m.source)  # stable: keeps each core's order
    sources = [m.source for m in ordered]
    first = np.searchsorted(sources, np.arange(machine.cores + 1))
    columns = [[getattr(m, c) for m in ordered] for c in ("target", "flits", "work", "service")]
    target, flits, work, service = (np.array(c, np.int64) for c in columns)
    return Traffic(first[None], target, flits, work, service, np.array([tails], np.int64))


def run(machine: Machine, messages: list[Message], tails: list[int] | None = None) -> StepTimes:
    return time_steps(machine, traffic_of(machine, messages, tails or [0] * machine.cores))


@pytest.mark.parametrize(
    ("source", "target", "hops"), [(0, 0, 0), (0, 1, 0), (0, 6, 15), (6, 0, 15), (1, 23, 29)]
)
@pytest.mark.parametrize("flits", [1, 3])
def test_unloaded_latency_is_the_closed_formula(
    source: int, target: int, hops: int, flits: int
) -> None:
    """work + message out, two local links, the hops, the tail of the message, axon in, synapses."""
    times = run(PLAIN, [Message(source, target, flits, work=20, service=50)])
    sent = 20 + 6
    arrived = sent + 3 + hops + 3 + (flits - 1)
    assert times.messages.tolist() == [[20, sent, arrived, arrived + 4 + 50]]
    assert times.cycles.tolist() == [arrived + 4 + 50]


def test_a_link_between_chips_stores_forwards_and_is_slow() -> None:
    two = replace(
        PLAIN, chips_x=2, chip_hop_cycles=40, chip_message_cycles=9, chip_payload_cycles=4
    )
    target = two.core_at(chip=1, router=0, slot=0)
    times = run(two, [Message(0, target, flits=3, work=0, service=0)])
    # injection, three hops on chip, one to the gate with the whole message, the link with the whole
    # message, into the router across, out to the core with the tail
    assert times.messages[0, 2] == 6 + 3 + 3 * 5 + (5 + 2) + (9 + 2 * 4 + 40) + 3 + 3 + 2


@pytest.mark.parametrize(("flits", "each"), [(1, 100), (2, 150)])
def test_all_that_leaves_a_chip_to_one_side_shares_one_link(flits: int, each: int) -> None:
    """Every core of a chip sends to its twin on the chip beside it: one message after the other
    over the link, however many rows lead to it, and twice the time with a chip between."""
    near = replace(PLAIN, chips_x=3, chip_message_cycles=100, chip_payload_cycles=50)
    pairs = [(near.core_at(0, r, c), near.core_at(1, r, c)) for r in range(12) for c in range(2)]
    times = run(near, [Message(a, b, flits, 0, 0) for a, b in pairs for _ in range(5)])
    link = near.first_link
    assert near.channel_name(link) == "link chip (0,0) -> chip (1,0)"
    assert times.links[0, link] == 24 * 5 * each
    assert times.links[0, link + 1 : near.first_feeder].sum() == 0
    assert 24 * 5 * each < times.cycles[0] < 24 * 5 * each + 100  # it never runs dry


def test_step_time_is_work_then_barrier_but_at_least_the_floor() -> None:
    machine = replace(PLAIN, barrier_cycles=100, floor_cycles=300)
    tails = [0] * machine.cores
    tails[5] = 150
    assert run(machine, [], tails).cycles.tolist() == [300]
    tails[5] = 250
    assert run(machine, [], tails).cycles.tolist() == [350]


def test_one_core_receives_at_the_pace_of_its_slowest_stage() -> None:
    messages = [Message(s, 0, 1, 0, 11) for s in range(2, 24) for _ in range(5)]
    times = run(PLAIN, messages)
    done = np.sort(times.messages[:, 3])
    assert (np.diff(done) == 11).all()
    slow_reader = run(replace(PLAIN, synapse_slots=0), messages)
    assert (np.diff(np.sort(slow_reader.messages[:, 3])) == 11 + 4).all()


def test_a_full_path_stalls_the_neuron_stage_of_the_sender() -> None:
    times = run(PLAIN, [Message(0, 2, 1, 1, 100) for _ in range(40)])
    assert times.counter("synapse_busy")[0, 2] == 4000
    assert times.counter("neuron_stall")[0, 0] > 0
    assert times.counter("out_stall")[0, 0] > 0
    free = run(replace(PLAIN, buffer_flits=64, axon_in_flits=64), [Message(0, 2, 1, 1, 100)] * 40)
    assert free.counter("out_stall")[0, 0] == 0
    assert free.cycles[0] == times.cycles[0]  # the target is busy throughout, either way


@st.composite
def machines(draw: st.DrawFn) -> Machine:
    small = st.integers(1, 3)
    cycles = st.integers(1, 6)
    return Machine(
        cycle_ns=1.0,
        width=draw(small),
        height=draw(small),
        cores_per_router=draw(small),
        hop_x_cycles=draw(cycles),
        hop_y_cycles=draw(cycles),
        local_cycles=draw(cycles),
        flit_cycles=draw(st.integers(1, 3)),
        credit_cycles=draw(st.integers(0, 3)),
        axon_in_cycles=draw(st.integers(0, 5)),
        axon_out_cycles=draw(st.integers(0, 5)),
        barrier_cycles=0,
        floor_cycles=0,
        buffer_flits=draw(st.integers(3, 6)),
        axon_in_flits=draw(st.integers(3, 6)),
        spike_out_slots=draw(small),
        synapse_slots=draw(st.integers(0, 3)),
        chips_x=draw(st.integers(1, 2)),
        chips_y=draw(st.integers(1, 2)),
        chip_hop_cycles=draw(st.integers(0, 12)),
        chip_message_cycles=draw(st.integers(1, 5)),
        chip_payload_cycles=draw(st.integers(0, 3)),
    )


@st.composite
def loads(draw: st.DrawFn, machine: Machine) -> list[Message]:
    """Messages between random cores, often many to one, often bursts, sometimes after a pause that
    is longer than the ring of the event queue."""
    seed, number = draw(st.integers(0, 2**32 - 1)), draw(st.integers(0, 60))
    hot, pauses = draw(st.booleans()), draw(st.booleans())
    rng = np.random.default_rng(seed)
    few = rng.integers(0, machine.cores, 2)
    return [
        Message(
            source=int(rng.integers(machine.cores)),
            target=int(few[rng.integers(2)] if hot else rng.integers(machine.cores)),
            flits=int(rng.integers(1, 4)),
            work=int(rng.integers(0, 8)) + 2500 * int(pauses and rng.random() < 0.02),
            service=int(rng.integers(0, 12)),
        )
        for _ in range(number)
    ]


@given(st.data())
@settings(max_examples=120, deadline=None)
def test_every_message_takes_the_same_cycles_as_on_the_machine_stepped_by_hand(
    data: st.DataObject,
) -> None:
    machine = data.draw(machines())
    messages = sorted(data.draw(loads(machine)), key=lambda m: m.source)
    tails = [int(t) for t in np.random.default_rng(len(messages)).integers(0, 40, machine.cores)]
    times = run(machine, messages, tails)
    slow = SlowMachine(machine, messages, tails)
    slow_end = slow.run()
    expected = [[m.emitted, m.sent, m.arrived, m.done] for m in messages]
    np.testing.assert_array_equal(times.messages, np.array(expected).reshape(-1, 4))
    assert times.cycles[0] == slow_end
    cores = slow.counters()
    for name in k.COUNTER_NAMES:
        assert times.counter(name)[0].tolist() == [core.get(name, 0) for core in cores], name


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_nothing_is_lost_or_overtaken_and_no_resource_is_oversubscribed(
    data: st.DataObject,
) -> None:
    machine = data.draw(machines())
    messages = sorted(data.draw(loads(machine)), key=lambda m: m.source)
    times = run(machine, messages)
    emitted, sent, arrived, done = times.messages.T
    assert ((emitted <= sent) & (sent < arrived) & (arrived <= done)).all()
    flows: dict[tuple[int, int], list[int]] = {}
    for i, m in enumerate(messages):
        flows.setdefault((m.source, m.target), []).append(i)
    for members in flows.values():
        assert (np.diff(arrived[members]) > 0).all()
        assert (np.diff(sent[members]) > 0).all()
    assert (times.links[0] <= times.cycles[0]).all()
    for name in ("neuron_busy", "out_busy", "in_busy", "synapse_busy", "finish"):
        assert (times.counter(name)[0] <= times.cycles[0]).all()
    received = np.bincount([m.target for m in messages], minlength=machine.cores)
    service = np.bincount(
        [m.target for m in messages], [m.service for m in messages], machine.cores
    )
    np.testing.assert_array_equal(times.counter("in_busy")[0], received * machine.axon_in_cycles)
    np.testing.assert_array_equal(times.counter("synapse_busy")[0], service)


def ring(y_first: tuple[int, ...]) -> tuple[Machine, list[Message]]:
    """Four routers in a square, each sending to the opposite corner, all the same way round."""
    machine = replace(PLAIN, width=2, height=2, cores_per_router=1, buffer_flits=1, y_first=y_first)
    corners = [(0, 3), (1, 2), (3, 0), (2, 1)]
    return machine, [Message(s, t, 1, 0, 1) for s, t in corners for _ in range(30)]


def test_a_deadlock_is_named_and_x_then_y_has_none() -> None:
    machine, messages = ring(y_first=(1, 2))
    with pytest.raises(
        TargetError, match=r"step 0: found deadlock.*router \(0,0\) -> \(1,0\) \(east\)"
    ):
        run(machine, messages)
    machine, messages = ring(y_first=())
    assert run(machine, messages).cycles[0] > 0


def test_a_step_that_does_not_end_is_named() -> None:
    traffic = traffic_of(PLAIN, [Message(0, 23, 1, 0, 0)], [0] * PLAIN.cores)
    with pytest.raises(TargetError, match=r"step 0: found livelock: more than 2 events"):
        time_steps(PLAIN, traffic, events_per_message=2)


def test_traffic_that_does_not_fit_is_refused() -> None:
    with pytest.raises(DataError, match=r"traffic: flits: found 5 .. 5; allowed: 1 .. 4"):
        run(PLAIN, [Message(0, 1, 5, 0, 0)])
    with pytest.raises(DataError, match=r"traffic: target: found 24 .. 24; allowed: 0 .. 23"):
        run(PLAIN, [Message(0, 24, 1, 0, 0)])
    with pytest.raises(ConfigError, match=r"machine: buffer_flits: found 0; allowed: >= 1"):
        replace(PLAIN, buffer_flits=0)


def test_channel_names_are_readable() -> None:
    assert PLAIN.channel_name(0) == "core 0 -> router (0,0)"
    assert PLAIN.channel_name(1 * 6 + 2) == "router (0,0) -> (1,0) (east)"
    assert PLAIN.channel_name(12 * 6 + 23) == "router (3,2) -> core 23"
    two = replace(PLAIN, chips_x=2)
    names = [two.channel_name(channel) for channel in range(two.channels)]
    assert names[two.first_link : two.first_feeder] == [
        "link chip (0,0) -> chip (1,0)",
        "link chip (1,0) -> chip (0,0)",
    ]
    assert names[-1] == "router (4,2) -> link chip (1,0) -> chip (0,0)"
    assert "link chip (0,0) -> chip (1,0) -> router (4,1)" in names
    assert len(set(names)) == two.channels


def test_the_farthest_core_of_the_largest_grid_is_reached() -> None:
    """The last core of a router with as many as may be, and the last router of the longest row and
    column: the closed formula, and the same cycles as stepped by hand where that is small."""
    full = replace(PLAIN, width=2, height=1, cores_per_router=MOST_PORTS - 4)
    last = full.cores - 1
    messages = [Message(s, t, 1, 3, 5) for s, t in ((0, last), (1, last), (last, 0), (last, last))]
    slow_end = SlowMachine(full, messages, [0] * full.cores).run()
    assert run(full, messages).cycles[0] == slow_end
    for wide, high in ((MOST_ROUTERS, 1), (1, MOST_ROUTERS)):
        grid = replace(PLAIN, width=wide, height=high, cores_per_router=1)
        hops = (MOST_ROUTERS - 1) * (grid.hop_x_cycles if wide > 1 else grid.hop_y_cycles)
        there = run(grid, [Message(0, MOST_ROUTERS - 1, 1, 0, 0)])
        assert there.messages[0, 2] == 6 + 3 + hops + 3


def test_a_grid_or_a_step_too_large_to_number_is_refused() -> None:
    with pytest.raises(ConfigError, match="routers in a row: found 1025; allowed: <= 1024"):
        replace(PLAIN, width=1025)
    with pytest.raises(ConfigError, match="routers in a column: found 1026; allowed: <= 1024"):
        replace(PLAIN, height=513, width=1, cores_per_router=1, chips_y=2)
    with pytest.raises(TargetError, match="messages at once: found 268,435,457; allowed: at most"):
        message_rows((1 << 28) + 1)


def test_every_record_begins_a_line_of_the_cache() -> None:
    for machine in (PLAIN, replace(PLAIN, chips_x=2, buffer_flits=5)):
        chip = wire(machine)
        assert chip.ctypes.data % 64 == 0
        starts = chip[[k.CHANNEL_AT, k.CORE_AT, k.CHANNEL_SIZE, k.CORE_SIZE, k.QUEUE_AT]]
        assert (starts % k.LINE == 0).all()
    assert message_rows(3).ctypes.data % 64 == 0


def test_a_chip_too_tall_for_its_gate_is_refused() -> None:
    with pytest.raises(ConfigError, match="height of a chip beside others: found 64; allowed: <="):
        replace(PLAIN, height=64, chips_x=2)
    assert replace(PLAIN, height=64).height == 64
