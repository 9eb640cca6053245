"""IntNetwork x samples -> Activity through the living definition: plain, slow, the reference.

Two orders of the same computation:

* ``layerwise``: population after population over all T local steps; recurrence only from a
  population to itself, which must then be silent before its window (``check_silence``);
* ``pipelined``: as the chip does it, all populations each step, one step per projection, every
  population reset at its own offset, samples back to back.

That both give the same spikes is a test. A bias acts every step, also before data arrives; the
reset at the start of each window makes that harmless.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from tssd.calibration import neuron
from tssd.calibration.int_network import (
    SPIKES,
    Activity,
    IntNetwork,
    Population,
    Projection,
    activity,
    depths,
    lag,
    state_names,
)
from tssd.calibration.integer import IntArray
from tssd.calibration.synapse import deliver
from tssd.errors import DataError, NetworkError


def over_time(samples: IntArray, time_steps: int) -> IntArray:
    """Static samples (B, *shape) presented at every step: a (T, B, *shape) view, no copy."""
    return np.broadcast_to(samples, (time_steps, *samples.shape))


def reference(network: IntNetwork, inputs: IntArray) -> Activity:
    """The answer that every engine is held against, each sample on its own: layer by layer, or in
    the chip's order where the network recurs."""
    if not recurrent(network):
        return layerwise(network, inputs)
    return joined([pipelined(network, sample) for sample in alone(inputs)])


def recurrent(network: IntNetwork) -> bool:
    """Whether any projection leads back. Its spikes outlive a reset: a sample that follows another
    at once on a chip begins with what that one sent last."""
    return any(network.is_recurrent(j) for j in network.projections)


def check_loops(network: IntNetwork) -> None:
    """Refuse recurrence that layer after layer cannot say: loops between populations, loops of
    populations that send sums instead of spikes, and spikes from before the first step."""
    _check_order(network)
    if recurrent(network):
        check_silence(network)


def check_silence(network: IntNetwork) -> None:
    """Refuse spikes from before the first step that a loop or a late way brings into a window."""
    for j in fires_early(network):
        raise NetworkError(
            f"population {j.source}",
            found="a bias that lets it fire before data arrives, into "
            + ("its own loop" if j.is_loop else f"the delayed way to {j.target}"),
            allowed="silence before the first step",
            hint="train with bias=False there, or with a reset in the step of the spike",
        )


def _check_order(network: IntNetwork) -> None:
    for j in network.projections:
        if network.is_recurrent(j) and not j.is_loop:
            raise NetworkError(
                f"projection {j.name}",
                found="a way back to an earlier population",
                allowed="ways forward, and loops from a population to itself",
                hint="the engines onnx and lava, which run all populations step by step",
            )
        if j.is_loop and not network.population(j.source).has_state:
            raise NetworkError(
                f"projection {j.name}",
                found=f"a loop of kind {network.population(j.source).kind}",
                allowed="loops of neurons, which have a state",
                hint="a lif population in its place",
            )


def fires_early(network: IntNetwork) -> list[Projection]:
    """Loops and late projections whose source a bias lets fire before its window, so late that
    these spikes reach into the target's; data cannot, for it arrives with the window."""
    depth = depths(network)
    late = [(j, lag(network, j, depth)) for j in network.projections]
    late = [(j, by) for j, by in late if by and depth[j.source]]
    if not late:
        return []
    silent = np.zeros((network.time_steps, 1, *network.source.shape), np.int64)
    steps = max(depth[j.source] for j, _ in late)
    seen = list(chip_steps(network, silent, network.time_steps + steps, steps))
    return [j for j, by in late if any(x[j.source][0].any() for x in seen[: depth[j.source]][-by:])]


def alone(inputs: IntArray) -> list[IntArray]:
    """Inputs (T, N, *shape) as N batches of one sample."""
    return [inputs[:, n : n + 1] for n in range(inputs.shape[1])]


