"""Small recordings of events in the formats of their publishers."""

from pathlib import Path

import numpy as np

from tssd.train.data.events import Events


def random_events(
    rng: np.random.Generator, count: int, shape: tuple[int, int, int], length_us: int = 300_000
) -> Events:
    """*count* events anywhere, sorted by time."""
    channels, height, width = shape
    return Events(
        rng.integers(0, width, count),
        rng.integers(0, height, count),
        rng.integers(0, channels, count),
        np.sort(rng.integers(0, length_us, count)),
    )


def write_nmnist(path: Path, events: Events) -> None:
    """N-MNIST's ``.bin``, with polarity 1 for OFF as in the recordings."""
    path.parent.mkdir(parents=True, exist_ok=True)
    t = events.time_us.astype(np.uint32)
    high = ((1 - events.channel) << 7).astype(np.uint32) | t >> 16
    rows = np.stack([events.x, events.y, high, t >> 8 & 255, t & 255], axis=1)
    path.write_bytes(rows.astype(np.uint8).tobytes())


def write_nmnist_set(folder: Path, train: int, test: int, seed: int = 0) -> None:
    """Recordings whose digit shows: class d has its events in rows 3 d .. 3 d + 2."""
    rng = np.random.default_rng(seed)
    for part, count, begin in (("Train", train, 1), ("Test", test, 60001)):
        for number in range(count):
            digit = number % 10
            events = random_events(rng, 1200, (2, 3, 34))
            moved = Events(events.x, events.y + 3 * digit, events.channel, events.time_us)
            write_nmnist(folder / part / str(digit) / f"{begin + number:05d}.bin", moved)


def write_aedat2(path: Path, events: Events) -> None:
    """AEDAT 2 of a DVS128: polarity bit 0 is ON, x counts from the right."""
    path.parent.mkdir(parents=True, exist_ok=True)
    address = events.y << 8 | (127 - events.x) << 1 | (1 - events.channel)
    words = np.stack([address, events.time_us], axis=1).astype(">u4")
    path.write_bytes(b"#!AER-DAT2.0\r\n# a test\r\n" + words.tobytes())


def write_aedat31(path: Path, events: Events, per_packet: int = 100) -> None:
    """AEDAT 3.1 with a packet of another kind and an event that is not valid."""
    path.parent.mkdir(parents=True, exist_ok=True)
    word = events.x << 17 | events.y << 2 | events.channel << 1 | 1
    rows = np.stack([word, events.time_us], axis=1)
    rows = np.concatenate([rows, [[5 << 17, 10]]])
    out = b"#!AER-DAT3.1\r\n#Format: RAW\r\n#!END-HEADER\r\n" + _packet(0, np.zeros((1, 2)))
    for first in range(0, len(rows), per_packet):
        out += _packet(1, rows[first : first + per_packet])
    path.write_bytes(out)


def _packet(kind: int, rows: np.ndarray) -> bytes:
    head = np.array([kind, 0], "<u2").tobytes()
    counts = (8, 4, 0, len(rows), len(rows), len(rows))
    return head + np.array(counts, "<u4").tobytes() + rows.astype("<u4").tobytes()
