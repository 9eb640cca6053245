"""The timing kernel: one step of the machine, event by event, with finite buffers everywhere.

An event is "channel o, look at your requests in cycle t". In every cycle each channel decides for
itself, from what was known before that cycle, so the order in which events of one cycle are handled
cannot matter; the result is a function of the traffic alone. `docs/microarchitecture.md` gives the
rules in words, and the tests hold this kernel against a machine stepped cycle by cycle.

Only channels out of routers need events. A core's own stages and its injection link have nobody to
share with, so a core runs ahead of the others until its messages need room that is not known yet.

The whole machine lies in one flat int64 array, like memory (``layout``). That is an order of
magnitude faster than passing many arrays between compiled functions.
"""

from tssd.hw_targets.sim.kernels.event_queue import is_empty, lowest_bit, pop, wake
from tssd.hw_targets.sim.kernels.jit import Rows, Words, compiled, index, inlined
from tssd.hw_targets.sim.kernels.layout import *

OK, DEADLOCK, LIVELOCK = 0, 1, 2
LANE = 32  # in a buffer, from this bit on: the port a message came by; below: its number

LOG_NEURON, LOG_LINK, LOG_AXON_IN, LOG_SYNAPSE = range(4)


@inlined
def _note(log: Rows, kind: int, place: int, start: int, cycles: int) -> None:
    row = log[0, 0] + 1
    log[0, 0] = row
    if row < log.shape[0]:
        log[row, 0], log[row, 1], log[row, 2], log[row, 3] = kind, place, start, cycles


@inlined
def core_address(chip: Words, number: int) -> int:
    return index(chip[CORE_AT] + number * chip[CORE_SIZE])


@inlined
def route(chip: Words, here: int, n: int) -> int:
    """The channel that a message for core *n* takes out of the router behind channel *here*."""
    dx, dy = chip[n + N_X] - chip[here + C_X], chip[n + N_Y] - chip[here + C_Y]
    if dx == 0 and dy == 0:
        return index(chip[n + N_EJECT])
    if dx != 0 and (dy == 0 or chip[n + N_Y_FIRST] == 0):
        return index(chip[here + C_EAST] if dx > 0 else chip[here + C_WEST])
    return index(chip[here + C_NORTH] if dy > 0 else chip[here + C_SOUTH])


@inlined
def _load(chip: Words, message: Rows, log: Rows, n: int) -> None:
    """The neuron stage of core n runs on to its next message; the spike-out stage takes it."""
    m = index(chip[n + N_NEXT])
    work, before = message[m, M_WORK], chip[n + N_NEURON]
    done, at = before + work, index(chip[n + N_TAKEN_AT])
    emitted = max(done, chip[n + N_RINGS + at])
    taken = max(emitted, chip[n + N_OUT_FREE])
    chip[n + N_RINGS + at] = taken
    chip[n + N_TAKEN_AT] = at + 1 if at + 1 < chip[SPIKE_OUT_SLOTS] else 0
    chip[n + N_NEURON_BUSY] += work
    chip[n + N_NEURON_STALL] += emitted - done
    chip[n + N_NEURON] = emitted
    chip[n + N_OUT_READY] = taken + chip[AXON_OUT]
    if message.shape[1] > M_EMITTED:
        message[m, M_EMITTED] = emitted
    if log.shape[0] and work:
        _note(log, LOG_NEURON, chip[n + N_NUMBER], before, work)


@inlined
def _receive(chip: Words, message: Rows, log: Rows, m: int, there: int) -> int:
    """The target core's two input stages, in order of arrival; when the queue slot is free."""
    n, service = core_address(chip, message[m, M_TARGET]), message[m, M_SERVICE]
    start = max(there, chip[n + N_AXON_FREE])
    done = start + chip[AXON_IN]
    if chip[SYNAPSE_SLOTS]:
        at = index(chip[n + N_STARTED_AT])
        ring = index(n + N_RINGS + chip[SPIKE_OUT_SLOTS] + at)
        handed = max(done, chip[ring])
        begin = max(handed, chip[n + N_SYNAPSE_FREE])
        chip[ring] = begin
        chip[n + N_STARTED_AT] = at + 1 if at + 1 < chip[SYNAPSE_SLOTS] else 0
        chip[n + N_AXON_FREE] = handed
        chip[n + N_IN_STALL] += handed - done
    else:
        begin = done
        chip[n + N_AXON_FREE] = begin + service
    chip[n + N_SYNAPSE_FREE] = begin + service
    chip[n + N_RECEIVED] += 1
    chip[n + N_IN_BUSY] += chip[AXON_IN]
    chip[n + N_SYNAPSE_BUSY] += service
    if message.shape[1] > M_DONE:
        message[m, M_ARRIVED], message[m, M_DONE] = there, begin + service
    if log.shape[0]:
        _note(log, LOG_AXON_IN, chip[n + N_NUMBER], start, chip[AXON_IN])
        _note(log, LOG_SYNAPSE, chip[n + N_NUMBER], begin, service)
    return start


