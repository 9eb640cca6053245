"""Compiled: from spikes to messages, through the machine or its bound, step by step."""

from typing import NamedTuple

from tssd.hw_targets.sim.kernels import kernel as k
from tssd.hw_targets.sim.kernels import layout
from tssd.hw_targets.sim.kernels.jit import Block, Rows, Words, compiled, index, inlined

# columns of a step's result: status, events, cycles, messages, then the five terms and where each
# is largest, then what its last work came late by and at which core
R_STATUS, R_EVENTS, R_CYCLES, R_MESSAGES, R_TERMS, R_WHERE, R_LATE, R_LATE_AT = (
    0, 1, 2, 3, 4, 9, 14, 15,
)  # fmt: skip
RESULT_COLUMNS = 16
LATE_NEURON, LATE_SYNAPSE, LATE_TRAFFIC = range(3)
TERM_NEURON, TERM_SYNAPSE, TERM_MEMORY, TERM_LINK, TERM_BARRIER = range(5)
F_TARGET, F_FLITS, F_SERVICE, F_READS = range(4)


class Spikes(NamedTuple):
    """What fires and what that sends. ``ranks[first[s] : first[s + 1]]`` fire in step s, rising;
    ``update`` (steps, cores): cycles that a core's updates take together in a step; ``spike``
    (cores,): cycles of one spike; the rest as ``plan.Wires`` has it."""

    first: Words
    ranks: Words
    update: Rows
    spike: Words
    core_first: Words
    fan_first: Words
    fan: Rows


class Loads(NamedTuple):
    """Room for the traffic of one step: messages, the first of each core, neuron-stage cycles after
    a core's last message, memory reads at each core."""

    message: Rows
    first: Words
    tail: Words
    reads: Words


class Found(NamedTuple):
    """Results: (steps, 16) as ``R_*`` name the columns; counters (steps, cores, 8); and the busy
    cycles of each channel in all steps that one call times."""

    steps: Rows
    core: Block
    links: Words


@compiled
def expand(spikes: Spikes, step: int, loads: Loads) -> int:
    """Fill the loads of one step; returns the number of its messages. The cycles of a core's
    updates are spread evenly over its neurons."""
    message, reads, core_first = loads.message, loads.reads, spikes.core_first
    row, event, last = 0, spikes.first[step], spikes.first[step + 1]
    for c in range(len(reads)):
        reads[c] = 0
    for c in range(len(reads)):
        loads.first[c] = row
        start, neurons, spent, carried = core_first[c], core_first[c + 1] - core_first[c], 0, 0
        update, spike = spikes.update[step, c], spikes.spike[c]
        while event < last and spikes.ranks[event] < core_first[c + 1]:
            rank = spikes.ranks[event]
            due = update * (rank - start + 1) // neurons
            carried += due - spent + spike
            spent = due
            for f in range(spikes.fan_first[rank], spikes.fan_first[rank + 1]):
                fan = spikes.fan[f]
                message[row, layout.M_TARGET], message[row, layout.M_FLITS] = (
                    fan[F_TARGET],
                    fan[F_FLITS],
                )
                message[row, layout.M_WORK] = carried
                message[row, layout.M_SERVICE] = fan[F_SERVICE]
                reads[fan[F_TARGET]] += fan[F_READS]
                carried = 0
                row += 1
            event += 1
        loads.tail[c] = update - spent + carried
    loads.first[len(reads)] = row
    return row


@compiled
def run_steps(
    chip: Words, spikes: Spikes, loads: Loads, log: Rows, found: Found,
    every_queue: bool, limit: int,
) -> None:  # fmt: skip
    """Time all steps: through every queue, or their bound; stops if one fails."""
    for step in range(found.steps.shape[0]):
        result = found.steps[step]
        result[R_MESSAGES] = expand(spikes, step, loads)
        if every_queue:
            status, events, cycles = k.run_step(
                chip, loads.message, loads.first, loads.tail, log, limit
            )
            result[R_STATUS], result[R_EVENTS], result[R_CYCLES] = status, events, cycles
            if status != k.OK:
                return
            find_terms(chip, loads.reads, result)
            find_late(chip, loads, result)
        else:
            load_step(chip, loads.message, loads.first, loads.tail)
            result[R_CYCLES] = find_terms(chip, loads.reads, result)
        k.copy_counters(chip, found.core[step])
        add_links(chip, found.links)


@compiled
def count_active(flags: Rows, neurons: Words, active: Words) -> None:
    """How many of some neurons (rising numbers) are flagged in each step, into ``active``."""
    first, number = neurons[0], len(neurons)
    side_by_side = neurons[number - 1] - first == number - 1
    for step in range(flags.shape[0]):
        count = 0
        if side_by_side:
            row = flags[step][first : first + number]
            for i in range(number):
                count += row[i]
        else:
            for i in range(number):
                count += flags[step, neurons[i]]
        active[step] = count


