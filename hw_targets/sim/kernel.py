"""The timing kernel: one step of the machine, event by event, with finite buffers everywhere.

An event is "channel o, look at your requests in cycle t". In every cycle each channel decides for
itself, from what was known before that cycle, so the order in which events of one cycle are handled
cannot matter; the result is a function of the traffic alone. `docs/microarchitecture.md` gives the
rules in words, and the tests hold this kernel against a machine stepped cycle by cycle.

The whole machine lies in one flat int64 array, like memory: a channel or a core is the address of
its record, ``chip[o + C_BUSY]`` a field of it. That is an order of magnitude faster than passing
many arrays between compiled functions.
"""

from tssd.hw_targets.sim.jit import Rows, Words, compiled

OK, DEADLOCK, LIVELOCK = 0, 1, 2

# The machine's constants, at the start of the memory
(
    PER_ROUTER, PORTS, COLUMNS, CHANNELS, CORES, CREDIT, AXON_IN, AXON_OUT, BARRIER, FLOOR,
    SPIKE_OUT_SLOTS, SYNAPSE_SLOTS, CHANNEL_SIZE, CORE_SIZE, CHANNEL_AT, CORE_AT, HEAP_AT, USED_AT,
) = range(18)  # fmt: skip
CONSTANTS = 18

# A channel's record: what it is, its state, then three words for each flit slot of its buffer
(
    C_NUMBER, C_PORT, C_BASE, C_CORE, C_INJECTS, C_X, C_Y, C_SOURCE,
    C_LATENCY, C_FLIT, C_HOLD, C_CAPACITY,
    C_BUSY, C_WANTED, C_TURN, C_WAKE, C_BLOCKED, C_IN_USE, C_SEND_AT, C_FREE_AT, C_HEAD, C_COUNT,
    C_READY, C_FREED, C_LOAD, C_SLOTS,
) = range(26)  # fmt: skip
CHANNEL_STATE = C_BUSY
S_FREE, S_MESSAGE, S_READY = range(3)
SLOT_SIZE = 3

# A core's record: what it is, its state, its counters, then the rings of its two queues
(
    N_NUMBER, N_X, N_Y, N_Y_FIRST, N_INJECT, N_EJECT,
    N_NEXT, N_LAST, N_NEURON, N_OUT_FREE, N_OUT_READY, N_AXON_FREE, N_SYNAPSE_FREE, N_RECEIVED,
    N_TAKEN_AT, N_STARTED_AT,
    N_NEURON_BUSY, N_NEURON_STALL, N_OUT_BUSY, N_OUT_STALL,
    N_IN_BUSY, N_IN_STALL, N_SYNAPSE_BUSY, N_FINISH, N_RINGS,
) = range(25)  # fmt: skip
CORE_STATE, CORE_COUNTERS = N_NEXT, N_NEURON_BUSY
COUNTER_NAMES = (
    "neuron_busy", "neuron_stall", "out_busy", "out_stall",
    "in_busy", "in_stall", "synapse_busy", "finish",
)  # fmt: skip

# One row per message: the traffic (target: a core number), then what became of it
M_TARGET, M_FLITS, M_WORK, M_SERVICE, M_EMITTED, M_SENT, M_ARRIVED, M_DONE = range(8)
MESSAGE_COLUMNS = 8

LOG_NEURON, LOG_LINK, LOG_AXON_IN, LOG_SYNAPSE = range(4)
_NEVER = 1 << 62
_SHIFT = 28  # an event is time << 28 | address of the channel
ADDRESSES = 1 << _SHIFT


@compiled
def _push(chip: Words, t: int, o: int) -> None:
    heap = chip[HEAP_AT]
    size, key = chip[heap] + 1, t << _SHIFT | o
    chip[heap] = size
    while size > 1 and chip[heap + (size >> 1)] > key:
        chip[heap + size] = chip[heap + (size >> 1)]
        size >>= 1
    chip[heap + size] = key


