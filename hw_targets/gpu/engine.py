"""Run and count an IntNetwork in torch, layer by layer over all T steps at once.

Equal to ``calibration.simulate.layerwise`` bit for bit (spikes, u, v, readout): the floats are
exact by ``proof``. Loops are run step by step. The same code runs on ``cpu`` and ``cuda``.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from torch import Tensor

from tssd.calibration.encode import Inputs, encode
from tssd.calibration.int_network import (
    MEMBRANE,
    Activity,
    IntNetwork,
    Population,
    Runner,
    depths,
    lag,
    state_names,
)
from tssd.calibration.integer import IntArray
from tssd.calibration.simulate import check_inputs, check_loops, joined
from tssd.calibration.tally import Tally, merge
from tssd.hw_targets.engine import Setting
from tssd.hw_targets.gpu.arithmetic import exact_products
from tssd.hw_targets.gpu.layers import (
    ANSWER,
    TORCH_TYPES,
    TorchNeurons,
    TorchSynapses,
    deliver,
    fire,
    neurons,
    synapses,
)
from tssd.hw_targets.gpu.proof import Bounds, bounds
from tssd.train.handover.devices import check_device
from tssd.train.handover.float_activity import ImageArray

BATCH = 64


@dataclass(frozen=True, eq=False)
class RanLayer:
    """What one population did to a batch: what it sent, the state it ends in, and its states over
    time on request, by name."""

    name: str
    sent: Tensor
    last: Mapping[str, Tensor] = field(default_factory=dict)
    states: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Prepared:
    """A network proved, and moved to its device: ready for batches."""

    network: IntNetwork
    device: str
    bounds: dict[str, Bounds]
    neurons: dict[str, TorchNeurons]
    synapses: dict[str, tuple[TorchSynapses, ...]]

    def layers(
        self, inputs: IntArray, *, states: bool = False, states_of: str | None = None
    ) -> Iterator[RanLayer]:
        """All populations of one batch ``inputs`` (T, B, *input shape), in order, on request with
        the states of all, or of the population ``states_of``."""
        sent: dict[str, Tensor] = {}
        waiting = [j.source for j in self.network.projections]
        for population in self.network.populations:
            asked = states or population.name == states_of
            layer = self.layer(population, sent, inputs, asked)
            sent[population.name] = layer.sent
            yield layer
            for projection in self.network.incoming(population.name):
                waiting.remove(projection.source)
                if projection.source not in waiting:
                    del sent[projection.source]

    def layer(
        self,
        population: Population,
        sent: Mapping[str, Tensor],
        inputs: IntArray,
        states: bool = False,
    ) -> RanLayer:
        """One population of a batch, of what its sources *sent*."""
        name, network = population.name, self.network
        kind = TORCH_TYPES[self.bounds[name].carrier]
        from_input = population is network.source
        if from_input and not network.input_coding.as_bias:
            return RanLayer(name, _static(inputs, self.device).to(kind))
        bias = self.neurons[name].bias[None, None]
        if from_input:
            bias = (_static(inputs, self.device) << population.bias_exp).to(kind)
            activation = torch.zeros((1, inputs.shape[1], *population.shape), dtype=kind)
        else:
            activation = self._activation(population, sent)
        activation = activation.to(self.device)
        if not population.has_state:
            return RanLayer(name, activation)
        loops = [x for x in self.synapses[name] if x.projection.is_loop]
        parts = fire(self.neurons[name], activation, bias, network.time_steps, loops, states=states)
        return RanLayer(name, *parts)

    def _activation(self, population: Population, sent: Mapping[str, Tensor]) -> Tensor:
        depth, steps = depths(self.network), self.network.time_steps
        total: Tensor | None = None
        for synapse in self.synapses[population.name]:
            if synapse.projection.is_loop:
                continue
            arrived = deliver(synapse, sent[synapse.projection.source], population.shape)
            late = lag(self.network, synapse.projection, depth)
            if late:
                silent = torch.zeros_like(arrived[:1]).expand(late, *arrived.shape[1:])
                arrived = torch.cat([silent, arrived.expand(steps, *arrived.shape[1:])])[:steps]
            total = arrived if total is None else total + arrived
        assert total is not None  # check_graph: every later population has an input
        return total


def prepare(network: IntNetwork, device: str = "cpu") -> Prepared:
    """Prove the bounds of every layer and move the parameters to ``device``."""
    check_loops(network)
    check_device(device)
    proved = bounds(network)
    return Prepared(
        network,
        device,
        proved,
        {p.name: neurons(p, proved[p.name], device) for p in network.populations},
        {
            p.name: synapses(network.incoming(p.name), proved[p.name], device)
            for p in network.populations
        },
    )


def opened(setting: Setting) -> Runner:
    """The engine of the register."""
    device = setting.device
    return lambda network, inputs: run(network, inputs, device=device, states=True)


def run(
    network: IntNetwork,
    inputs: IntArray,
    device: str = "cpu",
    batch: int = BATCH,
    *,
    states: bool = False,
) -> Activity:
    """All spikes of ``inputs`` (T, N, *input shape); states on request (they are large)."""
    check_inputs(network, inputs)
    engine, parts = prepare(network, device), []
    for first in range(0, inputs.shape[1], batch):
        with exact_products(), torch.inference_mode():
            chunk = inputs[:, first : first + batch]
            parts.append(_activity(network, list(engine.layers(chunk, states=states))))
    return joined(parts)


def watch(
    network: IntNetwork, inputs: Inputs, device: str = "cpu", batch: int = BATCH
) -> Iterator[tuple[dict[str, Tensor], IntArray]]:
    """Batch by batch: what every population sent, (T or 1, B, *shape), the latter where all steps
    are alike, and the read-out's membrane after each step (T, B, *shape)."""
    engine, last = prepare(network, device), network.readout.name
    for _, part in inputs.batches(batch):
        check_inputs(network, part)
        with exact_products(), torch.inference_mode():
            done = list(engine.layers(part, states_of=last))
        yield {layer.name: layer.sent for layer in done}, integers_of(done[-1].states[MEMBRANE])


