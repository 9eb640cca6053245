"""BuildSizes of the open core: what is fixed in its circuits, and what a build of it chooses."""

from dataclasses import dataclass

from amaranth.lib.data import StructLayout

X_BITS, Y_BITS, SLOT_BITS, AXON_BITS = 6, 6, 4, 16  # a destination, as fan-out memory has it
PAYLOAD_BITS = 17  # of a message, with sign
WORD_BITS = 32  # of the host port and the memories behind it
WEIGHT_BITS, OFFSET_BITS = 16, 16  # a word of synaptic memory
SUM_BITS = 24  # an accumulator
DECAY_BITS = 13  # a kept share in 4096ths: 0 .. 4096
CURRENT_BITS = 31  # u: a sum in membrane units, and what it keeps of the last
MEMBRANE_BITS = 27  # v: a reset may leave it beyond its 24 bits until it is clipped again
LEVEL_BITS = 26  # threshold, amount of a reset, bias: in membrane units
STEP_BITS = 16
FAN_BITS = 16  # a place in fan-out memory, or a number of its entries
ROW_BITS, COUNT_BITS, BASE_BITS = 24, 16, 16  # an axon's row: where, how many, relative to what
WORD_PLACES, REGION_BITS, CORE_NUMBER_BITS = 19, 3, 10  # of a host's address
CORE_SHIFT = WORD_PLACES + REGION_BITS
MOST_CORES = (1 << CORE_NUMBER_BITS) - 1  # the last number means the mesh itself
MESSAGE_BITS = X_BITS + Y_BITS + SLOT_BITS + AXON_BITS + PAYLOAD_BITS

DESTINATION = StructLayout({"axon": AXON_BITS, "slot": SLOT_BITS, "y": Y_BITS, "x": X_BITS})
ARRIVAL = StructLayout({"axon": AXON_BITS, "payload": PAYLOAD_BITS})
MESSAGE = StructLayout({"payload": PAYLOAD_BITS, "to": DESTINATION})

# What the circuits take, in clocks
NEURON_CLOCKS, MESSAGE_OUT_CLOCKS, MESSAGE_IN_CLOCKS, SYNAPSE_CLOCKS, HOP_CLOCKS = 4, 2, 1, 1, 1
DRAIN_CLOCKS = 5  # from a synapse stage that is free to the last sum in its accumulator
CREDIT_CLOCKS = 2  # from the last message that leaves a buffer to its credit at the sender


@dataclass(frozen=True)
class BuildSizes:
    """What a build chooses: depths of memories (words) and queues (messages), and the mesh.

    ``synapse_slots`` = 0: a core reads the next message when the synapses of the last are done.
    ``barrier`` clocks pass between the last core's end and the next step.
    """

    width: int
    height: int
    cores_per_router: int
    neurons: int
    fan_out: int
    axons: int
    synapses: int
    link_slots: int
    axon_in_slots: int
    spike_out_slots: int
    synapse_slots: int
    barrier: int

    @property
    def routers(self) -> int:
        return self.width * self.height

    @property
    def cores(self) -> int:
        return self.routers * self.cores_per_router

    @property
    def ports(self) -> int:
        """Of a router: its cores, then what moves east, west, north, south."""
        return self.cores_per_router + 4
