"""One local step of a population as a C function: what arrives, the neuron's rule, what is sent."""

import math
from typing import assert_never

import numpy as np

from tssd.calibration.int_network import Population, Reset
from tssd.calibration.integer import UNIT, IntArray
from tssd.calibration.neuron import parameters
from tssd.export.c.arrays import Names
from tssd.export.c.maps import Map
from tssd.export.c.tables import Table, table

READ = ("keep_u", "keep_v", "threshold", "subtracted")


def update(names: Names, population: Population) -> tuple[str, list[Table]]:
    """One step of *population* as a function, and the tables that it reads."""
    i, n = names.number(population), population.neurons
    w = names.widths[population.name]
    first = population is names.network.source
    body = _collect(names, population) if names.network.incoming(population.name) else []
    take = ", const tssd_input *frame" if first else ""
    if population.has_state:
        loop, tables = _neurons(names, population, first, bool(body))
    else:
        tables = []
        value = "frame[n]" if first else "a[n]"
        loop = [f"const {w.payload_type} x = {value};", "s[n] = x;", _trace(names, population, "x")]
    lines = "\n".join(f"        {line}" for line in loop if line)
    collect = "".join(f"    {line}\n" for line in body)
    text = (
        f"\n/* {population.name} {population.shape} {population.kind} */\n"
        f"static void step{i}(int t{take})\n{{\n"
        f"    {w.payload_type} *const s = s{i}[t % {names.kept(population)}];\n{collect}"
        f"    for (int n = 0; n < {n}; n++) {{\n{lines}\n    }}\n}}\n"
    )
    return text, tables


def _collect(names: Names, population: Population) -> list[str]:
    """Lines that sum up what arrives into ``a``."""
    n, kind = population.neurons, names.widths[population.name].sum_type
    lines = [f"{kind} *const a = sum_{kind};", f"memset(a, 0, {n} * sizeof *a);"]
    for k, m in enumerate(names.maps):
        if m.projection.target == population.name:
            lines += _arriving(names, k, m, n, kind)
    return lines


def _arriving(names: Names, k: int, m: Map, n: int, kind: str) -> list[str]:
    sender = names.network.population(m.projection.source)
    late, kept = names.lags[k], names.kept(sender)
    sent = f"s{names.number(sender)}[(t + {kept - late}) % {kept}]"
    guard = f"if (t >= {late}) " if late else ""
    if m.direct:
        return [f"{guard}{m.name}(a, {sent});"]
    value = "part[n]"
    if m.wraps:
        value = f"wrapped({value})"
    e = m.projection.weight_exp
    if e:
        value = f"{value} * ((int64_t)1 << {e})" if e > 0 else f"halved({value}, {-e})"
    return [
        f"{guard}{{",
        f"    {m.sum_type} *const part = part_{m.sum_type};",
        f"    memset(part, 0, {n} * sizeof *part);",
        f"    {m.name}(part, {sent});",
        f"    for (int n = 0; n < {n}; n++) a[n] += ({kind})({value});",
        "}",
    ]


def _neurons(
    names: Names, population: Population, first: bool, driven: bool
) -> tuple[list[str], list[Table]]:
    i, w = names.number(population), names.widths[population.name]
    made: list[Table] = []
    p = parameters(population, READ)

    def read(label: str, array: IntArray) -> str:
        found, index = _parameter(f"{label}{i}", array, population.shape)
        made.append(found)
        return found.at(index)

    arrived = f"(int64_t)a[n] * {UNIT}" if driven else "0"
    if w.memory:
        rest = read("ku", p["keep_u"])
        lines = [
            f"const int64_t u = turned(decayed(u{i}[n], {rest}) + {arrived});",
            f"u{i}[n] = ({w.current_type})u;",
        ]
    else:
        lines = [f"const int64_t u = turned({arrived});"]
    e = population.bias_exp
    bias = f"(int64_t)frame[n] * ((int64_t)1 << {e})" if first else read("b", population.bias)
    lines.append(f"int32_t v = clipped(decayed(v{i}[n], {read('kv', p['keep_v'])}) + u + {bias});")
    if population.kind.reads_out:
        lines.append("s[n] = 0;")
        sent = "0"
    else:
        threshold = read("th", p["threshold"])
        lines += [f"const int fires = v > {threshold};", "s[n] = fires ? 1 : 0;"]
        sent = "fires"
        match population.reset:
            case Reset.HARD:
                lines.append("if (fires) v = 0;")
            case Reset.SOFT:
                lines.append(f"if (fires) v -= {read('by', p['subtracted'])};")
            case Reset.NONE:
                pass
            case _:
                assert_never(population.reset)
    if population.membrane_read.of_every_step:
        lines.append(f"if (t == 0 || v > m{i}[n]) m{i}[n] = v;")
    return [*lines, f"v{i}[n] = v;", _trace(names, population, sent, state=True)], made


def _parameter(name: str, array: IntArray, shape: tuple[int, ...]) -> tuple[Table, str]:
    """A table of *array* and the index of neuron n in it: by channel where only channels differ."""
    if array.size == 1 or array.size == math.prod(shape):
        return table(name, np.broadcast_to(array, shape) if array.size > 1 else array), "n"
    if len(shape) == 3 and array.shape[1:] == (1, 1):
        return table(name, array), f"n / {shape[1] * shape[2]}"
    return table(name, np.broadcast_to(array, shape)), "n"


def _trace(names: Names, population: Population, sent: str, state: bool = False) -> str:
    """What a traced build keeps of neuron n."""
    before = names.network.populations[: names.number(population)]
    start = sum(p.neurons for p in before)
    kept = [f"tssd_s[{start} + n] = {sent};"]
    if state:
        kept += [f"tssd_{name}[{start} + n] = {name};" for name in population.states]
    return "\n#ifdef TSSD_TRACE\n        " + " ".join(kept) + "\n#endif"
