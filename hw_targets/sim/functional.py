"""The functional engine: the integer neuron event by event, equal to ``calibration.simulate``.

Only spikes are touched on the way in (a spike of value s adds s times its weights to its targets);
every neuron is updated once a step. Beside each sum the accumulators count, in their upper bits,
how many synapses were met: a neuron is *active* in a step if a synapse was met, if it has a bias,
or if it was not at rest before. That decides what its update costs.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tssd.calibration.int_network import (
    Activity,
    InputCoding,
    IntNetwork,
    Population,
    PopulationKind,
    Projection,
    ProjectionKind,
    depths,
    lag,
)
from tssd.calibration.integer import IntArray
from tssd.calibration.simulate import check_inputs
from tssd.errors import NetworkError
from tssd.hw_targets.fanout import as_image
from tssd.hw_targets.sim.functional_kernel import COUNT_SHIFT, fire, pass_on, scatter, settle
from tssd.hw_targets.sim.threads import available_cores

_RESETS = {"hard": 0, "soft": 1, "none": 2}


@dataclass(frozen=True, eq=False)
class Events:
    """What one population sent in one sample: (events, 3) local step, neuron (C, H, W), payload;
    ``active`` (T, neurons): updates that were active; ``u`` and ``v`` (T, neurons) on request."""

    spikes: IntArray
    active: NDArray[np.bool_]
    u: IntArray
    v: IntArray


@dataclass(frozen=True, eq=False)
class _Wire:
    """A projection as the kernel wants it."""

    source: str
    geometry: IntArray
    weight: IntArray  # (C_in, k_h, k_w, C_out of a group) flat
    counted: IntArray  # the same, each non-zero weight with a one in the upper bits
    late: int
    exponent: int
    wraps: bool


@dataclass(frozen=True, eq=False)
class _Layer:
    """A population as the kernel wants it: parameters (4, neurons) with the channel last."""

    population: Population
    neurons: int
    parameters: IntArray
    flat: IntArray  # (neurons,) from channel-last position to C, H, W position
    wires: tuple[_Wire, ...]


@dataclass(frozen=True, eq=False)
class Program:
    """A network prepared for ``simulate``: weights with the output channel last."""

    network: IntNetwork
    layers: tuple[_Layer, ...]


def prepare(network: IntNetwork) -> Program:
    """Lay the network out for the kernel; NetworkError for recurrent ones and too large sums."""
    if any(network.is_recurrent(j) for j in network.projections):
        raise NetworkError("network", found="recurrent projections", allowed="feed-forward only")
    depth = depths(network)
    largest: dict[str, int] = {}
    layers = []
    for population in network.populations:
        incoming = network.incoming(population.name)
        largest[population.name] = _largest_payload(network, population, largest)
        wires = tuple(_wire(network, j, lag(network, j, depth)) for j in incoming)
        flat = _channel_last(np.arange(population.neurons).reshape(population.shape))
        rows = [
            _channel_last(np.broadcast_to(p, population.shape))
            for p in (population.du, population.dv, population.vth << 6, population.bias)
        ]
        layers.append(_Layer(population, population.neurons, np.stack(rows), flat, wires))
    return Program(network, tuple(layers))


def _largest_payload(
    network: IntNetwork, population: Population, largest: Mapping[str, int]
) -> int:
    """The largest payload of a population; also checks that its sums fit their 40 bits."""
    total = 0
    for j in network.incoming(population.name):
        most = int(np.abs(j.weight).reshape(len(j.weight), -1).sum(axis=1).max(initial=0))
        synapses = int(np.prod(j.weight.shape[1:]))
        if most * largest[j.source] >= 1 << (COUNT_SHIFT - 1) or synapses >= 1 << 22:
            raise NetworkError(
                f"projection {j.name}",
                found=f"sums up to {most * largest[j.source]} from {synapses} synapses",
                allowed=f"below {1 << (COUNT_SHIFT - 1)} and {1 << 22}",
            )
        total += most * largest[j.source] << max(0, j.weight_exp)
    if population is network.source:
        return network.input_max if network.input_coding is not InputCoding.BIAS else 1
    return total if population.kind is PopulationKind.RELAY else 1


def _channel_last(array: IntArray) -> IntArray:
    """(C, H, W) or (N,) flattened with the channel moving fastest."""
    moved = np.moveaxis(array, 0, -1) if array.ndim == 3 else array
    return np.ascontiguousarray(moved).reshape(-1)


def _wire(network: IntNetwork, j: Projection, late: int) -> _Wire:
    source, target = network.population(j.source), network.population(j.target)
    if j.kind is ProjectionKind.DENSE:
        weight = j.weight.T.reshape(source.neurons, 1, 1, target.neurons)
        sizes = (source.neurons, 1, 1, 1, 1, 1, 1, 0, 0, 1, 1, target.neurons, source.neurons)
        places = (target.neurons, 1, 1)
    else:
        per_group, inputs = j.weight.shape[0] // j.groups, j.weight.shape[1]
        grouped = j.weight.reshape(j.groups, per_group, inputs, *j.weight.shape[2:])
        weight = grouped.transpose(0, 2, 3, 4, 1).reshape(-1, *j.weight.shape[2:], per_group)
        kernel = (*j.weight.shape[2:], *j.stride, *j.padding, *j.dilation)
        sizes = (*as_image(source.shape), *kernel, per_group, inputs)
        places = as_image(target.shape)
    flat = np.ascontiguousarray(weight, np.int64).reshape(-1)
    counted = flat + ((flat != 0).astype(np.int64) << COUNT_SHIFT)
    wraps = j.kind is not ProjectionKind.DENSE
    geometry = np.array([*sizes, *places], np.int64)
    return _Wire(j.source, geometry, flat, counted, late, j.weight_exp, wraps)


def simulate(
    program: Program,
    inputs: IntArray,
    progress: Callable[[int], None] | None = None,
    record: bool = False,
) -> list[dict[str, Events]]:
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


def simulate_sample(program: Program, inputs: IntArray, record: bool = False) -> dict[str, Events]:
    """One sample (T, *shape), from rest."""
    time_steps = len(inputs)
    sent: dict[str, list[IntArray]] = {layer.population.name: [] for layer in program.layers}
    runs = [_Run(layer, program.network, time_steps, record) for layer in program.layers]
    for t in range(time_steps):
        for run in runs:
            run.step(t, inputs[t], sent)
    return {run.layer.population.name: run.result(sent, time_steps) for run in runs}


class _Run:
    """Mutable state of one population during one sample."""

    def __init__(self, layer: _Layer, network: IntNetwork, time_steps: int, record: bool) -> None:
        n = layer.neurons
        self.layer, self.record = layer, record
        self.is_source = layer.population is network.source
        self.takes_bias = self.is_source and network.input_coding is InputCoding.BIAS
        self.sums, self.total = np.zeros(n, np.int64), np.zeros(n, np.int64)
        self.touched, self.state = np.zeros(n, np.int64), np.zeros((2, n), np.int64)
        self.out = np.zeros((n, 2), np.int64)
        self.active = np.zeros((time_steps, n), np.bool_)
        self.states: list[IntArray] = []
        self.parameters = layer.parameters.copy() if self.takes_bias else layer.parameters

    def step(self, t: int, presented: IntArray, sent: dict[str, list[IntArray]]) -> None:
        """One local step: gather, update, send."""
        population, flat = self.layer.population, self.layer.flat
        for wire in self.layer.wires:
            if t >= wire.late:
                events = sent[wire.source][t - wire.late]
                scatter(self.sums, wire.weight, wire.counted, wire.geometry, events)
                settle(self.sums, self.total, self.touched, wire.exponent, wire.wraps)
        if self.takes_bias:
            self.parameters[3] = presented.reshape(-1)[flat] << population.bias_exp
        elif self.is_source:
            self.total[:] = presented.reshape(-1)[flat]
        if population.has_state:
            reset, fires = _RESETS[population.reset], population.kind is PopulationKind.LIF
            count = fire(
                self.total, self.touched, self.state, self.parameters, self.out, reset, fires
            )
        else:
            count = pass_on(self.total, self.touched, self.out)
        self.active[t] = self.touched.astype(np.bool_)
        self.touched[:] = 0
        events = self.out[:count].copy()
        events[:, 0] = flat[events[:, 0]]
        sent[population.name].append(events)
        if self.record:
            self.states.append(self.state.copy())

    def result(self, sent: dict[str, list[IntArray]], time_steps: int) -> Events:
        """The record of the sample, in C, H, W order."""
        n, flat = self.layer.neurons, self.layer.flat
        lists = sent[self.layer.population.name]
        step = np.repeat(np.arange(time_steps), [len(events) for events in lists])
        spikes = np.column_stack([step, np.concatenate(lists)])
        active = np.zeros((time_steps, n), np.bool_)
        active[:, flat] = self.active
        states = np.stack(self.states) if self.record else self.state[None]
        ordered = np.zeros_like(states)
        ordered[..., flat] = states
        return Events(spikes, active, ordered[:, 0], ordered[:, 1])


def activity(network: IntNetwork, samples: list[dict[str, Events]]) -> Activity:
    """The same as arrays (T, B, *shape), as ``calibration.simulate`` gives them."""
    spikes, u, v = {}, {}, {}
    for population in network.populations:
        mine = [sample[population.name] for sample in samples]
        dense = np.zeros((network.time_steps, len(mine), population.neurons), np.int64)
        for b, events in enumerate(mine):
            step, neuron, payload = events.spikes.T
            dense[step, b, neuron] = payload
        shape = population.shape
        spikes[population.name] = dense.reshape(network.time_steps, len(mine), *shape)
        if len(mine[0].v) == network.time_steps:
            u[population.name] = np.stack([e.u for e in mine], axis=1).reshape(
                dense.shape[:2] + shape
            )
            v[population.name] = np.stack([e.v for e in mine], axis=1).reshape(
                dense.shape[:2] + shape
            )
    last = network.readout
    readout = np.stack([s[last.name].v[-1] for s in samples]).reshape(-1, *last.shape)
    return Activity(spikes, readout, u, v)