def count(
    network: IntNetwork,
    samples: ImageArray | IntArray,
    device: str = "cpu",
    batch: int = BATCH,
    progress: Callable[[int], None] | None = None,
    encoder: Callable[[ImageArray], IntArray] | None = None,
) -> Tally:
    """Events and readout of many samples: uint8 images (N, C, H, W), or inputs (T, N, ...).

    ``progress`` is told how many samples each batch had; ``encoder`` makes inputs of images where
    the network alone cannot (``calibration.quantizing.front_end``).
    """
    encoder = encoder or partial(encode, network)
    images = samples if samples.dtype == np.uint8 else None
    inputs = None if images is not None else samples.astype(np.int64, copy=False)
    if inputs is not None:
        check_inputs(network, inputs)
    total = samples.shape[0 if images is not None else 1]
    engine, parts = prepare(network, device), []
    for first in range(0, total, batch):
        part = slice(first, first + batch)
        if images is not None:
            chunk = encoder(images[part].astype(np.uint8, copy=False))
        else:
            assert inputs is not None
            chunk = inputs[:, part]
        with exact_products(), torch.inference_mode():
            parts.append(_tally(engine, chunk))
        if progress is not None:
            progress(chunk.shape[1])
    return merge(parts)


def _static(inputs: IntArray, device: str) -> Tensor:
    """Inputs as a tensor; one step if all steps are views of the same memory."""
    same = inputs.shape[0] == 1 or inputs.strides[0] == 0
    return torch.tensor(inputs[:1] if same else inputs, device=device)


def _activity(network: IntNetwork, layers: list[RanLayer]) -> Activity:
    steps = network.time_steps
    spikes = {x.name: integers_of(x.sent.expand(steps, *x.sent.shape[1:])) for x in layers}
    states = {
        state: {x.name: integers_of(x.states[state]) for x in layers if state in x.states}
        for state in state_names(network)
    }
    kept = {state: found for state, found in states.items() if found}
    return Activity(spikes, integers_of(layers[-1].last[ANSWER]), kept)


def _tally(engine: Prepared, inputs: IntArray) -> Tally:
    network, batch = engine.network, inputs.shape[1]
    events: dict[str, IntArray] = {}
    last: Mapping[str, Tensor] = {}
    for layer in engine.layers(inputs):
        events[layer.name] = events_of(network, layer)
        last = layer.last
    return Tally(batch, network.time_steps, events, integers_of(last[ANSWER]))


def events_of(network: IntNetwork, layer: RanLayer) -> IntArray:
    """What each neuron of a layer sent in one batch."""
    repeats = network.time_steps // len(layer.sent)
    binary = network.population(layer.name).kind.fires
    sent = layer.sent.sum((0, 1)) if binary else torch.count_nonzero(layer.sent, (0, 1))
    return integers_of(sent) * repeats


def integers_of(x: Tensor) -> IntArray:
    """A tensor of whole numbers as an array."""
    whole: IntArray = x.to("cpu", torch.int64).numpy()
    return whole
