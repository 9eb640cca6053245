"""IntNetwork -> the text of ``network.h`` and ``network.c``.

One local step of every population, in network order, as ``calibration.simulate.layerwise`` has it:

    a = sum over projections of what their spikes deliver (a late one: spikes of earlier steps)
    u = wrap24(tz(u (4096 - du)) + 64 a)     v = clip24(tz(v (4096 - dv)) + u + bias)
    s = v > 64 vth                           hard: v <- 0   soft: v <- v - 64 reset_by
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import assert_never

import numpy as np

from tssd.calibration.int_network import (
    IntNetwork,
    Population,
    Projection,
    Reset,
    depths,
    lag,
    state_names,
)
from tssd.calibration.integer import UNIT, IntArray
from tssd.calibration.neuron import parameters
from tssd.calibration.simulate import check_loops
from tssd.export.c.maps import Map, make_map
from tssd.export.c.tables import Table, table
from tssd.export.c.widths import Widths, widths

READ = ("keep_u", "keep_v", "threshold", "subtracted")
HEADER = """/* {title}: a spiking network in integers, plain C99. Made by tssd {version}.
 *
 * tssd_reset();                     before a sample
 * tssd_step(frame);                 one time step, TSSD_INPUTS values
 * tssd_run(frames, TSSD_STEPS);     a sample of one frame a step (or 1 frame for all steps):
 *                                   the index of the largest readout
 * tssd_readout                      membranes of the last population that are the answer (of the
 *                                   last step, or the largest of every neuron), 64 to a weight unit
 *
 * Constant tables take {flash} bytes, static arrays {ram} bytes.
 */
#ifndef TSSD_NETWORK_H
#define TSSD_NETWORK_H
#include <stdint.h>

#define TSSD_STEPS {steps}
#define TSSD_INPUTS {inputs}
#define TSSD_INPUT_MAX {input_max}
#define TSSD_OUTPUTS {outputs}
#define TSSD_NEURONS {neurons}
typedef {input_type} tssd_input;

extern int32_t *const tssd_readout;
void tssd_reset(void);
void tssd_step(const tssd_input *frame);
int tssd_run(const tssd_input *frames, int count);

#ifdef TSSD_TRACE /* what the last step did: payloads, currents and membranes of every neuron */
extern int64_t {traces};
#endif
#endif
"""
HELPERS = """#include "network.h"
#include <string.h>

enum {{ LIMIT = 1 << 23 }};

/* x k / 4096, toward zero, as C divides */
static inline int64_t decayed(int64_t x, int64_t k) {{ return x * k / 4096; }}

/* one turn of 2^24 */
static inline int64_t turned(int64_t u)
{{
    return u > LIMIT ? u - 2 * (int64_t)LIMIT : u <= -LIMIT ? u + 2 * (int64_t)LIMIT : u;
}}

static inline int32_t clipped(int64_t v)
{{
    return v >= LIMIT ? LIMIT - 1 : v <= -LIMIT ? 1 - LIMIT : (int32_t)v;
}}

/* two's complement of 24 bits */
static inline int64_t wrapped(int64_t a)
{{
    const int64_t m = (a + LIMIT) % (2 * (int64_t)LIMIT);
    return (m < 0 ? m + 2 * (int64_t)LIMIT : m) - LIMIT;
}}

/* a / 2^n toward minus infinity */
static inline int64_t halved(int64_t a, int n)
{{
    const int64_t whole = (int64_t)1 << n;
    return a >= 0 ? a / whole : -((whole - 1 - a) / whole);
}}

