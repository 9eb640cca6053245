"""IntNetwork -> ``network.net``: the HDF5 that lava-dl's netx loads (lava-dl 0.6.0).

One group ``layer/<i>`` per layer, every value a data set. Convolution weights keep torch's order
and orientation; iDecay = du, vDecay = dv, vThMant = vth; bias mantissas have exponent 6. A sum
pooling straight into neurons is a depthwise convolution of ones. The readout is a layer whose
neurons never fire: its membrane is read.
"""

import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from tssd.calibration.int_network import (
    IntNetwork,
    Population,
    Projection,
)
from tssd.calibration.integer import DECAY_ONE, STATE_LIMIT, UNIT, IntArray
from tssd.errors import NetworkError, counted
from tssd.export.netx.delays import forward_into, merged, shifted
from tssd.export.netx.rules import MAX_VTH, NetxFinding, bias_mantissa, check_netx
from tssd.export.nir.integers.write import smallest
from tssd.export.reading.hdf5 import hdf5_written_whole

__all__ = ["NetxFinding", "check_netx", "silent_threshold", "write_netx"]

NEVER_VTH = MAX_VTH + 1  # (131072 << 6) lies above the saturation of v


def write_netx(network: IntNetwork, path: Path) -> None:
    """Write *network*, or raise NetworkError with every finding; the same bytes each time."""
    findings = check_netx(network)
    if findings:
        raise NetworkError(
            "netx",
            found=f"{counted(len(findings), 'thing')} that the format cannot say:\n"
            + "\n".join(str(finding) for finding in findings),
        )
    with hdf5_written_whole(path) as file:
        for i, layer in enumerate(_with_ascii_names(_layers(network))):
            _write_group(file.create_group(f"layer/{i}"), layer)


def _with_ascii_names(layers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Names in the bytes that the format keeps: accents go, and a name without an ASCII form, or
    with that of another layer, is left out (a reader then counts the layers)."""
    taken: set[str] = set()
    named = []
    for layer in layers:
        name = unicodedata.normalize("NFKD", layer.get("name", "")).encode("ascii", "ignore")
        rest = {key: value for key, value in layer.items() if key != "name"}
        known = not name or name.decode() in taken
        named.append(rest if known else rest | {"name": name.decode()})
        taken.add(name.decode())
    return named


def _layers(network: IntNetwork) -> list[dict[str, Any]]:
    layers = _input_layers(network)
    for population in network.populations[1:]:
        ways = forward_into(network, population)
        dense = not ways[0].kind.spatial
        if dense and len(network.population(ways[0].source).shape) == 3:
            layers.append({"type": "flatten"})
        built = _dense(ways) if dense else _conv(ways[0])
        layers.append(built | _about(network, population))
    return layers


def _input_layers(network: IntNetwork) -> list[dict[str, Any]]:
    """The shape of the images (no block), or an input block of neurons; nothing for flat input."""
    source = network.source
    if len(source.shape) != 3:
        return []
    layer = {"type": "input", "shape": np.array(source.shape), "name": source.name}
    if network.input_coding.as_bias:
        layer["neuron"] = _neuron(source, source.vth)
    return [layer]


def _dense(ways: Sequence[Projection]) -> dict[str, Any]:
    weight, delay = merged(ways)
    if len(ways) == 1:
        delay = np.full_like(delay, ways[0].delay)
    layer = {"type": "dense", "shape": np.array(weight.shape[:1]), "weight": smallest(weight)}
    return layer | ({"delay": _int32(delay)} if delay.any() else {})


def _conv(projection: Projection) -> dict[str, Any]:
    return {
        "type": "conv",
        "weight": smallest(shifted(projection)),
        "stride": np.array(projection.stride),
        "padding": np.array(projection.padding),
        "dilation": np.array(projection.dilation),
        "groups": projection.groups,
    }


def _about(network: IntNetwork, population: Population) -> dict[str, Any]:
    """Shape, bias and neuron of a layer; ``name`` is ours, and netx passes over it."""
    silent = population.kind.reads_out
    vth = np.array(silent_threshold(network)) if silent else population.vth
    layer = {"name": population.name, "shape": np.array(population.shape)}
    bias = bias_mantissa(population)
    if bias is not None and bias.any():
        layer["bias"] = _bias(bias, population.shape)
    return layer | {"neuron": _neuron(population, vth)}


def _bias(bias: IntArray, shape: tuple[int, ...]) -> Any:
    """(N,) for a flat layer; (C,) where all neurons of a channel have the same; else (W, H, C)."""
    full = np.broadcast_to(bias, shape)
    if full.ndim == 3:
        per_channel = (full == full[:, :1, :1]).all()
        full = full[:, 0, 0] if per_channel else full.transpose(2, 1, 0)
    return _int32(full)


def _neuron(population: Population, vth: IntArray) -> dict[str, Any]:
    return {
        "type": "CUBA",
        "iDecay": _per_channel(population.du),
        "vDecay": _per_channel(population.dv),
        "vThMant": _per_channel(vth),
        "refDelay": 1,
    }


def _per_channel(value: IntArray) -> Any:
    """A scalar where all are equal, else one value per channel (per neuron if flat)."""
    if (value == value.flat[0]).all():
        return int(value.flat[0])
    return _int32(value[:, 0, 0] if value.ndim == 3 else value)


def silent_threshold(network: IntNetwork) -> int:
    """A vThMant that the readout cannot exceed.

    131071 (the chip's 17-bit field) where T times the worst drive of a step stays below it, else
    131072, which only the CPU models take.
    """
    readout = network.readout
    drive = sum(_worst_sum(network, j) for j in network.incoming(readout.name)) * UNIT
    bound = network.time_steps * (drive + max(int(readout.bias.max(initial=0)), 0))
    forgets = bool((readout.du == DECAY_ONE).all())
    bounded = forgets and drive < STATE_LIMIT and bound <= MAX_VTH * UNIT
    return MAX_VTH if bounded else NEVER_VTH


def _worst_sum(network: IntNetwork, projection: Projection) -> int:
    """The largest activation that one step can bring, in weight units."""
    first = network.population(projection.source).kind.enters
    rows = np.maximum(projection.weight.reshape(len(projection.weight), -1), 0)
    largest = int(rows.sum(axis=1).max(initial=0)) << projection.weight_exp
    return largest * (network.input_max if first else 1)


def _int32(value: Any) -> Any:
    return np.ascontiguousarray(value, dtype="<i4")


def _write_group(group: h5py.Group, layer: dict[str, Any]) -> None:
    for key, value in layer.items():
        if isinstance(value, dict):
            _write_group(group.create_group(key), value)
        elif isinstance(value, str):
            group.create_dataset(key, data=np.bytes_(value))
        else:
            group.create_dataset(key, data=value)