@inlined
def _free(chip: Words, o: int, flits: int, t: int) -> None:
    """*flits* leave the buffer of channel *o*; its sender may fill their slots from cycle t on."""
    at = index(chip[o + C_FREE_AT])
    for _ in range(flits):
        chip[o + C_SLOTS + at] = t
        at = at + 1 if at + 1 < chip[o + C_CAPACITY] else 0
    chip[o + C_FREE_AT] = at
    chip[o + C_IN_USE] -= flits


@inlined
def _expose(chip: Words, message: Rows, o: int) -> None:
    """The first message in the buffer of channel *o* asks for its next channel."""
    at, capacity = o + C_SLOTS + index(chip[o + C_HEAD]), index(chip[o + C_CAPACITY])
    ready, first = max(chip[at + 2 * capacity], chip[o + C_FREED]), chip[at + capacity]
    onward = route(chip, o, core_address(chip, message[index(first), M_TARGET]))
    onward = index(onward + (first >> LANE) * chip[o + C_STRIDE])
    chip[o + C_READY] = ready
    chip[onward + C_WANTED] |= 1 << chip[o + C_PORT]
    wake(chip, onward, max(ready, chip[onward + C_BUSY]))


@inlined
def _send(chip: Words, message: Rows, log: Rows, o: int, m: int, lane: int, t: int) -> int:
    """Put message m on channel *o* in cycle t; returns the cycle after its last flit. *lane*: the
    input port that it came by, which a link between chips remembers."""
    flits, pace, capacity = message[m, M_FLITS], chip[o + C_FLIT], index(chip[o + C_CAPACITY])
    if chip[o + C_LOAD] == 0:
        mark_used(chip, o)
    gone = t + chip[o + C_FIRST] + flits * pace
    chip[o + C_BUSY] = gone
    chip[o + C_LOAD] += gone - t
    chip[o + C_IN_USE] += flits
    after = chip[o + C_SEND_AT] + flits
    chip[o + C_SEND_AT] = after if after < capacity else after - capacity
    if log.shape[0]:
        _note(log, LOG_LINK, chip[o + C_NUMBER], t, gone - t)
    head = t + chip[o + C_LATENCY]
    if chip[o + C_CORE] and not chip[o + C_INJECTS]:
        start = _receive(chip, message, log, m, head + (flits - 1) * pace)
        _free(chip, o, flits, start + chip[CREDIT])
        return gone
    count = chip[o + C_COUNT]
    at = chip[o + C_HEAD] + count
    at = o + C_SLOTS + index(at if at < capacity else at - capacity)
    chip[at + capacity] = lane << LANE | m
    chip[at + 2 * capacity] = head + (flits - 1) * chip[o + C_HOLD]
    chip[o + C_COUNT] = count + 1
    if count == 0:
        _expose(chip, message, o)
    return gone


@inlined
def mark_used(chip: Words, o: int) -> None:
    """Remember that channel *o* must be emptied before the next step."""
    used = index(chip[USED_AT])
    chip[used] += 1
    chip[index(used + chip[used])] = o


@inlined
def _room(chip: Words, o: int, flits: int) -> int:
    """The cycle from which *flits* fit into the buffer of channel *o*: NEVER if others must leave
    first; the channel then counts as blocked until one does."""
    capacity = chip[o + C_CAPACITY]
    if chip[o + C_IN_USE] + flits > capacity:
        chip[o + C_BLOCKED] = 1
        return NEVER
    last = chip[o + C_SEND_AT] + flits - 1
    return chip[o + C_SLOTS + index(last if last < capacity else last - capacity)]


@compiled
def _run_core(chip: Words, message: Rows, log: Rows, core: int) -> None:
    """A core sends its loaded message and those after it, until one must wait for room."""
    n = index(core)
    o = index(chip[n + N_INJECT])
    while chip[n + N_NEXT] < chip[n + N_LAST]:
        m, ready = index(chip[n + N_NEXT]), chip[n + N_OUT_READY]
        room = _room(chip, o, message[m, M_FLITS])
        if room == NEVER:
            return
        t = max(ready, room)
        gone = _send(chip, message, log, o, m, 0, t)
        chip[n + N_OUT_BUSY] += chip[AXON_OUT] + gone - t
        chip[n + N_OUT_STALL] += t - ready
        chip[n + N_OUT_FREE] = gone
        chip[n + N_NEXT] = m + 1
        if message.shape[1] > M_SENT:
            message[m, M_SENT] = t
        if m + 1 < chip[n + N_LAST]:
            _load(chip, message, log, n)


