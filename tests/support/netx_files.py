"""Write netx files by hand, as lava-dl's slayer does: layers as nested dictionaries."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from tssd.calibration.integer import IntArray

Layer = dict[str, Any]


def write_net(path: Path, layers: list[Layer]) -> Path:
    with h5py.File(path, "w") as file:
        for i, layer in enumerate(layers):
            _fill(file.create_group(f"layer/{i}"), layer)
    return path


def neuron(vth: int = 40, du: int = 4096, dv: int = 500, kind: str = "CUBA") -> Layer:
    return {"type": kind, "iDecay": du, "vDecay": dv, "vThMant": vth, "refDelay": 1}


def dense(weight: IntArray, **more: Any) -> Layer:
    return {"type": "dense", "shape": [len(weight)], "weight": weight, "neuron": neuron(), **more}


def conv(weight: IntArray, shape: tuple[int, int, int], **more: Any) -> Layer:
    plain = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, "neuron": neuron()}
    return {"type": "conv", "shape": shape, "weight": weight, **plain, **more}


def image(shape: tuple[int, int, int], **more: Any) -> Layer:
    return {"type": "input", "shape": shape, **more}


FLATTEN: Layer = {"type": "flatten", "shape": [1]}


def random_weights(rng: np.random.Generator, *shape: int) -> IntArray:
    return rng.integers(-127, 128, shape)


def small_image_network(rng: np.random.Generator) -> list[Layer]:
    """(1, 6, 6) -> convolution -> flatten -> a readout of three."""
    return [
        image((1, 6, 6)),
        conv(random_weights(rng, 2, 1, 3, 3), (2, 4, 4)),
        FLATTEN,
        dense(random_weights(rng, 3, 32), neuron=neuron(vth=131072, dv=0)),
    ]


def _fill(group: h5py.Group, layer: Layer) -> None:
    for key, value in layer.items():
        if isinstance(value, dict):
            _fill(group.create_group(key), value)
        elif isinstance(value, str):
            group.create_dataset(key, (1,), "S10", [value.encode()])
        else:
            group.create_dataset(key, data=np.asarray(value))