def joined(parts: Sequence[Activity]) -> Activity:
    """Batches of the same network as one."""

    def over(quantity: str) -> dict[str, IntArray]:
        each = [part.recorded(quantity) for part in parts]
        return {name: np.concatenate([x[name] for x in each], axis=1) for name in each[0]}

    readout = np.concatenate([p.readout for p in parts])
    return Activity(over(SPIKES), readout, {state: over(state) for state in parts[0].states})


def layerwise(network: IntNetwork, inputs: IntArray) -> Activity:
    """Run ``inputs`` (T, B, *input shape) population by population; states are recorded."""
    check_inputs(network, inputs)
    _check_order(network)
    depth = depths(network)
    spikes: dict[str, IntArray] = {}
    states: dict[str, dict[str, IntArray]] = {state: {} for state in state_names(network)}
    for population in network.populations:
        name = population.name
        a, bias = _drive(network, population, spikes, depth, inputs)
        if population.has_state:
            loops = [j for j in network.incoming(name) if j.is_loop]
            spikes[name], kept = _run(population, a, bias, loops)
            for state, array in kept.items():
                states[state][name] = array
        else:
            spikes[name] = a
    return activity(network, spikes, states)


def _drive(
    network: IntNetwork,
    population: Population,
    spikes: Mapping[str, IntArray],
    depth: Mapping[str, int],
    inputs: IntArray,
) -> tuple[IntArray, IntArray]:
    """Activation (T, B, *shape) and bias (broadcasting) of one population."""
    time_steps, batch = inputs.shape[:2]
    if population is network.source:
        if not network.input_coding.as_bias:
            return inputs, population.bias
        silent = np.zeros((time_steps, batch, *population.shape), np.int64)
        return silent, inputs << population.bias_exp
    total = np.zeros((time_steps, batch, *population.shape), np.int64)
    for projection in network.incoming(population.name):
        if projection.is_loop:
            continue
        late = lag(network, projection, depth)
        for t in range(late, time_steps):
            arrived = deliver(projection, spikes[projection.source][t - late])
            total[t] += arrived.reshape(total.shape[1:])
    return total, population.bias


def _run(
    population: Population, a: IntArray, bias: IntArray, loops: Sequence[Projection]
) -> tuple[IntArray, dict[str, IntArray]]:
    """All local steps of one population: spikes and states, each (T, B, *shape).

    A spike comes back through a loop one step later, and its ``delay`` more.
    """
    per_step = np.broadcast_to(bias, a.shape)
    state = neuron.rest(population, a.shape[1])
    fired, kept = np.zeros_like(a), {name: np.zeros_like(a) for name in population.states}
    for t in range(len(a)):
        total = a[t]
        for loop in loops:
            if t > loop.delay:
                total = total + deliver(loop, fired[t - 1 - loop.delay]).reshape(total.shape)
        state, fired[t] = neuron.step(population, state, total, per_step[t])
        for name, value in state.items():
            kept[name][t] = value
    return fired, kept


def pipelined(network: IntNetwork, inputs: IntArray, interval: int = 0) -> Activity:
    """Run the samples of ``inputs`` (T, N, *input shape) one after the other on one chip.

    ``interval``: chip steps from one sample to the next, at least T plus the longest extra delay
    (0: just that). Steps beyond T of an interval carry no input and are not reported.
    """
    check_inputs(network, inputs)
    time_steps, samples = inputs.shape[:2]
    interval = interval or time_steps + max((j.delay for j in network.projections), default=0)
    depth = depths(network)
    record = {
        p.name: np.zeros((1 + len(p.states), time_steps, samples, *p.shape), np.int64)
        for p in network.populations
    }
    steps = interval * samples + max(depth.values())
    for step, observed in enumerate(chip_steps(network, inputs, interval, steps)):
        for name, d in depth.items():
            sample, t = divmod(step - d, interval)
            if 0 <= sample < samples and t < time_steps:
                record[name][:, t, sample] = observed[name]
    spikes = {name: r[0] for name, r in record.items()}
    states: dict[str, dict[str, IntArray]] = {state: {} for state in state_names(network)}
    for p in network.populations:
        for k, state in enumerate(p.states, 1):
            states[state][p.name] = record[p.name][k]
    return activity(network, spikes, states)


