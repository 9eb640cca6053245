"""The memory of the timing kernel: where everything lies in its one flat int64 array.

A channel or a core is the address of its record, ``chip[o + C_BUSY]`` a field of it.
"""

# The machine's constants, at the start of the memory
(
    PER_ROUTER, PORTS, COLUMNS, CHANNELS, CORES, CREDIT, AXON_IN, AXON_OUT, BARRIER, FLOOR,
    SPIKE_OUT_SLOTS, SYNAPSE_SLOTS, CHANNEL_SIZE, CORE_SIZE, CHANNEL_AT, CORE_AT, QUEUE_AT, USED_AT,
    QUEUE_SHIFT, NOW,
) = range(20)  # fmt: skip
CONSTANTS = 20

# A channel's record: what it is (with the four channels onward from its far end), its state, then
# three rings for its buffer: the cycle from which each flit slot is free, messages, their cycles
(
    C_NUMBER, C_PORT, C_CORE, C_INJECTS, C_X, C_Y, C_EAST, C_WEST, C_NORTH, C_SOUTH, C_SOURCE,
    C_LATENCY, C_FLIT, C_FIRST, C_HOLD, C_STRIDE, C_CAPACITY,
    C_WAKE, C_AT, C_NEXT, C_BUSY, C_WANTED, C_TURN, C_BLOCKED, C_IN_USE, C_SEND_AT, C_FREE_AT,
    C_HEAD, C_COUNT, C_READY, C_FREED, C_LOAD, C_SLOTS,
) = range(33)  # fmt: skip
CHANNEL_STATE = C_WAKE
NEVER = 1 << 62

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

# One row per message: the traffic (target: a core number), then, if wanted, what became of it
M_TARGET, M_FLITS, M_WORK, M_SERVICE, M_EMITTED, M_SENT, M_ARRIVED, M_DONE = range(8)
TRAFFIC_COLUMNS, MESSAGE_COLUMNS = 4, 8
