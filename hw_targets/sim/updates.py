"""Updates of a spike record: which were active, and what the updates of a core take.

Where a record does not say it, each neuron is run on what reached it.

A record says who fired, not whose state moved. Every population with state runs over all chip steps
on the recorded spikes of its sources; its own recorded spikes reach its loops. So one record is one
long sample: where it began again from rest in between, nothing in it says so.

What a record cannot tell is left out, and counts as active: neurons that a bias-coded input drives,
and what graded input reaches if the record does not hold its payloads.
"""

from dataclasses import replace
from typing import assert_never

import numpy as np

from tssd.arrays import BoolArray, IntArray
from tssd.calibration.int_network import IntNetwork, PopulationKind, depths
from tssd.hw_targets.sim.functional import Sent, run_relay, run_state
from tssd.hw_targets.sim.kernels.steps_kernel import count_active
from tssd.hw_targets.sim.plan import Plan
from tssd.hw_targets.sim.program import ProgramLayer, prepare
from tssd.hw_targets.sim.record import SpikeRecord

NOTHING = np.zeros(0, np.int64)


def with_active(network: IntNetwork, record: SpikeRecord) -> SpikeRecord:
    """*record* with the active updates of every population for which they can be found."""
    layers, depth = prepare(network).layers, depths(network)
    last = max(depth.values())
    begin = {name: last - d for name, d in depth.items()}  # its first chip step, by its own count
    sent = {x.population.name: _sent(x, record, begin[x.population.name], last) for x in layers}
    graded = network.input_coding.graded
    untold = {network.source.name} if graded and record.payload is None else set()
    found: dict[str, BoolArray] = dict(record.active)
    for layer in layers:
        name = layer.population.name
        active = np.zeros((record.steps + last, layer.population.neurons), np.bool_)
        driven = layer.population is network.source and network.input_coding.as_bias
        if not driven and _run(layer, sent, untold, active):
            rows = active[begin[name] : begin[name] + record.steps]
            found.setdefault(name, _in_order(layer, rows))
    return replace(record, active=found)


def assumed(network: IntNetwork, record: SpikeRecord) -> tuple[str, ...]:
    """Populations whose updates all count as active because *record* does not tell."""
    return tuple(p.name for p in network.populations if p.name not in record.active)


def _sent(layer: ProgramLayer, record: SpikeRecord, shift: int, last: int) -> Sent:
    """The recorded spikes of a population, *shift* steps later, in the program's numbering."""
    population, spikes = layer.population, record.spikes[layer.population.name]
    place = np.empty(population.neurons, np.int32)
    place[layer.flat] = np.arange(len(place))
    order = np.argsort(spikes[:, 0], kind="stable")
    first = np.searchsorted(spikes[order, 0] + shift, np.arange(record.steps + last + 1))
    payload = NOTHING  # of ones
    if population.kind.enters and record.payload is not None:
        payload = record.payload[order]
    return Sent(place[spikes[order, 1]], payload, first)


def _run(layer: ProgramLayer, sent: dict[str, Sent], untold: set[str], active: BoolArray) -> bool:
    """Run one population on what the others *sent*; False if it takes what is not known.

    *untold*: populations whose payloads are not known. A relay's follow from what reaches it.
    """
    name, known = layer.population.name, untold.isdisjoint(layer.wires.sources)
    match layer.population.kind:
        case PopulationKind.INPUT:
            steps = np.repeat(np.arange(len(active)), np.diff(sent[name].first))
            active[steps, sent[name].neuron] = True
        case PopulationKind.RELAY:
            passed_on = run_relay(layer, sent, active)
            if known:
                sent[name] = passed_on
            else:
                untold.add(name)  # what met it, which moves it, is known all the same
        case PopulationKind.LIF | PopulationKind.READOUT:
            if not known:
                return False
            run_state(layer, sent, layer.bias, active)
        case kind:
            assert_never(kind)
    return True


def _in_order(layer: ProgramLayer, rows: BoolArray) -> BoolArray:
    """(steps, neurons) from the program's numbering to C, H, W."""
    found = np.empty_like(rows)
    found[:, layer.flat] = rows
    return found


def in_order(spikes: IntArray) -> IntArray:
    """(events, 2) sorted by step."""
    step = spikes[:, 0]
    return spikes if (step[1:] >= step[:-1]).all() else spikes[np.argsort(step, kind="stable")]


def update_cycles(plan: Plan, record: SpikeRecord, steps: range) -> IntArray:
    """(steps, cores): neuron-stage cycles of all updates of a core in some steps."""
    total = np.zeros((len(steps), plan.machine.cores), np.int64)
    active = np.zeros(len(steps), np.int64)
    for i, (name, neurons) in enumerate(
        zip(plan.slice_population, plan.slice_neurons, strict=True)
    ):
        active[:] = len(neurons)
        if name in record.active and plan.extra[i]:
            count_active(record.active[name][steps.start : steps.stop], neurons, active)
        total[:, plan.slice_core[i]] += plan.idle[i] * len(neurons) + plan.extra[i] * active
    return total