/* value i of a table of n bits each, in two's complement */
static inline int32_t tssd_bits(const uint8_t *t, uint32_t i, int n)
{{
    const uint32_t bit = i * (uint32_t)n;
    const uint32_t both = t[bit >> 3] | (uint32_t)t[(bit >> 3) + 1] << 8;
    const int32_t code = (int32_t)(both >> (bit & 7) & ((1u << n) - 1));
    return code >= 1 << (n - 1) ? code - (1 << n) : code;
}}
"""


@dataclass(frozen=True)
class CSource:
    """The two texts, and what the network takes: bytes of constant tables and of static arrays."""

    header: str
    code: str
    flash: int
    ram: int


@dataclass(frozen=True)
class _Names:
    """What the parts of the text share."""

    network: IntNetwork
    widths: Mapping[str, Widths]
    lags: Mapping[int, int]  # projection -> steps that its spikes are kept
    maps: tuple[Map, ...]

    def number(self, population: Population) -> int:
        return self.network.index(population.name)

    def kept(self, population: Population) -> int:
        """How many steps of a population's spikes are kept."""
        mine = (j for j, p in enumerate(self.network.projections) if p.source == population.name)
        return 1 + max((self.lags[j] for j in mine), default=0)


def source(network: IntNetwork, title: str, version: str) -> CSource:
    """*network* as C. NetworkError for what one layer after the other cannot say."""
    check_loops(network)
    found, depth = widths(network), depths(network)
    lags = {i: _lag(network, j, depth) for i, j in enumerate(network.projections)}
    maps = tuple(make_map(network, i, found) for i in range(len(network.projections)))
    names = _Names(network, found, lags, maps)
    updates = [_update(names, p) for p in network.populations]
    tables = [m.weights for m in maps] + [t for _, mine in updates for t in mine]
    arrays, ram = _arrays(names)
    flash = sum(t.bytes for t in tables)
    last = network.readout
    header = HEADER.format(
        title=title,
        version=version,
        flash=flash,
        ram=ram,
        steps=network.time_steps,
        inputs=network.source.neurons,
        input_max=network.input_max,
        outputs=last.neurons,
        neurons=sum(p.neurons for p in network.populations),
        input_type=input_type(network),
        traces=_traces(network),
    )
    code = [
        HELPERS.format(),
        *(t.text for t in tables),
        arrays,
        f"int32_t *const tssd_readout = {_answer(names)};\n",
        *(m.text for m in maps),
        *(text for text, _ in updates),
        _outer(names),
    ]
    return CSource(header, "\n".join(part for part in code if part), flash, ram)


def traced(network: IntNetwork) -> tuple[str, ...]:
    """What a traced build keeps of every neuron, in its order: payloads, then states."""
    return ("s", *state_names(network))


def _traces(network: IntNetwork) -> str:
    return ", ".join(f"tssd_{name}[TSSD_NEURONS]" for name in traced(network))


def input_type(network: IntNetwork) -> str:
    """The C type of one value of a sample."""
    low = network.input_coding.as_bias
    return Widths(0, network.input_max, low, False).payload_type


def _lag(network: IntNetwork, projection: Projection, depth: Mapping[str, int]) -> int:
    """Steps between a spike and its arrival, in the local time of both ends."""
    return 1 + projection.delay if projection.is_loop else lag(network, projection, depth)


def _arrays(names: _Names) -> tuple[str, int]:
    """The static arrays, and their bytes."""
    lines, ram = [], 0
    sums: dict[str, int] = {}
    for population in names.network.populations:
        i, n, w = names.number(population), population.neurons, names.widths[population.name]
        kept = names.kept(population)
        lines.append(f"static {w.payload_type} s{i}[{kept}][{n}];")
        ram += kept * n * _size(w.payload_type)
        if names.network.incoming(population.name):
            kind = f"{w.sum_type} sum_{w.sum_type}"
            sums[kind] = max(sums.get(kind, 0), n)
        if population.has_state:
            lines.append(f"static int32_t v{i}[{n}];")
            ram += 4 * n
        if population.membrane_read.of_every_step:
            lines.append(f"static int32_t m{i}[{n}];")
            ram += 4 * n
        if w.memory:
            lines.append(f"static {w.current_type} u{i}[{n}];")
            ram += _size(w.current_type) * n
    for m in names.maps:
        if not m.direct:
            kind = f"{m.sum_type} part_{m.sum_type}"
            size = names.network.population(m.projection.target).neurons
            sums[kind] = max(sums.get(kind, 0), size)
    for kind, n in sums.items():
        lines.append(f"static {kind}[{n}];")
        ram += _size(kind.partition(" ")[0]) * n
    lines += [
        "#ifdef TSSD_TRACE",
        f"int64_t {_traces(names.network)};",
        "#endif",
    ]
    return "\n".join(lines) + "\n", ram


