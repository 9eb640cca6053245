"""FloatNetwork <-> flat named arrays and one JSON header (``tssd-float/1`` to ``/3``).

A bundle keeps the float network beside the integer one, so that whoever receives it can measure
what quantization changed. Keys: ``population/<i>/<parameter>``, as the fields of
``FloatPopulation``, where there is such a parameter, and
``projection/<i>/{weight,bias,mean,variance,gain,shift}`` (the last five where present).
``tssd-float/2`` knows a soft reset's own amount and ``entry/{low,high}``, what the input's levels
mean, ``tssd-float/3`` a readout whose largest membrane is read; a network without these is a
``tssd-float/1``.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

import msgspec
import numpy as np

from tssd import typed
from tssd.errors import FileFormatError
from tssd.train.handover.fields import (
    array_names,
    arrays_of,
    latest,
    newest,
    plain_from,
    plain_of,
)
from tssd.train.handover.float_network import (
    AveragePool,
    FloatArray,
    FloatNetwork,
    FloatPopulation,
    FloatProjection,
    MembraneRead,
    Norm,
    PopulationKind,
    ProjectionKind,
    Reset,
)
from tssd.train.handover.input_map import InputMap
from tssd.typed import Edge, Side, Step

AGAIN = "export the network again"
SCHEMAS = tuple(f"tssd-float/{n}" for n in range(1, 1 + max(2, latest(FloatPopulation))))
NORM_ARRAYS = ("mean", "variance", "gain", "shift")
GEOMETRY = ("stride", "padding", "dilation")


class FloatPopulationPart(msgspec.Struct, forbid_unknown_fields=True):
    """Of a population, beside its arrays."""

    name: str
    shape: Annotated[list[Side], msgspec.Meta(min_length=1, max_length=3)]
    kind: PopulationKind
    reset: Reset
    membrane_read: MembraneRead = MembraneRead.LAST


class PoolPart(msgspec.Struct, forbid_unknown_fields=True):
    """An ``AveragePool``."""

    kernel: tuple[Step, Step]
    stride: tuple[Step, Step]


class FloatProjectionPart(msgspec.Struct, forbid_unknown_fields=True):
    """Of a projection, beside its arrays."""

    source: str
    target: str
    kind: ProjectionKind
    groups: Annotated[int, msgspec.Meta(ge=1, le=1 << 24)]
    delay: Edge
    pool: PoolPart | None
    eps: Annotated[float, msgspec.Meta(ge=0)] | None
    stride: tuple[Step, Step]
    padding: tuple[Edge, Edge]
    dilation: tuple[Step, Step]


class FloatHeaderPart(msgspec.Struct, forbid_unknown_fields=True):
    """The whole header."""

    schema: str
    time_steps: Annotated[int, msgspec.Meta(ge=1, le=1 << 31)]
    populations: list[FloatPopulationPart]
    projections: list[FloatProjectionPart]


def to_arrays(network: FloatNetwork) -> tuple[str, dict[str, FloatArray]]:
    """The header and the arrays of *network*."""
    arrays: dict[str, FloatArray] = {}
    for i, population in enumerate(network.populations):
        arrays |= {f"population/{i}/{x}": array for x, array in arrays_of(population).items()}
    for i, projection in enumerate(network.projections):
        arrays |= {f"projection/{i}/{x}": a for x, a in _projection_arrays(projection).items()}
    if network.entry is not None:
        arrays |= {f"entry/{x}": array for x, array in arrays_of(network.entry).items()}
    newer = 2 if network.entry is not None else 1
    header = {
        "schema": f"tssd-float/{max(newest(network.populations), newer)}",
        "time_steps": network.time_steps,
        "populations": [plain_of(p) for p in network.populations],
        "projections": [_projection_header(j) for j in network.projections],
    }
    return json.dumps(header, sort_keys=True), arrays


def from_arrays(
    header: str, arrays: Mapping[str, FloatArray], where: str = "float network"
) -> FloatNetwork:
    """The exact inverse; anything missing or of another schema raises FileFormatError."""
    table: Any = msgspec.to_builtins(typed.from_json(FloatHeaderPart, header, where, hint=AGAIN))
    if table["schema"] not in SCHEMAS:
        found = f"schema {table['schema']!r}"
        raise FileFormatError(where, found=found, allowed=", ".join(SCHEMAS), hint=AGAIN)
    try:
        return FloatNetwork(
            tuple(_population(p, i, arrays) for i, p in enumerate(table["populations"])),
            tuple(_projection(j, i, arrays) for i, j in enumerate(table["projections"])),
            int(table["time_steps"]),
            _entry(arrays),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise FileFormatError(
            where,
            found=f"a damaged float model ({error!r})",
            allowed=", ".join(SCHEMAS),
            hint=AGAIN,
        ) from None


def _entry(arrays: Mapping[str, FloatArray]) -> InputMap | None:
    if "entry/low" not in arrays:
        return None
    return InputMap(*(np.asarray(arrays[f"entry/{x}"], np.float64) for x in array_names(InputMap)))


def _projection_arrays(projection: FloatProjection) -> dict[str, FloatArray]:
    arrays = {"weight": projection.weight}
    if projection.bias is not None:
        arrays["bias"] = projection.bias
    if projection.norm is not None:
        arrays |= {x: getattr(projection.norm, x) for x in NORM_ARRAYS}
    return arrays


def _projection_header(j: FloatProjection) -> dict[str, Any]:
    return {
        "source": j.source,
        "target": j.target,
        "kind": str(j.kind),
        "groups": j.groups,
        "delay": j.delay,
        "pool": asdict(j.pool) if j.pool else None,
        "eps": j.norm.eps if j.norm else None,
        **{label: list(getattr(j, label)) for label in GEOMETRY},
    }


def _population(
    table: Mapping[str, Any], i: int, arrays: Mapping[str, FloatArray]
) -> FloatPopulation:
    prefix = f"population/{i}/"
    wanted = array_names(FloatPopulation).items()
    kept = [x for x, always in wanted if always or prefix + x in arrays]
    parameters = {x: np.asarray(arrays[prefix + x], np.float64) for x in kept}
    filled: dict[str, Any] = {**plain_from(FloatPopulation, table), **parameters}
    return FloatPopulation(**filled)


def _projection(
    table: Mapping[str, Any], i: int, arrays: Mapping[str, FloatArray]
) -> FloatProjection:
    def array(label: str) -> FloatArray:
        return np.asarray(arrays[f"projection/{i}/{label}"], np.float64)

    eps, pool, norm = table["eps"], table["pool"], None
    if eps is not None:
        norm = Norm(array("mean"), array("variance"), array("gain"), array("shift"), float(eps))
    return FloatProjection(
        source=table["source"],
        target=table["target"],
        kind=ProjectionKind(table["kind"]),
        weight=array("weight"),
        bias=array("bias") if f"projection/{i}/bias" in arrays else None,
        groups=table["groups"],
        delay=table["delay"],
        pool=AveragePool(tuple(pool["kernel"]), tuple(pool["stride"])) if pool else None,
        norm=norm,
        **{label: tuple(table[label]) for label in GEOMETRY},
    )
