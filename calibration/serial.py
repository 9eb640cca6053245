"""IntNetwork <-> flat named arrays and one JSON header: the one serial form (``tssd-int/1``).

Keys: ``header`` (JSON text), ``population/<i>/{du,dv,vth,bias_mant}``, ``projection/<i>/weight``.
Bundles keep these in the private HDF5 group of ``network.nir``; a reader needs nothing of tssd.
"""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from tssd.calibration.int_network import (
    InputCoding,
    IntNetwork,
    Population,
    PopulationKind,
    Projection,
    ProjectionKind,
    Reset,
)
from tssd.calibration.integer import IntArray
from tssd.errors import FileFormatError

SCHEMA = "tssd-int/1"
PARAMETERS = ("du", "dv", "vth", "bias_mant")


def to_arrays(network: IntNetwork) -> tuple[str, dict[str, IntArray]]:
    """The header and the arrays of *network*."""
    arrays = {
        f"population/{i}/{label}": getattr(p, label)
        for i, p in enumerate(network.populations)
        for label in PARAMETERS
    }
    arrays |= {f"projection/{i}/weight": j.weight for i, j in enumerate(network.projections)}
    header = {
        "schema": SCHEMA,
        "time_steps": network.time_steps,
        "input_coding": str(network.input_coding),
        "input_max": network.input_max,
        "populations": [_population_header(p) for p in network.populations],
        "projections": [_projection_header(j) for j in network.projections],
    }
    return json.dumps(header, sort_keys=True), arrays


def from_arrays(header: str, arrays: Mapping[str, IntArray], where: str = "network") -> IntNetwork:
    """The exact inverse; anything missing or of another schema raises FileFormatError."""
    try:
        table = json.loads(header)
        if table["schema"] != SCHEMA:
            raise FileFormatError(where, found=f"schema {table['schema']!r}", allowed=SCHEMA)
        return IntNetwork(
            tuple(_population(p, i, arrays) for i, p in enumerate(table["populations"])),
            tuple(_projection(j, i, arrays) for i, j in enumerate(table["projections"])),
            int(table["time_steps"]),
            InputCoding(table["input_coding"]),
            int(table["input_max"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise FileFormatError(
            where,
            found=f"a damaged integer model ({error!r})",
            allowed=SCHEMA,
            hint="export the network again",
        ) from None


def _population_header(p: Population) -> dict[str, Any]:
    return {
        "name": p.name,
        "shape": list(p.shape),
        "kind": str(p.kind),
        "reset": str(p.reset),
        "bias_exp": p.bias_exp,
        "scale": p.scale,
    }


def _projection_header(j: Projection) -> dict[str, Any]:
    return {
        "source": j.source,
        "target": j.target,
        "kind": str(j.kind),
        "weight_exp": j.weight_exp,
        "stride": list(j.stride),
        "padding": list(j.padding),
        "dilation": list(j.dilation),
        "groups": j.groups,
        "delay": j.delay,
    }


def _population(table: Mapping[str, Any], i: int, arrays: Mapping[str, IntArray]) -> Population:
    parameters = {
        label: np.asarray(arrays[f"population/{i}/{label}"], np.int64) for label in PARAMETERS
    }
    return Population(
        name=table["name"],
        shape=tuple(table["shape"]),
        kind=PopulationKind(table["kind"]),
        reset=Reset(table["reset"]),
        bias_exp=table["bias_exp"],
        scale=table["scale"],
        **parameters,
    )


def _projection(table: Mapping[str, Any], i: int, arrays: Mapping[str, IntArray]) -> Projection:
    weight = np.asarray(arrays[f"projection/{i}/weight"], np.int64)
    pairs = {label: tuple(table[label]) for label in ("stride", "padding", "dilation")}
    return Projection(
        source=table["source"],
        target=table["target"],
        kind=ProjectionKind(table["kind"]),
        weight=weight,
        weight_exp=table["weight_exp"],
        groups=table["groups"],
        delay=table["delay"],
        **pairs,
    )
