"""Many networks counted on the same samples: what is as it was in one before is not run again.

A population's spikes follow from its own integers, from those of the projections into it and from
what their sources sent. Where all of that is alike, the spikes are those of the network before: a
search that changes one layer after the other runs what lies behind the change alone.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tssd.arrays import PackedBits
from tssd.calibration.encode import encode
from tssd.calibration.int_network import IntNetwork, depths, lag
from tssd.calibration.integer import IntArray
from tssd.calibration.tally import Tally, merge
from tssd.hw_targets.gpu.arithmetic import exact_products
from tssd.hw_targets.gpu.engine import BATCH, Prepared, events_of, integers_of, prepare
from tssd.hw_targets.gpu.layers import ANSWER
from tssd.train.handover.float_activity import ImageArray

MOST_BYTES = 1 << 30  # of spikes, a bit each, that are kept for the next networks


@dataclass(frozen=True, eq=False)
class _Spikes:
    """What a population sent in one batch: each neuron's events, and all spikes as bits."""

    events: IntArray
    bits: PackedBits

    def unpacked(self) -> Tensor:
        """(T, B, *shape), as the engine sends it."""
        return torch.from_numpy(self.bits.unpacked()).to(torch.float32)


_Batches = tuple[_Spikes, ...]


@dataclass(frozen=True, eq=False)
class _Kept:
    """Spikes of populations by what they follow from, the last used at the end."""

    most_bytes: int
    found: OrderedDict[bytes, _Batches] = field(default_factory=OrderedDict)

    def get(self, key: bytes) -> _Batches | None:
        if key in self.found:
            self.found.move_to_end(key)
        return self.found.get(key)

    def put(self, key: bytes, batches: _Batches) -> None:
        self.found[key] = batches
        while sum(b.bits.kept.nbytes for one in self.found.values() for b in one) > self.most_bytes:
            self.found.popitem(last=False)


class _Sending(dict[str, Tensor]):
    """What populations sent in one batch; what is known already is unpacked when it is read."""

    def __init__(self, known: Mapping[str, _Spikes]) -> None:
        super().__init__()
        self.known = known

    def __missing__(self, name: str) -> Tensor:
        self[name] = self.known[name].unpacked()
        return self[name]


def counter(
    images: ImageArray, batch: int = BATCH, most_bytes: int = MOST_BYTES
) -> Callable[[IntNetwork], Tally]:
    """``engine.count`` of *images* for one network after the other."""
    kept = _Kept(most_bytes)

    def counted(network: IntNetwork) -> Tally:
        engine, keys = prepare(network), identities(network)
        known = {p.name: kept.get(keys[p.name]) for p in network.populations}
        old = {name: batches for name, batches in known.items() if batches is not None}
        new: dict[str, list[_Spikes]] = {
            p.name: [] for p in network.populations if p.kind.fires and p.name not in old
        }
        tallies = []
        for number, first in enumerate(range(0, len(images), batch)):
            inputs = encode(network, images[first : first + batch].astype(np.uint8, copy=False))
            ready = {name: batches[number] for name, batches in old.items()}
            tallies.append(_tally(engine, inputs, ready, new))
        for name, batches in new.items():
            kept.put(keys[name], tuple(batches))
        return merge(tallies)

    return counted


def _tally(
    engine: Prepared,
    inputs: IntArray,
    ready: Mapping[str, _Spikes],
    new: Mapping[str, list[_Spikes]],
) -> Tally:
    """One batch: *ready* is known already, what else fires is added to *new*."""
    network, sending = engine.network, _Sending(ready)
    events = {name: spikes.events for name, spikes in ready.items()}
    last: Mapping[str, Tensor] = {}
    with exact_products(), torch.inference_mode():
        for population in network.populations:
            if population.name in ready:
                continue
            layer = engine.layer(population, sending, inputs)
            sending[layer.name], last = layer.sent, layer.last
            events[layer.name] = events_of(network, layer)
            if layer.name in new:
                spikes = PackedBits.of(layer.sent.bool().numpy())
                new[layer.name].append(_Spikes(events[layer.name], spikes))
    in_order = {p.name: events[p.name] for p in network.populations}
    return Tally(inputs.shape[1], network.time_steps, in_order, integers_of(last[ANSWER]))


def identities(network: IntNetwork) -> dict[str, bytes]:
    """A digest of all that each population's spikes follow from."""
    depth = depths(network)
    found: dict[str, bytes] = {}
    for population in network.populations:
        parts = [_told(population)]
        if population is network.source:
            parts.append(repr((network.time_steps, network.input_coding, network.input_max)))
        for j in network.incoming(population.name):
            late = 0 if j.is_loop else lag(network, j, depth)
            before = b"" if j.is_loop else found[j.source]
            parts.append(f"{_told(j)} {late} {before.hex()}")
        found[population.name] = hashlib.sha256("\n".join(parts).encode()).digest()
    return found


def _told(value: Any) -> str:
    """All fields of a dataclass; of arrays their shape and the digest of their numbers."""
    each = ((f.name, getattr(value, f.name)) for f in fields(value))
    return repr([(name, _digest(x) if isinstance(x, np.ndarray) else x) for name, x in each])


def _digest(array: IntArray) -> tuple[tuple[int, ...], str]:
    return array.shape, hashlib.sha256(array.tobytes()).hexdigest()