@compiled
def _pop(chip: Words) -> int:
    heap = chip[HEAP_AT]
    top, size = chip[heap + 1], chip[heap] - 1
    last = chip[heap + size + 1]
    chip[heap] = size
    hole, child = 1, 2
    while child <= size:
        if child < size and chip[heap + child + 1] < chip[heap + child]:
            child += 1
        if chip[heap + child] >= last:
            break
        chip[heap + hole] = chip[heap + child]
        hole, child = child, child << 1
    chip[heap + hole] = last
    return top


@compiled
def _note(log: Rows, kind: int, place: int, start: int, cycles: int) -> None:
    row = log[0, 0] + 1
    log[0, 0] = row
    if row < log.shape[0]:
        log[row, 0], log[row, 1], log[row, 2], log[row, 3] = kind, place, start, cycles


@compiled
def core_address(chip: Words, number: int) -> int:
    return chip[CORE_AT] + number * chip[CORE_SIZE]


@compiled
def route(chip: Words, here: int, n: int) -> int:
    """The channel that a message for core *n* takes out of the router behind channel *here*."""
    dx, dy = chip[n + N_X] - chip[here + C_X], chip[n + N_Y] - chip[here + C_Y]
    if dx == 0 and dy == 0:
        return chip[n + N_EJECT]
    size, ports = chip[CHANNEL_SIZE], chip[PORTS]
    base = chip[here + C_BASE] + chip[PER_ROUTER] * size
    if dx != 0 and (dy == 0 or chip[n + N_Y_FIRST] == 0):
        return base + ports * size if dx > 0 else base + (1 - ports) * size
    row = chip[COLUMNS] * ports
    return base + (row + 2) * size if dy > 0 else base + (3 - row) * size


@compiled
def _wake(chip: Words, o: int, t: int) -> None:
    """Look at channel *o* again in cycle t, unless it will be looked at before."""
    if t < chip[o + C_WAKE]:
        chip[o + C_WAKE] = t
        _push(chip, t, o)


@compiled
def _load(chip: Words, message: Rows, log: Rows, n: int) -> None:
    """The neuron stage of core n runs on to its next message; the spike-out stage takes it."""
    m = chip[n + N_NEXT]
    if m >= chip[n + N_LAST]:
        return
    work, before = message[m, M_WORK], chip[n + N_NEURON]
    done, at = before + work, chip[n + N_TAKEN_AT]
    emitted = max(done, chip[n + N_RINGS + at])
    taken = max(emitted, chip[n + N_OUT_FREE])
    chip[n + N_RINGS + at] = taken
    chip[n + N_TAKEN_AT] = at + 1 if at + 1 < chip[SPIKE_OUT_SLOTS] else 0
    chip[n + N_NEURON_BUSY] += work
    chip[n + N_NEURON_STALL] += emitted - done
    chip[n + N_NEURON] = emitted
    chip[n + N_OUT_READY] = taken + chip[AXON_OUT]
    message[m, M_EMITTED] = emitted
    if log.shape[0] and work:
        _note(log, LOG_NEURON, chip[n + N_NUMBER], before, work)
    _push(chip, taken + chip[AXON_OUT], chip[n + N_INJECT])


@compiled
def _receive(chip: Words, message: Rows, log: Rows, m: int, there: int) -> int:
    """The target core's two input stages, in order of arrival; when the queue slot is free."""
    n, service = core_address(chip, message[m, M_TARGET]), message[m, M_SERVICE]
    start = max(there, chip[n + N_AXON_FREE])
    done = start + chip[AXON_IN]
    if chip[SYNAPSE_SLOTS]:
        at = chip[n + N_STARTED_AT]
        ring = n + N_RINGS + chip[SPIKE_OUT_SLOTS] + at
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
    message[m, M_ARRIVED], message[m, M_DONE] = there, begin + service
    if log.shape[0]:
        _note(log, LOG_AXON_IN, chip[n + N_NUMBER], start, chip[AXON_IN])
        _note(log, LOG_SYNAPSE, chip[n + N_NUMBER], begin, service)
    return start


