"""A full report made by the project's own functions from a small random network."""

from dataclasses import replace

import numpy as np
from strategies import random_inputs, residual_network

from tssd.calibration.comparing.firing import paired
from tssd.calibration.comparing.spread import integer_membranes, integer_weights
from tssd.calibration.int_network import MEMBRANE, IntNetwork, Reset
from tssd.calibration.simulate import layerwise
from tssd.calibration.tally import Tally, tally
from tssd.contracts import check, not_run
from tssd.hw_targets.c.footprint import Footprint
from tssd.report.behaviour.by_layer import ByLayer
from tssd.report.behaviour.distributions import membrane_distributions, weight_distributions
from tssd.report.behaviour.model import (
    AnswerCount,
    Behaviour,
    ChipMap,
    CoreUse,
    Distribution,
    Divergence,
    FiringChange,
    TimePoint,
)
from tssd.report.behaviour.observe import firing_change
from tssd.report.energies import EnergyPj, Parts, Range
from tssd.report.making.assemble import Evidence, LayerCost, Times, assemble
from tssd.report.model import (
    Constant,
    Fullest,
    Gpu,
    MeshCell,
    Provenance,
    Report,
    ShareInterval,
    TestedAccuracy,
    TimelineStep,
)

PROGRAM = Footprint("cc 12, -std=c99 -Os, x86_64", 25_673, 12_576, 1_929_888.5, 8)


def sample_network() -> IntNetwork:
    return residual_network(3, Reset.SOFT)


def sample_tally(network: IntNetwork) -> Tally:
    return tally(layerwise(network, random_inputs(network, 1, batch=8)))


def sample_evidence() -> Evidence:
    """Integer and gpu ran, lava and onnx did not; round numbers stand for a chip's constants."""
    network = sample_network()
    counted = sample_tally(network)
    costs = {
        population.name: _cost(population.neurons, counted.spikes(population.name) / 8)
        for population in network.populations
    }
    return Evidence(
        name="residual",
        target="loihi2-n3b",
        network=network,
        tallies={"integer": counted, "gpu": counted},
        accuracy={"float": 1.0, "folded": 1.0, "integer": 0.875, "gpu": 0.875},
        costs=costs,
        contracts=(
            check("gpu: a spikes", True, "0 differences", "0 differences"),
            check("onnx: b spikes", False, "2 differ", "0 differences", "b spikes[0, 1, 1]"),
            not_run("lava: spikes", "no Lava environment; tssd lava install"),
        ),
        constants=(
            Constant("synop_conv", 24.0, "pJ", "derived from PilotNet", "derived", 13.3, 29.9),
            Constant("static", 0.25, "W", "mean of two published readings", "published"),
        ),
        engines=("gpu", "onnx", "lava"),
        provenance=Provenance(
            ("tssd verify build/residual",), {"tssd": "0.1.0"}, {"network.nir": "ab" * 32}
        ),
        times=Times(
            "cycle",
            17.5,
            2.5,
            1e5,
            Range(1.0, 2.5, 2.8),
            "core 2 (b): synaptic operations",
            tuple(TimelineStep(i, 2.0 + (i % 3) / 2, "compute", "c2") for i in range(8)),
            tuple(MeshCell(x, y, float(x * y), "messages") for x in range(8) for y in range(4)),
        ),
        cores=4,
        chips=1,
        cores_there=128,
        fullest=Fullest("memory bytes", 0.25, 2, "b"),
        shown="first 8 of 360 test samples of digits",
        intervals={"float": ShareInterval(0.676, 1.0), "integer": ShareInterval(0.529, 0.978)},
        trained=TestedAccuracy(0.9417, 360),
        label="scaled estimate",
        behaviour=sample_behaviour(network),
        layers=sample_layers(network, counted),
    )


def sample_layers(network: IntNetwork, counted: Tally) -> ByLayer:
    """What each layer did."""
    kept = [p.name for p in network.populations if p.has_state]
    return ByLayer(
        float_spikes={p.name: counted.spikes(p.name) + 3 for p in network.populations[:-1]},
        firing=sample_firing(network, counted),
        saturated=dict.fromkeys(kept, 2),
        agreed_quantized=dict.fromkeys(kept, 0.875),
        agreed_float=dict.fromkeys(kept, 0.75),
        wrapped=dict.fromkeys(kept, 1),
        weights=sample_weights(network),
        membranes=sample_membranes(network),
    )


def sample_weights(network: IntNetwork) -> dict[str, Distribution]:
    """The network's own; of its first layer float's are not known."""
    weights = integer_weights(network)
    return weight_distributions(weights, dict(list(weights.items())[1:]))


def sample_membranes(network: IntNetwork) -> dict[str, Distribution]:
    """The network's own; float's are twice as large."""
    states = layerwise(network, random_inputs(network, 1, batch=8))
    twice = {name: 2 * v for name, v in states.states[MEMBRANE].items()}
    ours, theirs = (
        integer_membranes(network, replace(states, states={MEMBRANE: v}))
        for v in (states.states[MEMBRANE], twice)
    )
    return membrane_distributions(network, ours, theirs)


def sample_firing(network: IntNetwork, counted: Tally) -> dict[str, FiringChange]:
    """Float fires as often as the integers, and now and then once more."""
    slots = counted.samples * counted.time_steps
    found = {}
    for p in network.populations:
        if p.kind.fires:
            events = counted.events[p.name].reshape(1, -1)
            more = np.minimum(events + (np.arange(p.neurons) % 3 == 0), slots)
            found[p.name] = replace(
                firing_change(paired(more, events, slots)), samples=counted.samples
            )
    return found


def sample_behaviour(network: IntNetwork) -> Behaviour:
    """Four cores in a row; seven of eight right, one answer changed; a neuron that fires late."""
    names = [population.name for population in network.populations][:4]
    cores = tuple(
        CoreUse(i, 0, i, 0, 0, (name,), "synaptic memory", (i + 1) / 4, 10.0 * i)
        for i, name in enumerate(names)
    )
    return Behaviour(
        ChipMap(8, 4, 4, cores),
        tuple(TimePoint(t, 0.25 + 0.15 * t, 0.1 * t) for t in range(1, 5)),
        (AnswerCount(0, 0, 0, 4), AnswerCount(1, 1, 1, 3), AnswerCount(1, 1, 0, 1)),
        Divergence(2, names[1], 1, 3, 0, 4, (2, 3, 4), ((1, 3), (2, 4)), ((2, 3), (2, 4))),
        8,
        0.625,
    )


def _cost(neurons: int, events: float) -> LayerCost:
    parts = Parts(synapse=240.0 * events, neuron=81.0 * neurons, spike=20.0 * events, noc=3.5)
    nominal = parts.synapse + parts.neuron + parts.spike + parts.noc
    energy = EnergyPj(0.5 * nominal, nominal, 1.5 * nominal, parts)
    return LayerCost(10.0 * events, 4.0 * neurons, events, energy, 1, 512 * neurons, 0.25)


def bare_report() -> Report:
    """The same network where only the integer definition ran."""
    full = sample_evidence()
    return assemble(
        replace(
            full,
            tallies={"integer": full.tallies["integer"]},
            accuracy={},
            times=Times(),
            gpu=Gpu(),
            cores=None,
            chips=None,
            cores_there=None,
            fullest=None,
            shown=None,
            intervals={},
            trained=None,
            label=None,
            behaviour=Behaviour(),
            layers=ByLayer(),
        )
    )


def full_report() -> Report:
    return replace(assemble(sample_evidence()), plain_c=PROGRAM)
