"""The functional engine: the integer neuron event by event, equal to ``calibration.simulate``.

Only spikes are touched on the way in (a spike of value s adds s times its weights to its targets);
every neuron is updated once a step. Beside each sum the accumulators count, in their upper bits,
how many synapses were met: a neuron is *active* in a step if a synapse was met, if it has a bias,
or if it was not at rest before. That decides what its update costs.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import assert_never, cast

import numpy as np

from tssd.arrays import BoolArray
from tssd.calibration.int_network import (
    MEMBRANE,
    Activity,
    IntNetwork,
    PopulationKind,
    Reset,
    Runner,
    answer,
)
from tssd.calibration.integer import IntArray
from tssd.calibration.simulate import check_inputs
from tssd.calibration.tally import Tally
from tssd.hw_targets.engine import Setting, prepared
from tssd.hw_targets.sim import program as programs
from tssd.hw_targets.sim.kernels import functional_kernel as k
from tssd.hw_targets.sim.kernels.threads import available_cores
from tssd.hw_targets.sim.program import Numbers, Program, ProgramLayer

Progress = Callable[[int], None]
_RESETS = {Reset.HARD: k.HARD, Reset.SOFT: k.SOFT, Reset.NONE: k.NONE}


@dataclass(frozen=True, eq=False)
class SampleEvents:
    """What one population sent in one sample: (events, 3) local step, neuron (C, H, W), payload;
    ``active`` (T, neurons): updates that were active; ``states`` by name: (T, neurons) on request,
    else those of the last step alone."""

    spikes: IntArray
    active: BoolArray
    states: Mapping[str, IntArray]


@dataclass(frozen=True, eq=False)
class Sent:
    """What a population sent: those of step t are ``first[t] : first[t + 1]``; ``neuron`` in the
    program's numbering; ``payload`` is empty if all are one."""

    neuron: Numbers
    payload: IntArray
    first: IntArray


def simulate(
    program: Program,
    inputs: IntArray,
    progress: Progress | None = None,
    record: bool = False,
) -> list[dict[str, SampleEvents]]:
    """Run ``inputs`` (T, B, *shape): per sample, what each population did.

    Samples run in threads; the result does not depend on how many.
    """
    check_inputs(program.network, inputs)
    results = []
    with ThreadPoolExecutor(available_cores()) as pool:
        samples = (inputs[:, b] for b in range(inputs.shape[1]))
        for result in pool.map(lambda sample: simulate_sample(program, sample, record), samples):
            results.append(result)
            if progress:
                progress(1)
    return results


def simulate_sample(
    program: Program, inputs: IntArray, record: bool = False
) -> dict[str, SampleEvents]:
    """One sample (T, *shape), from rest."""
    sent: dict[str, Sent] = {}
    events: dict[str, SampleEvents] = {}
    for layer in program.layers:
        population = layer.population
        name, active = population.name, np.zeros((len(inputs), population.neurons), np.bool_)
        states = np.zeros((1, 0, population.neurons), layer.dtype)
        match population.kind:
            case PopulationKind.INPUT:
                sent[name] = _present(layer, inputs, active)
            case PopulationKind.RELAY:
                sent[name] = run_relay(layer, sent, active)
            case PopulationKind.LIF | PopulationKind.READOUT:
                bias = _bias(program.network, layer, inputs)
                every = population.membrane_read.of_every_step
                sent[name], states = run_state(layer, sent, bias, active, record or every)
                if every and not record:  # the largest membrane is all that is read of them
                    states = states.max(axis=0, keepdims=True)
            case _:
                assert_never(population.kind)
        events[name] = _events(layer, sent[name], active, states)
    return events


