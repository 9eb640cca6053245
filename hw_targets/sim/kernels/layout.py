"""The memory of the timing kernel: where everything lies in its one flat int64 array.

A channel, a core or a router is the address of its record, ``chip[o + C_OPEN]`` a field of it. Each
record begins a line of the processor's cache, and a line holds what one event touches together;
what many channels have in common stands once, in a record of their kind and one of their router.
"""

LINE = 8  # words

# The machine's constants, at the start of the memory, three lines
(
    CORES, CREDIT, AXON_IN, AXON_OUT, BARRIER, FLOOR, SPIKE_OUT_SLOTS, SYNAPSE_SLOTS,
    CORE_SIZE, CHANNEL_SIZE, SPIKE_OUT_MASK, SYNAPSE_MASK, SLOT_MASK, CHANNEL_AT, CORE_AT,
    QUEUE_AT, USED_AT, QUEUE_SHIFT, NOW,
) = range(19)  # fmt: skip
CONSTANTS = 24

# A channel's record, line by line: as it chooses what to send (its turn in the event queue first);
# the buffer at its far end, with the ticket of the first message and the row of the last, the flits
# that came in and left, and the router or core beyond; then the cycles from which the buffer's flit
# slots are free, a ring of SLOT_MASK + 1.
(
    C_WAKE, C_AT, C_NEXT, C_OPEN, C_WANTED, C_TURN, C_SOURCE, C_KIND,
    C_FIRST, C_LAST, C_READY, C_GONE, C_LOAD, C_SENT, C_LEFT, C_END,
    C_SLOTS,
) = range(17)  # fmt: skip
BLOCKED = 1 << 32  # in C_LAST, above the row: who fills the buffer waits for room
NEVER = 1 << 61  # and beyond: a closed channel opens at NEVER + the cycle in which it is idle

# What channels have in common: a line
(
    K_ENDS, K_PORT, K_LATENCY, K_FLIT, K_FIRST, K_HOLD, K_STRIDE, K_CAPACITY,
) = range(8)  # fmt: skip
INSIDE, INJECTS, EJECTS = range(3)  # K_ENDS: between routers, from a core, into a core

# Where a router is, and the channels that lead on (to its first core, where that is the target): a
# line, which ``route`` reads at R_HERE + -2 .. 2
R_X, R_Y, R_SOUTH, R_WEST, R_HERE, R_EAST, R_NORTH = range(7)

# A core's record, line by line: as it receives, and where it is; as it sends; then the rings of its
# two queues, each as long as a power of two
(
    N_AXON_FREE, N_SYNAPSE_FREE, N_RECEIVED, N_IN_STALL, N_SYNAPSE_BUSY,
    N_PLACE, N_INJECT, N_NUMBER,
    N_NEXT, N_LAST, N_NEURON, N_OUT_FREE, N_OUT_READY, N_NEURON_BUSY, N_OUT_BUSY, N_OUT_STALL,
    N_FINISH, N_RINGS,
) = range(18)  # fmt: skip
COUNTER_NAMES = (
    "neuron_busy", "neuron_stall", "out_busy", "out_stall",
    "in_busy", "in_stall", "synapse_busy", "finish",
)  # fmt: skip

# One row per message, a line: the traffic (target: a core number), then what becomes of it. While
# it is under way, M_NEXT and M_READY are of the message behind it in its buffer: its ticket, and
# the cycle from which it may leave.
M_TARGET, M_FLITS, M_WORK, M_SERVICE, M_EMITTED, M_SENT, M_ARRIVED, M_DONE = range(8)
M_READY, M_NEXT = M_ARRIVED, M_DONE
MESSAGE_COLUMNS = 8

# What travels is a ticket, one word: from its lowest bit on, the message's row; the input port that
# it came by; the core's place at its router, the router's column and row; whether it turns from Y
# to X; whether it has more than one flit
ROW_BITS, PORT_BITS, PLACE_BITS = 28, 6, 10
T_PORT = ROW_BITS
T_SLOT = T_PORT + PORT_BITS
T_X = T_SLOT + PORT_BITS
T_Y = T_X + PLACE_BITS
T_Y_FIRST = T_Y + PLACE_BITS
T_LONG = T_Y_FIRST + 1
ROWS, PORTS, PLACES = (1 << ROW_BITS) - 1, (1 << PORT_BITS) - 1, (1 << PLACE_BITS) - 1  # masks
