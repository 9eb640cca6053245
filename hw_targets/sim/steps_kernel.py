"""Compiled: from spikes to messages, through the machine or its bound, step by step."""

from tssd.hw_targets.sim import kernel as k
from tssd.hw_targets.sim.jit import Rows, Words, compiled

# columns of a step's result: status, events, cycles, then the five terms and where each is largest
R_STATUS, R_EVENTS, R_CYCLES, R_TERMS, R_WHERE = 0, 1, 2, 3, 8
RESULT_COLUMNS = 13
TERM_NEURON, TERM_SYNAPSE, TERM_MEMORY, TERM_LINK, TERM_BARRIER = range(5)
F_TARGET, F_FLITS, F_SERVICE, F_READS = range(4)


@compiled
def expand(
    ranks: Words, core_first: Words, fan_first: Words, fan: Rows, update: Words, spike: int,
    message: Rows, first: Words, tail: Words, reads: Words,
) -> int:  # fmt: skip
    """Fill the messages of one step; returns their number.

    ``ranks``: neurons that fire, rising; ``update`` (cores,): cycles that the core's updates take
    together, spread evenly over its neurons; ``reads`` (cores,): memory cycles at the target.
    """
    row, event, cores = 0, 0, len(update)
    for c in range(cores):
        reads[c] = 0
    for c in range(cores):
        first[c] = row
        start, neurons, spent, carried = core_first[c], core_first[c + 1] - core_first[c], 0, 0
        while event < len(ranks) and ranks[event] < core_first[c + 1]:
            due = update[c] * (ranks[event] - start + 1) // neurons
            carried += due - spent + spike
            spent = due
            for f in range(fan_first[ranks[event]], fan_first[ranks[event] + 1]):
                message[row, k.M_TARGET] = fan[f, F_TARGET]
                message[row, k.M_FLITS] = fan[f, F_FLITS]
                message[row, k.M_WORK] = carried
                message[row, k.M_SERVICE] = fan[f, F_SERVICE]
                reads[fan[f, F_TARGET]] += fan[f, F_READS]
                carried = 0
                row += 1
            event += 1
        tail[c] = update[c] - spent + carried
    first[cores] = row
    return row


@compiled
def count_messages(ranks: Words, fan_first: Words) -> int:
    """How many messages the firing neurons send."""
    total = 0
    for i in range(len(ranks)):
        total += fan_first[ranks[i] + 1] - fan_first[ranks[i]]
    return total


@compiled
def load_step(chip: Words, message: Rows, first: Words, tail: Words) -> None:
    """The loads of one step without its timing: stages and links are busy, nothing waits."""
    k.clear(chip)
    for number in range(chip[k.CORES]):
        n = k.core_address(chip, number)
        for m in range(first[number], first[number + 1]):
            target = k.core_address(chip, message[m, k.M_TARGET])
            chip[n + k.N_NEURON_BUSY] += message[m, k.M_WORK]
            chip[target + k.N_SYNAPSE_BUSY] += message[m, k.M_SERVICE]
            chip[target + k.N_IN_BUSY] += chip[k.AXON_IN]
            o = chip[n + k.N_INJECT]
            chip[n + k.N_OUT_BUSY] += chip[k.AXON_OUT] + message[m, k.M_FLITS] * chip[o + k.C_FLIT]
            while True:
                if chip[o + k.C_LOAD] == 0:
                    k.mark_used(chip, o)
                chip[o + k.C_LOAD] += message[m, k.M_FLITS] * chip[o + k.C_FLIT]
                if o == chip[target + k.N_EJECT]:
                    break
                o = k.route(chip, o, target)
        chip[n + k.N_NEURON_BUSY] += tail[number]


@compiled
def find_terms(chip: Words, reads: Words, result: Words) -> int:
    """The five terms of the bound into ``result``, from the loads in ``chip``; the largest."""
    for i in range(R_TERMS, RESULT_COLUMNS):
        result[i] = 0
    for number in range(chip[k.CORES]):
        n = k.core_address(chip, number)
        _raise_term(result, TERM_NEURON, chip[n + k.N_NEURON_BUSY], number)
        _raise_term(result, TERM_SYNAPSE, chip[n + k.N_SYNAPSE_BUSY], number)
        _raise_term(result, TERM_MEMORY, reads[number], number)
    used = chip[k.USED_AT]
    for i in range(chip[used]):
        o = chip[used + 1 + i]
        _raise_term(result, TERM_LINK, chip[o + k.C_LOAD], chip[o + k.C_NUMBER])
    _raise_term(result, TERM_BARRIER, max(chip[k.BARRIER], chip[k.FLOOR]), 0)
    most = 0
    for i in range(R_TERMS, R_WHERE):
        most = max(most, result[i])
    return most


@compiled
def _raise_term(result: Words, term: int, cycles: int, where: int) -> None:
    larger = cycles > result[R_TERMS + term]
    equal = cycles == result[R_TERMS + term] and cycles > 0
    if larger or (equal and where < result[R_WHERE + term]):
        result[R_TERMS + term], result[R_WHERE + term] = cycles, where


@compiled
def add_links(chip: Words, links: Words) -> None:
    """Add the busy cycles of this step's channels to a total."""
    used = chip[k.USED_AT]
    for i in range(chip[used]):
        o = chip[used + 1 + i]
        links[chip[o + k.C_NUMBER]] += chip[o + k.C_LOAD]