@inlined
def _arbitrate(chip: Words, message: Rows, log: Rows, o: int, t: int) -> None:
    """A router's output channel serves one of its requests in cycle t, if it can.

    The first asking input port after the last one served wins (round-robin).
    """
    if chip[o + C_BUSY] > t:
        wake(chip, o, chip[o + C_BUSY])
        return
    base, size, wanted = chip[o + C_SOURCE], chip[CHANNEL_SIZE], chip[o + C_WANTED]
    winner, others, later, above = -1, False, NEVER, wanted & (-2 << chip[o + C_TURN])
    for bits in (above, wanted ^ above):
        left = bits
        while left:
            port = lowest_bit(left)
            left &= left - 1
            ready = chip[index(base + port * size) + C_READY]
            if ready > t:
                later = min(later, ready)
            elif winner < 0:
                winner = port
            else:
                others = True
    if winner < 0:
        wake(chip, o, later)
        return
    i = index(base + winner * size)
    head = index(chip[i + C_HEAD])
    m = index(chip[i + C_SLOTS + index(chip[i + C_CAPACITY]) + head])
    flits = message[m, M_FLITS]
    room = _room(chip, o, flits)
    if room > t:  # another may win when it asks, or the same when there is room
        wake(chip, o, min(room, later))
        return
    chip[o + C_TURN] = winner
    chip[i + C_HEAD] = head + 1 if head + 1 < chip[i + C_CAPACITY] else 0
    chip[i + C_COUNT] -= 1
    chip[o + C_WANTED] ^= 1 << winner
    gone = _send(chip, message, log, o, m, winner, t)
    chip[i + C_FREED] = gone
    _free(chip, i, flits, gone + chip[CREDIT])
    if chip[i + C_BLOCKED]:
        chip[i + C_BLOCKED] = 0
        if chip[i + C_INJECTS]:
            _run_core(chip, message, log, index(chip[i + C_CORE]))
        else:
            wake(chip, i, gone + chip[CREDIT])
    if chip[i + C_COUNT]:
        _expose(chip, message, i)
    if others or later < NEVER:
        wake(chip, o, gone if others else max(gone, later))


@inlined
def clear(chip: Words) -> None:
    """Empty what the last step used."""
    used = index(chip[USED_AT])
    for i in range(chip[used]):
        o = index(chip[used + 1 + i])
        for field in range(CHANNEL_STATE, C_SLOTS + chip[o + C_CAPACITY]):
            chip[o + field] = 0
        chip[o + C_WAKE] = NEVER
    chip[used] = chip[NOW] = 0
    for number in range(chip[CORES]):
        n = core_address(chip, number)
        for field in range(CORE_STATE, chip[CORE_SIZE]):
            chip[n + field] = 0


@inlined
def _handle_events(chip: Words, message: Rows, log: Rows, most: int) -> int:
    """Handle events in the order of time until none is left, or *most* were; their number."""
    events = 0
    while events < most:
        o = pop(chip)
        if o == 0:
            break
        _arbitrate(chip, message, log, index(o), chip[NOW])
        events += 1
    return events


@inlined
def _finish(chip: Words, log: Rows, tail: Words) -> tuple[int, int]:
    """Close the cores' counters: (messages received, cycle in which the last core is done)."""
    received, last = 0, 0
    for number in range(chip[CORES]):
        n = core_address(chip, number)
        received += chip[n + N_RECEIVED]
        chip[n + N_NEURON_BUSY] += tail[number]
        if log.shape[0] and tail[number]:
            _note(log, LOG_NEURON, number, chip[n + N_NEURON], tail[number])
        done = chip[n + N_NEURON] + tail[number]
        chip[n + N_FINISH] = max(done, chip[n + N_SYNAPSE_FREE], chip[n + N_OUT_FREE])
        last = max(last, chip[n + N_FINISH])
    return received, last


@compiled
def run_step(
    chip: Words, message: Rows, first: Words, tail: Words, log: Rows, limit: int
) -> tuple[int, int, int]:
    """Time one step: (status, events handled, cycles).

    ``message`` (messages, 4, or 8 to learn what becomes of each): rows of all messages,
    ``message[first[c]:first[c + 1]]`` those of core c in order of emission; ``tail`` (cores,):
    neuron-stage cycles after a core's last message; ``log``: (rows, 4) kind, place, start, cycles
    of a trace, or no rows; ``limit``: most events a message.
    """
    clear(chip)
    for number in range(chip[CORES]):
        n = core_address(chip, number)
        chip[n + N_NEXT], chip[n + N_LAST] = first[number], first[number + 1]
        if first[number] < first[number + 1]:
            _load(chip, message, log, n)
            _run_core(chip, message, log, n)
    total = first[chip[CORES]] - first[0]
    events = _handle_events(chip, message, log, limit * (total + 1))
    received, last = _finish(chip, log, tail)
    if received < total:
        return DEADLOCK if is_empty(chip) else LIVELOCK, events, last
    return OK, events, max(last + chip[BARRIER], chip[FLOOR])


@compiled
def copy_counters(chip: Words, counters: Rows) -> None:
    """The counters of the last step into ``counters`` (cores, 8)."""
    for number in range(chip[CORES]):
        n = core_address(chip, number)
        for field in range(counters.shape[1]):
            counters[number, field] = chip[n + CORE_COUNTERS + field]


@compiled
def copy_links(chip: Words, links: Words) -> None:
    """The busy cycles of the last step's channels into ``links`` (channels,)."""
    for number in range(len(links)):
        links[number] = chip[chip[CHANNEL_AT] + number * chip[CHANNEL_SIZE] + C_LOAD]