def _present(layer: ProgramLayer, inputs: IntArray, active: BoolArray) -> Sent:
    """An input population sends its sample."""
    given = _channel_moving_fastest(inputs)
    np.not_equal(given, 0, out=active)
    place = np.flatnonzero(active)
    first = np.searchsorted(place, np.arange(len(inputs) + 1) * active.shape[1])
    neuron = place - np.repeat(np.arange(len(inputs)) * active.shape[1], np.diff(first))
    payload = given.reshape(-1)[place] if given.max(initial=0) > 1 else np.zeros(0, np.int64)
    return Sent(neuron.astype(np.int32), payload, first)


def _arriving(layer: ProgramLayer, sent: Mapping[str, Sent], time_steps: int) -> k.Arriving:
    """What reaches a population; for its own spikes, which its loops read, there is room."""
    w, n = layer.wires, layer.population.neurons
    parts = [sent[name] for name in w.sources if name in sent]
    loops = len(w.sources) - len(parts)
    if loops:
        room, none = np.empty(time_steps * n, np.int32), np.zeros(time_steps + 1, np.int64)
        parts.append(Sent(room, np.zeros(0, np.int64), none))
    graded = any(len(part.payload) for part in parts)
    neuron, payload = np.zeros(0, np.int32), np.zeros(0, np.int64)
    if len(parts) == 1:
        neuron, payload = parts[0].neuron, parts[0].payload
    elif parts:
        neuron = np.concatenate([part.neuron for part in parts])
        if graded:
            payload = np.concatenate([_payloads(part) for part in parts])
    begin = np.cumsum([0, *(len(part.neuron) for part in parts)])
    first = [part.first + at for part, at in zip(parts, begin[:-1], strict=True)]
    first += first[-1:] * (loops - 1)  # all loops read the same spikes
    firsts = np.stack(first) if first else np.zeros((0, 1), np.int64)
    sums, total = np.zeros((2, n), layer.dtype)
    return k.Arriving(
        w.table, w.weight, w.counted, w.rows, w.columns, w.places,
        neuron, payload, firsts, sums, total,
    )  # fmt: skip


def _payloads(sent: Sent) -> IntArray:
    return sent.payload if len(sent.payload) else np.ones(len(sent.neuron), np.int64)


def run_relay(layer: ProgramLayer, sent: Mapping[str, Sent], active: BoolArray) -> Sent:
    """A population without state sends its sums."""
    out, payload = np.empty(active.size, np.int32), np.empty(active.size, np.int64)
    first = np.zeros(len(active) + 1, np.int64)
    k.run_relay(_arriving(layer, sent, len(active)), active, out, payload, first)
    return Sent(out[: first[-1]].copy(), payload[: first[-1]].copy(), first)


def run_state(
    layer: ProgramLayer,
    sent: Mapping[str, Sent],
    bias: Numbers,
    active: BoolArray,
    record: bool = False,
) -> tuple[Sent, Numbers]:
    """A population with state: what it sends, and its states (1 or T, states, neurons). Its loops
    read what it sends, or its own spikes in *sent* where they are given."""
    population, (time_steps, n) = layer.population, active.shape
    fires = population.kind.fires
    state = np.zeros((len(population.states), n), layer.dtype)
    trace = np.zeros((time_steps if record else 0, *state.shape), layer.dtype)
    fired = np.zeros(n + 7 & ~7, np.uint8)
    first = np.zeros(time_steps + 1, np.int64)
    arriving = _arriving(layer, sent, time_steps)
    out = np.empty(active.size if fires else 0, np.int32)  # untouched pages take no memory
    own = cast("Numbers", arriving.first)[sum(name in sent for name in layer.wires.sources) :]
    if len(own):
        out, first[0] = cast("Numbers", arriving.sent), own[0, 0]
    neurons = k.Neurons(state, layer.parameters, bias, fired, fired.view(np.uint64), trace, own)
    reset = _RESETS[population.reset]
    k.run_neurons(arriving, neurons, active, out, first, reset, fires)
    done = Sent(out[first[0] : first[-1]].copy(), np.zeros(0, np.int64), first - first[0])
    return done, trace if record else state[None]


