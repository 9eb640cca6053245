"""``.net`` -> layers: a reader of netx files in plain h5py, refusing by name what it cannot keep.

Where lava-dl's loader drops, clips or wraps in silence, this one raises FileFormatError. Weights
keep torch's order and orientation; a missing ``delay``, ``bias`` or ``groups`` has its default.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from tssd.calibration.integer import DECAY_ONE, IntArray
from tssd.errors import FileFormatError, refusing
from tssd.export.reading.hdf5 import DAMAGE, MAX_VALUES, open_hdf5
from tssd.guard import guarded

TYPES = ("input", "conv", "dense", "dense_rec", "flatten")
NEURONS = ("CUBA", "LOIHI")
LAYER_KEYS = {
    "input": {"shape", "neuron", "weight", "bias", "name"},
    "conv": {"shape", "weight", "bias", "stride", "padding", "dilation", "groups", "neuron", "name"}
    | {"inChannels", "outChannels", "kernelSize"},
    "dense": {"shape", "weight", "bias", "delay", "neuron", "name", "inFeatures", "outFeatures"},
    "flatten": {"shape", "name"},
}
LAYER_KEYS["dense_rec"] = LAYER_KEYS["dense"] | {"weight_rec"}
NEURON_KEYS = {"type", "iDecay", "vDecay", "vThMant"}
UNREAD = {  # of a neuron: what lava-dl's loader passes over, and where that changes nothing
    "refDelay": (0, 1),
    "gradedSpike": (0,),
    "wgtExp": (0,),
    "weight_exp": (0,),
}


@dataclass(frozen=True, eq=False)
class NetxNeuron:
    """CUBA parameters as stored: iDecay = du, vDecay = dv, vThMant = vth; scalars or arrays.
    ``unread``: what is stored beside them, would change the neuron, and does nothing in netx."""

    i_decay: IntArray
    v_decay: IntArray
    vth: IntArray
    unread: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class NetxLayer:
    """One layer; pairs are (height, width), ``weight`` is in torch's order and orientation."""

    index: int
    type: str
    name: str
    shape: tuple[int, ...] = ()
    weight: IntArray | None = None
    weight_rec: IntArray | None = None
    bias: IntArray | None = None
    inputs: int | None = None  # as declared, if they are
    outputs: int | None = None
    delay: IntArray = field(default_factory=lambda: np.zeros((), np.int64))
    neuron: NetxNeuron | None = None
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1


@guarded
def read_netx(path: Path) -> tuple[NetxLayer, ...]:
    """All layers of *path* in order."""
    with (
        open_hdf5(path) as file,
        refusing(
            DAMAGE,
            FileFormatError,
            str(path),
            "no netx layers",
            allowed="groups layer/0, layer/1, ... with a type each",
            hint="export it again with lava-dl or tssd",
        ),
    ):
        group = file["layer"]
        return tuple(_layer(group, i, f"{path}: layer/{i}") for i in range(len(group)))


def _layer(layers: h5py.Group, index: int, where: str) -> NetxLayer:
    if str(index) not in layers:
        raise FileFormatError(where, found="no such layer", allowed="numbers without a gap")
    with refusing(DAMAGE, FileFormatError, where, "a layer that cannot be read"):
        return _layer_of(layers[str(index)], index, where)


def _layer_of(group: h5py.Group, index: int, where: str) -> NetxLayer:
    kind = _text(group["type"])
    if kind not in TYPES:
        raise FileFormatError(
            where,
            found=f"layer type {kind!r}",
            allowed=", ".join(TYPES),
            hint="fold pooling and normalisation before the export",
        )
    unknown = sorted(set(group) - LAYER_KEYS[kind] - {"type"})
    if unknown:
        raise FileFormatError(
            where,
            found=f"{kind} with {', '.join(unknown)}",
            allowed=", ".join(sorted(LAYER_KEYS[kind])),
        )
    values: dict[str, Any] = {
        key: _integers(group[key], f"{where}/{key}")
        for key in ("weight", "weight_rec", "bias", "delay")
        if key in group and kind != "input"
    }
    for key, place in (("inFeatures", "inputs"), ("outFeatures", "outputs")):
        if key in group:
            values[place] = int(_integers(group[key], f"{where}/{key}").item())
    for key, least in (("stride", 1), ("padding", 0), ("dilation", 1)):
        if key in group:
            values[key] = _pair(_integers(group[key], f"{where}/{key}"), least, f"{where}/{key}")
    if kind == "conv":
        values["groups"] = int(_integers(group["groups"], f"{where}/groups").item())
        values["weight"] = _kernel(_integers(group["weight"], f"{where}/weight"), f"{where}/weight")
    if "shape" in group:
        values["shape"] = _shape(group["shape"], where)
    if "neuron" in group:
        values["neuron"] = _neuron(group["neuron"], f"{where}/neuron")
    name = _text(group["name"]) if "name" in group else f"layer{index}"
    return NetxLayer(index, kind, name, **values)