@compiled
def _release(chip: Words, o: int, flits: int, t: int) -> None:
    """*flits* leave the buffer of channel *o*; its sender may fill their slots from cycle t on."""
    at = chip[o + C_FREE_AT]
    for _ in range(flits):
        chip[o + C_SLOTS + SLOT_SIZE * at + S_FREE] = t
        at = at + 1 if at + 1 < chip[o + C_CAPACITY] else 0
    chip[o + C_FREE_AT] = at
    chip[o + C_IN_USE] -= flits
    if chip[o + C_BLOCKED]:
        chip[o + C_BLOCKED] = 0
        _wake(chip, o, t)


@compiled
def _expose(chip: Words, message: Rows, o: int) -> None:
    """The first message in the buffer of channel *o* asks for its next channel."""
    slot = o + C_SLOTS + SLOT_SIZE * chip[o + C_HEAD]
    ready = max(chip[slot + S_READY], chip[o + C_FREED])
    onward = route(chip, o, core_address(chip, message[chip[slot + S_MESSAGE], M_TARGET]))
    chip[o + C_READY] = ready
    chip[onward + C_WANTED] |= 1 << chip[o + C_PORT]
    _push(chip, ready, onward)


@compiled
def _send(chip: Words, message: Rows, log: Rows, o: int, m: int, t: int) -> int:
    """Put message m on channel *o* in cycle t; returns the cycle after its last flit."""
    flits, pace, capacity = message[m, M_FLITS], chip[o + C_FLIT], chip[o + C_CAPACITY]
    if chip[o + C_LOAD] == 0:
        mark_used(chip, o)
    gone = t + flits * pace
    chip[o + C_BUSY] = gone
    chip[o + C_LOAD] += gone - t
    chip[o + C_IN_USE] += flits
    after = chip[o + C_SEND_AT] + flits
    chip[o + C_SEND_AT] = after if after < capacity else after - capacity
    if log.shape[0]:
        _note(log, LOG_LINK, chip[o + C_NUMBER], t, gone - t)
    head = t + chip[o + C_LATENCY]
    if chip[o + C_CORE] >= 0 and not chip[o + C_INJECTS]:
        start = _receive(chip, message, log, m, head + (flits - 1) * pace)
        _release(chip, o, flits, start + chip[CREDIT])
        return gone
    count = chip[o + C_COUNT]
    at = chip[o + C_HEAD] + count
    slot = o + C_SLOTS + SLOT_SIZE * (at if at < capacity else at - capacity)
    chip[slot + S_MESSAGE] = m
    chip[slot + S_READY] = head + (flits - 1) * chip[o + C_HOLD]
    chip[o + C_COUNT] = count + 1
    if count == 0:
        _expose(chip, message, o)
    return gone


@compiled
def mark_used(chip: Words, o: int) -> None:
    """Remember that channel *o* must be emptied before the next step."""
    used = chip[USED_AT]
    chip[used] += 1
    chip[used + chip[used]] = o


@compiled
def _may_send(chip: Words, o: int, flits: int, t: int) -> bool:
    """Whether *flits* fit in cycle t; if not, the channel will be looked at when they may."""
    capacity = chip[o + C_CAPACITY]
    if chip[o + C_IN_USE] + flits > capacity:
        chip[o + C_BLOCKED] = 1
        return False
    last = chip[o + C_SEND_AT] + flits - 1
    last = last if last < capacity else last - capacity
    room = chip[o + C_SLOTS + SLOT_SIZE * last + S_FREE]
    if room > t:
        _wake(chip, o, room)
    return room <= t


@compiled
def _inject(chip: Words, message: Rows, log: Rows, o: int, t: int) -> None:
    """A core's spike-out stage tries to send in cycle t."""
    n = chip[o + C_CORE]
    m, ready = chip[n + N_NEXT], chip[n + N_OUT_READY]
    if m >= chip[n + N_LAST] or ready > t or not _may_send(chip, o, message[m, M_FLITS], t):
        return
    gone = _send(chip, message, log, o, m, t)
    chip[n + N_OUT_BUSY] += chip[AXON_OUT] + gone - t
    chip[n + N_OUT_STALL] += t - ready
    chip[n + N_OUT_FREE] = gone
    chip[n + N_NEXT] = m + 1
    message[m, M_SENT] = t
    _load(chip, message, log, n)


