"""The integer network without tssd: from its flat arrays (schemas tssd-int/...).

Arrays keep tssd's layout (C, H, W); Lava wants (W, H, C): ``to_lava`` and ``from_lava``.
"""

import json
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Population:
    name: str
    shape: Any
    kind: str  # input, lif, relay, readout
    reset: str  # hard, soft, none
    bias_exp: int
    du: Any
    dv: Any
    vth: Any
    bias_mant: Any
    levels: Any = field(default_factory=dict)  # what later schemas brought, as reset_by

    @property
    def lava_shape(self) -> Any:
        return tuple(self.shape[::-1])

    @property
    def has_state(self) -> bool:
        return self.kind in ("lif", "readout")


@dataclass(frozen=True)
class Projection:
    source: int
    target: int
    kind: str  # as graph.py makes it of Lava's processes
    weight: Any
    weight_exp: int
    stride: Any
    padding: Any
    dilation: Any
    groups: int
    delay: int


@dataclass(frozen=True)
class Model:
    populations: Any
    projections: Any
    time_steps: int
    input_coding: str

    def depths(self) -> Any:
        """Longest forward path from the input: k works in chip steps depth + 1 .. depth + T."""
        depth = [0] * len(self.populations)
        for k in range(1, len(depth)):
            before = [depth[j.source] for j in self.projections if j.source < k == j.target]
            depth[k] = 1 + max(before, default=0)
        return depth


def build(header: str, arrays: Any) -> Model:
    """The model of a JSON header and arrays by key."""
    table = json.loads(header)
    names = [p["name"] for p in table["populations"]]
    return Model(
        [_population(p, i, arrays) for i, p in enumerate(table["populations"])],
        [_projection(j, i, arrays, names) for i, j in enumerate(table["projections"])],
        table["time_steps"],
        table["input_coding"],
    )


def to_lava(x: Any, rank: int) -> Any:
    """(..., C, H, W) -> (..., W, H, C) for images; vectors stay."""
    return x if rank == 1 else np.moveaxis(x, (-3, -2, -1), (-1, -2, -3))


from_lava = to_lava  # its own inverse


def _population(table: Any, i: int, arrays: Any) -> Population:
    prefix, own = f"population/{i}/", {f.name for f in fields(Population)}
    found = {k[len(prefix) :]: np.asarray(x) for k, x in arrays.items() if k.startswith(prefix)}
    levels = {name: x for name, x in found.items() if name not in own}
    parameters = {name: x for name, x in found.items() if name in own}
    return Population(
        table["name"],
        tuple(table["shape"]),
        table["kind"],
        table["reset"],
        table["bias_exp"],
        levels=levels,
        **parameters,
    )


def _projection(table: Any, i: int, arrays: Any, names: Any) -> Projection:
    return Projection(
        names.index(table["source"]),
        names.index(table["target"]),
        table["kind"],
        np.asarray(arrays[f"projection/{i}/weight"]),
        table["weight_exp"],
        tuple(table["stride"]),
        tuple(table["padding"]),
        tuple(table["dilation"]),
        table["groups"],
        table["delay"],
    )