def _bias(network: IntNetwork, layer: ProgramLayer, inputs: IntArray) -> Numbers:
    """(1 or T, neurons): a bias that is the sample's may change from step to step."""
    population = layer.population
    if population is not network.source or not network.input_coding.as_bias:
        return layer.bias
    given = inputs[:1] if inputs.strides[0] == 0 else inputs
    bias = _channel_moving_fastest(given) << population.bias_exp
    narrowed: Numbers = bias.astype(layer.dtype)
    return narrowed


def _events(layer: ProgramLayer, sent: Sent, active: BoolArray, states: Numbers) -> SampleEvents:
    """The record of one population in C, H, W order."""
    spikes = np.empty((len(sent.neuron), 3), np.int64)
    spikes[:, 0] = np.repeat(np.arange(len(active)), np.diff(sent.first))
    spikes[:, 1] = layer.flat[sent.neuron]
    spikes[:, 2] = sent.payload if len(sent.payload) else 1
    kept = {
        name: _channels_first(layer, states[:, i]).astype(np.int64)
        for i, name in enumerate(layer.population.states)
    }
    return SampleEvents(spikes, _channels_first(layer, active), kept)


def _channel_moving_fastest(inputs: IntArray) -> IntArray:
    """(T, *shape) as (T, neurons) in the program's numbering."""
    moved = np.moveaxis(inputs, 1, -1) if inputs.ndim == 4 else inputs
    return np.ascontiguousarray(moved).reshape(len(inputs), -1)


def _channels_first(layer: ProgramLayer, rows: Numbers) -> Numbers:
    """(rows, neurons) from the program's numbering to C, H, W."""
    shape = layer.population.shape
    if len(shape) < 3:
        return rows
    image = rows.reshape(len(rows), *shape[1:], shape[0])
    moved: Numbers = np.ascontiguousarray(np.moveaxis(image, -1, 1)).reshape(len(rows), -1)
    return moved


def activity(network: IntNetwork, samples: list[dict[str, SampleEvents]]) -> Activity:
    """The same as arrays (T, B, *shape), as ``calibration.simulate`` gives them."""
    spikes: dict[str, IntArray] = {}
    states: dict[str, dict[str, IntArray]] = {}
    for population in network.populations:
        mine = [sample[population.name] for sample in samples]
        dense = np.zeros((network.time_steps, len(mine), population.neurons), np.int64)
        for b, events in enumerate(mine):
            step, neuron, payload = events.spikes.T
            dense[step, b, neuron] = payload
        whole = (*dense.shape[:2], *population.shape)
        spikes[population.name] = dense.reshape(whole)
        for state in population.states:
            each = [events.states[state] for events in mine]
            if len(each[0]) == network.time_steps:
                over_time = np.stack(each, axis=1).reshape(whole)
                states.setdefault(state, {})[population.name] = over_time
    return Activity(spikes, _readout(network, samples), states)


def tally_of(network: IntNetwork, samples: list[dict[str, SampleEvents]]) -> Tally:
    """The events of *samples*, neuron by neuron, without arrays over time."""
    sent = {p.name: [s[p.name].spikes[:, 1] for s in samples] for p in network.populations}
    events = {
        p.name: np.bincount(np.concatenate(sent[p.name]), minlength=p.neurons).reshape(p.shape)
        for p in network.populations
    }
    return Tally(len(samples), network.time_steps, events, _readout(network, samples))


def _readout(network: IntNetwork, samples: list[dict[str, SampleEvents]]) -> IntArray:
    last = network.readout
    read = [answer(network, s[last.name].states[MEMBRANE]) for s in samples]
    return np.stack(read).reshape(-1, *last.shape)


def opened(setting: Setting) -> Runner:
    """The engine of the register."""

    def run(program: Program, inputs: IntArray) -> Activity:
        return activity(program.network, simulate(program, inputs, record=True))

    return prepared(programs.prepare, run)
