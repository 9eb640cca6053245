"""What a network takes as a C program: a value that the report holds; ``measure`` makes it."""

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from tssd.typed import Amount, Count


@dataclass(frozen=True)
class Footprint:
    """The C program of a network, built for its size for the processor named.

    ``flash_bytes``: code and constants of network.c; ``ram_bytes``: its static arrays, without the
    stack. ``instructions``: of ``tssd_run``, mean over the first ``samples`` samples.
    """

    built: Annotated[str, Meta(description="compiler, options and processor")]
    flash_bytes: Annotated[Count | None, Meta(description="code and constant tables")]
    ram_bytes: Annotated[Count | None, Meta(description="static arrays, without the stack")]
    instructions: Annotated[Amount | None, Meta(description="per inference, counted by valgrind")]
    samples: Annotated[Count, Meta(description="samples behind the instructions; 0 = not counted")]
    missing: Annotated[
        tuple[str, ...], Meta(description="what was not measured, and the line that changes it")
    ] = ()