@compiled
def _winner(chip: Words, o: int, t: int) -> int:
    """The first requesting input port after the last one served (round-robin), or -1."""
    wanted, port = chip[o + C_WANTED], chip[o + C_TURN]
    if wanted == 0:
        return -1
    base, size, ports = chip[o + C_SOURCE], chip[CHANNEL_SIZE], chip[PORTS]
    for _ in range(ports):
        port = port + 1 if port + 1 < ports else 0
        if wanted >> port & 1 and chip[base + port * size + C_READY] <= t:
            return port
    return -1


@compiled
def _arbitrate(chip: Words, message: Rows, log: Rows, o: int, t: int) -> None:
    """A router's output channel serves one of its requests in cycle t, if it can."""
    if chip[o + C_BUSY] > t:
        _wake(chip, o, chip[o + C_BUSY])
        return
    port = _winner(chip, o, t)
    if port < 0:
        return
    i = chip[o + C_SOURCE] + port * chip[CHANNEL_SIZE]
    head = chip[i + C_HEAD]
    m = chip[i + C_SLOTS + SLOT_SIZE * head + S_MESSAGE]
    flits = message[m, M_FLITS]
    if not _may_send(chip, o, flits, t):
        return
    chip[o + C_TURN] = port
    chip[i + C_HEAD] = head + 1 if head + 1 < chip[i + C_CAPACITY] else 0
    chip[i + C_COUNT] -= 1
    chip[o + C_WANTED] ^= 1 << port
    gone = _send(chip, message, log, o, m, t)
    chip[i + C_FREED] = gone
    _release(chip, i, flits, gone + chip[CREDIT])
    if chip[i + C_COUNT]:
        _expose(chip, message, i)
    if _winner(chip, o, t) >= 0:
        _wake(chip, o, gone)


@compiled
def clear(chip: Words) -> None:
    """Empty what the last step used."""
    used = chip[USED_AT]
    for i in range(chip[used]):
        o = chip[used + 1 + i]
        for field in range(CHANNEL_STATE, C_SLOTS):
            chip[o + field] = 0
        chip[o + C_WAKE] = _NEVER
        for place in range(chip[o + C_CAPACITY]):
            chip[o + C_SLOTS + SLOT_SIZE * place + S_FREE] = 0
    chip[used] = chip[chip[HEAP_AT]] = 0
    for number in range(chip[CORES]):
        n = core_address(chip, number)
        for field in range(CORE_STATE, chip[CORE_SIZE]):
            chip[n + field] = 0


@compiled
def _handle_events(chip: Words, message: Rows, log: Rows, most: int) -> int:
    """Handle events in the order of time until none is left, or *most* were; their number."""
    events, heap = 0, chip[HEAP_AT]
    while chip[heap] and events < most:
        key = _pop(chip)
        t, o = key >> _SHIFT, key & (ADDRESSES - 1)
        if chip[o + C_WAKE] == t:
            chip[o + C_WAKE] = _NEVER
        if chip[o + C_INJECTS]:
            _inject(chip, message, log, o, t)
        else:
            _arbitrate(chip, message, log, o, t)
        events += 1
    return events


@compiled
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

    ``message``: rows of all messages, ``message[first[c]:first[c + 1]]`` those of core c in order
    of emission; ``tail`` (cores,): neuron-stage cycles after a core's last message; ``log``:
    (rows, 4) kind, place, start, cycles of a trace, or no rows; ``limit``: most events a message.
    """
    clear(chip)
    for number in range(chip[CORES]):
        n = core_address(chip, number)
        chip[n + N_NEXT], chip[n + N_LAST] = first[number], first[number + 1]
        _load(chip, message, log, n)
    total = first[chip[CORES]] - first[0]
    events = _handle_events(chip, message, log, limit * (total + 1))
    received, last = _finish(chip, log, tail)
    if received < total:
        return LIVELOCK if chip[chip[HEAP_AT]] else DEADLOCK, events, last
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
