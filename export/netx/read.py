"""``.net`` -> layers: a reader of netx files in plain h5py, refusing by name what it cannot keep.

Where lava-dl's loader drops, clips or wraps in silence, this one raises FileFormatError. Weights
keep torch's order and orientation; a missing ``delay``, ``bias`` or ``groups`` has its default.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from tssd.calibration.integer import IntArray
from tssd.errors import FileFormatError, refusing
from tssd.export.nir.integers.read import DAMAGE, MAX_VALUES, open_hdf5
from tssd.export.reading.guard import guarded

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


@dataclass(frozen=True, eq=False)
class NetxNeuron:
    """CUBA parameters as stored: iDecay = du, vDecay = dv, vThMant = vth; scalars or arrays."""

    i_decay: IntArray
    v_decay: IntArray
    vth: IntArray


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
    group = layers[str(index)]
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
    for key in ("stride", "padding", "dilation"):
        if key in group:
            values[key] = _pair(_integers(group[key], f"{where}/{key}"))
    if kind == "conv":
        values["groups"] = int(_integers(group["groups"], f"{where}/groups"))
        values["weight"] = values["weight"].reshape(values["weight"].shape[:4])
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
    return NetxNeuron(keys["iDecay"], keys["vDecay"], keys["vThMant"])


def _integers(item: Any, where: str) -> IntArray:
    """Whole numbers only: netx would truncate fractions toward zero."""
    if not isinstance(item, h5py.Dataset) or item.dtype.kind not in "iuf" or item.external:
        raise FileFormatError(where, found=str(item), allowed="a data set of whole numbers")
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


def _pair(value: IntArray) -> tuple[int, int]:
    height, width = np.broadcast_to(value, (2,))
    return int(height), int(width)


def _shape(item: Any, where: str) -> tuple[int, ...]:
    return tuple(int(n) for n in _integers(item, f"{where}/shape").reshape(-1))


def _text(item: Any) -> str:
    """ASCII bytes, a scalar or an array of one."""
    value = item[0] if item.shape else item[()]
    return value.decode("ascii") if isinstance(value, bytes) else str(value)
