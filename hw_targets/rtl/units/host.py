"""The host port: where everything lies that a host writes and reads.

An address of 32 bits is ``core | region | word``; the last core number is the mesh itself, whose
registers are its words. A host speaks between steps only. What is read is there three clocks later.
"""

from enum import IntEnum

from amaranth.lib.data import StructLayout

from tssd.hw_targets.rtl.units.widths import (
    CORE_NUMBER_BITS,
    CORE_SHIFT,
    MOST_CORES,
    REGION_BITS,
    WORD_BITS,
    WORD_PLACES,
)

EVERYTHING = MOST_CORES  # in place of a core: the mesh
RECORD_WORDS, AXON_WORDS, STATE_WORDS = 8, 2, 4  # places of one neuron, axon, state

HOST = StructLayout(
    {
        "word": WORD_PLACES,
        "region": REGION_BITS,
        "core": CORE_NUMBER_BITS,
        "data": WORD_BITS,
        "write": 1,
        "read": 1,
    }
)


class Region(IntEnum):
    """A core's memories as a host sees them."""

    NEURONS = 0  # write: a record of RECORD_WORDS words each
    FAN_OUT = 1  # write
    AXONS = 2  # write: AXON_WORDS words each
    SYNAPSES = 3  # write
    SUMS = 4  # write: what the next step finds
    STATES = 5  # read: STATE_WORDS words each: u, v, what was sent
    REGISTERS = 6


class Record(IntEnum):
    """The words of a neuron's record."""

    DECAYS = 0  # keep_u, keep_v, then mode and reset
    THRESHOLD = 1
    SUBTRACTED = 2
    BIAS = 3
    FAN = 4  # place in the fan-out memory, number of entries
    FIRST_STEP = 5


class CoreRegister(IntEnum):
    """Words of a core's registers."""

    NEURONS = 0  # write: how many it has
    FINISHED = 1  # read: the clock of the last step in which it finished


class MeshRegister(IntEnum):
    """Words of the mesh's registers."""

    RUN = 0  # write: so many steps, one after the other
    STEP = 1  # write: the number of the step before the next one
    WINDOW = 2  # write: steps that a population works
    BUSY = 3  # read: whether steps are running
    CLOCKS = 4  # read: clocks of the last step, barrier included


def address(core: int, region: int, word: int) -> int:
    """The host's address of *word*."""
    return word | region << WORD_PLACES | core << CORE_SHIFT
