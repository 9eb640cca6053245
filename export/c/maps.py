"""A projection as a C function: what each spike adds to the sums of its targets, event by event."""

import math
from dataclasses import dataclass

import numpy as np

from tssd.calibration.int_network import IntNetwork, Projection
from tssd.export.c.tables import RowTable, rows_of
from tssd.export.c.widths import INT32, Widths, wraps
from tssd.train.handover.geometry import axes, largest, rows

DENSE = """
static void {name}({sum} *restrict a, const {payload} *restrict s)
{{
    for (int i = 0; i < {inputs}; i++) {{
        {take}if ({value} == 0) continue;
{body}    }}
}}
"""
DENSE_NUMBER = """        for (int o = 0; o < {outputs}; o++) a[o] += {times}{at};
"""
DENSE_POINTER = """        const {kind} *restrict w = {table} + {start};
        for (int o = 0; o < {outputs}; o++) a[o] += {times}{at};
"""
DENSE_PACKED = """        const int32_t w = {start};
        for (int o = 0; o < {outputs}; o++) a[o] += {times}{at};
"""
SPATIAL = """
static void {name}({sum} *restrict a, const {payload} *restrict s)
{{
    for (int c = 0; c < {channels}; c++)
    for (int y = 0; y < {height}; y++)
    for (int z = 0; z < {width}; z++) {{
        {take}if ({value} == 0) continue;
        for (int i = 0; i < {taps_y}; i++) {{
            const int p = y * {spread_y} + {pad_y} - i * {gap_y};
            if (p < 0 || p % {step_y} != 0 || p / {step_y} >= {out_y}) continue;
            for (int j = 0; j < {taps_x}; j++) {{
                const int q = z * {spread_x} + {pad_x} - j * {gap_x};
                if (q < 0 || q % {step_x} != 0 || q / {step_x} >= {out_x}) continue;
                {sum} *restrict to = a + (c / {per_in} * {per_out} * {out_y} + p / {step_y})
                    * {out_x} + q / {step_x};
{place}                for (int o = 0; o < {per_out}; o++) to[o * {plane}] += {times}{at};
            }}
        }}
    }}
}}
"""
PLACE = """                const int32_t w = {start};
"""
TAP = "(c * {taps_y} + i) * {taps_x} + j"  # the row of weights that a spike meets there


@dataclass(frozen=True)
class Map:
    """A projection's table and function; ``direct``: it may add straight into the sums."""

    projection: Projection
    weights: RowTable
    text: str
    name: str
    sum_type: str  # of the sums that it adds to
    direct: bool
    wraps: bool


def make_map(network: IntNetwork, index: int, found: dict[str, Widths]) -> Map:
    """The projection at *index*."""
    projection = network.projections[index]
    source, target = (network.population(n) for n in (projection.source, projection.target))
    payload = 1 if projection.is_loop else found[source.name].payload
    overflows = wraps(projection, payload)
    weights = rows_of(f"w{index}", _laid_out(projection))
    direct = projection.weight_exp == 0 and not overflows
    own = "int32_t" if largest(rows(projection), payload) <= INT32 else "int64_t"
    common = {
        "name": f"map{index}",
        "sum": found[target.name].sum_type if direct else own,
        "payload": found[source.name].payload_type,
    }
    place = "s[(c * {1} + y) * {2} + z]" if projection.kind.spatial else "s[i]"
    alone = payload == 1 and not found[source.name].signed
    common |= _sent(place.format(*source.shape), alone, common["sum"])
    make = _spatial if projection.kind.spatial else _dense
    text = make(projection, weights, source.shape, target.shape, common)
    return Map(projection, weights, text, common["name"], common["sum"], direct, overflows)


def _sent(value: str, alone: bool, kind: str) -> dict[str, str]:
    """How a spike's payload is read: one that can only be 1 (*alone*) is not multiplied."""
    if alone:
        return {"take": "", "value": value, "times": ""}
    return {"take": f"const {kind} x = {value};\n        ", "value": "x", "times": "x * "}


def _laid_out(projection: Projection) -> "np.ndarray[tuple[int, ...], np.dtype[np.int64]]":
    """Weights in the order in which a spike meets them: (in, out), or (C_in, taps, C_out)."""
    weight = projection.weight
    if not projection.kind.spatial:
        return weight.T
    per_out = len(weight) // projection.groups
    grouped = weight.reshape(projection.groups, per_out, *weight.shape[1:])
    return grouped.transpose(0, 2, 3, 4, 1)


def _dense(
    projection: Projection,
    weights: RowTable,
    source: tuple[int, ...],
    target: tuple[int, ...],
    common: dict[str, str],
) -> str:
    values, start = weights.values, weights.start("i")
    if values.number is not None:
        form, at = DENSE_NUMBER, values.at("o")
    elif values.bits >= 8:
        form, at = DENSE_POINTER, values.above("w[o]")
    else:
        form, at = DENSE_PACKED, values.at("w + o")
    body = form.format(
        kind=values.kind,
        table=values.name,
        outputs=math.prod(target),
        start=start,
        times=common["times"],
        at=at,
    )
    return DENSE.format(inputs=math.prod(source), body=body, **common)


def _spatial(
    projection: Projection,
    weights: RowTable,
    source: tuple[int, ...],
    target: tuple[int, ...],
    common: dict[str, str],
) -> str:
    tall, wide = axes(projection)
    values = weights.values
    row = TAP.format(taps_y=tall.taps, taps_x=wide.taps)
    return SPATIAL.format(
        channels=source[0],
        height=source[1],
        width=source[2],
        taps_y=tall.taps,
        taps_x=wide.taps,
        spread_y=tall.spread,
        spread_x=wide.spread,
        pad_y=tall.padding,
        pad_x=wide.padding,
        gap_y=tall.dilation,
        gap_x=wide.dilation,
        step_y=tall.stride,
        step_x=wide.stride,
        out_y=target[1],
        out_x=target[2],
        plane=target[1] * target[2],
        per_in=projection.weight.shape[1],
        per_out=weights.width,
        place=PLACE.format(start=weights.start(row)) if values.number is None else "",
        at=values.at("w + o"),
        **common,
    )