def chip_steps(
    network: IntNetwork, inputs: IntArray, interval: int, steps: int
) -> Iterator[dict[str, IntArray]]:
    """What a probe on the chip sees: per step, each population's spikes and its states, in the
    neuron's order: (1 + states, *shape).

    Includes the steps before a population's first window and between windows.
    """
    chip = _Chip(network, depths(network), interval)
    for step in range(steps):
        chip.advance(_presented(inputs, step, interval))
        yield {
            population.name: chip.observed(population.name) for population in network.populations
        }


def _presented(inputs: IntArray, step: int, interval: int) -> IntArray:
    """The input of chip step *step* (from 0), (1, *shape): silence between and after samples."""
    sample, t = divmod(step, interval)
    if sample < inputs.shape[1] and t < inputs.shape[0]:
        return inputs[t, sample : sample + 1]
    return np.zeros((1, *inputs.shape[2:]), np.int64)


class _Chip:
    """Mutable state of the pipelined run: the only place where time moves through all layers."""

    def __init__(self, network: IntNetwork, depth: Mapping[str, int], interval: int) -> None:
        self.network, self.depth, self.interval = network, depth, interval
        self.clock = 0
        self.state = {p.name: neuron.rest(p, 1) for p in network.populations}
        silent = {p.name: np.zeros((1, *p.shape), np.int64) for p in network.populations}
        longest = 1 + max((j.delay for j in network.projections), default=0)
        self.history = [dict(silent) for _ in range(longest)]  # history[k]: spikes k + 1 steps ago

    def advance(self, presented: IntArray) -> None:
        fired = {p.name: self._fire(p, presented) for p in self.network.populations}
        self.history = [fired, *self.history[:-1]]
        self.clock += 1

    def observed(self, name: str) -> IntArray:
        """Spikes and states of the step just made, stacked: (1 + states, *shape)."""
        states = [value[0] for value in self.state[name].values()]
        return np.stack([self.history[0][name][0], *states])

    def _fire(self, population: Population, presented: IntArray) -> IntArray:
        name, bias = population.name, population.bias
        a = np.zeros((1, *population.shape), np.int64)
        for projection in self.network.incoming(name):
            sent = self.history[projection.delay][projection.source]
            a = a + deliver(projection, sent).reshape(a.shape)
        if population is self.network.source:
            if self.network.input_coding.as_bias:
                bias = presented << population.bias_exp
            else:
                a = a + presented
        if not population.has_state:
            return a
        if (self.clock - self.depth[name]) % self.interval == 0:
            self.state[name] = neuron.rest(population, 1)
        self.state[name], fired = neuron.step(
            population, self.state[name], a, np.broadcast_to(bias, a.shape)
        )
        return fired


def check_inputs(network: IntNetwork, inputs: IntArray) -> None:
    """Inputs are (T, B, *input shape) integers within the payload range."""
    wanted = network.source.shape
    if (
        inputs.ndim != len(wanted) + 2
        or inputs.shape[2:] != wanted
        or inputs.shape[0] != network.time_steps
    ):
        raise DataError(
            "inputs",
            found=f"shape {inputs.shape}",
            allowed=f"({network.time_steps}, samples, {', '.join(map(str, wanted))})",
        )
    low = -network.input_max if network.input_coding.as_bias else 0
    if inputs.size and (inputs.min() < low or inputs.max() > network.input_max):
        raise DataError(
            "inputs",
            found=f"values {inputs.min()} .. {inputs.max()}",
            allowed=f"{low} .. {network.input_max}",
        )
