"""IntNetwork -> the text of ``network.h`` and ``network.c``.

One local step of every population, in network order, as ``calibration.simulate.layerwise`` has it:

    a = sum over projections of what their spikes deliver (a late one: spikes of earlier steps)
    u = wrap24(tz(u (4096 - du)) + 64 a)     v = clip24(tz(v (4096 - dv)) + u + bias)
    s = v > 64 vth                           hard: v <- 0   soft: v <- v - 64 reset_by
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tssd.calibration.int_network import IntNetwork, Projection, depths, lag
from tssd.calibration.simulate import check_loops
from tssd.export.c.arrays import Names, arrays, traces
from tssd.export.c.maps import make_map
from tssd.export.c.neurons import update
from tssd.export.c.tables import Table
from tssd.export.c.widths import Widths, widths

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

"""
READERS = """
/* value i of a table of {bits} bits each */
#define TSSD_BITS{bits}(t, i) ((int32_t)(({read}) >> ((i) * {bits} & 7) & {mask}))"""
BYTE = "t[(i) * {bits} >> 3]"
BYTES = BYTE + " | (uint32_t)t[((i) * {bits} >> 3) + 1] << 8"  # where a value may lie across two


@dataclass(frozen=True)
class CSource:
    """The two texts, and what the network takes: bytes of constant tables and of static arrays."""

    header: str
    code: str
    flash: int
    ram: int


def source(network: IntNetwork, title: str, version: str) -> CSource:
    """*network* as C. NetworkError for what one layer after the other cannot say."""
    check_loops(network)
    found, depth = widths(network), depths(network)
    lags = {i: _lag(network, j, depth) for i, j in enumerate(network.projections)}
    maps = tuple(make_map(network, i, found) for i in range(len(network.projections)))
    names = Names(network, found, lags, maps)
    updates = [update(names, p) for p in network.populations]
    tables = [t for m in maps for t in m.weights.tables]
    tables += [t for _, mine in updates for t in mine]
    static, ram = arrays(names)
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
        traces=traces(network),
    )
    code = [
        HELPERS.format(),
        *_readers(tables),
        *(t.text for t in tables),
        static,
        f"int32_t *const tssd_readout = {_answer(names)};\n",
        *(m.text for m in maps),
        *(text for text, _ in updates),
        _outer(names),
    ]
    return CSource(header, "\n".join(part for part in code if part), flash, ram)


def _readers(tables: list[Table]) -> Iterator[str]:
    """A function for each width of packed tables: its numbers are constants, inlined or not."""
    for bits in sorted({t.bits for t in tables if t.reads_bits}):
        read = BYTES if 8 % bits else BYTE
        yield READERS.format(bits=bits, read=read.format(bits=bits), mask=(1 << bits) - 1)


def input_type(network: IntNetwork) -> str:
    """The C type of one value of a sample."""
    low = network.input_coding.as_bias
    return Widths(0, network.input_max, low, False).payload_type


def _lag(network: IntNetwork, projection: Projection, depth: Mapping[str, int]) -> int:
    """Steps between a spike and its arrival, in the local time of both ends."""
    return 1 + projection.delay if projection.is_loop else lag(network, projection, depth)


def _answer(names: Names) -> str:
    """The array that holds the answer: membranes, or their largest over the steps."""
    last = names.network.readout
    return f"{'m' if last.membrane_read.of_every_step else 'v'}{names.number(last)}"


def _outer(names: Names) -> str:
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
