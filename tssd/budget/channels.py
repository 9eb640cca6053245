"""A network without some channels, in floats or integers: exactly what its other neurons do.

``without_channels`` takes neurons out of every layer; ``masked`` lets them stand and cuts what they
send. The neurons that stay fire the same spikes in both, in every step: nothing they see differs.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from tssd.arrays import Array
from tssd.calibration.int_network import IntNetwork
from tssd.calibration.integer import IntArray
from tssd.contracts import Contract, check
from tssd.errors import NetworkError
from tssd.hw_targets.gpu.engine import run
from tssd.train.handover.fields import arrays_of
from tssd.train.handover.float_network import FloatNetwork, FloatProjection

SAME = "without channels: spikes as with them silent"
Network = TypeVar("Network", FloatNetwork, IntNetwork)
Kept = Mapping[str, IntArray]  # population -> its channels (or neurons of a row) that stay


def completed(network: FloatNetwork | IntNetwork, kept: Kept) -> dict[str, IntArray]:
    """*kept* for every population: a relay keeps what it passes on, others all."""
    found: dict[str, IntArray] = {}
    for p in network.populations:
        own = np.arange(p.shape[0]) if p.name not in kept else np.asarray(kept[p.name])
        if p.kind.relays:
            own = found[network.incoming(p.name)[0].source]
        if not len(own):
            raise NetworkError(
                f"population {p.name}", found="no channel that stays", allowed="1 or more"
            )
        found[p.name] = own
    return found


def without_channels(network: Network, kept: Kept) -> Network:
    """*network* with the channels of *kept* alone, where it names a population."""
    every = completed(network, kept)
    shapes = {p.name: p.shape for p in network.populations}
    populations: Any = tuple(_population(p, every[p.name]) for p in network.populations)
    projections: Any = tuple(
        _projection(j, every[j.source], every[j.target], shapes[j.source][0], shapes[j.target][0])
        for j in network.projections
    )
    return replace(network, populations=populations, projections=projections)


def masked(network: Network, kept: Kept) -> Network:
    """*network* whose other channels reach nobody: what reads them has weights of 0 there."""
    every = completed(network, kept)
    shapes = {p.name: p.shape for p in network.populations}
    projections: Any = tuple(
        replace(j, weight=np.where(_read(j, every[j.source], shapes[j.source][0]), j.weight, 0))
        for j in network.projections
    )
    return replace(network, projections=projections)


def _population(population: Any, kept: IntArray) -> Any:
    if len(kept) == population.shape[0]:
        return population
    arrays: dict[str, Any] = {
        name: array[kept] if array.shape[0] > 1 else array
        for name, array in arrays_of(population).items()
    }
    scales = getattr(population, "channel_scales", ())
    if scales:
        arrays["channel_scales"] = tuple(scales[c] for c in kept)
    return replace(population, shape=(len(kept), *population.shape[1:]), **arrays)


def _projection(j: Any, read: IntArray, made: IntArray, channels: int, outputs: int) -> Any:
    per_out = len(j.weight) // max(1, j.groups)
    changed: dict[str, Any] = {}
    if j.kind.spatial and j.groups > 1:
        changed["weight"], changed["groups"] = _grouped(j, read, made, per_out)
    else:
        columns = _columns(j, read, channels)
        changed["weight"] = np.ascontiguousarray(_rows(j.weight, made, outputs)[:, columns])
    if isinstance(j, FloatProjection):
        changed["bias"] = None if j.bias is None else _rows(j.bias, made, outputs)
        if j.norm is not None:
            parts = ("mean", "variance", "gain", "shift")
            sliced: dict[str, Any] = {
                name: _rows(getattr(j.norm, name), made, outputs) for name in parts
            }
            changed["norm"] = replace(j.norm, **sliced)
    return replace(j, **changed)


def _rows(array: Array, kept: IntArray, channels: int) -> Array:
    """Rows of the channels that stay: one each, or one for each neuron of theirs."""
    found: Array = array[_places(kept, len(array) // channels)]
    return found


def _places(kept: IntArray, each: int) -> IntArray:
    """Where channels of *each* entries lie."""
    found: IntArray = (kept[:, None] * each + np.arange(each)).ravel()
    return found


def _columns(j: Any, read: IntArray, channels: int) -> IntArray:
    """Columns of the weights that read the channels *read*: one each of a kernel, all pixels of a
    matrix."""
    pixels = 1 if j.kind.spatial else j.weight.shape[1] // channels
    return _places(read, pixels)


def _grouped(j: Any, read: IntArray, made: IntArray, per_out: int) -> tuple[Array, int]:
    """Weights and groups of a convolution in groups: groups go as a whole, or lose as many inputs
    and outputs as the others."""
    per_in, blocks = j.weight.shape[1], []
    for g in range(j.groups):
        inputs = read[(read >= g * per_in) & (read < (g + 1) * per_in)] - g * per_in
        outputs = made[(made >= g * per_out) & (made < (g + 1) * per_out)]
        if len(inputs) and len(outputs):
            blocks.append(j.weight[outputs][:, inputs])
        elif len(inputs) or len(outputs):
            raise _split(j, g, "inputs" if len(inputs) else "outputs")
    if len({block.shape for block in blocks}) > 1:
        raise _split(j, 0, "as many channels as not every group")
    return np.concatenate(blocks), len(blocks)


def _split(j: Any, group: int, left: str) -> NetworkError:
    return NetworkError(
        f"projection {j.source} -> {j.target}",
        found=f"group {group} of {j.groups} with {left} left alone",
        allowed="channels that are added to each other, or share a group, go together",
    )


def _read(j: Any, read: IntArray, channels: int) -> Any:
    """Where the weights read a channel that stays, broadcasting to them."""
    there = np.isin(np.arange(channels), read)
    if j.kind.spatial and j.groups > 1:
        per_in, per_out = j.weight.shape[1], len(j.weight) // j.groups
        by_group = np.repeat(there.reshape(j.groups, per_in), per_out, axis=0)
        return by_group.reshape(*by_group.shape, 1, 1)
    pixels = 1 if j.kind.spatial else j.weight.shape[1] // channels
    row = np.repeat(there, pixels)
    return row.reshape(1, -1, *(1,) * (j.weight.ndim - 2))


def same_without(network: IntNetwork, kept: Kept, inputs: IntArray) -> Contract:
    """Every spike of every neuron that stays, and the read-out, of the network without channels
    beside the one in which they are silent: 0 may differ."""
    every = completed(network, kept)
    ours, theirs = run(without_channels(network, kept), inputs), run(masked(network, kept), inputs)
    differing, slots, where = int((ours.readout != theirs.readout).sum()), ours.readout.size, ""
    for name, spikes in ours.spikes.items():
        unlike = int((spikes != theirs.spikes[name][:, :, every[name]]).sum())
        where = where or (f"first in {name}" if unlike else "")
        differing, slots = differing + unlike, slots + spikes.size
    found = f"{differing} of {slots:,} differ"
    return check(SAME, differing == 0, found, "0", where or f"{inputs.shape[1]} samples")
