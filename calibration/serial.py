"""IntNetwork <-> flat named arrays and one JSON header: the one serial form.

Keys: ``header`` (JSON text), ``population/<i>/<parameter>``, ``projection/<i>/weight``; what stands
where follows from the fields of ``Population`` and ``Projection``. ``tssd-int/2`` knows a soft
reset's own amount, ``tssd-int/3`` a scale per channel, ``tssd-int/4`` a readout whose largest
membrane is read; a network without is written as before.
Bundles keep these in the private HDF5 group of ``network.nir``; a reader needs nothing of tssd.
"""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from tssd.calibration.int_network import InputCoding, IntNetwork, Population, Projection
from tssd.calibration.integer import IntArray
from tssd.errors import FileFormatError
from tssd.train.handover.fields import (
    array_names,
    arrays_of,
    latest,
    newest,
    plain_from,
    plain_of,
)

SCHEMAS = tuple(f"tssd-int/{n}" for n in range(1, 1 + latest(Population, Projection)))


def schema_of(network: IntNetwork) -> str:
    """The first schema that can say all of *network*."""
    return f"tssd-int/{newest((*network.populations, *network.projections))}"


def to_arrays(network: IntNetwork) -> tuple[str, dict[str, IntArray]]:
    """The header and the arrays of *network*."""
    families = {"population": network.populations, "projection": network.projections}
    arrays: dict[str, IntArray] = {
        f"{family}/{i}/{label}": array
        for family, values in families.items()
        for i, value in enumerate(values)
        for label, array in arrays_of(value).items()
    }
    header = {
        "schema": schema_of(network),
        "time_steps": network.time_steps,
        "input_coding": str(network.input_coding),
        "input_max": network.input_max,
        "populations": [plain_of(p) for p in network.populations],
        "projections": [plain_of(j) for j in network.projections],
    }
    return json.dumps(header, sort_keys=True), arrays


def from_arrays(header: str, arrays: Mapping[str, IntArray], where: str = "network") -> IntNetwork:
    """The exact inverse; anything missing, unknown or of another schema raises FileFormatError."""
    try:
        table = json.loads(header)
        if table["schema"] not in SCHEMAS:
            found = f"schema {table['schema']!r}"
            raise FileFormatError(where, found=found, allowed=", ".join(SCHEMAS))
        rest = dict(arrays)
        network = IntNetwork(
            tuple(
                Population(**_arguments(Population, p, f"population/{i}/", rest))
                for i, p in enumerate(table["populations"])
            ),
            tuple(
                Projection(**_arguments(Projection, j, f"projection/{i}/", rest))
                for i, j in enumerate(table["projections"])
            ),
            int(table["time_steps"]),
            InputCoding(table["input_coding"]),
            int(table["input_max"]),
        )
        if rest or table["schema"] != schema_of(network):
            raise KeyError(f"{', '.join(rest) or 'a field'} of another schema")
        return network
    except (KeyError, TypeError, ValueError) as error:
        raise FileFormatError(
            where,
            found=f"a damaged integer model ({error!r})",
            allowed=", ".join(SCHEMAS),
            hint="export the network again",
        ) from None


def _arguments(
    kind: type, table: Mapping[str, Any], prefix: str, rest: dict[str, IntArray]
) -> dict[str, Any]:
    """The fields of one value; its arrays are taken out of *rest*."""
    wanted = array_names(kind).items()
    kept = [name for name, always in wanted if always or prefix + name in rest]
    found = {name: np.asarray(rest.pop(prefix + name), np.int64) for name in kept}
    return plain_from(kind, table) | found
