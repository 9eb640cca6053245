"""The files of a network in C: ``network.h``, ``network.c`` and ``main.c``, a small program."""

from dataclasses import dataclass
from pathlib import Path

from tssd import __version__
from tssd.calibration.int_network import IntNetwork
from tssd.export.c.arrays import traced
from tssd.export.c.source import CSource, source

MAIN = """/* Reads samples from standard input, TSSD_STEPS x TSSD_INPUTS values of 32 bits
 * each, and prints the class of each one; built with -DTSSD_TRACE it writes every step's
 * payloads, currents and membranes instead, 64 bits each.
 *
 *     cc -std=c99 -O2 network.c main.c -o network && ./network < samples.bin
 */
#include "network.h"
#include <stdio.h>

static int32_t values[TSSD_STEPS * TSSD_INPUTS];
static tssd_input sample[TSSD_STEPS * TSSD_INPUTS];

static int next_sample(void)
{
    if (fread(values, sizeof values, 1, stdin) != 1) return 0;
    for (int n = 0; n < TSSD_STEPS * TSSD_INPUTS; n++) sample[n] = (tssd_input)values[n];
    return 1;
}

int main(void)
{
    while (next_sample()) {
#ifdef TSSD_TRACE
        tssd_reset();
        for (int t = 0; t < TSSD_STEPS; t++) {
            tssd_step(sample + t * TSSD_INPUTS);
{written}
        }
#else
        printf("%d\\n", tssd_run(sample, TSSD_STEPS));
#endif
    }
    return 0;
}
"""
NAMES = ("network.h", "network.c", "main.c")


@dataclass(frozen=True)
class Sizes:
    """Bytes of constant tables and of static arrays, without the code itself and the stack."""

    flash: int
    ram: int


def write_c(network: IntNetwork, folder: Path, title: str) -> Sizes:
    """Write *network* into *folder*, which must be there."""
    made: CSource = source(network, title, __version__)
    arrays = [f"fwrite(tssd_{x}, sizeof tssd_{x}, 1, stdout);" for x in traced(network)]
    main = MAIN.replace("{written}", "\n".join(f"{' ' * 12}{line}" for line in arrays))
    for name, text in zip(NAMES, (made.header, made.code, main), strict=True):
        (folder / name).write_text(text, encoding="ascii", errors="backslashreplace")
    return Sizes(made.flash, made.ram)