def _neuron(group: h5py.Group, where: str) -> NetxNeuron:
    kind = _text(group["type"])
    if kind not in NEURONS:
        raise FileFormatError(where, found=f"neuron type {kind!r}", allowed=" or ".join(NEURONS))
    keys: Mapping[str, IntArray] = {
        key: _integers(group[key], f"{where}/{key}") for key in ("iDecay", "vDecay", "vThMant")
    }
    for key, most in (("iDecay", DECAY_ONE), ("vDecay", DECAY_ONE), ("vThMant", None)):
        low, high = int(keys[key].min()), int(keys[key].max())
        if low < 0 or (most is not None and high > most):
            allowed = "0 or more" if most is None else f"0 .. {most}"
            raise FileFormatError(f"{where}/{key}", found=f"{low} .. {high}", allowed=allowed)
    unread = tuple(_unread(group, where))
    return NetxNeuron(keys["iDecay"], keys["vDecay"], keys["vThMant"], unread)


def _unread(group: h5py.Group, where: str) -> Iterator[str]:
    """``refDelay 3``: each key that the loader passes over, unless its value says nothing."""
    for key in sorted(set(group) - NEURON_KEYS):
        value = np.asarray(group[key][()]) if isinstance(group[key], h5py.Dataset) else None
        if value is None or value.dtype.kind not in "iufb" or value.size != 1:
            yield key
        elif value.item() not in UNREAD.get(key, ()):
            yield f"{key} {value.item():g}"


def _integers(item: Any, where: str) -> IntArray:
    """Whole numbers only: netx would truncate fractions toward zero."""
    if not isinstance(item, h5py.Dataset) or item.dtype.kind not in "iuf" or item.external:
        raise FileFormatError(where, found=str(item), allowed="a data set of whole numbers")
    if not item.size:
        raise FileFormatError(where, found="an empty data set", allowed="numbers")
    if item.size > MAX_VALUES or item.size * item.dtype.itemsize > _storage_bound(item):
        raise FileFormatError(where, found=f"{item.size} values", allowed="as many as are stored")
    raw = np.asarray(item[()])
    values: IntArray = raw.astype(np.int64)
    if (values != raw).any():
        raise FileFormatError(
            where,
            found="fractions",
            allowed="whole numbers",
            hint="export the quantized network",
        )
    return values


def _storage_bound(item: h5py.Dataset) -> int:
    """Bytes that the stored ones can unfold to: deflate reaches 1032 to 1."""
    stored = int(item.id.get_storage_size())
    return stored * 1032 if item.chunks else stored


def _pair(value: IntArray, least: int, where: str) -> tuple[int, int]:
    """One number for both axes, or (height, width)."""
    if value.size not in (1, 2) or value.min() < least:
        raise FileFormatError(
            where, found=str(value.tolist()), allowed=f"one or two numbers, {least} or more"
        )
    height, width = np.broadcast_to(value.reshape(-1), (2,))
    return int(height), int(width)


def _kernel(weight: IntArray, where: str) -> IntArray:
    """(out, in / groups, height, width); slayer stores a time axis of one behind them."""
    if weight.ndim == 5 and weight.shape[4] == 1:
        weight = weight[..., 0]
    if weight.ndim != 4 or not weight.size:
        raise FileFormatError(
            where, found=f"shape {weight.shape}", allowed="(out, in / groups, height, width)"
        )
    return weight


def _shape(item: Any, where: str) -> tuple[int, ...]:
    return tuple(int(n) for n in _integers(item, f"{where}/shape").reshape(-1))


def _text(item: Any) -> str:
    """ASCII bytes, a scalar or an array of one."""
    value = item[0] if item.shape else item[()]
    return value.decode("ascii") if isinstance(value, bytes) else str(value)
