"""The bit-matched dense network: the same weights with 8-bit activations, priced by one table.

    E_once  = MACs (E_mul + E_add) + (W + A_read + A_written) / 8 B * E_64
    E_again = MACs (E_mul + E_add) + (MACs (w + 1 B) + A_written) / 8 B * E_64

MACs counts every weight of every position, zeros too, once for a sample: a dense network has no
steps. W: bytes of all weights, at the w bytes that each layer's need; A: bytes of activations, one
each, read by every projection and written by every layer. In ``E_once`` every operand is moved
once (perfect reuse), in ``E_again`` for every MAC (none): a real accelerator lies between. E_64 is
a 64-bit read of the smallest listed memory that holds all weights. Control, clock and leakage are
left out, so this is the dense network at its best.

    E(f) = E_still + f E_moving        f_even = (E_dense - E_still) / E_moving

splits the dynamic energy of the spiking network into what its own spikes cause (synapses behind
them, spikes, messages) and what comes without them (neuron updates, stepping, the input's own
synapses and messages); at ``f_even`` times today's firing rate both networks take the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tssd import typed
from tssd.calibration.int_network import IntNetwork
from tssd.comparison.subject import Subject
from tssd.config import load_toml
from tssd.errors import ConfigError, NetworkError
from tssd.export.bundle.folder import read_bundle
from tssd.hw_targets.mapping.fanout import synapses_per_neuron
from tssd.report.making.assemble import stored_bits

TABLE = Path(__file__).with_name("dense_energy.toml")
WORD_BYTES = 8  # of one read in the table


@dataclass(frozen=True)
class MemoryPrice:
    """One 64-bit read of an on-chip memory of so many bytes."""

    bytes: typed.Positive
    read_64_bit_pj: typed.Amount


@dataclass(frozen=True)
class DensePrices:
    """The cited table; ``memory`` from small to large."""

    source: str
    node: str
    multiply_8_bit_pj: typed.Amount
    multiply_32_bit_pj: typed.Amount
    add_32_bit_pj: typed.Amount
    memory: tuple[MemoryPrice, ...]

    def read_pj(self, size: float) -> float:
        """A 64-bit read of the smallest memory that holds *size* bytes; several of the largest
        beyond that, each read at its price."""
        fits = [m for m in self.memory if m.bytes >= size]
        return (fits or self.memory[-1:])[0].read_64_bit_pj

    def mac_pj(self, bits: int) -> float:
        """One multiplication of a weight of *bits* with 8 bit, and a 32-bit addition."""
        narrow = bits <= 8
        return (self.multiply_8_bit_pj if narrow else self.multiply_32_bit_pj) + self.add_32_bit_pj


@dataclass(frozen=True)
class DenseLayer:
    """What one layer of the dense network computes and moves for one sample."""

    name: str
    macs: int
    bits: int  # of its weights
    weight_bytes: float
    read_bytes: int
    written_bytes: int


@dataclass(frozen=True)
class Baseline:
    """The dense network beside one subject; energies in pJ per inference, at ``node``.

    ``rate``: events per neuron and step of the layers that fire, today. ``even_once`` and
    ``even_again``: the rate at which the spiking network takes as much as the dense one; below
    zero: it takes more even when silent; above one: no rate makes it take as much; None: nothing
    fires.
    """

    subject: str
    macs: int
    weight_bytes: float
    once_pj: float
    again_pj: float
    spiking_pj: float
    still_pj: float
    rate: float
    even_once: float | None
    even_again: float | None
    node: str
    source: str


def prices() -> DensePrices:
    """The packaged table."""
    return typed.from_table(DensePrices, load_toml(TABLE), TABLE.name)


def dense_layers(network: IntNetwork) -> tuple[DenseLayer, ...]:
    """The layers of the dense network of these weights; NetworkError where steps feed back."""
    loops = [j.name for j in network.projections if network.is_recurrent(j)]
    if loops:
        raise NetworkError(
            "--baseline ann",
            found=f"a network with recurrence ({loops[0]})",
            allowed="a feed-forward network: one pass of a dense network is not one of its steps",
        )
    return tuple(_layer(network, p.name) for p in network.populations if network.incoming(p.name))


def _layer(network: IntNetwork, name: str) -> DenseLayer:
    target, incoming = network.population(name), network.incoming(name)
    bits = max(stored_bits(network, name) or 1, 1)
    macs = 0
    for projection in incoming:
        every = replace(projection, weight=np.ones_like(projection.weight))
        source = network.population(projection.source).shape
        macs += int(synapses_per_neuron(every, source, target.shape).sum())
    weights = sum(projection.weight.size for projection in incoming)
    read = sum(network.population(projection.source).neurons for projection in incoming)
    return DenseLayer(name, macs, bits, weights * bits / 8, read, target.neurons)


def dense_pj(layers: tuple[DenseLayer, ...], table: DensePrices) -> tuple[float, float]:
    """``E_once`` and ``E_again`` of the module's equations."""
    word = table.read_pj(sum(x.weight_bytes for x in layers)) / WORD_BYTES
    computed = sum(x.macs * table.mac_pj(x.bits) for x in layers)
    written = sum(x.written_bytes for x in layers)
    once = sum(x.weight_bytes + x.read_bytes for x in layers) + written
    again = sum(x.macs * (x.bits / 8 + 1) for x in layers) + written
    return computed + word * once, computed + word * again