def _size(kind: str) -> int:
    return int(kind.strip("uint_")) // 8


def _update(names: _Names, population: Population) -> tuple[str, list[Table]]:
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


def _collect(names: _Names, population: Population) -> list[str]:
    """Lines that sum up what arrives into ``a``."""
    n, kind = population.neurons, names.widths[population.name].sum_type
    lines = [f"{kind} *const a = sum_{kind};", f"memset(a, 0, {n} * sizeof *a);"]
    for k, m in enumerate(names.maps):
        if m.projection.target == population.name:
            lines += _arriving(names, k, m, n, kind)
    return lines


def _arriving(names: _Names, k: int, m: Map, n: int, kind: str) -> list[str]:
    sender = names.network.population(m.projection.source)
    late, kept = names.lags[k], names.kept(sender)
    sent = f"s{names.number(sender)}[(t + {kept - late}) % {kept}]"
    guard = f"if (t >= {late}) " if late else ""
    if m.direct:
        return [f"{guard}{m.name}(a, {sent});"]
    part = f"part_{m.sum_type}"
    value = f"{part}[n]"
    if m.wraps:
        value = f"wrapped({value})"
    e = m.projection.weight_exp
    if e:
        value = f"{value} * ((int64_t)1 << {e})" if e > 0 else f"halved({value}, {-e})"
    return [
        f"{guard}{{",
        f"    memset({part}, 0, {n} * sizeof *{part});",
        f"    {m.name}({part}, {sent});",
        f"    for (int n = 0; n < {n}; n++) a[n] += ({kind})({value});",
        "}",
    ]


def _neurons(
    names: _Names, population: Population, first: bool, driven: bool
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


def _trace(names: _Names, population: Population, sent: str, state: bool = False) -> str:
    """What a traced build keeps of neuron n."""
    before = names.network.populations[: names.number(population)]
    start = sum(p.neurons for p in before)
    kept = [f"tssd_s[{start} + n] = {sent};"]
    if state:
        kept += [f"tssd_{name}[{start} + n] = {name};" for name in population.states]
    return "\n#ifdef TSSD_TRACE\n        " + " ".join(kept) + "\n#endif"


def _answer(names: _Names) -> str:
    """The array that holds the answer: membranes, or their largest over the steps."""
    last = names.network.readout
    return f"{'m' if last.membrane_read.of_every_step else 'v'}{names.number(last)}"


def _outer(names: _Names) -> str:
    """reset, step and run."""
    cleared = ["clock_ = 0;"]
    for p in names.network.populations:
        i = names.number(p)
        cleared.append(f"memset(s{i}, 0, sizeof s{i});")
        if p.has_state:
            cleared.append(f"memset(v{i}, 0, sizeof v{i});")
        if p.membrane_read.of_every_step:
            cleared.append(f"memset(m{i}, 0, sizeof m{i});")
        if names.widths[p.name].memory:
            cleared.append(f"memset(u{i}, 0, sizeof u{i});")
    count, last = len(names.network.populations), _answer(names)
    calls = ["step0(clock_, frame);", *(f"step{k}(clock_);" for k in range(1, count))]
    clear, steps = ("\n    ".join(lines) for lines in (cleared, calls))
    return OUTER.format(clear=clear, steps=steps, last=last)


OUTER = """
static int clock_;

void tssd_reset(void)
{{
    {clear}
}}

void tssd_step(const tssd_input *frame)
{{
    {steps}
    clock_++;
}}

int tssd_run(const tssd_input *frames, int count)
{{
    int best = 0;
    tssd_reset();
    for (int t = 0; t < TSSD_STEPS; t++)
        tssd_step(frames + (count > 1 ? t * TSSD_INPUTS : 0));
    for (int n = 1; n < TSSD_OUTPUTS; n++)
        if ({last}[n] > {last}[best]) best = n;
    return best;
}}
"""