@compiled
def load_step(chip: Words, message: Rows, first: Words, tail: Words) -> None:
    """The loads of one step without its timing: stages and links are busy, nothing waits."""
    k.clear(chip)
    for number in range(chip[layout.CORES]):
        n = k.core_address(chip, number)
        for m in range(first[number], first[number + 1]):
            target = k.core_address(chip, message[m, layout.M_TARGET])
            chip[n + layout.N_NEURON_BUSY] += message[m, layout.M_WORK]
            chip[target + layout.N_SYNAPSE_BUSY] += message[m, layout.M_SERVICE]
            chip[target + layout.N_RECEIVED] += 1
            _pass(chip, message[m], n)
        chip[n + layout.N_NEURON_BUSY] += tail[number]
        chip[n + layout.N_NEURON] = chip[n + layout.N_NEURON_BUSY]


@inlined
def _pass(chip: Words, message: Words, n: int) -> None:
    """A message of core n loads every channel of its route."""
    flits, port = message[layout.M_FLITS], 0
    ticket = k.ticket_of(chip, 0, message[layout.M_TARGET], flits)
    o = index(chip[n + layout.N_INJECT])
    kind = index(chip[o + layout.C_KIND])
    chip[n + layout.N_OUT_BUSY] += chip[layout.AXON_OUT] + flits * chip[kind + layout.K_FLIT]
    while True:
        if chip[o + layout.C_LOAD] == 0:
            k.mark_used(chip, o)
        chip[o + layout.C_LOAD] += chip[kind + layout.K_FIRST] + flits * chip[kind + layout.K_FLIT]
        if chip[kind + layout.K_ENDS] == layout.EJECTS:
            return
        o = index(k.route(chip, o, ticket) + port * chip[kind + layout.K_STRIDE])
        port, kind = chip[kind + layout.K_PORT], index(chip[o + layout.C_KIND])


@compiled
def find_terms(chip: Words, reads: Words, result: Words) -> int:
    """The five terms of the bound into ``result``, from the loads in ``chip``; the largest."""
    for i in range(R_TERMS, R_LATE):
        result[i] = 0
    for number in range(chip[layout.CORES]):
        n = k.core_address(chip, number)
        _raise_term(result, TERM_NEURON, chip[n + layout.N_NEURON_BUSY], number)
        _raise_term(result, TERM_SYNAPSE, chip[n + layout.N_SYNAPSE_BUSY], number)
        _raise_term(result, TERM_MEMORY, reads[number], number)
    used = chip[layout.USED_AT]
    for i in range(chip[used]):
        o = chip[used + 1 + i]
        _raise_term(result, TERM_LINK, chip[o + layout.C_LOAD], k.channel_number(chip, o))
    _raise_term(result, TERM_BARRIER, max(chip[layout.BARRIER], chip[layout.FLOOR]), 0)
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
def find_late(chip: Words, loads: Loads, result: Words) -> None:
    """What the step's last work spent most of its time with, into ``result``.

    The core that finishes last ended with a message that it received, or with sending its own. That
    message waited for the neuron stage that made it (its work alone), then was under way (stalls of
    both ends included), then waited and was worked on in the receiving core. The longest of the
    three names the cause; of equal ones the first.
    """
    last = 0
    for number in range(chip[layout.CORES]):
        n, best = k.core_address(chip, number), k.core_address(chip, last)
        if chip[n + layout.N_FINISH] > chip[best + layout.N_FINISH]:
            last = number
    n, first = k.core_address(chip, last), loads.first
    result[R_LATE], result[R_LATE_AT] = LATE_NEURON, last
    finish = chip[n + layout.N_FINISH]
    if chip[n + layout.N_SYNAPSE_FREE] < finish:
        own = chip[n + layout.N_NEURON_BUSY]
        if finish - own > own:
            result[R_LATE] = LATE_TRAFFIC
        return
    source, m = _last_received(loads.message, first, last)
    if m < 0:
        return
    work, message = 0, loads.message
    for before in range(first[source], m + 1):
        work += message[before, layout.M_WORK]
    under_way = message[m, layout.M_ARRIVED] - work
    received = message[m, layout.M_DONE] - message[m, layout.M_ARRIVED]
    if work >= under_way and work >= received:
        result[R_LATE_AT] = source
    else:
        result[R_LATE] = LATE_TRAFFIC if under_way >= received else LATE_SYNAPSE


@compiled
def _last_received(message: Rows, first: Words, target: int) -> tuple[int, int]:
    """The message that core *target* was done with last: (core that sent it, its row or -1)."""
    source, row, done = 0, -1, -1
    for number in range(len(first) - 1):
        for m in range(first[number], first[number + 1]):
            if message[m, layout.M_TARGET] == target and message[m, layout.M_DONE] > done:
                source, row, done = number, m, message[m, layout.M_DONE]
    return source, row


@compiled
def add_links(chip: Words, links: Words) -> None:
    """Add the busy cycles of this step's channels to a total."""
    used = chip[layout.USED_AT]
    for i in range(chip[used]):
        o = chip[used + 1 + i]
        links[k.channel_number(chip, o)] += chip[o + layout.C_LOAD]
