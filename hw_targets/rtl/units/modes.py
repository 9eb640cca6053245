"""What a neuron's record says that its circuit does, as numbers."""

from enum import IntEnum


class NeuronMode(IntEnum):
    """What a neuron does with its membrane."""

    RELAY = 0  # sends its sum
    FIRES = 1
    READS_OUT = 2


class ResetMode(IntEnum):
    """What a spike does to the membrane."""

    NONE = 0
    HARD = 1
    SOFT = 2