def baseline(subject: Subject, network: IntNetwork) -> Baseline:
    """The dense network of *network* beside the energy of *subject*."""
    energy = subject.figures.get("dynamic_pj")
    if energy is None:
        raise ConfigError(
            "--baseline ann",
            found=f"no energy of {subject.name}",
            allowed="a bundle with a recorded run",
            hint=f"tssd verify {subject.origin} --against sim --samples 64",
        )
    table, layers = prices(), dense_layers(network)
    once, again = dense_pj(layers, table)
    moving, rate = moving_pj(subject, network), firing_rate(subject, network)
    still = energy.value - moving

    def even(dense: float) -> float | None:
        return rate * (dense - still) / moving if moving else None

    return Baseline(
        subject.name,
        sum(x.macs for x in layers),
        sum(x.weight_bytes for x in layers),
        once,
        again,
        energy.value,
        still,
        rate,
        even(once),
        even(again),
        table.node,
        table.source,
    )


def moving_pj(subject: Subject, network: IntNetwork) -> float:
    """What the network's own spikes cause, of the energy of *subject*: synapses behind layers that
    fire, in proportion to their share of the layer's sources, and spikes and messages of those."""
    total = 0.0
    for layer in subject.layers:
        population = network.population(layer.name)
        own = layer.figures["spike_pj"] + layer.figures["noc_pj"]
        total += own if network.source.name != layer.name or network.input_coding.as_bias else 0.0
        total += layer.figures["synapse_pj"] * _own_share(network, population.name, subject)
    return total


def _own_share(network: IntNetwork, name: str, subject: Subject) -> float:
    """The share of a layer's synaptic operations that spikes of the network cause, not its input:
    each source counts with its spikes times its mean fan-out."""
    spikes = {layer.name: layer.figures.get("spikes", 0.0) for layer in subject.layers}
    target = network.population(name).shape
    ops: dict[str, float] = {}
    for projection in network.incoming(name):
        source = network.population(projection.source)
        fan_out = synapses_per_neuron(projection, source.shape, target).mean()
        ops[projection.source] = ops.get(projection.source, 0.0) + spikes[source.name] * fan_out
    entering = 0.0 if network.input_coding.as_bias else ops.get(network.source.name, 0.0)
    whole = sum(ops.values())
    return 1 - entering / whole if whole else 0.0


def firing_rate(subject: Subject, network: IntNetwork) -> float:
    """Events per neuron and step of the layers that fire."""
    firing = [p for p in network.populations if p.kind.fires]
    spikes: Mapping[str, float] = {x.name: x.figures.get("spikes", 0.0) for x in subject.layers}
    slots = sum(p.neurons for p in firing) * network.time_steps
    return sum(spikes[p.name] for p in firing) / slots if slots else 0.0


def baselines_of(subjects: Sequence[Subject]) -> list[Baseline]:
    """The dense network of each bundle; once for the chips of one bundle would say less."""
    for subject in subjects:
        if not Path(subject.origin, "manifest.json").is_file():
            raise ConfigError(
                "--baseline ann",
                found=f"{subject.origin}, which holds no weights",
                allowed="bundles: the dense network has their weights",
            )
    runs = [one for one in subjects if one.figures]  # a chip that cannot take it has none
    return [baseline(one, read_bundle(Path(one.origin)).network) for one in runs]
