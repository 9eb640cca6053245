"""Event recordings as their publishers store them, read with numpy alone.

n-mnist      5 bytes an event: x, y, polarity (top bit) and 23 bits of time in us, big-endian
aedat 2      "#" header lines, then 8 bytes an event, big-endian: address, time in us (jAER)
aedat 3.1    "#" header lines, then packets: a 28-byte header and 8 bytes a polarity event (cAER)
"""

from pathlib import Path

import numpy as np

from tssd.errors import DataError
from tssd.train.events import Events

NMNIST_EVENT = 5  # bytes
DAMAGED = "the file is truncated or damaged: fetch it again"


def read_nmnist(path: Path, on_is_one: bool = False) -> Events:
    """One N-MNIST (or N-Caltech101) recording; channel 1 holds ON events.

    The data set's readme calls polarity 1 ON. Compared with a bright digit that moves over the
    camera's image it is OFF, so that is the default; *on_is_one* follows the readme.
    """
    raw = np.fromfile(path, np.uint8)
    if len(raw) == 0 or len(raw) % NMNIST_EVENT:
        raise DataError(
            str(path),
            found=f"{len(raw)} bytes",
            allowed=f"a multiple of {NMNIST_EVENT} (x, y, polarity and time)",
            hint=DAMAGED,
        )
    x, y, high, middle, low = raw.reshape(-1, NMNIST_EVENT).T.astype(np.int64)
    time_us = (high & 0x7F) << 16 | middle << 8 | low
    polarity = high >> 7
    return Events(x, y, polarity if on_is_one else 1 - polarity, time_us)
