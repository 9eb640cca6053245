"""The timing kernel: one step of the machine, event by event, with finite buffers everywhere.

An event is "channel o, look at your requests in cycle t". In every cycle each channel decides for
itself, from what was known before that cycle, so the order in which events of one cycle are handled
cannot matter; the result is a function of the traffic alone. `docs/microarchitecture.md` gives the
rules in words, and the tests hold this kernel against a machine stepped cycle by cycle.

Only channels out of routers need events. A core's own stages and its injection link have nobody to
share with: when its injection buffer is empty, the core works out when its next message enters it.

The whole machine lies in one flat int64 array, like memory (``layout``). That is an order of
magnitude faster than passing many arrays between compiled functions.
"""

from tssd.hw_targets.sim.kernels.event_queue import is_empty, pop, wake
from tssd.hw_targets.sim.kernels.jit import (
    Rows,
    Words,
    compiled,
    index,
    inlined,
    lowest_bit,
    prefetch,
)
from tssd.hw_targets.sim.kernels.layout import *

OK, DEADLOCK, LIVELOCK = 0, 1, 2

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
def channel_number(chip: Words, o: int) -> int:
    return index((o - chip[CHANNEL_AT]) // chip[CHANNEL_SIZE])


@inlined
def _row(ticket: int) -> int:
    """The message of a ticket."""
    return ticket & ROWS


@inlined
def ticket_of(chip: Words, m: int, target: int, flits: int) -> int:
    """The ticket of message m as it leaves its core for core *target*."""
    return m | chip[core_address(chip, target) + N_PLACE] | (flits > 1) << T_LONG


@inlined
def route(chip: Words, here: int, ticket: int) -> int:
    """The channel that a message takes out of the router behind channel *here*: without branches,
    which no processor could foresee."""
    r = index(chip[here + C_END])
    dx = (ticket >> T_X & PLACES) - chip[r + R_X]
    dy = (ticket >> T_Y & PLACES) - chip[r + R_Y]
    x, y = int(dx > 0) - int(dx < 0), (int(dy > 0) - int(dy < 0)) * 2
    along_y = (x == 0) | ((y != 0) & (ticket >> T_Y_FIRST & 1 == 1))
    way = y if along_y else x
    slot = ticket >> T_SLOT & PORTS if way == 0 else 0
    return index(chip[r + R_HERE + way] + slot * chip[CHANNEL_SIZE])


@inlined
def _load(chip: Words, message: Rows, log: Rows, n: int, m: int) -> None:
    """The neuron stage of core n runs on to message m; the spike-out stage takes it."""
    slots = chip[SPIKE_OUT_SLOTS]
    work, before, ring = message[m, M_WORK], chip[n + N_NEURON], index(n + N_RINGS)
    emitted = max(before + work, chip[ring + ((m - slots) & chip[SPIKE_OUT_MASK])])
    taken = max(emitted, chip[n + N_OUT_FREE])
    chip[ring + (m & chip[SPIKE_OUT_MASK])] = taken
    chip[n + N_NEURON_BUSY] += work
    chip[n + N_NEURON] = emitted
    chip[n + N_OUT_READY] = taken + chip[AXON_OUT]
    message[m, M_EMITTED] = emitted
    if log.shape[0] and work:
        _note(log, LOG_NEURON, chip[n + N_NUMBER], before, work)


@inlined
def _receive(chip: Words, message: Rows, log: Rows, n: int, m: int, there: int) -> int:
    """The two input stages of core n, in order of arrival; when the queue slot is free."""
    service = message[m, M_SERVICE]
    start = max(there, chip[n + N_AXON_FREE])
    done, slots, received = start + chip[AXON_IN], chip[SYNAPSE_SLOTS], chip[n + N_RECEIVED]
    if slots:
        ring, mask = index(n + N_RINGS + chip[SPIKE_OUT_MASK] + 1), chip[SYNAPSE_MASK]
        handed = max(done, chip[ring + ((received - slots) & mask)])
        begin = max(handed, chip[n + N_SYNAPSE_FREE])
        chip[ring + (received & mask)] = begin
        chip[n + N_AXON_FREE] = handed
        chip[n + N_IN_STALL] += handed - done
    else:
        begin = done
        chip[n + N_AXON_FREE] = begin + service
    chip[n + N_SYNAPSE_FREE] = begin + service
    chip[n + N_RECEIVED] = received + 1
    chip[n + N_SYNAPSE_BUSY] += service
    message[m, M_ARRIVED], message[m, M_DONE] = there, begin + service
    if log.shape[0]:
        _note(log, LOG_AXON_IN, chip[n + N_NUMBER], start, chip[AXON_IN])
        _note(log, LOG_SYNAPSE, chip[n + N_NUMBER], begin, service)
    return start


@inlined
def _free(chip: Words, o: int, flits: int, t: int) -> None:
    """*flits* leave the buffer of channel *o*; its sender may fill their slots from cycle t on."""
    left, mask = chip[o + C_LEFT], chip[SLOT_MASK]
    for flit in range(left, left + flits):
        chip[o + C_SLOTS + (flit & mask)] = t
    chip[o + C_LEFT] = left + flits


@inlined
def _room(chip: Words, o: int, flits: int) -> int:
    """The cycle from which *flits* fit into the buffer of channel *o*: NEVER if others must leave
    first; the channel then counts as blocked until one does."""
    before = chip[o + C_SENT] + flits - 1 - chip[index(chip[o + C_KIND]) + K_CAPACITY]
    if before < 0:
        return 0
    if before >= chip[o + C_LEFT]:  # that flit, whose slot is needed, is still there
        chip[o + C_LAST] |= BLOCKED
        return NEVER
    return chip[o + C_SLOTS + (before & chip[SLOT_MASK])]


@inlined
def _expose(chip: Words, o: int, ticket: int, there: int) -> None:
    """The message that is now the first in the buffer of channel *o*, since cycle *there* or until
    the one before has left, asks for its next channel."""
    kind, ready = index(chip[o + C_KIND]), max(there, chip[o + C_GONE])
    port = ticket >> T_PORT & PORTS
    onward = index(route(chip, o, ticket) + port * chip[kind + K_STRIDE])
    chip[o + C_FIRST] = ticket
    chip[o + C_READY] = ready
    chip[onward + C_WANTED] |= 1 << chip[kind + K_PORT]
    wake(chip, onward, max(ready, chip[onward + C_OPEN]))


@inlined
def _send(chip: Words, message: Rows, log: Rows, o: int, ticket: int, flits: int, t: int) -> int:
    """Put a message on channel *o* in cycle t; returns the cycle after its last flit."""
    m, kind, sent = _row(ticket), index(chip[o + C_KIND]), chip[o + C_SENT]
    gone = t + chip[kind + K_FIRST] + flits * chip[kind + K_FLIT]
    if sent == 0:
        mark_used(chip, o)
    chip[o + C_SENT] = sent + flits
    chip[o + C_LOAD] += gone - t
    if log.shape[0]:
        _note(log, LOG_LINK, channel_number(chip, o), t, gone - t)
    head = t + chip[kind + K_LATENCY]
    if chip[kind + K_ENDS] == EJECTS:
        core, there = index(chip[o + C_END]), head + (flits - 1) * chip[kind + K_FLIT]
        start = _receive(chip, message, log, core, m, there)
        _free(chip, o, flits, start + chip[CREDIT])
        return gone
    ready = head + (flits - 1) * chip[kind + K_HOLD]
    if sent == chip[o + C_LEFT]:
        _expose(chip, o, ticket, ready)
    else:
        before = index(chip[o + C_LAST])
        message[before, M_NEXT], message[before, M_READY] = ticket, ready
    chip[o + C_LAST] = m
    return gone


@inlined
def mark_used(chip: Words, o: int) -> None:
    """Remember that channel *o* must be emptied before the next step."""
    used = index(chip[USED_AT])
    chip[used] += 1
    chip[index(used + chip[used])] = o


@inlined
def _run_core(chip: Words, message: Rows, log: Rows, core: int) -> None:
    """A core, whose injection buffer is empty, sends its next message if there is one: ahead of the
    others, as nobody shares the way into that buffer."""
    n = index(core)
    m = index(chip[n + N_NEXT])
    if m == chip[n + N_LAST]:
        return
    prefetch(message, (m + 1) * MESSAGE_COLUMNS)
    _load(chip, message, log, n, m)
    o, flits, ready = index(chip[n + N_INJECT]), message[m, M_FLITS], chip[n + N_OUT_READY]
    t, ticket = max(ready, _room(chip, o, flits)), ticket_of(chip, m, message[m, M_TARGET], flits)
    gone = _send(chip, message, log, o, ticket, flits, t)
    chip[n + N_OUT_BUSY] += chip[AXON_OUT] + gone - t
    chip[n + N_OUT_STALL] += t - ready
    chip[n + N_OUT_FREE] = gone
    chip[n + N_NEXT] = m + 1
    message[m, M_SENT] = t


@inlined
def _arbitrate(chip: Words, message: Rows, log: Rows, o: int, t: int) -> None:
    """A router's output channel, which is open, serves one of its requests in cycle t, if it can.

    The first asking input port after the last one served wins (round-robin).
    """
    base, size, wanted = chip[o + C_SOURCE], chip[CHANNEL_SIZE], chip[o + C_WANTED]
    winner, others, later, turn = -1, False, NEVER, chip[o + C_TURN] + 1
    left = wanted >> turn | wanted << ((64 - turn) & 63)
    while left:
        port = (lowest_bit(left) + turn) & 63
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
    ticket, flits = chip[i + C_FIRST], 1
    m = _row(ticket)
    if ticket >> T_LONG:
        flits = message[m, M_FLITS]
        room = _room(chip, o, flits)
        if room > t:  # another may win when it asks, or the same when there is room
            wake(chip, o, min(room, later))
            return
    behind, there = 0, 0
    if chip[i + C_LEFT] + flits < chip[i + C_SENT]:
        behind, there = message[m, M_NEXT], message[m, M_READY]
    chip[o + C_TURN] = winner
    chip[o + C_WANTED] = wanted ^ 1 << winner
    ticket = ticket & ~(PORTS << T_PORT) | winner << T_PORT
    gone = _send(chip, message, log, o, ticket, flits, t)
    room = _room(chip, o, 1)
    opens = max(gone, room) if room < NEVER else NEVER + gone
    chip[o + C_OPEN] = opens
    free = gone + chip[CREDIT]
    chip[i + C_GONE] = gone
    _free(chip, i, flits, free)
    if chip[i + C_LEFT] < chip[i + C_SENT]:
        _expose(chip, i, behind, there)
    if chip[index(chip[i + C_KIND]) + K_ENDS] == INJECTS:
        _run_core(chip, message, log, index(chip[i + C_SOURCE]))
    elif chip[i + C_LAST] >= BLOCKED:
        _unblock(chip, i, free)
    if others or later < NEVER:
        wake(chip, o, opens if others else max(opens, later))


@inlined
def _unblock(chip: Words, o: int, free: int) -> None:
    """Channel *o* goes on: there is room in its buffer from cycle *free*."""
    chip[o + C_LAST] ^= BLOCKED
    if chip[o + C_OPEN] >= NEVER:
        chip[o + C_OPEN] = max(chip[o + C_OPEN] - NEVER, free)
    if chip[o + C_WANTED]:
        wake(chip, o, max(chip[o + C_OPEN], free))


@inlined
def clear(chip: Words) -> None:
    """Empty what the last step used."""
    used = index(chip[USED_AT])
    for i in range(chip[used]):
        o = index(chip[used + 1 + i])
        chip[o + C_WAKE] = NEVER
        for field in range(C_AT, C_TURN + 1):
            chip[o + field] = 0
        for field in range(C_FIRST, C_LEFT + 1):
            chip[o + field] = 0
    chip[used] = chip[NOW] = 0
    for number in range(chip[CORES]):
        n = core_address(chip, number)
        for field in range(N_SYNAPSE_BUSY + 1):
            chip[n + field] = 0
        for field in range(N_NEXT, chip[CORE_SIZE]):
            chip[n + field] = 0


@inlined
def _fetch_ahead(chip: Words, o: int) -> None:
    """Have the lines at hand that the next event will need, channel *o*'s, while this one works."""
    if o:
        port = lowest_bit(chip[o + C_WANTED])
        prefetch(chip, index(chip[o + C_SOURCE] + port * chip[CHANNEL_SIZE]) + C_FIRST)
        prefetch(chip, o + C_FIRST)
        prefetch(chip, o + C_SLOTS)
        prefetch(chip, index(chip[o + C_END]))


@inlined
def _handle_events(chip: Words, message: Rows, log: Rows, most: int) -> int:
    """Handle events in the order of time until none is left, or *most* were; their number."""
    events = 0
    while events < most:
        o = pop(chip)
        if o == 0:
            break
        _fetch_ahead(chip, index(chip[o + C_NEXT]))
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
        if log.shape[0] and tail[number]:
            _note(log, LOG_NEURON, number, chip[n + N_NEURON], tail[number])
        chip[n + N_NEURON_BUSY] += tail[number]
        chip[n + N_NEURON] += tail[number]
        finish = max(chip[n + N_NEURON], chip[n + N_SYNAPSE_FREE], chip[n + N_OUT_FREE])
        chip[n + N_FINISH] = finish
        last = max(last, finish)
    return received, last


@compiled
def run_step(
    chip: Words, message: Rows, first: Words, tail: Words, log: Rows, limit: int
) -> tuple[int, int, int]:
    """Time one step: (status, events handled, cycles).

    ``message`` (messages, 8): rows of all messages, the traffic in the first four columns,
    ``message[first[c]:first[c + 1]]`` those of core c in order of emission; ``tail`` (cores,):
    neuron-stage cycles after a core's last message; ``log``: (rows, 4) kind, place, start, cycles
    of a trace, or no rows; ``limit``: most events a message.
    """
    clear(chip)
    for number in range(chip[CORES]):
        n = core_address(chip, number)
        chip[n + N_NEXT], chip[n + N_LAST] = first[number], first[number + 1]
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
        n, row = core_address(chip, number), counters[number]
        row[0] = chip[n + N_NEURON_BUSY]
        row[1] = chip[n + N_NEURON] - chip[n + N_NEURON_BUSY]
        row[2] = chip[n + N_OUT_BUSY]
        row[3] = chip[n + N_OUT_STALL]
        row[4] = chip[n + N_RECEIVED] * chip[AXON_IN]
        row[5] = chip[n + N_IN_STALL]
        row[6] = chip[n + N_SYNAPSE_BUSY]
        row[7] = chip[n + N_FINISH]


@compiled
def copy_links(chip: Words, links: Words) -> None:
    """The busy cycles of the last step's channels into ``links`` (channels,), zero elsewhere."""
    used = index(chip[USED_AT])
    for i in range(chip[used]):
        o = index(chip[used + 1 + i])
        links[channel_number(chip, o)] = chip[o + C_LOAD]
