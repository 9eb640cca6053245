"""What a neuron's program does in an update, where a core runs programs instead of one circuit.

The chip's own LIF resets to zero and is built in. A neuron that subtracts runs a program; its
operations are counted from the definition (``calibration.neuron``), one for each state read or
written, multiplication with its shift, addition, comparison, selection and spike:

    u <- u keep_u + (a << 6)      read u, read a, shift, add; multiply if it has memory; write
    v <- v keep_v + u + bias      read v, add; multiply if it leaks, add if there is a bias
    s  = v > threshold            compare, spike
    v <- v - r where s            select, add, write

Counted and not priced: no public figure says what one operation takes. The time of an update is
what a run showed (``time_ns.neuron_microcode``), its energy that of any update; the passes of a
program (4 ns each in a public profiling script) are one for every neuron of ours. How much program
memory a core has was never published; a program uses as much of it as it has operations.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from tssd.calibration.int_network import IntNetwork, Population
from tssd.calibration.integer import DECAY_ONE
from tssd.hw_targets.chip.spec import ChipSpec
from tssd.hw_targets.costs.bound import runs_microcode
from tssd.hw_targets.mapping.memory import compartments_of


@dataclass(frozen=True)
class NeuronProgram:
    """One program, and the populations that run it; ``operations`` of one update by kind."""

    populations: tuple[str, ...]
    operations: Mapping[str, int]

    @property
    def length(self) -> int:
        return sum(self.operations.values())


def programs(network: IntNetwork, chip: ChipSpec) -> tuple[NeuronProgram, ...]:
    """The programs that *network* runs on *chip*, in network order; none where its circuit takes
    another compartment for a soft reset instead."""
    found: dict[tuple[tuple[str, int], ...], list[str]] = {}
    for population in network.populations:
        if runs_microcode(population) and compartments_of(population, chip) == 1:
            key = tuple(sorted(operations(population).items()))
            found.setdefault(key, []).append(population.name)
    return tuple(NeuronProgram(tuple(names), dict(key)) for key, names in found.items())


def operations(population: Population) -> dict[str, int]:
    """Of one update with a spike, the longest way through the program."""
    remembers, leaks = (population.du != DECAY_ONE).any(), (population.dv != 0).any()
    # a read and shifted into u; v read, u added; compared, sent; r selected, added; v written
    total = Counter(read=2, shift=1, add=2, compare=1, spike=1, select=1, write=1)
    if remembers:
        total += Counter(read=1, multiply=1, add=1, write=1)
    total += Counter(multiply=int(leaks), add=int(population.bias_mant.any()))
    return dict(total)


def told_of_programs(network: IntNetwork, chip: ChipSpec) -> tuple[str, ...]:
    """One line for each program, and what it cannot say."""
    return tuple(
        f"neuron program of {', '.join(p.populations)}: {p.length} operations in one pass, which"
        f" is what it uses of program memory; timed as"
        f" measured for a program ({chip.time_ns.neuron_microcode.value:g} ns an update), energy as"
        " any update: no public figure prices an operation"
        for p in programs(network, chip)
    )
